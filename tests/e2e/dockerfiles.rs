//! Dockerfiles of one feature each, and what dockerd with BuildKit made of them: configuration, history, files.
//!
//! ```text
//! # what this is about
//! + printf hi > a                what makes the context, run by a shell in it
//! = --build-arg A=1              flags of `build`; {C} is the context
//! ! why                          dockerd can't say or does otherwise: what is expected was written by hand
//! --
//! FROM {I}                       the Dockerfile; {I} is the image of busybox
//! COPY a /b
//! --
//! config {"Cmd":["sh"],…}        what came of it, recorded
//! history COPY a /b # buildkit   `-` after the word: no layer
//! tree 0644 0:0 f /b 2 8f434346648f
//! ```
//!
//! The tree is what the image's layers make together, without what the base image has; a file has its size and the
//! beginning of its digest. A build that fails says `fails` and why. With `KETCH_TEST_DOCKER_HOST` and `KETCH_RECORD=1`
//! the expectations are written anew from that engine; `KETCH_CASE` runs one case alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::http::Request;
use testkit::{Engine, command};

/// Every case of a folder.
fn folder(name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("e2e/dockerfiles").join(name);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    cases.sort();
    let engine = Engine::isolated().with_plugins();
    let image = engine.busybox();
    let builder = Builder { base: tree(&engine, &image).tree, image, engine };
    let only = std::env::var("KETCH_CASE").ok();
    let mut wrong = String::new();
    for (number, path) in cases.iter().enumerate() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let text = std::fs::read_to_string(path).expect("a case");
        let case = Case::read(&text);
        if case.head.lines().any(|line| line.starts_with("! ")) && builder.engine.is_peer() {
            continue;
        }
        for client in builder.clients() {
            if matches!(client, Client::Classic) && case.not_classic() {
                continue;
            }
            let got = builder.run(&case, number, *client);
            if std::env::var_os("KETCH_RECORD").is_some() && builder.engine.is_peer() {
                std::fs::write(path, case.written(&got)).expect("writing the recording");
            } else if !case.is(&got, *client) {
                let _ = writeln!(wrong, "{name} by {client:?}:\n{}", difference(case.expected, &got));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Lines that are expected and missing, and the other way round.
fn difference(expected: &str, got: &str) -> String {
    let lines = |text: &str, other: &str, mark: char| -> String {
        let missing = text.lines().filter(|line| !other.lines().any(|known| known == *line));
        missing.map(|line| format!("  {mark} {line}\n")).collect()
    };
    let difference = lines(expected, got, '-') + &lines(got, expected, '+');
    if difference.is_empty() { format!("  in another order:\n{got}") } else { difference }
}

struct Case<'a> {
    head: &'a str,
    commands: Vec<&'a str>,
    flags: Vec<&'a str>,
    dockerfile: &'a str,
    expected: &'a str,
}

impl<'a> Case<'a> {
    fn read(text: &'a str) -> Self {
        let (head, rest) = text.split_once("--\n").expect("a line of dashes before the Dockerfile");
        let (dockerfile, expected) = rest.split_once("\n--\n").unwrap_or((rest, ""));
        let of = |mark: &'a str| head.lines().filter_map(move |line| line.strip_prefix(mark));
        Self {
            head,
            commands: of("+ ").collect(),
            flags: of("= ").flat_map(str::split_whitespace).collect(),
            dockerfile,
            expected,
        }
    }

    /// What the classic builder's client has no flag for, or does itself.
    fn not_classic(&self) -> bool {
        ["--secret", "--build-context"].iter().any(|flag| self.flags.contains(flag))
            || self.head.contains("Dockerfile.dockerignore")
    }

    /// The classic builder's words for a failure are its own.
    fn is(&self, got: &str, client: Client) -> bool {
        let failed = |text: &str| text.starts_with("fails ");
        got == self.expected || matches!(client, Client::Classic) && failed(got) && failed(self.expected)
    }

    fn written(&self, got: &str) -> String {
        format!("{}--\n{}\n--\n{got}", self.head, self.dockerfile.trim_end_matches('\n'))
    }
}

#[derive(Debug, Clone, Copy)]
enum Client {
    Docker,
    Ketch,
    /// `POST /build`, which lowers to the same graph.
    Classic,
}

struct Builder {
    engine: Engine,
    image: String,
    base: BTreeMap<String, String>,
}

impl Builder {
    fn clients(&self) -> &'static [Client] {
        match self.engine.is_peer() {
            true => &[Client::Docker],
            false => &[Client::Ketch, Client::Docker, Client::Classic],
        }
    }

    fn run(&self, case: &Case<'_>, number: usize, client: Client) -> String {
        let context = self.engine.scratch().join(&format!("context-{number}-{client:?}"));
        std::fs::create_dir_all(&context).expect("the test's own folder");
        for line in &case.commands {
            let mut shell = Command::new("sh");
            command::run(shell.args(["-euc", &format!("umask 022; {line}")]).current_dir(&context)).ok();
        }
        let dockerfile = format!("{}\n", case.dockerfile).replace("{I}", &self.image);
        std::fs::write(context.join("Dockerfile"), dockerfile).expect("the test's own folder");
        let tag = format!("{}:1", self.engine.name(&format!("built{number}")));
        let mut build = match client {
            Client::Ketch => self.engine.ketch_command(),
            Client::Docker | Client::Classic => self.engine.docker_command(),
        };
        build.args(["build", "-t", &tag]);
        match client {
            Client::Classic => build.env("DOCKER_BUILDKIT", "0"),
            Client::Docker | Client::Ketch => build.args(["--progress=plain", "--provenance=false"]),
        };
        let filled = case
            .flags
            .iter()
            .map(|flag| flag.replace("{C}", &context.to_string_lossy()).replace("{I}", &self.image));
        let done = command::run(build.args(filled).arg(&context));
        if done.code != 0 {
            return format!("fails {}\n", self.plain(&without_places(why(&done.stderr))));
        }
        let got = self.describe(&tag);
        let _ = command::run(self.engine.docker_command().args(["rmi", "-f", &tag]));
        got
    }

    fn describe(&self, tag: &str) -> String {
        let built = tree(&self.engine, tag);
        let mut text = format!("config {}\n", self.plain(&sorted(&built.config["config"]).to_string()));
        for key in ["author", "architecture", "variant", "os"] {
            let value = &built.config[key];
            if !value.is_null() && *value != "amd64" && *value != "linux" {
                let _ = writeln!(text, "{key} {value}");
            }
        }
        for entry in built.config["history"].as_array().into_iter().flatten() {
            let mark = if entry["empty_layer"] == true { "-" } else { "" };
            let by = entry["created_by"].as_str().unwrap_or_default().replace('\n', "\\n");
            if by.starts_with("testkit ") {
                continue;
            }
            let _ = writeln!(text, "history{mark} {}", self.plain(&by));
        }
        // What a runtime mounts, and where, is its own business.
        let mounted = |path: &str| matches!(path, "/dev" | "/proc" | "/sys");
        let new =
            built.tree.iter().filter(|(path, line)| self.base.get(*path) != Some(*line) && !mounted(path));
        for (path, line) in new {
            let _ = writeln!(text, "tree {}", line.replace("{path}", path));
        }
        for path in self.base.keys().filter(|path| !built.tree.contains_key(*path)) {
            let _ = writeln!(text, "gone {path}");
        }
        // Where everything of the base is gone, that is said once.
        if built.tree.keys().all(|path| !self.base.contains_key(path)) {
            text.retain_lines(|line| !line.starts_with("gone "));
        }
        text
    }

    fn plain(&self, text: &str) -> String {
        text.replace(&self.image, "{I}")
    }
}

trait Lines {
    fn retain_lines(&mut self, keep: impl Fn(&str) -> bool);
}

impl Lines for String {
    fn retain_lines(&mut self, keep: impl Fn(&str) -> bool) {
        *self = self.lines().filter(|line| keep(line)).map(|line| format!("{line}\n")).collect();
    }
}

/// The reason in what a client wrote.
fn why(stderr: &str) -> &str {
    let line = stderr.lines().rev().find_map(|line| {
        line.strip_prefix("ERROR: ")
            .or_else(|| line.strip_prefix("error: "))
            .or_else(|| line.strip_prefix("docker: "))
    });
    let line = line.unwrap_or_else(|| stderr.lines().last().unwrap_or_default());
    let line = line.strip_prefix("failed to build: ").unwrap_or(line);
    line.strip_prefix("failed to solve: ").unwrap_or(line)
}

/// Without what a builder's files have of their own: a place for what is summed, and a mounted root.
fn without_places(why: &str) -> String {
    let why = match why.split_once("failed to calculate checksum of ref ") {
        Some((_, after)) => after.split_once(": ").map_or("", |(_, rest)| rest).to_owned(),
        None => why.to_owned(),
    };
    match (why.find("/var/lib/"), why.split_once("/merged")) {
        (Some(at), Some((_, path))) => format!("{}{path}", &why[..at]),
        _ => why,
    }
}

/// Keys in order and nothing that says nothing, so that two spellings of the same are the same.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> =
                map.iter().filter(|(_, value)| !value.is_null() && *value != "").collect();
            entries.sort_by_key(|(key, _)| *key);
            entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        other => other.clone(),
    }
}

