//! SIGHUP: every setting that may change under a running engine does, and is told in the `reload` event.

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::daemon::Plan;
use testkit::http::Request;
use testkit::{DEADLINE, Engine, Scratch, eventually};

const RELOADS: &str = "/events?filters={%22event%22:[%22reload%22]}";

fn info(engine: &Engine) -> Value {
    engine.request_unchecked(&Request::new("GET", "/info")).expect(200).json()
}

/// The attributes of the `reload` event that this file causes.
fn reload(engine: &mut Engine, keys: &Value) -> Value {
    let mut stream = engine.stream(&Request::new("GET", RELOADS));
    engine.scratch().write("daemon.json", keys.to_string());
    engine.daemon().signal(Signal::HUP);
    let event: Value =
        serde_json::from_str(&stream.next_line().expect("a stream").expect("an event")).expect("JSON");
    event["Actor"]["Attributes"].clone()
}

// covers: daemon reloadable max-concurrent-downloads
// covers: daemon reloadable max-concurrent-uploads
// covers: daemon reloadable max-download-attempts
// covers: daemon reloadable default-runtime
// covers: daemon reloadable runtimes
// covers: daemon reloadable insecure-registries
// covers: daemon reloadable registry-mirrors
// covers: daemon reloadable features
// covers: value event-type events daemon
// covers: value event-action events reload
// covers: daemon config-key max-concurrent-downloads
// covers: daemon config-key max-concurrent-uploads
// covers: daemon config-key max-download-attempts
#[test]
fn every_changeable_setting_changes() {
    let mut engine = Engine::planned(|plan, scratch| plan.config(scratch, &json!({})));
    let builder = |engine: &Engine| {
        engine
            .request_unchecked(&Request::new("GET", "/_ping"))
            .header("builder-version")
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(builder(&engine), "2");
    let told = reload(
        &mut engine,
        &json!({
            "max-concurrent-downloads": 7, "max-concurrent-uploads": 8, "max-download-attempts": 9,
            "runtimes": {"mine": {"path": "/opt/mine"}}, "default-runtime": "mine",
            "insecure-registries": ["insecure.example:5000", "10.1.0.0/16"],
            "registry-mirrors": ["https://mirror.example"], "features": {"buildkit": false},
        }),
    );
    for (key, value) in [
        ("max-concurrent-downloads", "7"),
        ("max-concurrent-uploads", "8"),
        ("max-download-attempts", "9"),
        ("default-runtime", "mine"),
        ("features", "{\"buildkit\":false}"),
    ] {
        assert_eq!(told[key], value, "{key} in {told}");
    }
    let info = info(&engine);
    assert_eq!(
        (&info["DefaultRuntime"], &info["Runtimes"]["mine"]["path"]),
        (&json!("mine"), &json!("/opt/mine"))
    );
    let registry = &info["RegistryConfig"];
    assert_eq!(registry["Mirrors"], json!(["https://mirror.example/"]));
    assert_eq!(registry["IndexConfigs"]["insecure.example:5000"]["Secure"], false);
    assert!(
        registry["InsecureRegistryCIDRs"].as_array().unwrap().contains(&json!("10.1.0.0/16")),
        "{registry}"
    );
    assert_eq!(builder(&engine), "1");
    let refused = reload_refused(&mut engine, &json!({"max-concurrent-downloads": 0}));
    assert!(refused.contains("max-concurrent-downloads"), "{refused}");
}

/// What the engine logs of a file that it doesn't take.
fn reload_refused(engine: &mut Engine, keys: &Value) -> String {
    engine.scratch().write("daemon.json", keys.to_string());
    engine.daemon().signal(Signal::HUP);
    engine.daemon().wait_log("the configuration stays");
    let log = engine.log();
    log.lines().find(|line| line.contains("the configuration stays")).unwrap_or_default().to_owned()
}

#[test]
fn what_needs_a_restart_is_named() {
    let mut engine = Engine::planned(|plan, scratch| plan.config(scratch, &json!({})));
    reload(&mut engine, &json!({"no-new-privileges": true}));
    engine.daemon().wait_log("this setting changes with a restart only");
    assert!(engine.log().contains("key=no-new-privileges"), "{}", engine.log());
}

// covers: daemon flag --max-concurrent-downloads
// covers: daemon flag --max-concurrent-uploads
// covers: daemon flag --max-download-attempts
// covers: daemon flag --feature
// covers: daemon config-key features
// covers: daemon feature features.buildkit
#[test]
fn flags_are_in_force_beside_the_file() {
    let flags = [
        "--max-concurrent-downloads=2",
        "--max-concurrent-uploads=4",
        "--max-download-attempts=6",
        "--feature=buildkit=false",
    ];
    let mut engine = Engine::planned(|plan, scratch| {
        flags.into_iter().fold(plan.config(scratch, &json!({"labels": ["a=b"]})), Plan::arg)
    });
    assert_eq!(engine.request_unchecked(&Request::new("GET", "/_ping")).header("builder-version"), Some("1"));
    let told = reload(&mut engine, &json!({"labels": ["c=d"]}));
    for (key, value) in [
        ("max-concurrent-downloads", "2"),
        ("max-concurrent-uploads", "4"),
        ("max-download-attempts", "6"),
        ("labels", "[\"c=d\"]"),
    ] {
        assert_eq!(told[key], value, "{key} in {told}");
    }
    for wrong in ["--max-concurrent-downloads=0", "--max-concurrent-uploads=-1", "--max-download-attempts=0"]
    {
        let scratch = Scratch::create();
        let told = testkit::command::run(&mut Plan::below(&scratch).arg(wrong).arg("--validate").command());
        assert!(
            told.code == 1 && told.stderr.contains(wrong.trim_start_matches("--").split('=').next().unwrap()),
            "{told:?}"
        );
        scratch.remove();
    }
    let file =
        Engine::planned(|plan, scratch| plan.config(scratch, &json!({"features": {"buildkit": false}})));
    eventually(DEADLINE, || {
        match file.request_unchecked(&Request::new("GET", "/_ping")).header("builder-version") {
            Some("1") => Ok(()),
            other => Err(other.map(str::to_owned)),
        }
    });
}

// covers: value storage-driver dockerd --storage-driver overlay2
// refuses: value storage-driver dockerd --storage-driver btrfs because layers are kept as indexed tars (erofs) or directories (overlay)
// refuses: value storage-driver dockerd --storage-driver copy because layers are kept as indexed tars (erofs) or directories (overlay)
// refuses: value storage-driver dockerd --storage-driver fuse-overlayfs because layers are kept as indexed tars (erofs) or directories (overlay)
// refuses: value storage-driver dockerd --storage-driver overlayutils because layers are kept as indexed tars (erofs) or directories (overlay)
// refuses: value storage-driver dockerd --storage-driver vfs because layers are kept as indexed tars (erofs) or directories (overlay)
// refuses: value storage-driver dockerd --storage-driver windows because layers are kept as indexed tars (erofs) or directories (overlay)
// refuses: value storage-driver dockerd --storage-driver zfs because layers are kept as indexed tars (erofs) or directories (overlay)
// covers: daemon flag --storage-driver
// covers: daemon config-key storage-driver
#[test]
fn the_storage_driver_is_the_one_that_was_asked_for() {
    for (asked, driver) in [("overlay2", "overlay"), ("overlay", "overlay"), ("erofs", "erofs")] {
        for engine in [
            Engine::planned(|plan, _| plan.arg(format!("--storage-driver={asked}"))),
            Engine::planned(|plan, scratch| plan.config(scratch, &json!({"storage-driver": asked}))),
        ] {
            assert_eq!(info(&engine)["Driver"], driver, "{asked}");
        }
    }
    let scratch = Scratch::create();
    for other in ["btrfs", "copy", "fuse-overlayfs", "overlayutils", "vfs", "windows", "zfs"] {
        let plan = Plan::below(&scratch).arg(format!("--storage-driver={other}")).arg("--validate");
        let told = testkit::command::run(&mut plan.command());
        assert!(told.code == 1 && told.stderr.contains(other), "{told:?}");
    }
    scratch.remove();
}

// covers: daemon flag --group
// covers: daemon config-key group
#[test]
fn the_socket_belongs_to_the_group() {
    use std::os::unix::fs::MetadataExt;
    let group = "4711";
    for engine in [
        Engine::planned(|plan, _| plan.arg(format!("--group={group}"))),
        Engine::planned(|plan, scratch| plan.config(scratch, &json!({"group": group}))),
    ] {
        let socket = std::fs::metadata(engine.socket()).unwrap();
        assert_eq!((socket.gid(), socket.mode() & 0o777), (4711, 0o660));
    }
    let scratch = Scratch::create();
    let (status, log) =
        crate::daemon_config::refused(&mut Plan::below(&scratch).arg("--group=no-such-group").command());
    assert!(!status.success() && log.contains("no-such-group"), "{log}");
    scratch.remove();
}

// covers: daemon daemon-env DOCKER_MIN_API_VERSION
#[test]
fn the_environment_can_raise_the_oldest_version() {
    let engine = Engine::planned(|plan, _| plan.env("DOCKER_MIN_API_VERSION", "1.44"));
    engine.get("/v1.44/info").expect(200);
    let refused = engine.request_unchecked(&Request::new("GET", "/v1.43/info")).expect(400);
    assert!(refused.message().contains("Minimum supported API version is 1.44"), "{}", refused.message());
}
