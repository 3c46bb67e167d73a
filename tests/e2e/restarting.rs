//! Restart policies, and limits that change while a container runs.

use serde_json::{Value, json};
use testkit::daemon::Plan;
use testkit::http::Request;
use testkit::{DEADLINE, Engine, Scratch, command, eventually};

use crate::life::{both, created, inspected, now, post, runs, state};

fn policy(name: &str, most: u32) -> Value {
    json!({"RestartPolicy": {"Name": name, "MaximumRetryCount": most}})
}

fn count(engine: &Engine, name: &str) -> u64 {
    inspected(engine, name)["RestartCount"].as_u64().unwrap_or_default()
}

fn reaches(engine: &Engine, name: &str, status: &str) {
    eventually(DEADLINE, || {
        let state = state(engine, name);
        if state["Status"] == status { Ok(()) } else { Err(state.to_string()) }
    });
}

/// A container that is started again is to clients what it was until it runs: only one that never ran is `created`.
#[test]
fn what_is_started_again_is_never_as_if_it_had_not_run() {
    let engine = Engine::isolated();
    let name = runs(&engine, "again", "exit 0", &policy("always", 0));
    let mut seen = std::collections::BTreeSet::new();
    eventually(DEADLINE, || {
        let inspected = inspected(&engine, &name);
        seen.insert(inspected["State"]["Status"].as_str().unwrap_or_default().to_owned());
        let mut listed = engine.ketch_command();
        listed.args(["ps", "--all", "--filter", &format!("name={name}"), "--format", "{{.State}}"]);
        seen.insert(command::run(&mut listed).ok());
        if inspected["RestartCount"].as_u64() >= Some(4) { Ok(()) } else { Err(seen.clone()) }
    });
    let known = ["exited", "restarting", "running"];
    assert!(seen.iter().all(|state| known.contains(&&**state)), "{seen:?}");
    post(&engine, &format!("/containers/{name}/restart?t=0"));
    let state = state(&engine, &name);
    assert_ne!(state["Status"], "created", "{state}");
}

// covers: cli docker run --restart
// covers: cli docker container run --restart
// covers: cli docker create --restart
// covers: cli docker container create --restart
#[test]
fn on_failure_starts_again_as_often_as_it_says() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let script = "echo run; exit 7";
    for (verb, mut client) in ["run -d", "container run -d", "create", "container create"]
        .iter()
        .zip(both(&engine).into_iter().chain(both(&engine)))
    {
        let (name, since) = (engine.name(&verb.replace(' ', "-")), now());
        client.args(verb.split(' ')).args([
            "--name",
            &name,
            "--network",
            "none",
            "--restart",
            "on-failure:2",
        ]);
        command::run(client.args([&tag, "sh", "-c", script])).ok();
        // A created one is started; one that runs already is not started again.
        assert!(matches!(post(&engine, &format!("/containers/{name}/start")).status(), 204 | 304));
        eventually(DEADLINE, || {
            let log = crate::containers::logs(&engine, &name);
            if log == "run\nrun\nrun\n" { Ok(()) } else { Err(log) }
        });
        reaches(&engine, &name, "exited");
        assert_eq!((count(&engine, &name), &state(&engine, &name)["ExitCode"]), (2, &json!(7)));
        let told = crate::life::actions(&engine, &since, &name);
        assert_eq!(told.iter().filter(|action| *action == "start").count(), 3, "{told:?}");
        assert_eq!(told.iter().filter(|action| *action == "die").count(), 3, "{told:?}");
    }
    let content = runs(&engine, "content", "exit 0", &policy("on-failure", 0));
    post(&engine, &format!("/containers/{content}/wait")).expect(200);
    reaches(&engine, &content, "exited");
    assert_eq!(count(&engine, &content), 0);
}

#[test]
fn one_that_waits_to_be_started_again_says_so_and_can_be_stopped() {
    let engine = Engine::isolated();
    let name = runs(&engine, "c", "exit 3", &policy("always", 0));
    // The pauses double: sooner or later the state is seen.
    let seen = eventually(DEADLINE, || {
        let exec = Request::new("POST", &format!("/containers/{name}/exec")).json(&json!({"Cmd": ["true"]}));
        let (state, reply) = (state(&engine, &name), engine.request_unchecked(&exec));
        match (state["Status"] == "restarting", reply.status()) {
            (true, 409) if reply.message().contains("is restarting") => Ok((state, reply.message())),
            _ => Err(format!("{state} {}", reply.text())),
        }
    });
    let flags = ["Running", "Paused", "Restarting"].map(|key| seen.0[key].as_bool().unwrap_or_default());
    assert_eq!((flags, &seen.0["ExitCode"], &seen.0["Pid"]), ([true, false, true], &json!(3), &json!(0)));
    assert!(seen.1.ends_with("is restarting, wait until the container is running"), "{}", seen.1);
    eventually(DEADLINE, || {
        let filter = format!("name=^/{name}$");
        let told = engine.ketch(["ps", "--filter", &filter, "--format", "{{.State}} {{.Status}}"]).ok();
        let fits = told.starts_with("restarting Restarting (3) ") && told.ends_with(" ago");
        if fits { Ok(()) } else { Err(told) }
    });
    assert!(count(&engine, &name) > 0);
    post(&engine, &format!("/containers/{name}/stop")).expect(204);
    assert_eq!(state(&engine, &name)["Status"], "exited");
    // Started by hand it counts anew.
    post(&engine, &format!("/containers/{name}/start")).expect(204);
    eventually(DEADLINE, || match count(&engine, &name) {
        0 => Err("not started again yet"),
        _ => Ok(()),
    });
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
}