struct Image {
    config: Value,
    /// By path, with a place for it.
    tree: BTreeMap<String, String>,
}

/// An image without layers can't be saved by dockerd; the API tells as much.
fn without_layers(engine: &Engine, tag: &str, inspected: &Value) -> Image {
    let history = engine.request_unchecked(&Request::new("GET", &format!("/images/{tag}/history")));
    let history = history.expect(200).json();
    let entries = history.as_array().into_iter().flatten().rev();
    let entries =
        entries.map(|entry| serde_json::json!({ "created_by": entry["CreatedBy"], "empty_layer": true }));
    let config = serde_json::json!({ "config": inspected["Config"], "history": entries.collect::<Value>() });
    Image { config, tree: BTreeMap::new() }
}

/// An image as it is saved.
fn tree(engine: &Engine, tag: &str) -> Image {
    let inspected =
        engine.request_unchecked(&Request::new("GET", &format!("/images/{tag}/json"))).expect(200).json();
    if inspected["RootFS"]["Layers"].as_array().is_none_or(Vec::is_empty) {
        return without_layers(engine, tag, &inspected);
    }
    let path = format!("/images/{tag}/get");
    let archive = engine.request_unchecked(&Request::new("GET", &path)).expect(200).body;
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut saved = tar::Archive::new(archive.as_slice());
    for entry in saved.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut data = Vec::new();
        entry.read_to_end(&mut data).expect("an entry's content");
        let path = entry.path().expect("a name").into_owned();
        // A layer that is there twice is a link to its first name.
        let link = entry.link_name().ok().flatten().map(|to| path.parent().unwrap_or(Path::new("")).join(to));
        let data = link.and_then(|to| files.get(&normal(&to)).cloned()).unwrap_or(data);
        files.insert(path, data);
    }
    let json = |path: &str| -> Value { serde_json::from_slice(&files[Path::new(path)]).expect("JSON") };
    let manifest = json("manifest.json");
    let config = json(manifest[0]["Config"].as_str().expect("a path"));
    let mut tree = BTreeMap::new();
    for layer in manifest[0]["Layers"].as_array().into_iter().flatten() {
        apply(&files[Path::new(layer.as_str().expect("a path"))], &mut tree);
    }
    Image { config, tree }
}

