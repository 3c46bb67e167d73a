//! `--runtime`: another OCI runtime makes a container's processes under the same shim. Here that is our own by its command line,
//! which every machine has; runc and crun where they are asked for.

use std::fs;
use std::path::Path;

use serde_json::json;
use testkit::command::{self, ketch_binary};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, Terminal, eventually};

/// An engine that knows the runtime `other`.
fn engine(program: &Path, arguments: &[&str]) -> Engine {
    let runtime = json!({"path": program, "runtimeArgs": arguments});
    Engine::planned(|plan, scratch| plan.config(scratch, &json!({"runtimes": {"other": runtime}})))
}

fn ours() -> Engine {
    engine(&ketch_binary(), &["runtime"])
}

/// A container that goes on, made by the other runtime.
fn sleeper(engine: &Engine, name: &str, more: &[&str]) {
    let tag = engine.busybox();
    let mut command = engine.ketch_command();
    command.args(["run", "-d", "--runtime", "other", "--name", name]).args(more);
    command::run(command.args([&tag, "sh", "-c", "while :; do echo line; sleep 0.05; done"])).ok();
}

fn goes_through_life(engine: &Engine) {
    let tag = engine.busybox();
    let run = |more: &[&str], script: &str| {
        let mut command = engine.ketch_command();
        command.args(["run", "--rm", "--runtime", "other"]).args(more);
        command::run(command.args([&tag, "sh", "-c", script]))
    };
    let said = run(&[], "echo out; echo err >&2; cat /proc/1/comm; hostname; exit 7").assert_code(7);
    assert!(said.stdout.starts_with("out\nsh\n") && said.stderr == "err\n", "{said:?}");
    assert_eq!(
        run(&["-m", "64m", "--pids-limit", "9"], "grep -h -E 'Seccomp:|NoNewPrivs' /proc/self/status").ok(),
        "NoNewPrivs:\t0\nSeccomp:\t2"
    );
    assert_eq!(
        run(&["--tmpfs", "/t", "-v", "data:/d"], "echo kept > /d/f; echo x > /t/f; cat /d/f").ok(),
        "kept"
    );
    assert_eq!(run(&["-v", "data:/d:ro"], "cat /d/f; ! touch /d/g 2>/dev/null").ok(), "kept");
    assert_eq!(run(&["--init"], "cat /proc/1/comm").ok(), "docker-init");
    let missing =
        command::run(engine.ketch_command().args(["run", "--rm", "--runtime", "other", &tag, "nowhere"]));
    assert!(missing.code == 127 && missing.stderr.contains("nowhere"), "{missing:?}");
    let folder =
        command::run(engine.ketch_command().args(["run", "--rm", "--runtime", "other", &tag, "/etc"]));
    assert_eq!(folder.code, 126, "{folder:?}");

    engine.docker(["network", "create", "net"]).ok();
    sleeper(engine, "one", &["--network", "net", "--network-alias", "x", "-m", "64m"]);
    let exec = |more: &[&str], script: &str| {
        let mut command = engine.docker_command();
        command::run(command.arg("exec").args(more).args(["one", "sh", "-c", script]))
    };
    assert_eq!(exec(&["-e", "A=b", "-w", "/tmp"], "echo $A; pwd; exit 0").ok(), "b\n/tmp");
    exec(&[], "exit 9").assert_code(9);
    exec(&[], "nslookup x | grep -q 'Name:.*x'").ok();
    exec(&["--user", "7"], "test $(id -u) = 7").ok();
    let tops = engine.docker(["top", "one"]).ok();
    assert!(tops.contains("while"), "{tops}");
    engine.docker(["pause", "one"]).ok();
    assert_eq!(engine.docker(["inspect", "-f", "{{.State.Status}}", "one"]).ok(), "paused");
    engine.docker(["unpause", "one"]).ok();
    engine.docker(["update", "-m", "96m", "--memory-swap", "-1", "one"]).ok();
    let used = engine.docker(["stats", "--no-stream", "--format", "{{.MemUsage}}", "one"]).ok();
    assert!(used.ends_with("/ 96MiB"), "{used}");
    engine.docker(["kill", "-s", "KILL", "one"]).ok();
    assert_eq!(engine.docker(["wait", "one"]).ok(), "137");
    // It starts again, and again after that.
    for _ in 0..2 {
        engine.docker(["restart", "-t", "0", "one"]).ok();
        exec(&[], "true").ok();
    }
    engine.docker(["rm", "-f", "one"]).ok();
}

// covers: cli docker run --runtime
// covers: cli docker create --runtime
// covers: cli docker container run --runtime
// covers: cli docker container create --runtime
// covers: field HostConfig Runtime
#[test]
fn a_container_of_another_runtime_lives_as_every_other() {
    goes_through_life(&ours());
}

