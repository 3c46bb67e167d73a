//! The flags of `create`, `run`, `start` and `attach` that nothing else is about, in both spellings of each command.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use testkit::command::{Output, run};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, Terminal, eventually};

const CREATE: [&[&str]; 4] =
    [&["create"], &["container", "create"], &["run", "-d"], &["container", "run", "--detach"]];
const RUN: [&[&str]; 2] = [&["run"], &["container", "run"]];

fn client(engine: &Engine, verb: &[&str], more: &[&str]) -> Command {
    let mut command = engine.ketch_command();
    command.args(verb).args(more);
    command
}

fn call(engine: &Engine, verb: &[&str], more: &[&str]) -> Output {
    run(&mut client(engine, verb, more))
}

fn inspect(engine: &Engine, name: &str) -> Value {
    engine.request_unchecked(&Request::new("GET", &format!("/containers/{name}/json"))).expect(200).json()
}

// covers: cli docker create --cidfile
// covers: cli docker create --env-file
// covers: cli docker create --label-file
// covers: cli docker create --interactive
// covers: cli docker create --net
// covers: cli docker create --platform
// covers: cli docker create --quiet
// covers: cli docker container create --cidfile
// covers: cli docker container create --env-file
// covers: cli docker container create --label-file
// covers: cli docker container create --interactive
// covers: cli docker container create --net
// covers: cli docker container create --platform
// covers: cli docker container create --quiet
// covers: cli docker container create --pull
// covers: cli docker run --cidfile
// covers: cli docker run --env-file
// covers: cli docker run --label-file
// covers: cli docker run --net
// covers: cli docker run --platform
// covers: cli docker run --quiet
// covers: cli docker run --detach
// covers: cli docker container run --cidfile
// covers: cli docker container run --env-file
// covers: cli docker container run --label-file
// covers: cli docker container run --net
// covers: cli docker container run --platform
// covers: cli docker container run --quiet
// covers: cli docker container run --pull
// covers: cli docker container run --detach
#[test]
fn files_and_names_say_what_a_container_is() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let environment = engine.scratch().write("env", "# none\nA=b c\nD\n").display().to_string();
    let labels = engine.scratch().write("labels", "x=y\nz\n").display().to_string();
    for (number, verb) in CREATE.into_iter().enumerate() {
        let id_file = engine.scratch().join(&format!("id{number}")).display().to_string();
        let told = client(
            &engine,
            verb,
            &[
                "--cidfile",
                &id_file,
                "--env-file",
                &environment,
                "--label-file",
                &labels,
                "-i",
                "--net",
                "none",
                "--quiet",
                "--pull",
                "never",
                "--platform",
                "linux/amd64",
                &tag,
                "cat",
            ],
        );
        let mut told = told;
        let told = run(told.env("D", "taken")).ok();
        assert_eq!(fs::read_to_string(&id_file).unwrap(), told.trim());
        let about = inspect(&engine, told.trim());
        let config = &about["Config"];
        let environment = config["Env"].as_array().unwrap();
        assert!(environment.contains(&json!("A=b c")) && environment.contains(&json!("D=taken")), "{config}");
        assert_eq!((&config["Labels"]["x"], &config["Labels"]["z"]), (&json!("y"), &json!("")));
        assert_eq!(
            (&config["OpenStdin"], &about["HostConfig"]["NetworkMode"]),
            (&json!(true), &json!("none"))
        );
        // A file that is there is somebody's.
        let again = call(&engine, verb, &["--cidfile", &id_file, "--net", "none", &tag, "true"]);
        assert!(again.code == 125 && again.stderr.contains("container ID file found"), "{again:?}");
        let missing = call(&engine, verb, &["--pull", "never", "--net", "none", "no-such-image", "true"]);
        let codes = if verb.contains(&"create") { [1, 1] } else { [125, 1] };
        assert!(codes.contains(&missing.code) && missing.stderr.contains("no-such-image"), "{missing:?}");
    }
}