fn normal(path: &Path) -> PathBuf {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(parts.pop()),
            std::path::Component::Normal(part) => parts.push(part),
            _ => {}
        }
    }
    parts.iter().collect()
}

/// Puts one layer on top of a tree.
fn apply(layer: &[u8], tree: &mut BTreeMap<String, String>) {
    let layer = match layer {
        [0x1f, 0x8b, ..] => gunzip(layer),
        plain => plain.to_vec(),
    };
    let mut archive = tar::Archive::new(layer.as_slice());
    for entry in archive.entries().expect("a layer") {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
        let path = format!("/{}", path.trim_start_matches("./").trim_start_matches('/'));
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let below =
            |folder: &str, path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        if name == ".wh..wh..opq" {
            tree.retain(|known, _| !below(folder, known));
        } else if let Some(name) = name.strip_prefix(".wh.") {
            let gone = format!("{folder}/{name}");
            tree.retain(|known, _| *known != gone && !below(&gone, known));
        } else if path != "/" && path != "/." {
            let line = line(&mut entry, tree);
            if !line.contains(" d ") {
                tree.retain(|known, _| !below(&path, known));
            }
            imply_parents(&path, tree);
            tree.insert(path, line);
        }
    }
}

/// A layer needn't say that there are directories above what is in it.
fn imply_parents(path: &str, tree: &mut BTreeMap<String, String>) {
    for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
        tree.entry(path[..at].to_owned()).or_insert_with(|| "0755 0:0 d {path}".to_owned());
    }
}

