//! The engine's own log: format, level, and what it says when it is asked.

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::daemon::Plan;
use testkit::{DEADLINE, Engine, Scratch, eventually};

fn both(flags: &[&str], keys: &Value) -> [Engine; 2] {
    let with_flags = |plan: Plan, _: &Scratch| flags.iter().copied().fold(plan, Plan::arg);
    [Engine::planned(with_flags), Engine::planned(|plan, scratch| plan.config(scratch, keys))]
}

// covers: daemon flag --log-format
// covers: daemon config-key log-format
#[test]
fn the_log_can_be_json() {
    for mut engine in both(&["--log-format=json"], &json!({"log-format": "json"})) {
        engine.daemon().wait_log("API listen on");
        for line in engine.log().lines() {
            let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(["level", "msg", "time"].iter().all(|key| entry[key].is_string()), "{line}");
        }
    }
}

// covers: daemon flag --raw-logs
// covers: daemon config-key raw-logs
#[test]
fn the_log_has_full_times_and_no_colours() {
    for engine in both(&["--raw-logs"], &json!({"raw-logs": true})) {
        let log = engine.log();
        assert!(log.lines().count() > 0 && !log.contains('\u{1b}'), "{log}");
        for line in log.lines() {
            // time="2026-01-02T03:04:05.123456789Z" level=…
            let time = line
                .strip_prefix("time=\"")
                .and_then(|rest| rest.split_once('"'))
                .map_or("", |(time, _)| time);
            assert!(time.len() == 30 && time.ends_with('Z'), "{line}");
        }
    }
}

// covers: daemon flag --log-level
// covers: daemon config-key log-level
#[test]
fn the_level_decides_what_is_logged() {
    for mut engine in both(&["--log-level=debug"], &json!({"log-level": "debug"})) {
        engine.get("/_ping").expect(200);
        engine.daemon().wait_log("level=debug");
    }
    // At this level the engine doesn't even say that it listens, which is how the harness knows: asked until it answers.
    let scratch = Scratch::create();
    let plan = Plan::below(&scratch).arg("--log-level=error");
    let mut daemon = testkit::daemon::Daemon::spawn(&mut plan.command());
    let ping = testkit::http::Request::new("GET", "/_ping");
    eventually(DEADLINE, || testkit::http::call(&plan.socket, &ping));
    daemon.signal(Signal::HUP);
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    assert_eq!(daemon.log(), "");
    scratch.remove();
}

// covers: daemon signal SIGUSR1
#[test]
fn a_signal_makes_the_engine_tell_what_it_does() {
    let mut engine = Engine::ours();
    let _watching = engine.stream(&testkit::http::Request::new("GET", "/events"));
    engine.daemon().signal(Signal::USR1);
    engine.daemon().wait_log("what this engine is doing");
    let log = engine.log();
    let line = log.lines().find(|line| line.contains("what this engine is doing")).unwrap();
    for word in ["tasks=", "descriptors=", "requests=", "watchers=1"] {
        assert!(line.contains(word), "no {word} in {line}");
    }
    engine.get("/_ping").expect(200);
}
