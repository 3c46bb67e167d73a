//! Frontends in images, run by the engine and confined to the gateway: the one of `tests/src/bin/frontend.rs`.

use std::fs;

use buildkit::attach::{Offer, Session};
use buildkit::client;
use buildkit::proto::control::{Exporter, SolveRequest};
use buildkit::proto::pb;
use testkit::Engine;
use testkit::command::{Output, run};
use testkit::http::Request;

use super::{Definition, action, upgraded};

/// Puts the frontend into an image of this name.
fn image(engine: &Engine) -> String {
    let name = format!("{}:1", engine.name("frontend"));
    let program = fs::read(env!("CARGO_BIN_EXE_frontend")).expect("the engine answers");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    archive.append_data(&mut header, "frontend", program.as_slice()).expect("the engine answers");
    let archive = archive.into_inner().expect("the engine answers");
    let (repository, tag) = name.split_once(':').expect("the engine answers");
    let path = format!(
        "/images/create?fromSrc=-&repo={repository}&tag={tag}&changes=ENTRYPOINT%20%5B%22%2Ffrontend%22%5D"
    );
    engine.request_unchecked(&Request::new("POST", &path).body(archive)).expect(200);
    name
}

fn build(engine: &Engine, real: bool, arguments: &[&str]) -> Output {
    let mut command = if real { engine.docker_command() } else { engine.ketch_command() };
    run(command.args(["build", "--progress", "plain"]).args(arguments))
}

// covers: buildkit frontend SolveRequest.Frontend gateway.v0
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs build-arg:BUILDKIT_SYNTAX
// covers: value client-env docker buildx BUILDKIT_SYNTAX
#[test]
fn the_syntax_line_names_an_image_that_knows_the_language() {
    let engine = Engine::ours().with_plugins();
    let frontend = image(&engine);
    let text = format!("# syntax={frontend} and more\nno Dockerfile at all\n");
    engine.scratch().write("c/Dockerfile", text);
    engine.scratch().write("c/plain", "no Dockerfile at all\n");
    let folder = engine.scratch().join("c").display().to_string();
    for real in [false, true] {
        let out = engine.scratch().join(&format!("out-{real}"));
        let to = format!("type=local,dest={}", out.display());
        build(&engine, real, &["--build-arg", "WORD=seven", "-o", &to, &folder]).ok();
        let said = fs::read_to_string(out.join("said")).unwrap();
        let (first, rest) = said.split_once('\n').unwrap();
        assert_eq!(first, format!("1 seven {frontend} and more true"));
        assert!(rest.contains("/var/run/docker.sock false\n/run/ketch false\n"), "{rest}");
        // What every step may do, and no more.
        assert!(rest.contains("CapEff:\t00000000a80425fb"), "{rest}");
        let syntax = format!("BUILDKIT_SYNTAX={frontend}");
        let file = format!("{folder}/plain");
        let tag = format!("{}:1", engine.name("made"));
        build(&engine, real, &["--build-arg", &syntax, "-t", &tag, "-f", &file, &folder]).ok();
        let label = run(engine.docker_command().args(["inspect", "-f", "{{.Config.Labels.by}}", &tag])).ok();
        assert_eq!(label, "a frontend");
        for (how, expected) in [
            ("politely", "this language has no such word"),
            ("early", "the frontend's image failed: exit code: 9: a word before the end"),
            ("silent", "the frontend's image failed: "),
            ("garbage", "the frontend's image failed: "),
        ] {
            let fail = format!("FAIL={how}");
            let failed = build(&engine, real, &["--build-arg", &fail, &folder]).assert_code(1);
            assert!(failed.stderr.contains(expected), "{how}: {}", failed.stderr);
        }
    }
}

/// A build with a frontend that the client names itself.
async fn named(engine: &Engine, request: SolveRequest) -> Result<(), grpc::Status> {
    let session = Session::new(String::new(), Offer::default()).expect("the engine answers");
    let (name, headers) = (session.id().to_owned(), session.headers());
    let stream = upgraded(engine, "/session", &headers).await;
    let held = tokio::spawn(session.serve(stream));
    let client =
        client::Builder::over(upgraded(engine, "/grpc", &[]).await).await.expect("the engine answers");
    let id = buildkit::identity().expect("the engine answers");
    let solved = client.solve(&SolveRequest { r#ref: id, session: name, ..request }).await;
    held.abort();
    solved.map(drop)
}

// covers: buildkit gateway-cap FrontendAPICaps frontend.inputs
// covers: buildkit rpc moby.buildkit.v1.frontend.LLBBridge Inputs
#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_is_given_what_its_client_gives_it() {
    let engine = super::engine();
    let frontend = image(&engine);
    let mut given = Definition::default();
    let file = pb::FileActionMkFile {
        path: "/word".into(),
        mode: 0o644,
        data: b"lent\n".to_vec(),
        timestamp: -1,
        ..pb::FileActionMkFile::default()
    };
    let made = given.file(&[], &[action(-1, -1, 0, pb::file_action::Action::Mkfile(file))]);
    let name = engine.name("made");
    let request = SolveRequest {
        frontend: "gateway.v0".into(),
        frontend_attrs: [("source".to_owned(), frontend.clone())].into(),
        frontend_inputs: [("given".to_owned(), given.end(&made))].into(),
        exporters: vec![Exporter {
            r#type: "moby".into(),
            attrs: [("name".to_owned(), name.clone())].into(),
        }],
        ..SolveRequest::default()
    };
    named(&engine, request.clone()).await.unwrap();
    let file = engine.docker(["create", "--name", &engine.name("c"), &name, "x"]).ok();
    assert!(!file.is_empty());
    let said = engine.scratch().join("said");
    run(engine.docker_command().args(["cp", &format!("{}:/said", engine.name("c"))]).arg(&said)).ok();
    let said = fs::read_to_string(said).unwrap();
    assert!(said.contains("inputs [\"given\"]\nlent\n"), "{said}");
    for (source, expected) in [("", "no source specified for gateway"), ("none/such:1", "none/such")] {
        let request = SolveRequest {
            frontend_attrs: [("source".to_owned(), source.to_owned())].into(),
            ..request.clone()
        };
        let error = named(&engine, request).await.unwrap_err();
        assert!(error.message.contains(expected), "{error}");
    }
}

#[test]
fn a_frontend_that_hangs_ends_with_its_client() {
    use testkit::{DEADLINE, eventually};
    let engine = Engine::ours();
    let frontend = image(&engine);
    engine.scratch().write("c/Dockerfile", format!("# syntax={frontend}\n"));
    let mut command = engine.ketch_command();
    command.args(["build", "--build-arg", "FAIL=hang"]).arg(engine.scratch().join("c"));
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let runs = || {
        let list = run(std::process::Command::new("ps").args(["-eo", "args"])).ok();
        list.lines().filter(|line| line.trim() == "/frontend").count()
    };
    eventually(DEADLINE, || (runs() > 0).then_some(()).ok_or("no frontend runs"));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually(DEADLINE, || (runs() == 0).then_some(()).ok_or("the frontend runs on"));
}