fn line(entry: &mut tar::Entry<'_, &[u8]>, tree: &BTreeMap<String, String>) -> String {
    let header = entry.header().clone();
    let mode = header.mode().unwrap_or(0) & 0o7777;
    let (uid, gid) = (header.uid().unwrap_or(0), header.gid().unwrap_or(0));
    let link =
        entry.link_name_bytes().map(|to| String::from_utf8_lossy(&to).into_owned()).unwrap_or_default();
    let what = match header.entry_type() {
        tar::EntryType::Directory => "d {path}".to_owned(),
        tar::EntryType::Symlink => format!("l {{path}} -> {link}"),
        // The same file under another name is told by what it is.
        tar::EntryType::Link => {
            let first = format!("/{}", link.trim_start_matches("./").trim_start_matches('/'));
            return tree
                .get(&first)
                .cloned()
                .unwrap_or_else(|| format!("a link to {first}, which isn't there"));
        }
        tar::EntryType::Fifo => "p {path}".to_owned(),
        tar::EntryType::Char | tar::EntryType::Block => {
            let number = |part: std::io::Result<Option<u32>>| part.ok().flatten().unwrap_or(0);
            format!("c {{path}} {}:{}", number(header.device_major()), number(header.device_minor()))
        }
        _ => {
            let mut data = Vec::new();
            entry.read_to_end(&mut data).expect("a file's content");
            let digest = oci::Digest::sha256(&data).to_string();
            format!(
                "f {{path}} {} {}",
                data.len(),
                digest.split(':').nth(1).unwrap_or_default().get(..12).unwrap_or_default()
            )
        }
    };
    let mode = if what.starts_with("l ") { 0o777 } else { mode };
    format!("{mode:04o} {uid}:{gid} {what}")
}

fn gunzip(layer: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut input = child.stdin.take().expect("a pipe");
    let layer = layer.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&layer));
    let mut plain = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut plain).expect("what gzip writes");
    assert!(
        writer.join().is_ok_and(|written| written.is_ok())
            && child.wait().is_ok_and(|status| status.success())
    );
    plain
}