// covers: cli docker create --publish
// covers: cli docker create --publish-all
// covers: cli docker create --net-alias
// covers: cli docker container create --publish
// covers: cli docker container create --publish-all
// covers: cli docker container create --net-alias
// covers: cli docker run --net-alias
// covers: cli docker run --volumes-from
// covers: cli docker container run --net-alias
// covers: cli docker container run --volumes-from
#[test]
fn ports_names_and_others_volumes() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    engine.ketch(["network", "create", "net"]).ok();
    engine.ketch(["create", "--name", "donor", "-v", "data:/data", &tag, "true"]).ok();
    for verb in CREATE {
        let more = [
            "--publish",
            "127.0.0.1::80",
            "--publish-all",
            "--expose",
            "81",
            "--net",
            "net",
            "--net-alias",
            "other",
            "--volumes-from",
            "donor:ro",
            &tag,
            "sleep",
            "1000",
        ];
        let id = call(&engine, verb, &more).ok();
        let about = inspect(&engine, id.trim());
        assert_eq!(about["HostConfig"]["PortBindings"]["80/tcp"][0]["HostIp"], "127.0.0.1");
        assert_eq!(about["HostConfig"]["PublishAllPorts"], true);
        assert!(
            about["NetworkSettings"]["Networks"]["net"]["Aliases"]
                .as_array()
                .unwrap()
                .contains(&json!("other"))
        );
        assert_eq!((&about["Mounts"][0]["Name"], &about["Mounts"][0]["RW"]), (&json!("data"), &json!(false)));
        engine.ketch(["rm", "-f", id.trim()]).ok();
    }
}

// covers: cli docker run --attach
// covers: cli docker run --interactive
// covers: cli docker run --tty
// covers: cli docker container run --attach
// covers: cli docker container run --interactive
// covers: cli docker container run --tty
// covers: cli docker start --attach
// covers: cli docker start --interactive
// covers: cli docker container start --attach
// covers: cli docker container start --interactive
#[test]
fn streams_are_those_that_are_asked_for() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let script = "cat; echo err >&2";
    for (number, verb) in RUN.into_iter().enumerate() {
        let fed = |mut command: Command| {
            let input = engine.scratch().write("input", "typed\n");
            let told = command.stdin(fs::File::open(input).unwrap()).output().unwrap();
            assert!(told.status.success(), "{command:?}: {told:?}");
            (String::from_utf8(told.stdout).unwrap(), String::from_utf8(told.stderr).unwrap())
        };
        let said = |stdout: &str| (stdout.to_owned(), "err\n".to_owned());
        let both = fed(client(&engine, verb, &["--interactive", "--net", "none", &tag, "sh", "-c", script]));
        assert_eq!(both, said("typed\n"));
        let one = [
            "--attach",
            "stdin",
            "-a",
            "stderr",
            "-i",
            "--net",
            "none",
            "--name",
            &format!("n{number}"),
            &tag,
        ];
        let one: Vec<&str> = one.into_iter().chain(["sh", "-c", script]).collect();
        assert_eq!(fed(client(&engine, verb, &one)), said(""));
        let start: &[&str] = if number == 0 { &["start"] } else { &["container", "start"] };
        let again = fed(client(&engine, start, &["--attach", "--interactive", &format!("n{number}")]));
        assert_eq!(again, said("typed\n"));
        let terminal =
            call(&engine, verb, &["--tty", "--net", "none", &tag, "sh", "-c", "tty; echo err >&2"])
                .assert_code(0);
        assert_eq!((terminal.stdout.as_str(), terminal.stderr.as_str()), ("/dev/pts/0\r\nerr\r\n", ""));
    }
}

/// Types into a terminal and detaches by these keys, and how it ends then: with 1 after `attach`, as docker does.
fn detaches(mut command: Command, keys: &str, code: i32) {
    let mut terminal = Terminal::start(command.env("TERM", "xterm"), 31, 97);
    terminal.type_in("echo is $((40+2))\n");
    terminal.wait_for("is 42");
    terminal.type_in(keys);
    assert_eq!(terminal.wait(), Some(code), "{}", terminal.shown());
}