#[test]
#[ignore = "needs runc on the PATH: `cargo nextest run -p e2e --run-ignored only foreign_runtime`"]
fn runc_makes_containers() {
    goes_through_life(&engine(Path::new("runc"), &[]));
}

#[test]
#[ignore = "needs crun on the PATH, and cgroups of one version: `cargo nextest run -p e2e --run-ignored only foreign_runtime`"]
fn crun_makes_containers() {
    goes_through_life(&engine(Path::new("crun"), &[]));
}

#[test]
fn a_terminal_is_the_container_s_and_of_what_joins_it() {
    let engine = ours();
    let tag = engine.busybox();
    let mut command = engine.ketch_command();
    command.env("TERM", "xterm").args(["run", "-it", "--runtime", "other", "--name", "term", &tag, "sh"]);
    let mut terminal = Terminal::start(&command, 31, 97);
    terminal.type_in("tty; echo is $((40+2))\n");
    terminal.wait_for("/dev/pts/0");
    terminal.wait_for("is 42");
    let mut command = engine.docker_command();
    let mut second =
        Terminal::start(command.env("TERM", "xterm").args(["exec", "-it", "term", "sh"]), 31, 97);
    second.type_in("echo also $((50+2)); exit 3\n");
    assert_eq!(second.wait(), Some(3), "{}", second.shown());
    assert!(second.shown().contains("also 52"), "{}", second.shown());
    // A shim lives as long as its container, and keeps nothing of what has ended.
    let shim = crate::faults::shim_of(&engine, "term").as_raw_nonzero();
    let open = || fs::read_dir(format!("/proc/{shim}/fd")).unwrap().count();
    let before = open();
    for _ in 0..10 {
        assert_eq!(engine.ketch(["exec", "-t", "term", "echo", "more"]).ok(), "more");
    }
    eventually(DEADLINE, || if open() <= before { Ok(()) } else { Err(format!("{} of {before}", open())) });
    terminal.type_in("exit 7\n");
    assert_eq!(terminal.wait(), Some(7), "{}", terminal.shown());
}

#[test]
fn the_next_engine_takes_it_over_and_nothing_of_it_is_left() {
    let mut engine = ours();
    sleeper(&engine, "one", &[]);
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    engine.crash_and_restart();
    assert_eq!(engine.docker(["exec", "one", "echo", "alive"]).ok(), "alive");
    let lines = engine.docker(["logs", "one"]).ok().lines().count();
    assert!(lines > 0);
    engine.docker(["stop", "-t", "0", "one"]).ok();
    let code = engine.docker(["inspect", "-f", "{{.State.ExitCode}}", "one"]).ok();
    assert_eq!(code, "137");
    engine.docker(["rm", "one"]).ok();
    let left = engine.close();
    assert_eq!(left, Vec::<String>::new());
    // What it has mounted is in its shim's namespace and nowhere else.
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

#[test]
fn a_lost_shim_is_told_and_the_container_starts_again() {
    let engine = ours();
    sleeper(&engine, "one", &[]);
    let pid: i32 = engine.docker(["inspect", "-f", "{{.State.Pid}}", "one"]).ok().parse().unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let shim: i32 = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(fs::read_to_string(format!("/proc/{shim}/comm")).unwrap().trim(), "ketch-shim");
    let shim = rustix::process::Pid::from_raw(shim).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    eventually(DEADLINE, || {
        let state = engine.docker(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "one"]).ok();
        if state == "exited 137" { Ok(()) } else { Err(state) }
    });
    engine.docker(["start", "one"]).ok();
    engine.docker(["exec", "one", "true"]).ok();
    engine.docker(["rm", "-f", "one"]).ok();
}

#[test]
fn what_it_can_not_do_is_refused_by_name() {
    let engine = engine(Path::new("/nowhere/runtime"), &[]);
    let tag = engine.busybox();
    let create = |host: serde_json::Value| {
        let body = json!({"Image": tag, "Cmd": ["true"], "HostConfig": host});
        engine.request_unchecked(&Request::new("POST", "/containers/create").json(&body))
    };
    let refused = create(json!({"Runtime": "unknown"})).expect(400).message();
    assert_eq!(refused, "unknown or invalid runtime name: unknown");
    let bind = format!("{}:/x:rshared", engine.scratch().path().display());
    let refused = create(json!({"Runtime": "other", "Binds": [bind]})).message();
    assert!(refused.contains("propagation rshared of /x with runtime other"), "{refused}");
    let gone = engine.ketch(["run", "--name", "gone", "--runtime", "other", &tag, "true"]);
    assert!(gone.code == 127 || gone.code == 125, "{gone:?}");
    assert!(gone.stderr.contains("/nowhere/runtime"), "{gone:?}");
    engine.docker(["rm", "gone"]).ok();
}
