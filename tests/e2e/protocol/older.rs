//! `POST /build?version=2`, by which docker's client of before 23 asks for BuildKit's builds.

use base64::Engine as _;
use buildkit::attach::{Offer, Place, Session};
use buildkit::proto::control::StatusResponse;
use prost::Message as _;
use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, eventually};

use super::{Stop, engine, upgraded};

/// The documents that a build answers.
async fn build(engine: &Engine, offer: Offer, query: &str) -> Vec<Value> {
    let session = Session::new("an older client".into(), offer).expect("a session");
    let (id, headers) = (session.id().to_owned(), session.headers());
    let stream = upgraded(engine, "/session", &headers).await;
    let serving = tokio::spawn(session.serve(stream));
    let _stop = Stop(serving.abort_handle());
    let path = format!("/build?version=2&remote=client-session&session={id}&{query}");
    let socket = engine.socket().to_owned();
    let asking = move || testkit::http::call(&socket, &Request::new("POST", &path)).expect("an answer");
    let reply = tokio::task::spawn_blocking(asking).await.expect("an answer").expect(200);
    reply.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn context(engine: &Engine, text: &str) -> Offer {
    engine.scratch().write("c/Dockerfile", text);
    engine.scratch().write("c/file", "content");
    let directory = |name: &str| (name.to_owned(), engine.scratch().join("c"));
    Offer { directories: [directory("context"), directory("dockerfile")].into(), ..Offer::default() }
}

/// What BuildKit's own messages in them say.
fn told(documents: &[Value]) -> Vec<StatusResponse> {
    let traces = documents.iter().filter(|document| document["id"] == "moby.buildkit.trace");
    let message = |document: &Value| {
        let text = document["aux"].as_str().expect("a text");
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        StatusResponse::decode(bytes.as_slice()).expect("a message")
    };
    traces.map(message).collect()
}

fn encoded(value: &Value) -> String {
    value.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

// covers: buildkit transport connection /build?version=2
// covers: buildkit transport connection /_ping Builder-Version: 2
// covers: buildkit transport connection /build/cancel
// covers: buildkit transport connection /build/prune, /system/df
// covers: buildkit stream-aux /build moby.buildkit.trace
// covers: buildkit stream-aux /build moby.image.id
// covers: buildkit frontend-attr SolveRequest.FrontendAttrs build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR
#[tokio::test(flavor = "multi_thread")]
async fn an_older_client_builds_by_buildkit() {
    let engine = engine();
    let base = engine.busybox();
    let pong = engine.request_unchecked(&Request::new("GET", "/_ping"));
    assert_eq!(pong.header("Builder-Version"), Some("2"));
    let text = format!("FROM {base}\nARG WORD\nCOPY file /file\nRUN echo $WORD > /word; echo said aloud\n");
    let tag = format!("{}:1", engine.name("older"));
    let arguments = encoded(&json!({ "WORD": "seven", "BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1" }));
    let labels = encoded(&json!({ "a": "b" }));
    let query = format!(
        "t={tag}&buildargs={arguments}&labels={labels}&networkmode=default&rm=1&ulimits=null&cachefrom=[]"
    );
    let documents = build(&engine, context(&engine, &text), &query).await;
    let messages = told(&documents);
    let names: Vec<_> =
        messages.iter().flat_map(|message| &message.vertexes).map(|vertex| vertex.name.as_str()).collect();
    assert!(names.iter().any(|name| name.contains("RUN echo seven")), "{names:?}");
    let logs = messages.iter().flat_map(|message| &message.logs);
    assert!(logs.map(|log| String::from_utf8_lossy(&log.msg)).any(|text| text.contains("said aloud")));
    let id = engine.docker(["inspect", "--format={{.Id}} {{.Config.Labels.a}}", &tag]).ok();
    let last = documents.last().unwrap();
    assert_eq!(
        (&last["id"], format!("{} b", last["aux"]["ID"].as_str().unwrap())),
        (&json!("moby.image.id"), id)
    );
    assert_eq!(engine.docker(["run", "--rm", "--network=none", &tag, "cat", "/word"]).ok(), "seven");
    // What was built as one layer on its base.
    let layers = |name: &str| {
        let counted = engine.docker(["inspect", "--format={{len .RootFS.Layers}}", name]).ok();
        counted.parse::<usize>().expect("a number")
    };
    let squashed = format!("{}:2", engine.name("older"));
    build(&engine, context(&engine, &text), &format!("t={squashed}&squash=1&buildargs={arguments}")).await;
    assert_eq!((layers(&tag), layers(&squashed)), (layers(&base) + 2, layers(&base) + 1));
    let said = engine.docker(["run", "--rm", "--network=none", &squashed, "cat", "/word", "/file"]).ok();
    assert_eq!(said, "seven\ncontent");
    // What it left in the cache is found and taken away by the older routes.
    let usage = engine.get("/system/df").expect(200).json();
    assert!(usage["BuildCache"].as_array().is_some_and(|list| !list.is_empty()), "{usage}");
    engine.request_unchecked(&Request::new("POST", "/build/prune?all=1")).expect(200);
    // Results for the client.
    let mut offer = context(&engine, &text);
    offer.places.insert(0, Place::Directory(engine.scratch().join("out")));
    let outputs = encoded(&json!([{ "Type": "local", "Attrs": {} }]));
    build(&engine, offer, &format!("outputs={outputs}")).await;
    assert_eq!(std::fs::read_to_string(engine.scratch().join("out/file")).unwrap(), "content");
    // A step that fails, and a host's network that nobody allowed.
    let documents = build(&engine, context(&engine, &format!("FROM {base}\nRUN exit 3\n")), "").await;
    let why = documents.last().unwrap()["errorDetail"]["message"].as_str().unwrap().to_owned();
    assert!(why.contains("exit code: 3"), "{why}");
    let documents = build(&engine, context(&engine, "FROM scratch\nCOPYY a b\n"), "").await;
    assert!(documents.last().unwrap()["error"].as_str().unwrap().contains("COPYY"), "{documents:?}");
    for (query, why) in [
        ("remote=upload-request", "a context from the standard input"),
        ("memory=5", "memory=5"),
        ("networkmode=mine", "networkmode=mine"),
        ("outputs=x", "error reading outputs"),
    ] {
        let refused = engine.request_unchecked(&Request::new("POST", &format!("/build?version=2&{query}")));
        assert!(refused.text().contains(why), "{}", refused.text());
    }
    let none = engine.request_unchecked(&Request::new("POST", "/build?version=2&session=none")).expect(200);
    assert!(none.text().contains("errorDetail"), "{}", none.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_clients_build_is_cancelled_by_its_id() {
    let engine = engine();
    let base = engine.busybox();
    let seconds = format!("8{}", std::process::id());
    let offer = context(&engine, &format!("FROM {base}\nRUN sleep {seconds}\n"));
    let sleeps = move || {
        let found = testkit::command::run(
            std::process::Command::new("pgrep").args(["-f", &format!("^sleep {seconds}")]),
        );
        found.code == 0
    };
    let building = build(&engine, offer, "buildid=mine");
    let cancelling = tokio::task::spawn_blocking({
        let socket = engine.socket().to_owned();
        move || {
            eventually(DEADLINE, || sleeps().then_some(()).ok_or("the step doesn't run"));
            testkit::http::call(&socket, &Request::new("POST", "/build/cancel?id=mine")).expect("an answer");
            eventually(DEADLINE, || (!sleeps()).then_some(()).ok_or("the step goes on"));
        }
    });
    let documents = building.await;
    cancelling.await.unwrap();
    assert!(documents.last().unwrap()["error"].as_str().unwrap().contains("cancel"), "{documents:?}");
}
