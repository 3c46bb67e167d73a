//! What comes from elsewhere: git repositories and files of the web, as contexts and for ADD.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use testkit::command::{self, Output};
use testkit::web::Answer;
use testkit::{DEADLINE, Engine, Web, eventually};

use super::{Context, run};

fn build(engine: &Engine, context: &str, more: &[&str]) -> Output {
    let mut command = engine.ketch_command();
    command.current_dir(engine.scratch().join("")).args(["build", "--progress=plain"]).args(more);
    command::run(command.arg(context))
}

/// The same command with a file as its standard input.
fn with_input(command: &Command, file: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .env_clear()
        .args(["-c", "exec \"$@\" < \"$INPUT\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    for (key, value) in command.get_envs() {
        shell.envs(value.map(|value| (key, value)));
    }
    shell.env("INPUT", file);
    shell
}

/// Something at a web server.
fn at(web: &Web, path: &str) -> String {
    format!("http://{}{path}", web.address())
}

/// Repositories below a folder, served by git's own daemon.
pub(crate) struct Git {
    folder: PathBuf,
    server: Child,
    port: u16,
}

impl Git {
    pub(crate) fn start(engine: &Engine) -> Self {
        let folder = engine.scratch().join("repositories");
        fs::create_dir_all(&folder).expect("a folder of the test's");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        // The program itself: a process that it would leave behind nobody ends.
        let programs = command::run(Command::new("git").arg("--exec-path")).ok();
        let mut daemon = Command::new(Path::new(&programs).join("git-daemon"));
        daemon.args(["--reuseaddr", "--export-all", "--listen=127.0.0.1"]);
        daemon.arg(format!("--port={port}")).arg(format!("--base-path={}", folder.display())).arg(&folder);
        daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = daemon
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*");
        let server = server.spawn().expect("git");
        eventually(DEADLINE, || {
            std::net::TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|e| e.to_string())
        });
        Self { folder, server, port }
    }

    pub(crate) fn address(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}", self.port)
    }

    /// Runs a shell in a repository that is made if it isn't there; what it says.
    pub(crate) fn in_repository(&self, name: &str, script: &str) -> String {
        let path = self.folder.join(name);
        fs::create_dir_all(&path).expect("a folder of the test's");
        let mut shell = Command::new("sh");
        shell.current_dir(&path).args(["-euc", &format!("test -d .git || git init -q -b main .; {script}")]);
        for (key, value) in [("NAME", "t"), ("EMAIL", "t@t")] {
            shell.env(format!("GIT_AUTHOR_{key}"), value).env(format!("GIT_COMMITTER_{key}"), value);
        }
        shell.env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
        shell
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "protocol.file.allow")
            .env("GIT_CONFIG_VALUE_0", "always");
        command::run(&mut shell).ok()
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub(crate) const COMMIT: &str = "git add -A; git commit -qm x; git rev-parse HEAD";

