//! The thin chain: an image made here, a container without network, its output and exit code.

use serde_json::{Value, json};
use testkit::Engine;
use testkit::http::Request;

fn create(engine: &Engine, script: &str) -> String {
    create_named(engine, "c", script)
}

fn create_named(engine: &Engine, name: &str, script: &str) -> String {
    let (tag, name) = (engine.busybox(), engine.name(name));
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    name
}

pub(crate) fn logs(engine: &Engine, name: &str) -> String {
    let reply = engine.get(&format!("/containers/{name}/logs?stdout=1&stderr=1")).expect(200);
    let mut rest = reply.body.as_slice();
    let mut text = String::new();
    while let Some((head, tail)) = rest.split_at_checked(8) {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (frame, tail) = tail.split_at(length);
        text += &String::from_utf8_lossy(frame);
        rest = tail;
    }
    text
}

#[test]
fn a_container_gives_its_output_and_exit_code() {
    let engine = Engine::isolated();
    let name = create(&engine, "echo hello; exit 3");
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let ended = engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200).json();
    assert_eq!(ended["StatusCode"], 3);
    assert_eq!(logs(&engine, &name), "hello\n");
    let state = engine.get(&format!("/containers/{name}/json")).expect(200).json()["State"].clone();
    assert_eq!(
        (&state["Status"], &state["ExitCode"], &state["Running"]),
        (&json!("exited"), &json!(3), &json!(false))
    );
}

#[test]
fn a_started_container_is_not_started_again() {
    let engine = Engine::isolated();
    let name = create(&engine, "sleep 600");
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(304);
    let refused = engine.delete(&format!("/containers/{name}")).expect(409);
    assert!(
        refused
            .message()
            .contains("container is running: stop the container before removing or force remove"),
        "{}",
        refused.message()
    );
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
    engine.get(&format!("/containers/{name}/json")).expect(404);
}

#[test]
fn a_missing_program_is_refused_with_127s_words() {
    let engine = Engine::isolated();
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let config = json!({"Image": tag, "Cmd": ["/no/such/program"], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    let refused = engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(400);
    assert!(refused.message().contains("no such file or directory"), "{}", refused.message());
    let state = engine.get(&format!("/containers/{name}/json")).expect(200).json()["State"].clone();
    assert_eq!(state["ExitCode"], 127);
}

// covers: cli docker run
#[test]
fn run_prints_the_output_and_ends_with_the_exit_code() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let ran = engine.ketch([
        "run",
        "--rm",
        "--network",
        "none",
        &tag,
        "sh",
        "-c",
        "echo out; echo err >&2; exit 7",
    ]);
    let ran = ran.assert_code(7);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_killed_engine_loses_neither_output_nor_exit_code() {
    let mut engine = Engine::ours();
    let name = create(&engine, "echo before; sleep 600");
    let other = create_named(&engine, "gone", "echo quick; exit 9");
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{other}/start"), &Value::Null).expect(204);
    let pid = engine.get(&format!("/containers/{name}/json")).json()["State"]["Pid"].as_u64().unwrap();
    engine.daemon().kill();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "the container died with its engine");
    engine.crash_and_restart();
    assert_eq!(engine.post(&format!("/containers/{other}/wait"), &Value::Null).json()["StatusCode"], 9);
    assert_eq!(logs(&engine, &other), "quick\n");
    let state = engine.get(&format!("/containers/{name}/json")).json()["State"].clone();
    assert_eq!((&state["Running"], &state["Pid"]), (&json!(true), &json!(pid)));
    engine.post(&format!("/containers/{name}/kill"), &Value::Null).expect(204);
    assert_eq!(engine.post(&format!("/containers/{name}/wait"), &Value::Null).json()["StatusCode"], 137);
    assert!(logs(&engine, &name).starts_with("before\n"));
}

#[test]
fn what_would_have_no_effect_is_refused_by_name() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    for flag in ["--memory-swappiness=10", "--oom-kill-disable"] {
        let output = engine.ketch(["create", "--network", "none", flag, &tag, "true"]);
        assert_eq!(output.code, 1, "{output:?}");
        let name = if flag.contains("oom") { "OomKillDisable" } else { "MemorySwappiness" };
        assert!(output.stderr.contains(&format!("HostConfig.{name} is not supported")), "{output:?}");
    }
    // What clients send by themselves means nothing and is taken.
    engine.ketch(["create", "--network", "none", "--memory-swappiness=-1", &tag, "true"]).ok();
}

/// A client that compares what it wants with what is there (Ansible) finds its own words.
#[test]
fn capabilities_are_kept_as_they_were_sent() {
    let engine = Engine::isolated();
    let host = json!({"CapAdd": ["sys_time", "CAP_KILL"], "CapDrop": ["all"]});
    let wanted = json!({"Image": engine.busybox(), "Cmd": ["true"], "HostConfig": host});
    let made = engine.post("/containers/create", &wanted).expect(201).json();
    let path = format!("/containers/{}", made["Id"].as_str().unwrap());
    let seen = engine.get(&format!("{path}/json")).expect(200).json();
    assert_eq!(seen["HostConfig"]["CapAdd"], host["CapAdd"]);
    assert_eq!(seen["HostConfig"]["CapDrop"], host["CapDrop"]);
    engine.delete(&path).expect(204);
}

/// An empty list is not an entrypoint of one's own: the image's goes, and its command stays.
#[test]
fn an_empty_entrypoint_leaves_the_images_command() {
    let engine = Engine::isolated();
    let (base, image) = (create(&engine, "true"), engine.name("worded"));
    let words = json!({"Entrypoint": ["a"], "Cmd": ["sh", "-c", "true"]});
    let commit = Request::new("POST", &format!("/commit?container={base}&repo={image}")).json(&words);
    engine.request_unchecked(&commit).expect(201);
    let made = |entrypoint: Value| {
        let wanted = json!({"Image": image, "Entrypoint": entrypoint});
        let made = engine.post("/containers/create", &wanted).expect(201).json();
        let path = format!("/containers/{}", made["Id"].as_str().unwrap());
        // No recording has a container without a command.
        let seen = engine.request_unchecked(&Request::new("GET", &format!("{path}/json"))).expect(200).json();
        engine.delete(&path).expect(204);
        (seen["Config"]["Entrypoint"].clone(), seen["Config"]["Cmd"].clone())
    };
    assert_eq!(made(json!([])), (json!([]), words["Cmd"].clone()));
    assert_eq!(made(Value::Null), (words["Entrypoint"].clone(), words["Cmd"].clone()));
    assert_eq!(made(json!(["b"])), (json!(["b"]), Value::Null));
    engine.delete(&format!("/containers/{base}")).expect(204);
    engine.delete(&format!("/images/{image}")).expect(200);
}
