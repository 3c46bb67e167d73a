//! Git repositories as sources, from a server of the test's own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use buildkit::attach::{Offer, SecretSource};
use buildkit::proto::gateway::{ResolveSourceMetaRequest, ResolveSourceMetaResponse};
use buildkit::proto::pb::SourceOp;
use testkit::Engine;
use testkit::command::run;
use testkit::web::{Answer, Asked, Web};

use super::{Build, Definition, engine};

pub(super) fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("HOME", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "a").env(format!("GIT_{role}_EMAIL"), "a@example.com");
        command.env(format!("GIT_{role}_DATE"), "2024-01-02T03:04:05Z");
    }
    run(&mut command).ok()
}

/// A repository with two commits, a tag, and a link that leads out of it.
pub(super) fn repository(folder: &Path) {
    std::fs::create_dir_all(folder.join("sub")).expect("a folder");
    git(folder, &["init", "-q", "-b", "main", "."]);
    git(folder, &["config", "http.receivepack", "false"]);
    git(folder, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let write = |path: &str, text: &str| std::fs::write(folder.join(path), text).expect("a file");
    write("file", "first\n");
    write("sub/inner", "inner\n");
    std::os::unix::fs::symlink("/etc", folder.join("out")).expect("a link");
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "-m", "first"]);
    git(folder, &["tag", "v1"]);
    write("file", "second\n");
    git(folder, &["commit", "-q", "-a", "-m", "second"]);
}

/// Git's own server program, for one request.
fn serve(root: &Path, asked: &Asked) -> Answer {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    if path.starts_with("/closed/")
        && asked.header("authorization") != Some("basic eC1hY2Nlc3MtdG9rZW46dG9rZW4=")
    {
        return Answer::new(401, "who is it?").header("WWW-Authenticate", "Basic realm=\"x\"");
    }
    let path = path.trim_start_matches("/closed");
    let mut command = Command::new("git");
    command.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("PATH_INFO", path).env("QUERY_STRING", query).env("REQUEST_METHOD", &asked.method);
    command.env("CONTENT_TYPE", asked.header("content-type").unwrap_or_default());
    command.env("CONTENT_LENGTH", asked.body.len().to_string());
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
    if let Some(protocol) = asked.header("git-protocol") {
        command.env("GIT_PROTOCOL", protocol);
    }
    if let Some(encoding) = asked.header("content-encoding") {
        command.env("HTTP_CONTENT_ENCODING", encoding);
    }
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("git runs");
    child.stdin.take().expect("it is piped").write_all(&asked.body).expect("it reads");
    let said = child.wait_with_output().expect("it ends").stdout;
    let end = said.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(0);
    let head = String::from_utf8_lossy(&said[..end]).into_owned();
    let mut answer = (200, said[(end + 4).min(said.len())..].to_vec());
    let mut headers = Vec::new();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        match name {
            "Status" => answer.0 = value[..3].parse().expect("a status"),
            name => headers.push((name.to_owned(), value.to_owned())),
        }
    }
    Answer::Whole(answer.0, headers, answer.1)
}

