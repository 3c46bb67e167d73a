//! How an engine ends, and what becomes of its containers.

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::daemon::Plan;
use testkit::http::{self, Request};
use testkit::{DEADLINE, Engine, Scratch, eventually};

/// A container that runs until it is killed; returns its process.
fn stubborn(engine: &Engine) -> u64 {
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let script = "trap '' TERM; echo ready; while true; do sleep 1; done";
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    eventually(DEADLINE, || {
        let log = engine.get(&format!("/containers/{name}/logs?stdout=1")).text();
        if log.contains("ready") { Ok(()) } else { Err(log) }
    });
    engine.get(&format!("/containers/{name}/json")).json()["State"]["Pid"].as_u64().expect("a process")
}

fn is_alive(pid: u64) -> bool {
    // A zombie that nobody reaped yet has no memory and no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn end(engine: &mut Engine, signal: Signal) {
    engine.daemon().signal(signal);
    let status = engine.daemon().wait();
    assert!(status.success(), "{status:?}\n{}", engine.log());
    assert!(!engine.socket().exists(), "the socket was left");
    assert!(engine.log().contains("Daemon shutdown complete"), "{}", engine.log());
}

// covers: daemon flag --live-restore
// covers: daemon config-key live-restore
// covers: daemon flag --shutdown-timeout
// covers: daemon config-key shutdown-timeout
// covers: daemon signal SIGTERM / SIGINT
#[test]
fn containers_end_with_an_engine_that_was_told_so() {
    let flags = |plan: Plan, _: &Scratch| plan.arg("--live-restore=false").arg("--shutdown-timeout=0");
    let keys = |plan: Plan, scratch: &Scratch| {
        plan.config(scratch, &json!({"live-restore": false, "shutdown-timeout": 0}))
    };
    for (mut engine, signal) in [(Engine::planned(flags), Signal::TERM), (Engine::planned(keys), Signal::INT)]
    {
        let pid = stubborn(&engine);
        end(&mut engine, signal);
        assert!(!is_alive(pid), "the container outlived its engine");
        engine.crash_and_restart();
        let state = engine.get(&format!("/containers/{}/json", engine.name("c"))).json()["State"].clone();
        assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("exited"), &json!(137)));
    }
}

#[test]
fn containers_outlive_an_engine_by_default() {
    let mut engine = Engine::ours();
    let pid = stubborn(&engine);
    end(&mut engine, Signal::TERM);
    assert!(is_alive(pid), "the container ended with its engine");
    engine.crash_and_restart();
    assert_eq!(
        engine.get(&format!("/containers/{}/json", engine.name("c"))).json()["State"]["Pid"].as_u64(),
        Some(pid)
    );
}

// covers: daemon reloadable live-restore
// covers: daemon reloadable shutdown-timeout
#[test]
fn a_reload_decides_for_the_end_too() {
    let mut engine = Engine::planned(|plan, scratch| plan.config(scratch, &json!({"live-restore": true})));
    let pid = stubborn(&engine);
    engine.scratch().write("daemon.json", json!({"live-restore": false, "shutdown-timeout": 0}).to_string());
    engine.daemon().signal(Signal::HUP);
    eventually(DEADLINE, || {
        let info =
            http::call(engine.socket(), &Request::new("GET", "/info")).map_err(|error| error.to_string())?;
        if info.json()["LiveRestoreEnabled"] == false { Ok(()) } else { Err(info.text()) }
    });
    end(&mut engine, Signal::TERM);
    assert!(!is_alive(pid), "the container outlived its engine");
    // The leak check wants an engine that can still be asked.
    engine.crash_and_restart();
}

#[test]
fn an_idle_engine_ends_by_itself_and_a_busy_one_does_not() {
    let mut engine = Engine::planned(|plan, _| plan.arg("--idle-timeout=1s"));
    let watching = engine.stream(&Request::new("GET", "/events"));
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let config = json!({"Image": tag, "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    drop(watching);
    // Nobody asks anything now; the container alone keeps the engine. Its own end is what lets the engine end.
    let pid = engine.get(&format!("/containers/{name}/json")).json()["State"]["Pid"].as_u64().unwrap();
    let quiet = std::time::Instant::now();
    eventually(DEADLINE, || if quiet.elapsed().as_millis() > 1500 { Ok(()) } else { Err(()) });
    assert!(engine.daemon().is_running(), "ended although a container runs:\n{}", engine.log());
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let status = engine.daemon().wait();
    assert!(status.success(), "{}", engine.log());
    assert!(engine.log().contains("no client and no running container for a while"), "{}", engine.log());
}