// covers: cli docker run --detach-keys
// covers: cli docker container run --detach-keys
// covers: cli docker attach --detach-keys
// covers: cli docker container attach
// covers: cli docker container attach --detach-keys
// covers: cli docker start --detach-keys
// covers: cli docker container start --detach-keys
// covers: api POST /containers/{id}/attach ?detachKeys
// covers: api POST /containers/{id}/start ?detachKeys
#[test]
fn detach_keys_are_those_that_are_asked_for() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let keys = ["--detach-keys", "ctrl-x,y"];
    for (number, prefix) in [&[][..], &["container"]].into_iter().enumerate() {
        let name = format!("n{number}");
        let verb = |verb: &'static str| [prefix, &[verb]].concat();
        let run = ["-it", "--net", "none", "--name", &name, &tag, "sh"];
        detaches(client(&engine, &[&verb("run")[..], &keys].concat(), &run), "\u{18}y", 0);
        detaches(client(&engine, &[&verb("attach")[..], &keys].concat(), &[&name]), "\u{18}y", 1);
        engine.ketch(["stop", "-t", "0", &name]).ok();
        detaches(client(&engine, &[&verb("start")[..], &keys].concat(), &["-ai", &name]), "\u{18}y", 0);
        assert_eq!(inspect(&engine, &name)["State"]["Running"], true);
        let path = format!("/containers/{name}/attach?stream=1&stdin=1&detachKeys=no-such-key");
        let refused = engine.request_unchecked(&Request::new("POST", &path));
        assert!(refused.status() >= 400, "{}", refused.text());
        let start = Request::new("POST", &format!("/containers/{name}/start?detachKeys=ctrl-q"));
        engine.request_unchecked(&start).expect(304);
    }
}

// covers: cli docker attach --no-stdin
// covers: cli docker attach --sig-proxy
// covers: cli docker container attach --no-stdin
// covers: cli docker container attach --sig-proxy
// covers: cli docker run --sig-proxy
// covers: cli docker container run --sig-proxy
#[test]
fn signals_and_input_of_a_client_are_the_containers_or_not() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let script = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.1; done";
    let until = |log: &std::path::Path, word: &str| {
        eventually(DEADLINE, || {
            let text = fs::read_to_string(log).unwrap_or_default();
            if text.contains(word) { Ok(()) } else { Err(text) }
        });
    };
    for (number, prefix) in [&[][..], &["container"]].into_iter().enumerate() {
        for proxied in [true, false] {
            let name = format!("n{number}{proxied}");
            let flag = format!("--sig-proxy={proxied}");
            let log = engine.scratch().join(&format!("{name}.log"));
            let run: Vec<&str> = prefix.iter().copied().chain(["run"]).collect();
            let mut command =
                client(&engine, &run, &[&flag, "--net", "none", "--name", &name, &tag, "sh", "-c", script]);
            let mut child = command.stdout(fs::File::create(&log).unwrap()).spawn().unwrap();
            until(&log, "ready");
            signal(&child);
            let status = child.wait().unwrap();
            if proxied {
                assert_eq!(status.code(), Some(5));
                continue;
            }
            assert_eq!(inspect(&engine, &name)["State"]["Running"], true, "{status}");
            let attach: Vec<&str> = prefix.iter().copied().chain(["attach"]).collect();
            let log = engine.scratch().join(&format!("{name}.attached"));
            let mut command = client(&engine, &attach, &["--no-stdin", "--sig-proxy=true", &name]);
            let mut child = command.stdout(fs::File::create(&log).unwrap()).spawn().unwrap();
            // It is attached as soon as the signal arrives; before that it ends by it.
            eventually(DEADLINE, || {
                let attached = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
                let caught = attached.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap_or("0");
                let mask = u64::from_str_radix(caught, 16).unwrap_or_default();
                if mask & (1 << 14) != 0 { Ok(()) } else { Err(caught.to_owned()) }
            });
            signal(&child);
            until(&log, "got");
            assert_eq!(child.wait().unwrap().code(), Some(5));
        }
    }
}

