//! Processes that join a running container, beside the real client.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, Terminal, command, eventually};

/// A container that only sleeps.
fn sleeper(engine: &Engine) -> String {
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let config = json!({
        "Image": tag, "Cmd": ["sleep", "1000"], "Env": ["FROM=container"], "WorkingDir": "/tmp",
        "HostConfig": {"NetworkMode": "none", "Init": false},
    });
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    name
}

fn both(engine: &Engine) -> [Command; 2] {
    [engine.ketch_command(), engine.docker_command()]
}

fn unchecked(engine: &Engine, method: &str, path: &str, body: &Value) -> testkit::http::Reply {
    engine.request_unchecked(&Request::new(method, path).json(body))
}

// covers: cli docker exec
// covers: cli docker container exec
// covers: api POST /containers/{id}/exec
// covers: api POST /exec/{id}/start
// covers: api GET /exec/{id}/json
#[test]
fn a_command_runs_in_the_container_and_its_code_is_the_clients() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    let script = "echo out; echo err >&2; cat /proc/1/comm; pwd; hostname; exit 7";
    for mut client in both(&engine) {
        let output = command::run(client.args(["exec", &name, "sh", "-c", script])).assert_code(7);
        let lines: Vec<&str> = output.stdout.lines().collect();
        assert!(matches!(lines[..], ["out", "sleep", "/tmp", host] if host.len() == 12), "{output:?}");
        assert_eq!(output.stderr, "err\n");
    }
    let killed = engine.ketch(["container", "exec", &name, "sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.code, 137, "{killed:?}");
}

// covers: cli docker exec --env
// covers: cli docker exec --env-file
// covers: cli docker exec --workdir
// covers: cli docker exec --user
// covers: cli docker container exec --env
// covers: cli docker container exec --env-file
// covers: cli docker container exec --workdir
// covers: cli docker container exec --user
#[test]
fn environment_directory_and_user_are_its_own() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    let file = engine.scratch().write("variables", "FILE=1\nFROM=file\n");
    let file = file.to_str().expect("UTF-8");
    let script = "echo $A $FILE $FROM $HOME; pwd; id -u; id -g; id -G";
    for mut client in both(&engine) {
        client.args([
            "exec",
            "--env-file",
            file,
            "-e",
            "A=b",
            "-w",
            "/bin",
            "-u",
            "12:34",
            &name,
            "sh",
            "-c",
            script,
        ]);
        assert_eq!(command::run(&mut client).ok(), "b 1 file /\n/bin\n12\n34\n34");
    }
    for mut client in both(&engine) {
        let output =
            command::run(client.args(["exec", "-u", "nobody-of-that-name", &name, "true"])).assert_code(1);
        assert!(output.stderr.contains("unable to find user nobody-of-that-name"), "{output:?}");
    }
}

// covers: cli docker exec --privileged
// covers: cli docker container exec --privileged
// covers: cli docker run --privileged
// covers: cli docker container run --privileged
#[test]
fn a_privileged_container_has_the_machine() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let script = "grep -E 'CapEff|Seccomp:' /proc/self/status; test -c /dev/kmsg && echo devices; \
                  mount -t tmpfs none /tmp && echo mounts; test -w /sys/kernel/mm && echo sysfs";
    for mut client in both(&engine) {
        client.args(["run", "--rm", "--privileged", "--network", "none", &tag, "sh", "-c", script]);
        let told = command::run(&mut client).ok();
        assert!(told.contains("CapEff:\t000001ff") && told.contains("Seccomp:\t0"), "{told}");
        assert!(told.ends_with("devices\nmounts\nsysfs"), "{told}");
    }
}

#[test]
fn it_may_what_the_container_may_unless_privileged() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    let capabilities = |arguments: &[&str]| {
        let mut client = engine.ketch_command();
        client.arg("exec").args(arguments).args([
            &name,
            "sh",
            "-c",
            "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status",
        ]);
        command::run(&mut client).ok()
    };
    let first = {
        let mut client = engine.ketch_command();
        client.args(["exec", &name, "sh", "-c", "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/1/status"]);
        command::run(&mut client).ok()
    };
    assert_eq!(capabilities(&[]), first);
    assert!(first.contains("00000000a80425fb") && first.contains("Seccomp:\t2"), "{first}");
    let privileged = capabilities(&["--privileged"]);
    // All that the machine has.
    assert!(privileged.contains("CapEff:\t000001ff"), "{privileged}");
}