// covers: dockerfile instruction ENTRYPOINT
// covers: dockerfile instruction EXPOSE
// covers: dockerfile instruction HEALTHCHECK
// covers: dockerfile instruction LABEL
// covers: dockerfile instruction MAINTAINER
// covers: dockerfile instruction ONBUILD
// covers: dockerfile instruction SHELL
// covers: dockerfile instruction STOPSIGNAL
// covers: dockerfile instruction USER
// covers: dockerfile instruction VOLUME
// covers: dockerfile instruction WORKDIR
// covers: dockerfile form CMD CMD ["exe","arg"] / CMD ["arg"] / CMD command
// covers: dockerfile form ENTRYPOINT ENTRYPOINT ["exe","arg"] / ENTRYPOINT command
// covers: dockerfile form LABEL LABEL key=value ...
// covers: dockerfile form LABEL LABEL key value
// covers: dockerfile form MAINTAINER MAINTAINER name
// covers: dockerfile form EXPOSE EXPOSE port[/proto] ...
// covers: dockerfile form ENV ENV key=value ...
// covers: dockerfile form ENV ENV key value
// covers: dockerfile form VOLUME VOLUME ["/p"] / VOLUME /p ...
// covers: dockerfile form USER USER user[:group] / uid[:gid]
// covers: dockerfile form WORKDIR WORKDIR path
// covers: dockerfile form ONBUILD ONBUILD INSTRUCTION
// covers: dockerfile form STOPSIGNAL STOPSIGNAL SIGNAME|number
// covers: dockerfile form HEALTHCHECK HEALTHCHECK [OPTIONS] CMD command
// covers: dockerfile form HEALTHCHECK HEALTHCHECK NONE
// covers: dockerfile form SHELL SHELL ["exe","arg"]
// covers: dockerfile flag HEALTHCHECK --interval string
// covers: dockerfile flag HEALTHCHECK --timeout string
// covers: dockerfile flag HEALTHCHECK --start-period string
// covers: dockerfile flag HEALTHCHECK --start-interval string
// covers: dockerfile flag HEALTHCHECK --retries string
// covers: dockerfile heredoc ONBUILD inside ONBUILD ONBUILD RUN/COPY/ADD with a here-document
// covers: dockerfile workdir WORKDIR default / when no image and no WORKDIR set
// covers: dockerfile image-config history comment buildkit.dockerfile.v0
#[test]
fn configuration() {
    folder("config");
}

// covers: dockerfile instruction ARG
// covers: dockerfile form ARG ARG name[=default] ...
// covers: dockerfile expands ENV variables expanded by the builder
// covers: dockerfile expands EXPOSE variables expanded by the builder
// covers: dockerfile expands FROM variables expanded by the builder
// covers: dockerfile expands LABEL variables expanded by the builder
// covers: dockerfile expands STOPSIGNAL variables expanded by the builder
// covers: dockerfile expands USER variables expanded by the builder
// covers: dockerfile expands VOLUME variables expanded by the builder
// covers: dockerfile expands WORKDIR variables expanded by the builder
// covers: dockerfile predefined-arg ARG HTTP_PROXY
// covers: dockerfile predefined-arg ARG http_proxy
// covers: dockerfile predefined-arg ARG no_proxy
// covers: dockerfile platform-arg ARG TARGETPLATFORM
// covers: dockerfile platform-arg ARG TARGETOS
// covers: dockerfile platform-arg ARG TARGETARCH
// covers: dockerfile platform-arg ARG TARGETVARIANT
// covers: dockerfile platform-arg ARG BUILDPLATFORM
// covers: dockerfile platform-arg ARG BUILDOS
// covers: dockerfile platform-arg ARG BUILDARCH
// covers: dockerfile builtin-arg ARG BUILDKIT_SANDBOX_HOSTNAME String
// covers: dockerfile predefined-arg ARG HTTPS_PROXY
// covers: dockerfile predefined-arg ARG https_proxy
// covers: dockerfile predefined-arg ARG FTP_PROXY
// covers: dockerfile predefined-arg ARG ftp_proxy
// covers: dockerfile predefined-arg ARG NO_PROXY
// covers: dockerfile predefined-arg ARG ALL_PROXY
// covers: dockerfile predefined-arg ARG all_proxy
// covers: dockerfile platform-arg ARG BUILDVARIANT
// covers: dockerfile expansion ENV over ARG an ENV of the same name always wins
// covers: dockerfile expands ADD variables expanded by the builder
// covers: dockerfile expands ONBUILD variables expanded by the builder
#[test]
fn arguments() {
    folder("args");
}

