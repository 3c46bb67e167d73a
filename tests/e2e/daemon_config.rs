//! `daemon.json`, flags, `--validate`, reload; an engine that refuses to start says why.

use std::process::ExitStatus;

use rustix::process::Signal;
use serde_json::json;
use testkit::command::{self, Output};
use testkit::daemon::{Daemon, Plan};
use testkit::{DEADLINE, Engine, Scratch, eventually};

/// Asks for validation of a configuration file, with more arguments.
fn validate(scratch: &Scratch, file: &str, arguments: &[&str]) -> Output {
    let path = scratch.write("daemon.json", file);
    let mut plan = Plan::below(scratch).arg("--config-file").arg(path).arg("--validate");
    plan.arguments.extend(arguments.iter().map(Into::into));
    command::run(&mut plan.command())
}

/// Starts an engine that is expected to give up, and returns its end and its last words.
pub(crate) fn refused(command: &mut std::process::Command) -> (ExitStatus, String) {
    let mut daemon = Daemon::spawn(command);
    let status = daemon.wait();
    daemon.wait_log("failed to start daemon: ");
    (status, daemon.log())
}

fn with_scratch(test: impl FnOnce(&Scratch)) {
    let scratch = Scratch::create();
    test(&scratch);
    scratch.remove();
}

