//! `--init`: a first process that passes signals on and reaps what others left.

use serde_json::json;
use testkit::http::Request;
use testkit::{DEADLINE, Engine, eventually};

// covers: cli docker run --init
// covers: cli docker container run --init
// covers: cli docker create --init
// covers: cli docker container create --init
#[test]
fn the_program_runs_under_an_init_and_ends_as_without_one() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    for client in ["docker", "ketch"] {
        let run = |arguments: &[&str]| {
            let mut command =
                if client == "docker" { engine.docker_command() } else { engine.ketch_command() };
            command.args(["run", "--rm", "--init", "--network", "none", &tag]).args(arguments);
            testkit::command::run(&mut command)
        };
        let shown = run(&["sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; echo; echo $$; exit 7"]);
        let (first, own) = shown.stdout.trim().split_once('\n').unwrap();
        assert!(first.starts_with("/sbin/docker-init -- sh -c"), "{first}");
        assert!(own.trim() != "1" && shown.code == 7, "{own} {}", shown.code);
        assert_eq!(run(&["sh", "-c", "kill -TERM $$"]).code, 128 + 15);
        assert_eq!(run(&["/no/such/program"]).code, 127);
    }
}

#[test]
fn signals_reach_the_program_and_orphans_do_not_stay() {
    let engine = Engine::isolated();
    let (tag, name) = (engine.busybox(), engine.name("c"));
    // The inner shell's child outlives it and ends soon after: somebody has to reap it.
    let script = "trap 'echo stopped; exit 3' TERM; sh -c 'sleep 0.1 & exit'; echo ready; while :; do sleep 0.05; done";
    engine
        .docker(["run", "-d", "--init", "--name", &name, "--network", "none", &tag, "sh", "-c", script])
        .ok();
    eventually(DEADLINE, || match engine.docker(["logs", &name]).ok() {
        text if text == "ready" => Ok(()),
        text => Err(text),
    });
    eventually(DEADLINE, || {
        let states =
            engine.docker(["exec", &name, "sh", "-c", "grep -l '^State:.*Z' /proc/[0-9]*/status; true"]).ok();
        if states.is_empty() { Ok(()) } else { Err(states) }
    });
    engine.docker(["stop", &name]).ok();
    assert_eq!(engine.docker(["wait", &name]).ok(), "3");
    assert_eq!(engine.docker(["logs", &name]).ok(), "ready\nstopped");
    engine.docker(["rm", &name]).ok();
}

#[test]
fn what_a_container_has_of_the_engines_binary_can_not_be_written() {
    let engine = Engine::ours();
    let tag = engine.busybox();
    let script = "echo x >> /sbin/docker-init; echo x >> /proc/1/exe; ls /proc/1/fd | wc -l";
    let output = engine.docker(["run", "--rm", "--init", "--network", "none", &tag, "sh", "-c", script]);
    let refusals = output.stderr.lines().filter(|line| line.contains("can't create")).count();
    assert_eq!((refusals, output.code), (2, 0), "{}", output.stderr);
}

// covers: daemon config-key init
// covers: daemon flag --init

#[test]
fn the_engine_can_give_every_container_one() {
    let engine = Engine::planned(|plan, _| plan.arg("--init"));
    let tag = engine.busybox();
    let first = |arguments: &[&str]| {
        let mut command = engine.ketch_command();
        command.args(["run", "--rm", "--network", "none"]).args(arguments).args([
            &tag,
            "cat",
            "/proc/1/comm",
        ]);
        testkit::command::run(&mut command).ok()
    };
    assert_eq!(first(&[]), "docker-init");
    assert_eq!(first(&["--init=false"]), "cat");
    let body = json!({"Image": tag, "Cmd": ["true"], "HostConfig": {"Init": true, "NetworkMode": "none"}});
    let made = engine.post("/containers/create", &body).expect(201).json();
    let id = made["Id"].as_str().unwrap();
    let shown =
        engine.request_unchecked(&Request::new("GET", &format!("/containers/{id}/json"))).expect(200).json();
    assert_eq!(shown["HostConfig"]["Init"], true);
}