// covers: dockerfile flag ADD --keep-git-dir boolean
// covers: dockerfile flag ADD --checksum string
// covers: dockerfile git-url-key ADD ref
// covers: dockerfile git-url-key ADD checksum
// covers: dockerfile git-url-key ADD keep-git-dir
// covers: dockerfile git-url-key ADD submodules
#[test]
fn repositories_are_added() {
    let engine = Engine::ours();
    engine.busybox();
    let git = Git::start(&engine);
    git.in_repository("part.git", &format!("echo part > p; {COMMIT}"));
    let first = git.in_repository(
        "whole.git",
        &format!("mkdir sub; echo one > sub/f; echo top > top; {COMMIT}; git tag v1"),
    );
    let (part, first) = (git.address("part.git"), first.trim().to_owned());
    let second = git.in_repository(
        "whole.git",
        &format!("echo two > sub/f; git submodule -q add {part} module; {COMMIT}"),
    );
    git.in_repository("whole.git", "git branch other v1");
    let (whole, second) = (git.address("whole.git"), second.trim().to_owned());
    let text = format!(
        "FROM BASE\nADD {whole} /head/\nADD {whole}#v1 /tag/\nADD {whole}#other:sub /sub/\nADD {whole}#{first} /commit/\n\
         ADD --keep-git-dir=true {whole}#main /kept/\nADD --checksum={first} {whole}#v1 /checked/\n\
         ADD {whole}?ref=main&subdir=sub /query/\nADD {whole}?branch=other&keep-git-dir=true /query2/\n\
         ADD {whole}?submodules=false&checksum={second}&ref=main /without/\nADD --chown=7:8 {whole}#v1:sub /owned/\n"
    );
    let context = Context::new(&engine, "adds", &text);
    let tag = engine.name("adds");
    build(&engine, &context.path().display().to_string(), &["-t", &tag]).ok();
    let seen = |command: &str| run(&engine, &tag, command);
    assert_eq!(
        seen("cat /head/sub/f /tag/sub/f /sub/f /commit/sub/f /query/f /query2/sub/f"),
        "two\none\none\none\ntwo\none"
    );
    assert_eq!(
        seen("cat /head/module/p; ls /without/module | wc -l; ls -a /head | grep -c '^.git$' || true"),
        "part\n0\n0"
    );
    assert_eq!(
        seen("cat /kept/.git/HEAD; test -d /query2/.git; stat -c '%u:%g' /owned/f"),
        format!("{second}\n7:8")
    );
    // A branch that moved is another source; one that didn't isn't fetched again.
    let said = build(&engine, &context.path().display().to_string(), &["-t", &tag]);
    assert_eq!(said.stderr.matches("CACHED").count(), 10, "{}", said.stderr);
    git.in_repository("whole.git", &format!("echo three > sub/f; {COMMIT}"));
    build(&engine, &context.path().display().to_string(), &["-t", &tag]).assert_code(1);
    context.dockerfile(&engine, &format!("FROM BASE\nADD {whole} /head/\nADD {whole}#v1 /tag/\n"));
    build(&engine, &context.path().display().to_string(), &["-t", &tag]).ok();
    assert_eq!(seen("cat /head/sub/f /tag/sub/f"), "three\none");
    for (address, words) in [
        (format!("--checksum={second} {whole}#v1"), "expected checksum to match"),
        (format!("{whole}#absent"), "absent"),
        (format!("{whole}#main:absent"), "absent"),
    ] {
        context.dockerfile(&engine, &format!("FROM BASE\nADD {address} /x/\n"));
        let refused = build(&engine, &context.path().display().to_string(), &[]).assert_code(1);
        assert!(refused.stderr.contains(words), "{address}: {}", refused.stderr);
    }
}

// covers: dockerfile context Git URL #ref[:subdir] or query keys
// covers: dockerfile builtin-arg ARG BUILDKIT_CONTEXT_KEEP_GIT_DIR Bool
// covers: dockerfile context git / http / https named context: remote source
#[test]
fn repositories_are_contexts() {
    let engine = Engine::ours();
    let base = engine.busybox();
    let git = Git::start(&engine);
    let dockerfile = format!("FROM {base}\\nCOPY . /all/\\n");
    git.in_repository("c.git", &format!("mkdir sub; printf '{dockerfile}' > Dockerfile; cp Dockerfile sub/Other; echo sub > sub/f; echo top > f; {COMMIT}; git tag v1; echo later > f; {COMMIT}"));
    let address = git.address("c.git");
    let tag = engine.name("c");
    let seen = |context: &str, more: &[&str], command: &str| {
        build(&engine, context, &[&["-t", &tag], more].concat()).ok();
        run(&engine, &tag, command)
    };
    assert_eq!(seen(&address, &[], "cat /all/f; test ! -e /all/.git && echo bare"), "later\nbare");
    assert_eq!(seen(&format!("{address}#v1"), &[], "cat /all/f"), "top");
    assert_eq!(seen(&format!("{address}#main:sub"), &["-f", "Other"], "cat /all/f"), "sub");
    let keep = ["--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"];
    assert_eq!(seen(&address, &keep, "test -d /all/.git && echo kept"), "kept");
    let context =
        Context::new(&engine, "named", "FROM BASE\nCOPY --from=repo f /f\nCOPY --from=file * /file/\n");
    let web = Web::serve(|_| Answer::new(200, "fetched"));
    let named = [
        format!("--build-context=repo={address}#v1"),
        format!("--build-context=file={}", at(&web, "/x.txt")),
    ];
    let path = context.path().display().to_string();
    assert_eq!(seen(&path, &[&named[0], &named[1]], "cat /f; cat /file/*"), "top\nfetched");
}