fn signal(child: &std::process::Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a client that runs");
}

// refuses: cli docker create --cpu-rt-period because the kernel's real-time group scheduling is not offered
// refuses: cli docker create --cpu-rt-runtime because the kernel's real-time group scheduling is not offered
// refuses: cli docker container create --cpu-rt-period because the kernel's real-time group scheduling is not offered
// refuses: cli docker container create --cpu-rt-runtime because the kernel's real-time group scheduling is not offered
// refuses: cli docker run --cpu-rt-period because the kernel's real-time group scheduling is not offered
// refuses: cli docker run --cpu-rt-runtime because the kernel's real-time group scheduling is not offered
// refuses: cli docker container run --cpu-rt-period because the kernel's real-time group scheduling is not offered
// refuses: cli docker container run --cpu-rt-runtime because the kernel's real-time group scheduling is not offered
// refuses: cli docker update --cpu-rt-period because the kernel's real-time group scheduling is not offered
// refuses: cli docker update --cpu-rt-runtime because the kernel's real-time group scheduling is not offered
// refuses: cli docker container update --cpu-rt-period because the kernel's real-time group scheduling is not offered
// refuses: cli docker container update --cpu-rt-runtime because the kernel's real-time group scheduling is not offered
// refuses: cli docker create --memory-swappiness because cgroup v2 has none: give the container the memory that it needs
// refuses: cli docker container create --memory-swappiness because cgroup v2 has none: give the container the memory that it needs
// refuses: cli docker run --memory-swappiness because cgroup v2 has none: give the container the memory that it needs
// refuses: cli docker container run --memory-swappiness because cgroup v2 has none: give the container the memory that it needs
// refuses: cli docker create --oom-kill-disable because cgroup v2 has none: give the container the memory that it needs
// refuses: cli docker container create --oom-kill-disable because cgroup v2 has none: give the container the memory that it needs
// refuses: cli docker run --oom-kill-disable because cgroup v2 has none: give the container the memory that it needs
// refuses: cli docker container run --oom-kill-disable because cgroup v2 has none: give the container the memory that it needs
// refuses: cli docker create --disable-content-trust because Docker Content Trust was removed from Docker; its default, true, is taken
// refuses: cli docker container create --disable-content-trust because Docker Content Trust was removed from Docker; its default, true, is taken
// refuses: cli docker run --disable-content-trust because Docker Content Trust was removed from Docker; its default, true, is taken
// refuses: cli docker container run --disable-content-trust because Docker Content Trust was removed from Docker; its default, true, is taken
// refuses: api POST /containers/{id}/start ?checkpoint because checkpoints need CRIU, which is experimental in Docker
// refuses: api POST /containers/{id}/start ?checkpoint-dir because checkpoints need CRIU, which is experimental in Docker
// covers: cli docker create --help
// covers: cli docker container create --help
// covers: cli docker run --help
// covers: cli docker container run --help
#[test]
fn what_is_not_done_is_refused_by_name() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    for verb in CREATE {
        for (flag, word) in [
            (&["--cpu-rt-period", "1000"][..], "CpuRealtimePeriod"),
            (&["--cpu-rt-runtime", "1000"], "CpuRealtimeRuntime"),
            (&["--memory-swappiness", "5"], "MemorySwappiness"),
            (&["--oom-kill-disable"], "OomKillDisable"),
            (&["--disable-content-trust=false"], "Content Trust"),
        ] {
            let refused = call(&engine, verb, &[flag, &["--net", "none", &tag, "true"]].concat());
            assert!(refused.code == 125 || refused.code == 1, "{refused:?}");
            assert!(refused.stderr.contains(word), "{word}: {refused:?}");
        }
        let help = call(&engine, verb, &["--help"]).ok();
        assert!(help.contains("Usage:") && help.contains("--cidfile"), "{help}");
    }
    engine.ketch(["create", "--name", "one", "--net", "none", &tag, "true"]).ok();
    for verb in [&["update"][..], &["container", "update"]] {
        for (flag, word) in
            [("--cpu-rt-period", "CpuRealtimePeriod"), ("--cpu-rt-runtime", "CpuRealtimeRuntime")]
        {
            let refused = call(&engine, verb, &[flag, "1000", "one"]).assert_code(1);
            assert!(refused.stderr.contains(word), "{refused:?}");
        }
    }
    for query in ["checkpoint=x", "checkpoint-dir=/x"] {
        let start = Request::new("POST", &format!("/containers/one/start?{query}"));
        let refused = engine.request_unchecked(&start);
        assert!(
            refused.status() >= 400 && refused.message().contains("checkpoint"),
            "{query}: {}",
            refused.text()
        );
    }
    assert_eq!(inspect(&engine, "one")["State"]["Status"], "created");
}