#[test]
fn what_somebody_ended_is_not_started_again() {
    let engine = Engine::isolated();
    for (number, verb) in ["kill", "stop?t=0"].iter().enumerate() {
        let name = runs(&engine, &format!("c{number}"), "sleep 1000", &policy("always", 0));
        post(&engine, &format!("/containers/{name}/{verb}")).expect(204);
        post(&engine, &format!("/containers/{name}/wait")).expect(200);
        reaches(&engine, &name, "exited");
        assert_eq!(count(&engine, &name), 0);
    }
    // Ended by itself it is.
    let name = runs(&engine, "self", "sleep 1000", &policy("unless-stopped", 0));
    let before = state(&engine, &name)["Pid"].as_i64().unwrap_or_default();
    let pid = rustix::process::Pid::from_raw(before as i32).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    eventually(DEADLINE, || match state(&engine, &name)["Pid"].as_i64() {
        Some(pid) if pid > 0 && pid != before => Ok(()),
        other => Err(other),
    });
    assert_eq!(count(&engine, &name), 1);
}

#[test]
fn a_policy_that_does_not_exist_is_refused_in_dockerds_words() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    for (policy, message) in [
        ("foo", "unknown policy 'foo'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"),
        ("always:3", "maximum retry count can only be used with 'on-failure'"),
        ("on-failure:-1", "maximum retry count cannot be negative"),
    ] {
        for mut client in both(&engine) {
            let told =
                command::run(client.args(["create", "--network", "none", "--restart", policy, &tag, "true"]));
            assert!(told.stderr.contains(&format!("invalid restart policy: {message}")), "{told:?}");
        }
    }
    let config = json!({"Image": tag, "HostConfig": {"NetworkMode": "none", "AutoRemove": true, "RestartPolicy": {"Name": "always"}}});
    let reply = engine.request_unchecked(&Request::new("POST", "/containers/create").json(&config));
    assert_eq!(reply.expect(400).message(), "can't create 'AutoRemove' container with restart policy");
}

#[test]
fn a_new_engine_starts_what_its_policy_wants_to_run() {
    let flags = |plan: Plan, _: &Scratch| plan.arg("--live-restore=false").arg("--shutdown-timeout=0");
    let mut engine = Engine::planned(flags);
    let always = runs(&engine, "always", "sleep 1000", &policy("always", 0));
    let stopped = runs(&engine, "stopped", "sleep 1000", &policy("always", 0));
    let unless = runs(&engine, "unless", "sleep 1000", &policy("unless-stopped", 0));
    let by_hand = runs(&engine, "by-hand", "sleep 1000", &policy("unless-stopped", 0));
    let none = runs(&engine, "none", "sleep 1000", &json!({}));
    let never = created(&engine, "never", "sleep 1000", &policy("always", 0));
    for name in [&stopped, &by_hand] {
        post(&engine, &format!("/containers/{name}/stop?t=0")).expect(204);
    }
    engine.daemon().signal(rustix::process::Signal::TERM);
    assert!(engine.daemon().wait().success());
    engine.crash_and_restart();
    // As with dockerd, `always` means also those that were stopped.
    for name in [&always, &stopped, &unless] {
        reaches(&engine, name, "running");
    }
    for (name, status) in [(&by_hand, "exited"), (&none, "exited"), (&never, "created")] {
        assert_eq!(state(&engine, name)["Status"], status, "{name}");
    }
}

#[test]
fn one_that_waited_when_its_engine_was_killed_is_started_by_the_next() {
    let mut engine = Engine::ours();
    let name = runs(&engine, "c", "echo run; exit 1", &policy("on-failure", 0));
    eventually(DEADLINE, || if count(&engine, &name) >= 3 { Ok(()) } else { Err(count(&engine, &name)) });
    engine.crash_and_restart();
    let before = count(&engine, &name);
    eventually(DEADLINE, || if count(&engine, &name) > before { Ok(()) } else { Err(before) });
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
}