/// What fills the disk, and what never ends: both are told with what allows more.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_takes_what_a_layer_may_and_no_more() {
    let engine = Engine::planned(|plan, _| {
        plan.arg("--storage-opt").arg("layer-size=300000").env("GIT_HTTP_LOW_SPEED_TIME", "1")
    });
    let root: PathBuf = engine.scratch().join("repositories");
    repository(&root.join("a"));
    // A text that git can't make smaller.
    let text: String =
        (0..60_000_u64).map(|number| format!("{:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    std::fs::write(root.join("a/large"), text).expect("a file");
    git(&root.join("a"), &["add", "."]);
    git(&root.join("a"), &["commit", "-q", "-m", "large"]);
    let served = root.clone();
    let web = Web::serve(move |asked| serve(&served, asked));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let build = Build::offering(&engine, Offer::default()).await;
    for (url, expected) in [
        (
            format!("http://{}/a", web.address()),
            "failed to fetch the repository: it is larger than 300000 bytes; --storage-opt layer-size= of the engine",
        ),
        (
            format!("git://{}/a", silent.local_addr().expect("its address")),
            "failed to read remote references: nothing came for 1 seconds; in the engine's environment, GIT_HTTP_LOW_SPEED_TIME",
        ),
    ] {
        let mut definition = Definition::default();
        let address = format!("git://{}#main", url.split_once("://").expect("it has one").1);
        let made = definition.source(&address, &[("git.fullurl", &url)]);
        let said = build.solve(definition.end(&made)).await.expect_err("it is bounded").message;
        assert!(said.contains(expected), "{url}: {said}");
    }
    let left = std::fs::read_dir(engine.data_root().join("builds/tmp")).expect("it is there").count();
    assert_eq!(left, 0, "nothing of it is kept");
}

/// A client that goes takes the program with it: the server sees its connection end.
#[test]
fn a_fetch_ends_with_its_build() {
    let engine = engine();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("git://{}/a.git", silent.local_addr().expect("its address"));
    let mut client = engine.ketch_command();
    let mut client =
        client.args(["build", &address]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ketch");
    let (mut connection, _) = silent.accept().expect("git comes");
    client.kill().expect("it runs");
    client.wait().expect("it ends");
    let mut asked = Vec::new();
    std::io::Read::read_to_end(&mut connection, &mut asked).expect("git goes");
    assert!(String::from_utf8_lossy(&asked).contains("git-upload-pack"));
}

// covers: buildkit llb-source SourceOp.identifier git://
// covers: buildkit llb-cap LLBCaps source.git
// covers: buildkit llb-cap LLBCaps source.git.keepgitdir
// covers: buildkit llb-cap LLBCaps source.git.fullurl
// covers: buildkit llb-cap LLBCaps source.git.httpauth
// covers: buildkit llb-cap LLBCaps source.git.subdir
// covers: buildkit llb-cap LLBCaps source.git.checksum
// covers: buildkit llb-cap LLBCaps source.git.skipsubmodules
// covers: buildkit llb-source-attr SourceOp.attrs git.keepgitdir
// covers: buildkit llb-source-attr SourceOp.attrs git.fullurl
// covers: buildkit llb-source-attr SourceOp.attrs git.authheadersecret
// covers: buildkit llb-source-attr SourceOp.attrs git.authtokensecret
// covers: buildkit llb-source-attr SourceOp.attrs git.checksum
// covers: buildkit llb-source-attr SourceOp.attrs git.fetchbycommit
// covers: buildkit llb-cap LLBCaps source.git.fetchbycommit
// covers: buildkit llb-source-attr SourceOp.attrs git.skipsubmodules
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_what_was_asked_for_of_it() {
    let engine = engine();
    let root: PathBuf = engine.scratch().join("repositories");
    repository(&root.join("a"));
    let commit = git(&root.join("a"), &["rev-parse", "HEAD"]);
    let served = root.clone();
    let web = Web::serve(move |asked| serve(&served, asked));
    let secret =
        |name: &str, text: &str| (name.to_owned(), SecretSource::File(engine.scratch().write(name, text)));
    let secrets = [secret("token", "token"), secret("header", "basic eC1hY2Nlc3MtdG9rZW46dG9rZW4=")].into();
    let build = Build::offering(&engine, Offer { secrets, ..Offer::default() }).await;
    let open = format!("http://{}/a", web.address());
    let closed = format!("http://{}/closed/a", web.address());
    let source = |fragment: &str, url: &str, more: &[(&str, &str)]| {
        let mut definition = Definition::default();
        let address = format!("git://{}#{fragment}", url.trim_start_matches("http://"));
        let made = definition.source(&address, &[&[("git.fullurl", url)], more].concat());
        definition.end(&made)
    };
    for (fragment, url, more, path, expected) in [
        ("", &open, &[][..], "/file", "second\n"),
        ("main", &open, &[], "/file", "second\n"),
        ("v1", &open, &[], "/file", "first\n"),
        (&commit, &open, &[("git.skipsubmodules", "true")], "/file", "second\n"),
        ("main:sub", &open, &[], "/inner", "inner\n"),
        ("main", &open, &[("git.checksum", &commit[..12])], "/file", "second\n"),
        ("v1", &open, &[("git.checksum", &commit), ("git.fetchbycommit", "true")], "/file", "second\n"),
        ("main", &closed, &[("git.authtokensecret", "token")], "/file", "second\n"),
        ("main", &closed, &[("git.authheadersecret", "header")], "/file", "second\n"),
    ] {
        assert_eq!(build.made(source(fragment, url, more), path).await, expected, "{fragment} {more:?}");
    }
    let made = build.solve(source("main", &open, &[])).await.expect("it is open");
    // As old as the commit: 2024-01-02T03:04:05Z.
    let times = build.times(&made, "/").await.expect("a folder");
    assert!(times.len() == 3 && times.iter().all(|time| *time == 1_704_164_645_000_000_000), "{times:?}");
    assert!(!build.names(&made, "/").await.expect("a folder").contains(&".git".to_owned()));
    let made = build.solve(source("main", &open, &[("git.keepgitdir", "true")])).await.expect("it is open");
    assert!(build.names(&made, "/").await.expect("a folder").contains(&".git".to_owned()));
    for (fragment, url, more, expected) in [
        ("none", &open, &[][..], "repository does not contain ref none"),
        ("main", &open, &[("git.checksum", "0123456")], "expected checksum to match 0123456"),
        ("main", &open, &[("git.checksum", "0123456"), ("git.fetchbycommit", "true")], "needs a full commit"),
        ("main", &closed, &[], "failed to read remote references"),
        // What is beside the checkout is none of it, however it is written (CVE-2026-33748).
        ("main:../../..", &open, &[("git.keepgitdir", "false")], ""),
        ("main:out", &open, &[], "isn't in the repository"),
        ("--upload-pack=x", &open, &[], "is no reference"),
        ("main", &"ssh://git@127.0.0.1/a".to_owned(), &[], "no SSH key \"default\" forwarded"),
        ("main", &"file:///etc".to_owned(), &[], "is no address of a git repository"),
    ] {
        match build.solve(source(fragment, url, more)).await {
            Ok(made) => {
                assert_eq!(expected, "", "{fragment} {url}");
                // Beyond the root there is the root.
                assert_eq!(build.read(&made, "/file").await.expect("a file"), "second\n");
            }
            Err(error) => assert!(expected.is_empty() || error.message.contains(expected), "{error}"),
        }
    }
}

/// What a source is now, before anything is fetched for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_and_a_file_are_resolved() {
    let engine = engine();
    let root: PathBuf = engine.scratch().join("repositories");
    repository(&root.join("a"));
    git(&root.join("a"), &["tag", "-a", "-m", "released", "v2"]);
    let parsed = |name: &str| git(&root.join("a"), &["rev-parse", name]);
    let served = root.clone();
    let web = Web::serve(move |asked| match asked.path.as_str() {
        "/file.txt" => Answer::new(200, "content").header("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT"),
        _ => serve(&served, asked),
    });
    let build = Build::begin(&engine).await;
    let ask = async |identifier: &str, more: &[(&str, &str)]| {
        let attrs = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let source = Some(SourceOp { identifier: identifier.to_owned(), attrs });
        let question = ResolveSourceMetaRequest { source, ..ResolveSourceMetaRequest::default() };
        build.ask::<ResolveSourceMetaResponse>("ResolveSourceMeta", &question).await
    };
    let url = format!("http://{}/a", web.address());
    for (reference, name, object, commit) in [
        ("main", "refs/heads/main", parsed("main"), String::new()),
        ("v1", "refs/tags/v1", parsed("v1"), String::new()),
        ("v2", "refs/tags/v2", parsed("v2"), parsed("v2^{}")),
        ("", "HEAD", parsed("HEAD"), String::new()),
    ] {
        let address = format!("git://{}/a#{reference}", web.address());
        let answer = ask(&address, &[("git.fullurl", &url)]).await.expect("it is open");
        let git = answer.git.expect("it is a repository");
        assert_eq!(
            (git.r#ref.as_str(), git.checksum, git.commit_checksum),
            (name, object, commit),
            "{reference}"
        );
    }
    let address = format!("git://{}/a#none", web.address());
    let refused = ask(&address, &[("git.fullurl", &url)]).await.expect_err("there is none");
    assert!(refused.message.contains("repository does not contain ref none"), "{refused}");
    let answer = ask(&format!("http://{}/file.txt", web.address()), &[]).await.expect("it is there");
    let http = answer.http.expect("it is a file");
    assert_eq!(http.checksum, oci::Digest::sha256(b"content").to_string());
    assert_eq!(
        (http.filename.as_str(), http.last_modified.map(|time| time.seconds)),
        ("file.txt", Some(1_700_000_000))
    );
}