// covers: api GET /containers/{id}/logs ?stdout
// covers: api GET /containers/{id}/logs ?stderr
// covers: api GET /containers/{id}/logs ?since
// covers: api GET /containers/{id}/logs ?until
// covers: cli docker container logs --since
// covers: cli docker container logs --tail
// covers: cli docker container logs --until
// covers: api POST /containers/{id}/resize
// covers: api POST /containers/{id}/resize ?h
// covers: api POST /containers/{id}/resize ?w
#[test]
fn parts_of_a_log_and_a_terminal_s_size() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    let script = "echo one; echo err >&2; sleep 1.1; echo two";
    engine.ketch(["run", "--net", "none", "--name", "said", &tag, "sh", "-c", script]).assert_code(0);
    let logs = |query: &str| {
        let request = Request::new("GET", &format!("/containers/said/logs?timestamps=1&{query}"));
        engine.request_unchecked(&request).expect(200).text()
    };
    let all = logs("stdout=1&stderr=1");
    let line = all.lines().find(|line| line.ends_with("two")).unwrap();
    let time = &line[line.find("20").unwrap()..line.find('Z').unwrap() + 1];
    // What a route takes is a number; the command line makes it from a date.
    let seconds = run(Command::new("date").args(["--date", time, "+%s.%N"])).ok();
    let has = |text: &str| ["one", "err", "two"].map(|word| text.contains(word));
    assert_eq!(has(&logs("stdout=1")), [true, false, true]);
    assert_eq!(has(&logs("stderr=1")), [false, true, false]);
    assert_eq!(has(&logs(&format!("stdout=1&stderr=1&since={seconds}"))), [false, false, true]);
    assert_eq!(has(&logs(&format!("stdout=1&stderr=1&until={seconds}"))), [true, true, true]);
    assert_eq!(has(&logs("stdout=1&stderr=1&until=1000000000")), [false, false, false]);
    // bollard always names both times.
    assert_eq!(has(&logs("stdout=1&stderr=1&since=0&until=0")), [true, true, true]);
    let cli = |more: &[&str]| {
        let said = call(&engine, &["container", "logs"], &[more, &["said"]].concat());
        has(&format!("{}{}", said.stdout, said.stderr))
    };
    assert_eq!(cli(&["--since", time]), [false, false, true]);
    assert_eq!(cli(&["--until", "2001-01-01T00:00:00Z"]), [false, false, false]);
    assert_eq!(cli(&["--tail", "1"]), [false, false, true]);

    engine.ketch(["run", "-dit", "--net", "none", "--name", "term", &tag, "sh"]).ok();
    let resize = |query: &str| {
        engine.request_unchecked(&Request::new("POST", &format!("/containers/term/resize?{query}")))
    };
    resize("h=13&w=77").expect(200);
    assert_eq!(engine.ketch(["exec", "term", "sh", "-c", "stty size < /proc/1/fd/0"]).ok(), "13 77");
    assert!(resize("h=x&w=77").status() >= 400);
}