// covers: dockerfile form RUN RUN command (shell form)
// covers: dockerfile form RUN RUN ["exe","arg"] (exec form)
// covers: dockerfile mount-type RUN --mount=type=tmpfs
// covers: dockerfile mount-type RUN --mount=type=secret
// covers: dockerfile mount-option RUN type=bind,target=
// covers: dockerfile mount-option RUN type=bind,source=
// covers: dockerfile mount-option RUN type=bind,from=
// covers: dockerfile mount-option RUN type=cache,id=
// covers: dockerfile mount-option RUN type=cache,target=
// covers: dockerfile mount-option RUN type=cache,from=
// covers: dockerfile mount-option RUN type=cache,source=
// covers: dockerfile mount-option RUN type=cache,mode=
// covers: dockerfile mount-option RUN type=cache,uid=
// covers: dockerfile mount-option RUN type=cache,gid=
// covers: dockerfile mount-option RUN type=tmpfs,target=
// covers: dockerfile mount-option RUN type=secret,id=
// covers: dockerfile mount-option RUN type=secret,target=
// covers: dockerfile mount-option RUN type=secret,env=
// covers: dockerfile mount-option RUN type=secret,required=
// covers: dockerfile mount-option RUN type=secret,mode=
// covers: dockerfile mount-option RUN type=secret,uid=
// covers: dockerfile mount-option RUN type=secret,gid=
// covers: dockerfile mount-value RUN type=cache,sharing=shared
// covers: dockerfile flag-value RUN --network=default
// covers: dockerfile flag-value RUN --network=none
// covers: dockerfile heredoc RUN RUN <<EOT script run by the default shell
// covers: dockerfile heredoc RUN RUN <<EOT command here-document as standard input of command
// covers: dockerfile heredoc RUN shebang first line #! picks the interpreter
// covers: dockerfile heredoc RUN several on one line RUN <<FILE1 cat > file1 && <<FILE2 cat > file2
// covers: dockerfile mount-option RUN type=bind,destination=
// covers: dockerfile mount-option RUN type=cache,dst=
// covers: dockerfile mount-option RUN type=cache,destination=
// covers: dockerfile mount-option RUN type=cache,ro=
// covers: dockerfile mount-option RUN type=cache,readonly=
// covers: dockerfile mount-option RUN type=cache,sharing=
// covers: dockerfile mount-option RUN type=tmpfs,dst=
// covers: dockerfile mount-option RUN type=tmpfs,destination=
// covers: dockerfile mount-option RUN type=secret,dst=
// covers: dockerfile mount-option RUN type=secret,destination=
#[test]
fn steps() {
    folder("run");
}

