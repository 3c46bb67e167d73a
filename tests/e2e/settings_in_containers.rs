//! Settings of the engine as a container meets them.

use std::path::Path;

use serde_json::{Value, json};
use testkit::daemon::Plan;
use testkit::http::Request;
use testkit::{Engine, ParentCgroup, Scratch};

/// The same settings as flags or as keys of the file.
fn both(flags: &[&str], keys: &Value) -> [Engine; 2] {
    let with_flags = |plan: Plan, _: &Scratch| flags.iter().copied().fold(plan, Plan::arg);
    [Engine::planned(with_flags), Engine::planned(|plan, scratch| plan.config(scratch, keys))]
}

fn start(engine: &Engine, script: &str, host: &Value) -> String {
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let mut host = host.clone();
    host["NetworkMode"] = json!("none");
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", script], "HostConfig": host});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    name
}

fn inspect(engine: &Engine, name: &str) -> Value {
    engine.get(&format!("/containers/{name}/json")).expect(200).json()
}

fn output(engine: &Engine, script: &str) -> String {
    let tag = engine.busybox();
    engine.ketch(["run", "--rm", "--network", "none", &tag, "sh", "-c", script]).ok()
}

// covers: daemon flag --cgroup-parent
// covers: daemon config-key cgroup-parent
#[test]
fn containers_are_put_below_the_parent_cgroup() {
    let group = ParentCgroup::create("settings");
    let parent = group.path();
    for engine in both(
        &[&format!("--cgroup-parent={parent}/deep")],
        &json!({"cgroup-parent": format!("{parent}/deep")}),
    ) {
        let name = start(&engine, "sleep 600", &json!({}));
        let state = inspect(&engine, &name);
        let (pid, id) = (&state["State"]["Pid"], state["Id"].as_str().unwrap());
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let wanted = format!("{parent}/deep/{id}");
        assert!(groups.lines().any(|line| line.ends_with(&wanted)), "no {wanted} in:\n{groups}");
    }
}

// covers: daemon flag --default-shm-size
// covers: daemon config-key default-shm-size
#[test]
fn shared_memory_has_the_default_size() {
    for engine in both(&["--default-shm-size=20m"], &json!({"default-shm-size": "20m"})) {
        assert_eq!(output(&engine, "busybox df -k /dev/shm | busybox awk 'NR==2 {print $2}'"), "20480");
        let name = start(&engine, "true", &json!({}));
        assert_eq!(inspect(&engine, &name)["HostConfig"]["ShmSize"], 20 << 20);
    }
}

// covers: daemon flag --no-new-privileges
// covers: daemon config-key no-new-privileges
#[test]
fn processes_can_be_kept_from_new_privileges() {
    let script = "grep NoNewPrivs /proc/self/status";
    for engine in both(&["--no-new-privileges"], &json!({"no-new-privileges": true})) {
        assert_eq!(output(&engine, script), "NoNewPrivs:\t1");
        let options =
            engine.request_unchecked(&Request::new("GET", "/info")).json()["SecurityOptions"].clone();
        assert!(options.as_array().unwrap().contains(&json!("name=no-new-privileges")), "{options}");
    }
    assert_eq!(output(&Engine::ours(), script), "NoNewPrivs:\t0");
}

// covers: daemon flag --default-stop-timeout
// covers: daemon config-key default-stop-timeout
#[test]
fn a_container_that_will_not_stop_is_killed_after_the_default_time() {
    for engine in both(&["--default-stop-timeout=0"], &json!({"default-stop-timeout": 0})) {
        // Given any time at all, it would end with a code of its own.
        let name = start(
            &engine,
            "trap 'sleep 2; exit 5' TERM; echo ready; while true; do sleep 1; done",
            &json!({}),
        );
        let path = format!("/containers/{name}/logs?stdout=1");
        testkit::eventually(testkit::DEADLINE, || match engine.get(&path).text() {
            log if log.contains("ready") => Ok(()),
            log => Err(log),
        });
        engine.request_unchecked(&Request::new("POST", &format!("/containers/{name}/stop"))).expect(204);
        assert_eq!(inspect(&engine, &name)["State"]["ExitCode"], 137);
    }
}

// covers: daemon flag --log-opt
// covers: daemon config-key log-opts
#[test]
fn logs_are_rotated_as_the_default_options_say() {
    let keys = json!({"log-opts": {"max-size": "4k", "max-file": "2"}});
    for engine in both(&["--log-opt=max-size=4k", "--log-opt=max-file=2"], &keys) {
        let name = start(
            &engine,
            "i=0; while [ $i -lt 200 ]; do echo a line that fills the log $i; i=$((i+1)); done",
            &json!({}),
        );
        engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
        let found = inspect(&engine, &name);
        assert_eq!(found["HostConfig"]["LogConfig"]["Config"], json!({"max-size": "4k", "max-file": "2"}));
        let folder = Path::new(found["LogPath"].as_str().unwrap()).parent().unwrap().to_owned();
        let files: Vec<u64> = std::fs::read_dir(folder)
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().contains("-json.log"))
            .map(|entry| entry.metadata().unwrap().len())
            .collect();
        assert_eq!(files.len(), 2, "{files:?}");
        assert!(files.iter().all(|size| *size <= 5000), "{files:?}");
    }
}

// covers: daemon flag --add-runtime
// covers: daemon flag --default-runtime
// covers: daemon config-key runtimes
// covers: daemon config-key runtimes.*.path
// covers: daemon config-key runtimes.*.runtimeArgs
// covers: field Runtime runtimeArgs
// covers: field Runtime runtimeArgs[]
// covers: daemon config-key default-runtime
#[test]
fn registered_runtimes_are_listed_and_the_default_is_meant() {
    let keys = json!({
        "runtimes": {"mine": {"path": "/opt/mine", "runtimeArgs": ["--fast"]}}, "default-runtime": "mine",
    });
    for (engine, arguments) in both(&["--add-runtime=mine=/opt/mine", "--default-runtime=mine"], &keys)
        .iter()
        .zip([json!(null), json!(["--fast"])])
    {
        let info = engine.request_unchecked(&Request::new("GET", "/info")).expect(200).json();
        assert_eq!(info["DefaultRuntime"], "mine");
        assert_eq!(info["Runtimes"]["mine"]["path"], "/opt/mine");
        assert_eq!(info["Runtimes"]["mine"]["runtimeArgs"], arguments);
        assert_eq!(info["Runtimes"]["ketch"]["path"], "ketch");
        // One that isn't installed can be named; its start says that it isn't there, rather than the built-in one being taken.
        let config =
            json!({"Image": engine.busybox(), "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}});
        let create = |config: &Value| {
            engine.request_unchecked(&Request::new("POST", "/containers/create").json(config))
        };
        let id = create(&config).expect(201).json()["Id"].as_str().unwrap().to_owned();
        let start = Request::new("POST", &format!("/containers/{id}/start"));
        let refused = engine.request_unchecked(&start);
        assert!(refused.status() >= 400 && refused.message().contains("/opt/mine"), "{}", refused.text());
        let mut built_in = config.clone();
        built_in["HostConfig"]["Runtime"] = json!("ketch");
        create(&built_in).expect(201);
    }
}