// covers: cli docker exec --interactive
// covers: cli docker container exec --interactive
#[test]
fn standard_input_arrives_and_ends() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    for mut client in both(&engine) {
        let megabyte = vec![b'x'; 1 << 20];
        client.args(["exec", "-i", &name, "wc", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = client.spawn().expect("the client");
        child.stdin.take().expect("piped").write_all(&megabyte).expect("it reads");
        let output = child.wait_with_output().expect("its end");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1048576");
    }
    for mut client in both(&engine) {
        // Without -i there is nothing to read.
        assert_eq!(command::run(client.args(["exec", &name, "wc", "-c"]).stdin(Stdio::null())).ok(), "0");
    }
}

// covers: cli docker exec --tty
// covers: cli docker exec --detach-keys
// covers: cli docker container exec --tty
// covers: cli docker container exec --detach-keys
// covers: api POST /exec/{id}/resize
// covers: api POST /exec/{id}/resize ?h
// covers: api POST /exec/{id}/resize ?w
// covers: value event-action events exec_detach
#[test]
fn a_terminal_has_its_size_and_can_be_left() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    for mut client in both(&engine) {
        client.env("TERM", "xterm").args(["exec", "-it", "--detach-keys", "ctrl-x,y", &name, "sh"]);
        let mut terminal = Terminal::start(&client, 31, 97);
        terminal.type_in("busybox stty size; tty\n");
        terminal.wait_for("31 97");
        terminal.wait_for("/dev/pts/");
        eventually(DEADLINE, || {
            terminal.resize(12, 76);
            terminal.resize(12, 77);
            terminal.type_in("busybox stty size\n");
            let seen = terminal.shown();
            if seen.contains("12 77") { Ok(()) } else { Err(seen) }
        });
        terminal.type_in("\u{18}y");
        assert_eq!(terminal.wait(), Some(1), "{}", terminal.shown());
    }
    let ids = || {
        let inspected = engine.request_unchecked(&Request::new("GET", &format!("/containers/{name}/json")));
        inspected.expect(200).json()["ExecIDs"].clone()
    };
    assert!(ids().as_array().is_some_and(|ids| !ids.is_empty()), "the shells go on: {}", ids());
}

// covers: cli docker exec --detach
// covers: cli docker container exec --detach
#[test]
fn a_detached_one_goes_on_alone() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    for (number, mut client) in both(&engine).into_iter().enumerate() {
        let path = format!("/tmp/done-{number}");
        let output =
            command::run(client.args(["exec", "-d", &name, "sh", "-c", &format!("echo done >{path}")]));
        assert_eq!(output.ok(), "");
        eventually(DEADLINE, || match engine.ketch(["exec", &name, "cat", &path]) {
            output if output.stdout == "done\n" => Ok(()),
            output => Err(format!("{output:?}")),
        });
    }
    for mut client in both(&engine) {
        let output = command::run(client.args(["exec", "-d", &name, "no-such-program"])).assert_code(1);
        assert!(
            output.stderr.contains("\"no-such-program\": executable file not found in $PATH"),
            "{output:?}"
        );
    }
}

