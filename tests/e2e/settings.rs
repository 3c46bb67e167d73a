//! Settings of the engine, from flags and from daemon.json, as `info` tells them back.

use serde_json::{Value, json};
use testkit::command;
use testkit::daemon::Plan;
use testkit::http::Request;
use testkit::{Engine, Scratch};

/// What both forms of the same settings must give.
#[track_caller]
fn assert_told(info: &Value) {
    let registry = &info["RegistryConfig"];
    let told = json!({
        "Debug": info["Debug"], "Experimental": info["ExperimentalBuild"], "Labels": info["Labels"],
        "LoggingDriver": info["LoggingDriver"], "Http": info["HttpProxy"], "Https": info["HttpsProxy"],
        "No": info["NoProxy"], "Mirrors": registry["Mirrors"],
        "Hub": registry["IndexConfigs"]["docker.io"]["Mirrors"],
        "Secure": registry["IndexConfigs"]["insecure.example:5000"]["Secure"],
    });
    let wanted = json!({
        "Debug": true, "Experimental": true, "Labels": ["a=1", "b=2"], "LoggingDriver": "none",
        "Http": "http://proxy.example:1", "Https": "http://proxy.example:2", "No": "localhost,.example",
        "Mirrors": ["https://mirror.example/"], "Hub": ["https://mirror.example/"], "Secure": false,
    });
    assert_eq!(told, wanted);
}

// covers: field SystemInfo Labels[]
// covers: field SystemVersion Experimental
// covers: field IndexInfo Mirrors[]
// covers: field RegistryServiceConfig Mirrors[]
// covers: daemon flag --debug
// covers: daemon flag --experimental
// covers: daemon flag --label
// covers: daemon flag --log-driver
// covers: daemon flag --http-proxy
// covers: daemon flag --https-proxy
// covers: daemon flag --no-proxy
// covers: daemon flag --registry-mirror
// covers: daemon flag --insecure-registry
#[test]
fn flags_are_told_back() {
    let engine = Engine::planned(|plan, _| {
        let flags = [
            "--debug",
            "--experimental",
            "--label=a=1",
            "--label=b=2",
            "--log-driver=none",
            "--http-proxy=http://proxy.example:1",
            "--https-proxy=http://proxy.example:2",
            "--no-proxy=localhost,.example",
            "--registry-mirror=https://mirror.example",
            "--insecure-registry=insecure.example:5000",
        ];
        flags.into_iter().fold(plan, Plan::arg)
    });
    assert_told(&engine.request_unchecked(&Request::new("GET", "/v1.51/info")).expect(200).json());
    let version = engine.request_unchecked(&Request::new("GET", "/v1.51/version")).expect(200).json();
    assert_eq!(version["Experimental"], true);
}

// covers: daemon config-key experimental
// covers: daemon config-key log-driver
// covers: daemon config-key proxies
// covers: daemon config-key proxies.http-proxy
// covers: daemon config-key proxies.https-proxy
// covers: daemon config-key proxies.no-proxy
// covers: daemon config-key registry-mirrors
// covers: daemon config-key insecure-registries
#[test]
fn keys_are_told_back() {
    let engine = Engine::planned(|plan, scratch| {
        let keys = json!({
            "debug": true, "experimental": true, "labels": ["a=1", "b=2"], "log-driver": "none",
            "proxies": {
                "http-proxy": "http://proxy.example:1", "https-proxy": "http://proxy.example:2", "no-proxy": "localhost,.example",
            },
            "registry-mirrors": ["https://mirror.example"], "insecure-registries": ["insecure.example:5000"],
        });
        plan.arg("--config-file").arg(scratch.write("daemon.json", keys.to_string()))
    });
    assert_told(&engine.request_unchecked(&Request::new("GET", "/v1.51/info")).expect(200).json());
}

// covers: daemon config-key data-root
// covers: daemon config-key exec-root
// covers: daemon config-key pidfile
// covers: daemon config-key hosts
#[test]
fn places_can_come_from_the_file_alone() {
    let scratch = Scratch::create();
    let keys = json!({
        "data-root": scratch.join("elsewhere/data"), "exec-root": scratch.join("elsewhere/run"),
        "pidfile": scratch.join("elsewhere/pid"), "hosts": [format!("unix://{}", scratch.join("elsewhere.sock").display())],
    });
    let file = scratch.write("daemon.json", keys.to_string());
    let mut command = std::process::Command::new(command::ketch_binary());
    command.args(["daemon", "--config-file"]).arg(file).env_clear().stderr(std::process::Stdio::piped());
    let mut daemon = testkit::daemon::Daemon::spawn(&mut command);
    daemon.wait_ready();
    let request = Request::new("GET", "/info");
    let info = testkit::http::call(&scratch.join("elsewhere.sock"), &request).unwrap().json();
    assert_eq!(info["DockerRootDir"], json!(scratch.join("elsewhere/data")));
    assert_eq!(
        std::fs::read_to_string(scratch.join("elsewhere/pid")).unwrap().trim(),
        daemon.pid().to_string()
    );
    daemon.signal(rustix::process::Signal::TERM);
    assert!(daemon.wait().success(), "{}", daemon.log());
    assert!(!scratch.join("elsewhere/pid").exists() && !scratch.join("elsewhere.sock").exists());
    scratch.remove();
}

// covers: daemon config-key min-api-version
#[test]
fn the_oldest_version_can_be_raised() {
    let engine = Engine::planned(|plan, scratch| {
        plan.arg("--config-file").arg(scratch.write("daemon.json", r#"{"min-api-version": "1.44"}"#))
    });
    engine.get("/v1.44/info").expect(200);
    let refused = engine.request_unchecked(&Request::new("GET", "/v1.43/info")).expect(400);
    assert!(
        refused.message().contains("client version 1.43 is too old. Minimum supported API version is 1.44")
    );
}

// covers: daemon flag --version
// covers: daemon flag --help
#[test]
fn the_engine_tells_its_version_and_flags() {
    let run = |flag: &str| {
        command::run(std::process::Command::new(command::ketch_binary()).args(["daemon", flag])).ok()
    };
    assert!(run("--version").contains("version"));
    for flag in ["--data-root", "--exec-root", "--host", "--pidfile", "--tlsverify"] {
        assert!(run("--help").contains(flag), "{flag} isn't in the help");
    }
}