// covers: cli docker update
// covers: cli docker update --memory
// covers: cli docker update --memory-swap
// covers: cli docker update --memory-reservation
// covers: cli docker update --cpus
// covers: cli docker update --cpu-shares
// covers: cli docker update --cpuset-cpus
// covers: cli docker update --cpuset-mems
// covers: cli docker update --pids-limit
// covers: cli docker update --restart
// covers: cli docker container update
// covers: cli docker container update --memory
// covers: cli docker container update --memory-swap
// covers: cli docker container update --memory-reservation
// covers: cli docker container update --cpus
// covers: cli docker container update --cpu-shares
// covers: cli docker container update --cpuset-cpus
// covers: cli docker container update --cpuset-mems
// covers: cli docker container update --pids-limit
// covers: cli docker container update --restart
// covers: api POST /containers/{id}/update
// covers: value event-action events update
#[test]
fn limits_change_while_it_runs() {
    let engine = Engine::isolated();
    let name = runs(&engine, "c", "sleep 1000", &json!({"Memory": 50_000_000}));
    assert_eq!(inspected(&engine, &name)["HostConfig"]["MemorySwap"], 100_000_000);
    let pid = state(&engine, &name)["Pid"].as_i64().unwrap_or_default();
    for (pids, verb, mut client) in
        [(51, "update", engine.ketch_command()), (52, "container update", engine.docker_command())]
    {
        let (since, limit) = (now(), pids.to_string());
        client.args(verb.split(' ')).args(["--memory", "200m", "--memory-swap", "300m", "--cpus", "1.5"]);
        client.args([
            "--memory-reservation",
            "100m",
            "--cpu-shares",
            "512",
            "--cpuset-cpus",
            "0",
            "--cpuset-mems",
            "0",
        ]);
        client.args(["--pids-limit", &limit, "--restart", "on-failure:3", &name]);
        assert_eq!(command::run(&mut client).ok(), name);
        let host = inspected(&engine, &name)["HostConfig"].clone();
        for (key, value) in [
            ("Memory", json!(200 << 20)),
            ("MemorySwap", json!(300 << 20)),
            ("MemoryReservation", json!(100 << 20)),
            ("NanoCpus", json!(1_500_000_000)),
            ("CpuShares", json!(512)),
            ("CpusetCpus", json!("0")),
            ("CpusetMems", json!("0")),
            ("PidsLimit", json!(pids)),
            ("RestartPolicy", json!({"Name": "on-failure", "MaximumRetryCount": 3})),
        ] {
            assert_eq!(host[key], value, "{key}");
        }
        assert_eq!(crate::life::actions(&engine, &since, &name), ["update"]);
        if !engine.is_peer() {
            assert_eq!(limit_of(pid, "pids", "pids.max"), limit);
            assert_eq!(limit_of_memory(pid), (200_u64 << 20).to_string());
        }
    }
    let unlimited =
        engine.ketch(["update", "--memory", "400m", "--memory-swap", "-1", "--pids-limit", "-1", &name]);
    if !engine.is_peer() {
        // dockerd has runc set the memory before the swap, which the kernel refuses.
        assert_eq!(unlimited.ok(), name);
        assert_eq!(limit_of(pid, "pids", "pids.max"), "max");
    }
}

/// What the kernel says of a process' cgroup.
fn limit_of(pid: i64, controller: &str, file: &str) -> String {
    let table = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process runs");
    let folder = table.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        match names.split(',').any(|name| name == controller) {
            true => Some(format!("/sys/fs/cgroup/{controller}{path}")),
            false => None,
        }
    });
    let unified = || {
        let path = table.lines().find_map(|line| line.strip_prefix("0::")).expect("a cgroup");
        format!("/sys/fs/cgroup{path}")
    };
    let path = format!("{}/{file}", folder.unwrap_or_else(unified));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
}

fn limit_of_memory(pid: i64) -> String {
    let v2 = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    limit_of(pid, "memory", if v2 { "memory.max" } else { "memory.limit_in_bytes" })
}