// covers: dockerfile source ADD URL http(s) download; Last-Modified becomes mtime; mode 0600; --checksum
// covers: dockerfile context HTTP URL plain text = Dockerfile, tar = context
// covers: dockerfile context tar archive remote or stdin tarball, gzip/bzip2/xz/zstd
// covers: api POST /build ?remote
#[test]
fn files_of_the_web() {
    let engine = Engine::ours();
    let base = engine.busybox();
    let dockerfile = format!("FROM {base}\nCOPY f /f\n");
    let archive =
        testkit::images::archive_of(&[("Dockerfile", dockerfile.as_bytes()), ("f", b"in the archive")]);
    let packed = Packed::of(&engine, &archive);
    let only = format!("FROM {base}\nRUN echo only > /f\n");
    let served = packed.files.clone();
    let web = Web::serve(move |asked| {
        let name = asked.path.trim_start_matches('/').to_owned();
        match name.as_str() {
            "file" => Answer::new(200, "content").header("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
            "only" => Answer::new(200, only.clone()).header("Content-Type", "text/plain"),
            name => match served.iter().find(|(known, _)| known == name) {
                Some((_, bytes)) => Answer::new(200, bytes.clone()),
                None => Answer::new(404, "not here"),
            },
        }
    });
    let digest = oci::Digest::sha256(b"content");
    let text = format!(
        "FROM BASE\nADD --checksum={digest} {} /a/\nADD --chmod=751 --chown=3:4 {} /b\nADD --unpack=true {} /d/\nADD {} /e/\n",
        at(&web, "/file"),
        at(&web, "/file"),
        at(&web, "/x.tar.gz"),
        at(&web, "/x.tar.gz")
    );
    let context = Context::new(&engine, "web", &text);
    let tag = engine.name("web");
    let path = context.path().display().to_string();
    build(&engine, &path, &["-t", &tag]).ok();
    let seen = |command: &str| run(&engine, &tag, command);
    assert_eq!(
        seen("cat /a/file; stat -c ' %a %u:%g %Y' /a/file; stat -c '%a %u:%g' /b"),
        "content 600 0:0 1700000000\n751 3:4"
    );
    assert_eq!(seen("cat /d/f; ls /e"), "in the archivex.tar.gz");
    context.dockerfile(
        &engine,
        &format!("FROM BASE\nADD --checksum=sha256:{} {} /a/\n", "0".repeat(64), at(&web, "/file")),
    );
    let refused = build(&engine, &path, &[]).assert_code(1);
    assert!(refused.stderr.contains("digest mismatch"), "{}", refused.stderr);
    context.dockerfile(&engine, &format!("FROM BASE\nADD {} /a/\n", at(&web, "/absent")));
    let refused = build(&engine, &path, &[]).assert_code(1);
    assert!(refused.stderr.contains("404"), "{}", refused.stderr);

    // Contexts, by our client, and by the route that the classic builder's clients ask.
    build(&engine, &at(&web, "/only"), &["-t", &tag]).ok();
    assert_eq!(seen("cat /f"), "only");
    for (name, _) in &packed.files {
        engine.docker(["rmi", "-f", &tag]).ok();
        build(&engine, &at(&web, &format!("/{name}")), &["-t", &tag]).ok();
        assert_eq!(seen("cat /f"), "in the archive", "{name}");
        let mut stdin = engine.ketch_command();
        stdin.args(["build", "-q", "-t", &tag, "-"]);
        command::run(&mut with_input(&stdin, &packed.folder.join(name))).ok();
        assert_eq!(seen("cat /f"), "in the archive", "{name} by the standard input");
    }
    for (remote, expected) in [("/x.tar.gz", "in the archive"), ("/only", "only\n")] {
        let query = format!("/build?t={tag}&remote={}", at(&web, remote));
        let request = testkit::http::Request::new("POST", &query);
        let said = engine.request_unchecked(&request).expect(200).text();
        assert!(said.contains("Successfully tagged"), "{said}");
        assert_eq!(format!("{}\n", seen("cat /f")).trim(), expected.trim());
    }
}

/// A tar in every way of packing.
struct Packed {
    folder: PathBuf,
    files: Vec<(String, Vec<u8>)>,
}

impl Packed {
    fn of(engine: &Engine, tar: &[u8]) -> Self {
        let folder = engine.scratch().join("packed");
        fs::create_dir_all(&folder).expect("a folder of the test's");
        let read = |path: &Path| fs::read(path).expect("a file of the test's");
        fs::write(folder.join("x.tar"), tar).expect("a file of the test's");
        let mut files = vec![("x.tar".to_owned(), tar.to_vec())];
        for (program, suffix) in [("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz"), ("zstd", "zst")] {
            let mut shell = Command::new("sh");
            shell.current_dir(&folder).args(["-euc", &format!("{program} -q -c x.tar > x.tar.{suffix}")]);
            command::run(&mut shell).ok();
            files.push((format!("x.tar.{suffix}"), read(&folder.join(format!("x.tar.{suffix}")))));
        }
        Self { folder, files }
    }
}

// covers: dockerfile context - Dockerfile or tar archive on standard input
#[test]
fn a_dockerfile_on_the_standard_input() {
    let engine = Engine::ours();
    let base = engine.busybox();
    let file = engine.scratch().join("Dockerfile.piped");
    fs::write(&file, format!("FROM {base}\nRUN echo piped > /f\n")).unwrap();
    for (client, flags) in [(engine.ketch_command(), &["-q"][..]), (engine.docker_command(), &[])] {
        let mut client = client;
        let tag = engine.name("piped");
        client.env("DOCKER_BUILDKIT", "0").args(["build", "-t", &tag]).args(flags).arg("-");
        command::run(&mut with_input(&client, &file)).ok();
        assert_eq!(run(&engine, &tag, "cat /f"), "piped");
        engine.docker(["rmi", "-f", &tag]).ok();
    }
}

/// Addresses that would have git do something else, and repositories that lead outside.
#[test]
fn hostile_addresses_and_repositories() {
    let engine = Engine::ours();
    engine.busybox();
    let git = Git::start(&engine);
    let canary = engine.scratch().join("canary");
    fs::write(&canary, "canary").unwrap();
    git.in_repository("evil.git", &format!(
        "echo x > f; ln -s / root; ln -s {} file; ln -s ../../../.. up; mkdir sub; ln -s / sub/root; {COMMIT}", canary.display()
    ));
    let evil = git.address("evil.git");
    let local = git.folder.join("evil.git").display().to_string();
    let context = Context::new(&engine, "hostile-git", "FROM BASE\n");
    let path = context.path().display().to_string();
    for address in [
        format!("{evil}#--upload-pack=touch"),
        format!("{evil}#main:../../.."),
        format!("{evil}#main:root/etc"),
        format!("{evil}#main:up/etc"),
        format!("{evil}#main:sub/root/etc"),
        format!("{evil}#main:/etc"),
        format!("file://{local}/.git"),
        "ext::sh -c touch%20/tmp/x.git".to_owned(),
        "git://-oProxyCommand=x/y.git".to_owned(),
    ] {
        context.dockerfile(&engine, &format!("FROM BASE\nADD [\"{address}\", \"/x/\"]\n"));
        let tag = engine.name("evil");
        if build(&engine, &path, &["-t", &tag]).code == 0 {
            // Whatever it is, it is nothing of the host's.
            assert_eq!(
                run(&engine, &tag, "ls /x/passwd /x/shadow /x/canary 2>/dev/null; true"),
                "",
                "{address}"
            );
        }
    }
    // A link is a link, which leads nowhere but in the image.
    context.dockerfile(
        &engine,
        &format!("FROM BASE\nADD {evil} /x/\nCOPY --from=0 /x/file /copied\n")
            .replace("COPY --from=0", "RUN cat /x/file;"),
    );
    let failed = build(&engine, &path, &[]).assert_code(1);
    assert!(!failed.stderr.contains("canary\n"), "{}", failed.stderr);
}

/// What a server calls a file is a name, and never a way out.
#[test]
fn hostile_names_of_files() {
    let engine = Engine::ours();
    engine.busybox();
    let names =
        ["../../x", "/abs", "", "..", "a/b", &"n".repeat(300), "x\\y", "%2e%2e%2fz"].map(str::to_owned);
    let served = names.clone();
    let web = Web::serve(move |asked| {
        let number: usize = asked.path.trim_start_matches('/').parse().unwrap_or(0);
        let name = &served[number];
        Answer::new(200, "content").header("Content-Disposition", &format!("attachment; filename=\"{name}\""))
    });
    let context = Context::new(&engine, "names", "FROM BASE\n");
    let path = context.path().display().to_string();
    for (number, name) in names.iter().enumerate() {
        context.dockerfile(
            &engine,
            &format!(
                "FROM scratch AS got\nADD {} /in/\nFROM BASE\nCOPY --from=got / /all/\n",
                at(&web, &format!("/{number}"))
            ),
        );
        let tag = engine.name("named");
        if build(&engine, &path, &["-t", &tag]).code == 0 {
            let found = run(&engine, &tag, "find /all -type f | grep -v '^/all/in/[^/]*$'; true");
            assert_eq!(found, "", "{name}");
        }
    }
}
