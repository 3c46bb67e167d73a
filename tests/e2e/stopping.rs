//! How long a stop waits before it kills: the whole time, unless the signal can have no effect.
//!
//! The time-outs here are so long that a test which had to wait for one would not end.

use serde_json::{Value, json};
use testkit::http::{self, Request};
use testkit::{DEADLINE, Engine, eventually};

use crate::life::{actions, now, post, runs, state};

const HOURS: u32 = 10_000;

fn ready(engine: &Engine, name: &str) {
    eventually(DEADLINE, || {
        let log = crate::containers::logs(engine, name);
        if log.starts_with("ready\n") { Ok(()) } else { Err(log) }
    });
}

#[test]
fn a_program_that_can_not_hear_the_signal_is_killed_at_once() {
    let engine = Engine::ours();
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let config = json!({"Image": tag, "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let since = now();
    post(&engine, &format!("/containers/{name}/stop?t={HOURS}")).expect(204);
    assert_eq!(state(&engine, &name)["ExitCode"], 137);
    assert_eq!(actions(&engine, &since, &name), ["kill", "kill", "die", "stop"]);
    post(&engine, &format!("/containers/{name}/start")).expect(204);
    post(&engine, &format!("/containers/{name}/restart?t={HOURS}")).expect(204);
    assert_eq!(state(&engine, &name)["Status"], "running");
    // One that is held still can't hear either.
    post(&engine, &format!("/containers/{name}/pause")).expect(204);
    post(&engine, &format!("/containers/{name}/stop?t={HOURS}")).expect(204);
    assert_eq!(state(&engine, &name)["ExitCode"], 137);
}

#[test]
fn a_handler_has_the_time_that_it_needs() {
    let engine = Engine::isolated();
    let script = "trap 'while [ ! -e /go ]; do usleep 1000; done; exit 9' TERM; echo ready; \
                  while true; do usleep 1000; done";
    let name = runs(&engine, "c", script, &json!({}));
    ready(&engine, &name);
    let stop = Request::new("POST", &format!("/containers/{name}/stop?t={HOURS}")).json(&Value::Null);
    let socket = engine.socket().to_owned();
    let stopped = std::thread::spawn(move || http::call(&socket, &stop).map(|reply| reply.status()));
    eventually(DEADLINE, || {
        let told = actions(&engine, "0", &name);
        if told.iter().any(|action| action == "kill") { Ok(()) } else { Err(told) }
    });
    engine.ketch(["exec", &name, "touch", "/go"]).ok();
    let code = stopped.join().expect("it ends").expect("an answer");
    assert_eq!((code, &state(&engine, &name)["ExitCode"]), (204, &json!(9)));
}

#[test]
fn a_signal_without_a_handler_may_be_another_than_the_one_that_is_sent() {
    let engine = Engine::isolated();
    let script = "trap 'exit 4' INT; trap '' TERM; echo ready; while true; do usleep 1000; done";
    let name = runs(&engine, "c", script, &json!({}));
    ready(&engine, &name);
    post(&engine, &format!("/containers/{name}/stop?signal=INT&t={HOURS}")).expect(204);
    assert_eq!(state(&engine, &name)["ExitCode"], 4);
}

#[test]
fn who_waits_for_ever_wants_no_kill() {
    let engine = Engine::isolated();
    let name = runs(&engine, "c", "exec sleep 100000", &json!({}));
    let stop = Request::new("POST", &format!("/containers/{name}/stop?t=-1")).json(&Value::Null);
    let socket = engine.socket().to_owned();
    let stopped = std::thread::spawn(move || http::call(&socket, &stop).map(|reply| reply.status()));
    eventually(DEADLINE, || {
        let told = actions(&engine, "0", &name);
        if told.iter().any(|action| action == "kill") { Ok(()) } else { Err(told) }
    });
    assert_eq!(state(&engine, &name)["Status"], "running");
    post(&engine, &format!("/containers/{name}/kill?signal=KILL")).expect(204);
    assert_eq!(stopped.join().expect("it ends").expect("an answer"), 204);
    assert_eq!(actions(&engine, "0", &name).iter().filter(|action| *action == "kill").count(), 2);
}