// covers: cli docker update --cpu-period
// covers: cli docker update --cpu-quota
// covers: cli docker container update --cpu-period
// covers: cli docker container update --cpu-quota
#[test]
fn what_can_not_be_is_refused_in_dockerds_words() {
    let engine = Engine::isolated();
    let name = runs(&engine, "c", "sleep 1000", &json!({}));
    let id = inspected(&engine, &name)["Id"].as_str().unwrap_or_default().to_owned();
    for words in ["update", "container update"] {
        for mut client in both(&engine) {
            client.args(words.split(' ')).args(["--cpu-period", "50000", "--cpu-quota", "25000", &name]);
            assert_eq!(command::run(&mut client).ok(), name);
        }
    }
    let host = inspected(&engine, &name)["HostConfig"].clone();
    assert_eq!((&host["CpuPeriod"], &host["CpuQuota"]), (&json!(50_000), &json!(25_000)));
    let conflict = |why: &str| (409, format!("Cannot update container {id}: {why}"));
    let invalid = |why: &str| (400, why.to_owned());
    for (body, told) in [
        (json!({"Memory": 1000}), invalid("Minimum memory limit allowed is 6MB")),
        (json!({"MemoryReservation": 1000}), invalid("Minimum memory reservation allowed is 6MB")),
        (
            json!({"Memory": 20_000_000, "MemorySwap": 10_000_000}),
            invalid("Minimum memoryswap limit should be larger than memory limit, see usage"),
        ),
        (
            json!({"CpuPeriod": 10}),
            invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
        ),
        (json!({"CpuQuota": 10}), invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")),
        (
            json!({"NanoCpus": 500_000_000, "CpuQuota": 10_000}),
            invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        ),
        (json!({"CpusetCpus": "x"}), invalid("Invalid value x for cpuset cpus: invalid format: x")),
        (
            json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 5}}),
            invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'"),
        ),
        (
            json!({"Memory": 50_000_000}),
            conflict(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            ),
        ),
        (
            json!({"NanoCpus": 500_000_000}),
            conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"),
        ),
    ] {
        let request = Request::new("POST", &format!("/containers/{name}/update")).json(&body);
        let reply = engine.request_unchecked(&request);
        assert_eq!((reply.status(), reply.message()), told, "{body}");
    }
    for arguments in [&["update", &name][..], &["update", "--pids-limit", "5", "nosuch-container"]] {
        let [ours, theirs] = both(&engine).map(|mut client| command::run(client.args(arguments)));
        assert_eq!((&ours.stdout, &ours.stderr, ours.code), (&theirs.stdout, &theirs.stderr, theirs.code));
    }
}

// covers: cli docker run --cpu-period
// covers: cli docker run --cpu-quota
// covers: cli docker run --cpuset-cpus
// covers: cli docker run --cpuset-mems
// covers: cli docker run --memory-reservation
// covers: cli docker run --memory-swap
// covers: cli docker container run --cpu-period
// covers: cli docker container run --cpu-quota
// covers: cli docker container run --cpuset-cpus
// covers: cli docker container run --cpuset-mems
// covers: cli docker container run --memory-reservation
// covers: cli docker container run --memory-swap
// covers: cli docker create --cpu-period
// covers: cli docker create --cpu-quota
// covers: cli docker create --cpuset-cpus
// covers: cli docker create --cpuset-mems
// covers: cli docker create --memory-reservation
// covers: cli docker create --memory-swap
// covers: cli docker container create --cpu-period
// covers: cli docker container create --cpu-quota
// covers: cli docker container create --cpuset-cpus
// covers: cli docker container create --cpuset-mems
// covers: cli docker container create --memory-reservation
// covers: cli docker container create --memory-swap
#[test]
fn limits_are_the_containers_from_its_start() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let clients = both(&engine).into_iter().chain(both(&engine));
    for (verb, mut client) in ["run -d", "container run -d", "create", "container create"].iter().zip(clients)
    {
        let name = engine.name(&verb.replace(' ', "-"));
        client.args(verb.split(' ')).args(["--name", &name, "--network", "none", "--memory", "64m"]);
        client.args(["--memory-swap", "96m", "--memory-reservation", "32m", "--cpu-period", "50000"]);
        client.args([
            "--cpu-quota",
            "25000",
            "--cpuset-cpus",
            "0",
            "--cpuset-mems",
            "0",
            &tag,
            "sleep",
            "1000",
        ]);
        command::run(&mut client).ok();
        let host = inspected(&engine, &name)["HostConfig"].clone();
        for (key, value) in [
            ("MemorySwap", json!(96 << 20)),
            ("MemoryReservation", json!(32 << 20)),
            ("CpuPeriod", json!(50_000)),
            ("CpuQuota", json!(25_000)),
            ("CpusetCpus", json!("0")),
            ("CpusetMems", json!("0")),
        ] {
            assert_eq!(host[key], value, "{verb} {key}");
        }
        if verb.ends_with("-d") && !engine.is_peer() {
            let pid = state(&engine, &name)["Pid"].as_i64().unwrap_or_default();
            assert_eq!(limit_of_memory(pid), (64_u64 << 20).to_string());
            assert_eq!(limit_of(pid, "cpuset", "cpuset.cpus"), "0");
        }
    }
}