#[test]
fn what_can_not_run_says_why_and_ends_with_dockers_code() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    for mut client in both(&engine) {
        let output = command::run(client.args(["exec", &name, "no-such-program"])).assert_code(127);
        let told = format!("{}{}", output.stdout, output.stderr);
        assert!(told.contains("exec: \"no-such-program\": executable file not found in $PATH"), "{told}");
    }
    for mut client in both(&engine) {
        let output = command::run(client.args(["exec", &name, "/tmp"])).assert_code(126);
        assert!(format!("{output:?}").contains("is a directory: permission denied"), "{output:?}");
    }
    for mut client in both(&engine) {
        let output = command::run(client.args(["exec", "-w", "/nowhere", &name, "true"])).assert_code(127);
        assert!(format!("{output:?}").contains("/nowhere"), "{output:?}");
    }
    for mut client in both(&engine) {
        let output = command::run(client.args(["exec", "-w", "relative", &name, "true"])).assert_code(128);
        assert!(format!("{output:?}").contains("absolute path"), "{output:?}");
    }
    for mut client in both(&engine) {
        let output = command::run(client.args(["exec", "no-such-container", "true"])).assert_code(1);
        assert!(output.stderr.contains("No such container: no-such-container"), "{output:?}");
    }
}

// covers: value event-action events exec_create
// covers: value event-action events exec_start
// covers: value event-action events exec_die
#[test]
fn its_life_is_told_step_by_step() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    let none = unchecked(&engine, "POST", &format!("/containers/{name}/exec"), &json!({}));
    assert_eq!((none.status(), none.message().as_str()), (400, "No exec command specified"));
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let config = json!({"Cmd": ["sh", "-c", "sleep 1000"], "AttachStdout": true, "User": "1:1"});
    let created = unchecked(&engine, "POST", &format!("/containers/{name}/exec"), &config).expect(201).json();
    let id = created["Id"].as_str().expect("an id").to_owned();
    let inspect = || unchecked(&engine, "GET", &format!("/exec/{id}/json"), &Value::Null).expect(200).json();
    let state = inspect();
    assert_eq!(
        (&state["Running"], &state["ExitCode"], &state["Pid"]),
        (&json!(false), &Value::Null, &json!(0)),
        "{state}"
    );
    assert_eq!(
        state["ProcessConfig"],
        json!({"tty": false, "entrypoint": "sh", "arguments": ["-c", "sleep 1000"], "privileged": false, "user": "1:1"})
    );
    let start = || unchecked(&engine, "POST", &format!("/exec/{id}/start"), &json!({"Detach": true}));
    start().expect(200);
    let state = inspect();
    assert_eq!((&state["Running"], &state["ExitCode"]), (&json!(true), &Value::Null), "{state}");
    assert!(state["Pid"].as_i64() > Some(1), "{state}");
    let again = start();
    assert_eq!((again.status(), again.message()), (409, format!("exec command {id} is already running")));
    engine.ketch(["exec", &name, "sh", "-c", "kill -9 $(ps | grep 'sleep 1000' | grep -v grep | grep -v '^ *1 ' | head -n 1 | { read pid rest; echo $pid; })"]).ok();
    eventually(DEADLINE, || match inspect() {
        state if state["Running"] == false => Ok(()),
        state => Err(state),
    });
    let again = start();
    assert_eq!((again.status(), again.message()), (409, format!("exec command {id} has already run")));
    let unknown = unchecked(&engine, "GET", "/exec/0123456789ab/json", &Value::Null);
    assert_eq!((unknown.status(), unknown.message().as_str()), (404, "No such exec instance: 0123456789ab"));
    let filters = format!("filters={{%22container%22:[%22{name}%22],%22type%22:[%22container%22]}}");
    let until = since + 3600;
    let mut events =
        engine.stream(&Request::new("GET", &format!("/events?since={since}&until={until}&{filters}")));
    let mut actions = Vec::new();
    while actions.last().is_none_or(|action: &String| action != "exec_die") {
        let line = events.next_line().expect("a stream").expect("an event");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        if event["Actor"]["Attributes"]["execID"] == id.as_str() {
            actions.push(event["Action"].as_str().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(actions, ["exec_create: sh -c sleep 1000", "exec_start: sh -c sleep 1000", "exec_die"]);
}

#[test]
fn a_container_that_does_not_run_takes_none() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    engine.post(&format!("/containers/{name}/kill"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
    for mut client in both(&engine) {
        let output = command::run(client.args(["exec", &name, "true"])).assert_code(1);
        assert!(output.stderr.contains("is not running"), "{output:?}");
    }
}

#[test]
fn those_that_run_end_with_the_container() {
    let engine = Engine::isolated();
    let name = sleeper(&engine);
    let mut client = engine.ketch_command();
    let mut running = client.args(["exec", &name, "sleep", "1000"]).spawn().expect("the client");
    eventually(DEADLINE, || match engine.ketch(["exec", &name, "ps"]) {
        output if output.stdout.matches("sleep 1000").count() == 2 => Ok(()),
        output => Err(format!("{output:?}")),
    });
    engine.post(&format!("/containers/{name}/kill"), &Value::Null).expect(204);
    assert_eq!(running.wait().expect("its end").code(), Some(137));
}

#[test]
fn a_client_that_vanishes_leaves_nothing_to_hold_the_container() {
    let mut engine = Engine::ours();
    let name = sleeper(&engine);
    // The engine dies between asking for a process and letting it run, or while it runs: the container goes on.
    let config = json!({"Cmd": ["sleep", "1000"]});
    let created = unchecked(&engine, "POST", &format!("/containers/{name}/exec"), &config).expect(201).json();
    let id = created["Id"].as_str().expect("an id").to_owned();
    unchecked(&engine, "POST", &format!("/exec/{id}/start"), &json!({"Detach": true})).expect(200);
    engine.crash_and_restart();
    unchecked(&engine, "GET", &format!("/exec/{id}/json"), &Value::Null).expect(404);
    let output = engine.ketch(["exec", &name, "ps"]).ok();
    assert_eq!(output.matches("sleep 1000").count(), 2, "{output}");
}

/// How many descriptors the process has open.
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the process").count()
}

/// The shim of the only container of an engine of ours.
fn shim(engine: &mut Engine) -> u32 {
    let parent = engine.daemon().pid().to_string();
    let children =
        std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let all = std::fs::read_dir(format!("/proc/{parent}/task")).expect("threads").flatten();
    let of_threads =
        all.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let children = of_threads.fold(children, |all, more| format!("{all} {more}"));
    let pids = children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok());
    let name = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    pids.into_iter().find(|pid| name(pid).trim() == "ketch-shim").expect("a shim")
}

#[test]
fn clients_that_vanish_leave_no_descriptor_behind() {
    let mut engine = Engine::ours();
    let name = sleeper(&engine);
    let (daemon, shim) = (engine.daemon().pid(), shim(&mut engine));
    let upgrade = |request: Request| request.header("Connection", "Upgrade").header("Upgrade", "tcp");
    let attach = format!("/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1");
    let abort = |number: u64| {
        let request = match number % 2 {
            // Silent: nothing will ever be written that could fail.
            0 => upgrade(Request::new("POST", &attach)),
            _ => {
                let config = json!({"Cmd": ["true"], "AttachStdout": true});
                let created =
                    unchecked(&engine, "POST", &format!("/containers/{name}/exec"), &config).expect(201);
                let id = created.json()["Id"].as_str().expect("an id").to_owned();
                upgrade(Request::new("POST", &format!("/exec/{id}/start")).json(&json!({})))
            }
        };
        drop(engine.stream(&request));
    };
    // What is opened once and kept is opened now.
    (0..4).for_each(abort);
    let settled = || {
        eventually(DEADLINE, || {
            let before = (descriptors(daemon), descriptors(shim));
            std::thread::yield_now();
            let idle = engine.request_unchecked(&Request::new("GET", &format!("/containers/{name}/json")));
            match (idle.json()["ExecIDs"].is_null(), (descriptors(daemon), descriptors(shim)) == before) {
                (true, true) => Ok(before),
                other => Err(format!("{other:?} {before:?}")),
            }
        })
    };
    let (engine_before, shim_before) = settled();
    (0..testkit::Faults::of(1000).count).for_each(abort);
    eventually(DEADLINE, || match (descriptors(daemon), descriptors(shim)) {
        // One or two connections may be on their way.
        (engine, shim) if engine <= engine_before + 2 && shim <= shim_before + 1 => Ok(()),
        now => Err(format!("{now:?}, before: {:?}", (engine_before, shim_before))),
    });
}