// covers: daemon flag --validate
// covers: daemon flag --config-file
#[test]
fn validate_tells_good_from_bad() {
    with_scratch(|scratch| {
        let good = validate(scratch, r#"{"labels": ["a=b"], "log-level": "debug"}"#, &[]).assert_code(0);
        assert!(format!("{}{}", good.stdout, good.stderr).contains("configuration OK"), "{good:?}");
        let bad = validate(scratch, "{\n  \"debug\": yes\n}", &[]);
        assert_eq!(bad.code, 1, "{bad:?}");
        assert!(bad.stderr.contains("daemon.json:2:"), "no line and column: {}", bad.stderr);
        assert!(!Plan::below(scratch).root.exists(), "--validate made a data root");
    });
}

#[test]
fn a_seccomp_profile_is_checked_before_a_container_needs_it() {
    with_scratch(|scratch| {
        let path = scratch.join("profile.json");
        let config = json!({"seccomp-profile": path}).to_string();
        let missing = validate(scratch, &config, &[]).assert_code(1);
        assert!(missing.stderr.contains("cannot read the seccomp profile"), "{missing:?}");
        scratch.write("profile.json", r#"{"defaultAction":"SCMP_ACT_NOPE"}"#);
        let wrong = validate(scratch, &config, &[]).assert_code(1);
        assert!(wrong.stderr.contains("unknown variant `SCMP_ACT_NOPE`"), "{wrong:?}");
        scratch.write("profile.json", r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
        validate(scratch, &config, &[]).assert_code(0);
    });
}

/// Where systemd does run, the virtual machine of `cargo xtask vm` shows it.
// covers: daemon flag --exec-opt
// covers: daemon config-key exec-opts
#[test]
fn the_cgroup_driver_is_one_that_this_machine_has() {
    with_scratch(|scratch| {
        let option = |value: &str| validate(scratch, &json!({ "exec-opts": [value] }).to_string(), &[]);
        option("native.cgroupdriver=cgroupfs").ok();
        validate(scratch, "{}", &["--exec-opt", "native.cgroupdriver=cgroupfs"]).ok();
        let refused = |value: &str, why: &str| {
            let output = option(value);
            assert!(output.code != 0 && output.stderr.contains(why), "{value}: {output:?}");
        };
        refused("native.cgroupdriver=none", "native.cgroupdriver option none not supported");
        refused("native.nonsense=1", "native.nonsense=1: the only option is native.cgroupdriver");
        if !std::path::Path::new("/run/systemd/system").exists() {
            refused("native.cgroupdriver=systemd", "systemd does not run on this host");
        }
    });
}

#[test]
fn an_unknown_key_is_named() {
    with_scratch(|scratch| {
        let told = validate(scratch, r#"{"lables": ["a=b"]}"#, &[]).assert_code(1);
        assert!(
            told.stderr.contains("the following directives don't match any configuration option: lables"),
            "{told:?}"
        );
    });
}

#[test]
fn a_flag_and_a_key_that_contradict_each_other_are_both_named() {
    with_scratch(|scratch| {
        let told = validate(scratch, r#"{"log-level": "debug"}"#, &["--log-level", "warn"]).assert_code(1);
        let words =
            "the following directives are specified both as a flag and in the configuration file: log-level";
        assert!(told.stderr.contains(words), "{told:?}");
        assert!(
            told.stderr.contains("warn") && told.stderr.contains("debug"),
            "both values are named: {told:?}"
        );
    });
}

#[test]
fn values_of_the_wrong_type_are_refused() {
    with_scratch(|scratch| {
        for (file, key) in [
            (r#"{"debug": "yes"}"#, "debug"),
            (r#"{"labels": "a=b"}"#, "labels"),
            (r#"{"log-level": "loud"}"#, "loud"),
            (r#"{"labels": ["novalue"]}"#, "novalue"),
            (r#"[]"#, "object"),
        ] {
            let told = validate(scratch, file, &[]).assert_code(1);
            assert!(told.stderr.contains(key), "{file}: {}", told.stderr);
        }
    });
}

// covers: daemon signal SIGHUP
// covers: daemon reloadable labels
// covers: daemon reloadable debug
// covers: daemon config-key labels
// covers: daemon config-key debug
#[test]
fn a_reload_changes_labels_and_debug() {
    let mut engine = Engine::planned(|plan, scratch| {
        let path = scratch.write("daemon.json", r#"{"labels": ["one=1"]}"#);
        plan.arg("--config-file").arg(path)
    });
    assert_eq!(engine.get("/info").json()["Labels"], serde_json::json!(["one=1"]));
    engine.scratch().write("daemon.json", r#"{"labels": ["two=2"], "debug": true}"#);
    engine.daemon().signal(Signal::HUP);
    eventually(DEADLINE, || {
        let info = engine.get("/info").json();
        let wanted = serde_json::json!([["two=2"], true]);
        let found = serde_json::json!([info["Labels"], info["Debug"]]);
        if found == wanted { Ok(()) } else { Err(found) }
    });
    engine.scratch().write("daemon.json", "{ broken");
    engine.daemon().signal(Signal::HUP);
    engine.daemon().wait_log("daemon.json:1:");
    assert_eq!(
        engine.get("/info").json()["Labels"],
        serde_json::json!(["two=2"]),
        "a broken file changes nothing"
    );
}

#[test]
fn a_reload_is_an_event() {
    let mut engine = Engine::ours();
    let request = testkit::http::Request::new("GET", "/events?filters={%22event%22:[%22reload%22]}");
    let mut stream = engine.stream(&request);
    engine.daemon().signal(Signal::HUP);
    let event: serde_json::Value = serde_json::from_str(&stream.next_line().unwrap().unwrap()).unwrap();
    assert_eq!((event["Type"].as_str(), event["Action"].as_str()), (Some("daemon"), Some("reload")));
}

// covers: daemon flag --data-root
// covers: daemon flag --exec-root
// covers: daemon flag --pidfile
// covers: daemon flag --host
#[test]
fn a_second_engine_on_the_same_data_is_refused_with_the_firsts_pid() {
    let mut engine = Engine::ours();
    let pid = engine.daemon().pid();
    let mut second = Plan::below(engine.scratch());
    second.run = engine.scratch().join("second");
    second.socket = engine.scratch().join("second/ketch.sock");
    second.pidfile = engine.scratch().join("second/ketch.pid");
    let (status, log) = refused(&mut second.command());
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&pid.to_string()), "the pid {pid} isn't named:\n{log}");
    engine.get("/_ping").expect(200);
}

#[test]
fn a_pidfile_of_a_living_engine_is_respected() {
    let mut engine = Engine::ours();
    let pid = engine.daemon().pid();
    assert_eq!(
        std::fs::read_to_string(engine.scratch().join("run/ketch.pid")).unwrap().trim(),
        pid.to_string()
    );
    let mut second = Plan::below(engine.scratch());
    second.root = engine.scratch().join("other");
    let (_, log) = refused(&mut second.command());
    assert!(log.contains(&format!("process with PID {pid} is still running")), "{log}");
}

#[test]
fn an_unknown_flag_is_usage() {
    with_scratch(|scratch| {
        let told = command::run(&mut Plan::below(scratch).arg("--nosuch").command());
        assert_ne!(told.code, 0);
        assert!(told.stderr.contains("unknown flag: --nosuch"), "{}", told.stderr);
    });
}

/// A size for all containers that nothing could hold them to is no size. What holds it is in `tests/vm/quotas.sh`.
#[test]
fn a_size_of_roots_needs_a_file_system_that_holds_it() {
    with_scratch(|scratch| {
        let plan = Plan::below(scratch).arg("--storage-opt").arg("overlay2.size=10m");
        let (status, log) = refused(&mut plan.command());
        assert!(!status.success(), "{log}");
        for words in ["overlay2.size", "without quotas of projects"] {
            assert!(log.contains(words), "{log}");
        }
    });
}