// covers: dockerfile form COPY COPY [OPTIONS] src ... dest
// covers: dockerfile form COPY COPY ["src", ..., "dest"]
// covers: dockerfile flag COPY --from string
// covers: dockerfile flag COPY --link boolean
// covers: dockerfile flag COPY --exclude string, repeatable
// covers: dockerfile flag COPY --parents boolean
// covers: dockerfile heredoc COPY COPY <<EOF dest inline file; default name is the word; mode 0644
// covers: dockerfile source ADD COPY wildcards filepath.Match rules; several sources need a destination ending in /
// covers: dockerfile source ADD COPY directory contents are copied, not the directory; merged, file by file
// covers: dockerfile source ADD COPY outside the context leading / and ../ are cut
// covers: dockerfile source COPY --parents pivot /./ marks where kept parents begin
// covers: dockerfile dest ADD COPY destination absolute or relative to WORKDIR; trailing / means directory; created with parents 0755 root
// covers: dockerfile chown ADD COPY --chown user[:group], names looked up in the image, or ids; variables
// covers: dockerfile chmod ADD COPY --chmod octal, or symbolic u=rwX,go=rX; variables
// covers: dockerfile link ADD COPY --link independent layer; rebase without pulling the base
// covers: dockerfile expands COPY variables expanded by the builder
// covers: dockerfile dockerignore file name <Dockerfile name>.dockerignore wins over .dockerignore at the context root
// covers: dockerfile dockerignore comment lines that start with # are comments (no leading blanks)
// covers: dockerfile dockerignore blank blank lines ignored; surrounding space trimmed
// covers: dockerfile dockerignore root leading / is dropped: patterns are relative to the context root
// covers: dockerfile dockerignore exception ! negates; last matching line wins
// covers: dockerfile dockerignore * matches any run of characters other than /
// covers: dockerfile dockerignore ** matches any number of directories, also none
// covers: dockerfile dockerignore parent match a pattern that matches a directory excludes all beneath it, unless an exception re-includes
// covers: dockerfile dockerignore self Dockerfile and .dockerignore are still sent to the builder when excluded, but not copied by ADD/COPY
#[test]
fn copies() {
    folder("copy");
}

// covers: dockerfile instruction ADD
// covers: dockerfile form ADD ADD [OPTIONS] src ... dest
// covers: dockerfile form ADD ADD ["src", ..., "dest"]
// covers: dockerfile flag ADD --chown string
// covers: dockerfile flag ADD --chmod string
// covers: dockerfile flag ADD --link boolean
// covers: dockerfile flag ADD --unpack boolean
// covers: dockerfile flag ADD --exclude string, repeatable
// covers: dockerfile heredoc ADD ADD <<EOF dest same as COPY
// covers: dockerfile source ADD local tar gzip, bzip2, xz, zstd or plain, by content; unpacked unless --unpack=false
#[test]
fn additions() {
    folder("add");
}

// covers: dockerfile form FROM FROM [--platform=P] IMAGE[:TAG|@DIGEST] [AS NAME]
// covers: dockerfile flag FROM --platform string
// covers: dockerfile source COPY --from= stage name, stage number, image reference, named context
// covers: dockerfile context local directory PATH
// covers: dockerfile context docker-image:// named context: image
// covers: dockerfile context local: named context: local directory
#[test]
fn stages() {
    folder("stages");
}

// covers: dockerfile syntax comments # at line start (after blanks) is a comment; removed inside continuation lines
// covers: dockerfile syntax line continuation escape character at line end; empty continuation lines warn
// covers: dockerfile syntax instruction case instructions are not case-sensitive
// covers: dockerfile syntax BOM leading UTF-8 byte order mark skipped
// covers: dockerfile directive-rule escape values backslash (default) or backquote
#[test]
fn syntax() {
    folder("syntax");
}

/// Steps that change nothing are layers, which an image may have several times.
#[test]
fn an_image_with_empty_layers_runs() {
    let engine = Engine::ours();
    let image = engine.busybox();
    let context = engine.scratch().join("context");
    std::fs::create_dir_all(&context).expect("the test's own folder");
    let dockerfile = format!("FROM {image}\nRUN true\nRUN :\nRUN echo x > /x\nRUN test -e /x\n");
    std::fs::write(context.join("Dockerfile"), dockerfile).expect("the test's own folder");
    let tag = format!("{}:1", engine.name("empties"));
    let mut build = engine.docker_command();
    command::run(build.env("DOCKER_BUILDKIT", "0").args(["build", "-t", &tag]).arg(&context)).ok();
    assert_eq!(engine.docker(["run", "--rm", &tag, "cat", "/x"]).ok(), "x");
    let layers = engine.get(&format!("/images/{tag}/json")).expect(200).json()["RootFS"]["Layers"].clone();
    assert_eq!(layers.as_array().map(Vec::len), Some(5));
}
