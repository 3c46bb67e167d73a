//! Flags that have no story of their own: by our client and by docker's, and both do the same.

use std::io::{BufRead, BufReader, Read as _};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use testkit::Engine;
use testkit::command::{self, Output};

use super::Project;

const CLIENTS: [&str; 2] = ["ours", "docker's"];

impl Project<'_> {
    #[track_caller]
    fn with(&self, client: &str, arguments: &[&str]) -> Output {
        let mut command = if client == "ours" { self.command() } else { self.real_command() };
        command::run(command.args(arguments))
    }

    /// What each service's container is doing.
    fn states(&self) -> String {
        let listed = self.compose(["ps", "--all", "--format", "{{.Service}} {{.State}}"]).ok();
        let mut lines: Vec<_> = listed.lines().collect();
        lines.sort_unstable();
        lines.join(", ")
    }
}

/// What was written by containers, without what the client says itself.
fn written(output: &str) -> Vec<String> {
    let lines = output.lines().filter_map(|line| line.split_once('|'));
    lines.map(|(name, text)| format!("{}:{text}", name.trim())).collect()
}

const FILE: &str = "
services:
  job:
    image: IMAGE
    command: sh -c 'echo from job; until test -e /data/go; do :; done; exit 3'
    volumes: [\"data:/data\"]
    depends_on: [under]
  under: {image: IMAGE, init: true, command: sh -c 'echo from under; touch /data/go; sleep 1000', volumes: [\"data:/data\"]}
  beside: {image: IMAGE, init: true, command: sh -c 'echo from beside; sleep 1000'}
volumes: {data: {}}
";

#[test]
fn what_is_shown_is_chosen_and_what_ends_ends_with_all() {
    let engine = Engine::isolated();
    for client in CLIENTS {
        let project = Project::new(&engine, "shown", FILE);
        let ended = "beside exited, job exited, under exited";
        for (arguments, shown, states) in [
            (
                &["--abort-on-container-failure"][..],
                &["beside-1: from beside", "job-1: from job", "under-1: from under"][..],
                ended,
            ),
            (
                &["--abort-on-container-failure", "--no-attach", "beside"],
                &["job-1: from job", "under-1: from under"],
                ended,
            ),
            (&["--abort-on-container-exit", "--attach", "job"], &["job-1: from job"], ended),
            // What isn't named may be somebody else's.
            (&["--abort-on-container-exit", "job"], &["job-1: from job"], "job exited, under running"),
            (
                &["--abort-on-container-exit", "--attach-dependencies", "job"],
                &["job-1: from job", "under-1: from under"],
                "job exited, under running",
            ),
        ] {
            project.compose(["down", "--volumes", "--timeout", "0"]).ok();
            let up = project.with(client, &[&["up", "--timeout", "0"], arguments].concat());
            assert_eq!(up.code, 3, "{client} {arguments:?}: {}", up.stderr);
            // The others may be stopped before they have written anything.
            let written = written(&up.stdout);
            assert!(
                written.iter().all(|line| shown.contains(&line.as_str())),
                "{client} {arguments:?}: {written:?}"
            );
            assert!(written.contains(&"job-1: from job".to_owned()), "{client} {arguments:?}: {written:?}");
            assert!(up.stderr.contains("Aborting on container exit..."), "{client}: {}", up.stderr);
            assert_eq!(project.states(), states, "{client} {arguments:?}");
        }
    }
}

#[test]
fn what_is_made_is_started_or_waited_for() {
    let engine = Engine::isolated();
    for client in CLIENTS {
        let file = "
services:
  a: {image: IMAGE, init: true, command: sleep 1000, depends_on: [b]}
  b: {image: IMAGE, init: true, command: sleep 1000}
  fails: {image: IMAGE, command: sh -c 'exit 4'}
";
        let project = Project::new(&engine, "waited", file);
        project.with(client, &["up", "--no-start"]).assert_code(0);
        assert_eq!(project.states(), "a created, b created, fails created", "{client}");
        project.with(client, &["up", "--wait", "--wait-timeout", "60", "a"]).assert_code(0);
        assert_eq!(project.states(), "a running, b running, fails created", "{client}");
        let refused =
            project.with(client, &["up", "--wait", "--wait-timeout", "60", "fails"]).assert_code(1).stderr;
        assert!(refused.contains("exited (4)"), "{client}: {refused}");
        let ids = || ["a", "b"].map(|service| project.id(service));
        let before = ids();
        project.with(client, &["up", "-d", "--always-recreate-deps", "a"]).assert_code(0);
        assert!(ids()[1] != before[1], "{client}: what a depends on is made anew");
        let made = ids();
        project.with(client, &["up", "-d", "--force-recreate", "a"]).assert_code(0);
        assert!(ids()[0] != made[0] && ids()[1] == made[1], "{client}: a alone is made anew");
        project.with(client, &["stop", "--timeout", "0", "b"]).assert_code(0);
        project.with(client, &["wait", "--down-project", "fails"]);
        project.with(client, &["down", "--timeout", "0"]).assert_code(0);
        assert_eq!(project.states(), "");
    }
}

#[test]
fn lists_are_those_of_docker_s_client() {
    let engine = Engine::isolated();
    let file = "
services:
  a: {image: \"${WHICH:-IMAGE}\", init: true, command: sleep 1000, environment: {X: \"${NEEDED:?}\", Y: \"${ELSE:+other}\"}}
  gone: {image: IMAGE, init: true, command: sleep 1000}
volumes: {data: {}}
";
    let project = Project::new(&engine, "lists", file);
    project.write(".env", "NEEDED=yes\n");
    project.compose(["--all-resources", "up", "-d"]).ok();
    project.write(
        "compose.yaml",
        &file
            .lines()
            .filter(|line| !line.contains("gone"))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    for arguments in [
        &["config", "--variables"][..],
        &["images", "--quiet"],
        &["volumes"],
        &["ps", "--services"],
        &["top"],
        &["ls", "--quiet", "--filter", &format!("name={}", project.name)],
        &["ls", "--filter", &format!("name={}", project.name)],
    ] {
        let lines = |output: Output| {
            let mut lines: Vec<_> = output.stdout.lines().map(|line| line.trim_end().to_owned()).collect();
            lines.sort_unstable();
            (output.code, lines)
        };
        assert_eq!(
            lines(project.with("ours", arguments)),
            lines(project.with("docker's", arguments)),
            "{arguments:?}"
        );
    }
    // As a document, the same of the same names; how long ago it was made is another time each time.
    let document = |client: &str| {
        let text = project.with(client, &["ps", "--all", "--no-trunc", "--format", "json", "a"]).ok();
        let mut row: serde_json::Value = serde_json::from_str(&text).expect("a document");
        for key in ["Labels", "RunningFor", "Status"] {
            assert!(row[key].take().is_string(), "{client}: {key}: {text}");
        }
        row
    };
    assert_eq!(document("ours"), document("docker's"));
    // Docker's client reads no file where it is given a name, and knows of no orphans then.
    assert_eq!(project.compose(["ps", "--services", "--orphans=false"]).ok(), "a");
    // How long ago an image came is another time each time.
    let head = |client: &str| project.with(client, &["images"]).stdout.lines().next().map(str::to_owned);
    assert_eq!(head("ours"), head("docker's"));
    project.compose(["down", "--volumes", "--remove-orphans", "--timeout", "0"]).ok();
}

#[test]
fn a_single_command_takes_what_it_is_told_to() {
    let engine = Engine::isolated();
    let file = "
services:
  a:
    image: IMAGE
    init: true
    command: sleep 1000
    ports: [\"127.0.0.1::80\"]
    networks: {default: {aliases: [known]}}
  asks: {image: IMAGE, init: true, command: sleep 1000}
";
    for client in CLIENTS {
        let project = Project::new(&engine, "single", file);
        project.write("e.env", "X=from the file\n");
        let run = |arguments: &[&str]| project.with(client, &[&["run", "--rm", "-T"], arguments].concat());
        let said = run(&["--env-from-file", "e.env", "asks", "sh", "-c", "echo $X"]).ok();
        assert_eq!(said, "from the file", "{client}");
        let name = format!("{}-one", project.name);
        let detached = ["run", "-d", "--name", &name, "--use-aliases", "--service-ports", "a"];
        let id = project.with(client, &detached).ok();
        let one = super::inspect(&engine, &name);
        assert_eq!(one["Id"], id, "{client}");
        assert!(one["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"].is_string(), "{client}: {one}");
        let mut networks = one["NetworkSettings"]["Networks"].as_object().unwrap().values();
        assert!(networks.any(|network| network["Aliases"].to_string().contains("known")), "{client}: {one}");
        engine.docker(["rm", "-f", &format!("{}-one", project.name)]).ok();
        stopped_services_run_nothing(&project, client);
        project.with(client, &["up", "-d", "asks"]).assert_code(0);
        project.write("owned", "text\n");
        std::os::unix::fs::chown(project.folder.join("owned"), Some(1234), Some(2345)).unwrap();
        std::os::unix::fs::symlink("owned", project.folder.join("link")).ok();
        project.with(client, &["cp", "--archive", "./owned", "asks:/owned"]).assert_code(0);
        assert_eq!(project.sh("asks", "stat -c '%u %g' /owned"), "1234 2345", "{client}");
        project.with(client, &["cp", "--follow-link", "./link", "asks:/followed"]).assert_code(0);
        assert_eq!(project.sh("asks", "test -h /followed || cat /followed"), "text", "{client}");
        project.with(client, &["down", "--timeout", "0"]).assert_code(0);
    }
}

/// What has ended runs no commands and publishes no ports; and what `run` made isn't what `rm` is about.
#[track_caller]
fn stopped_services_run_nothing(project: &Project<'_>, client: &str) {
    let name = format!("{}-kept", project.name);
    project.with(client, &["run", "-T", "--name", &name, "asks", "true"]).assert_code(0);
    project.with(client, &["create", "a"]).assert_code(0);
    for arguments in [&["exec", "-T", "a", "true"][..], &["port", "a", "80"], &["attach", "a"]] {
        let refused = project.with(client, arguments).assert_code(1).stderr;
        assert!(refused.contains("service \"a\" is not running"), "{client} {arguments:?}: {refused}");
    }
    let gone = project.with(client, &["rm", "--force"]).ok();
    assert_eq!(gone, format!("Going to remove {}", project.container("a")), "{client}");
    project.engine.docker(["rm", &name]).ok();
}

/// Reads until a line has this in it.
fn until(stream: &mut impl BufRead, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(stream.read_line(&mut line).expect("a line") > 0, "{text:?} was never said");
    }
}

#[test]
fn logs_are_followed_over_restarts_and_to_those_that_come() {
    let engine = Engine::isolated();
    let file = "
services:
  a: {image: IMAGE, init: true, command: sh -c 'echo here; sleep 1000'}
  b: {image: IMAGE, init: true, command: sh -c 'echo here; sleep 1000'}
";
    let project = Project::new(&engine, "followed", file);
    project.compose(["up", "-d", "a"]).ok();
    let mut logs = project.command();
    let mut logs = logs.args(["logs", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(logs.stdout.take().unwrap());
    until(&mut output, "a-1  | here");
    for (arguments, line) in [
        (&["restart", "--timeout", "0", "a"][..], "a-1  | here"),
        (&["up", "-d", "b"], "b-1  | here"),
        (&["up", "-d", "--force-recreate", "--timeout", "0", "a"], "a-1  | here"),
    ] {
        project.with("ours", arguments).assert_code(0);
        until(&mut output, line);
    }
    project.compose(["down", "--timeout", "0"]).ok();
    assert!(logs.wait().unwrap().success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("| here"), "once each: {rest}");
}

/// What ends only to run again goes on: restarted by hand or by its policy, it is never as if it had not run yet.
#[test]
fn an_up_goes_on_over_a_restart_of_all_and_ends_with_what_ends() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, init: true, command: sh -c 'echo here; sleep 1000'}}\n";
    let project = Project::new(&engine, "goes-on", file);
    let mut up = project.command();
    let mut up = up.arg("up").stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(up.stdout.take().unwrap());
    until(&mut output, "a-1  | here");
    for _ in 0..5 {
        project.compose(["restart", "--timeout", "0"]).ok();
        until(&mut output, "(restarting)");
        until(&mut output, "a-1  | here");
    }
    project.compose(["stop", "--timeout", "0"]).ok();
    assert!(up.wait().unwrap().success());
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("exited with code") && !rest.contains("(restarting)"), "{rest}");
}

#[test]
fn what_is_held_or_runs_already_is_told_by_the_second_pause_and_unpause() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, init: true, command: sleep 1000}}\n";
    let project = Project::new(&engine, "held", file);
    project.compose(["up", "-d"]).ok();
    for client in CLIENTS {
        project.with(client, &["pause"]).assert_code(0);
        let told = project.with(client, &["pause"]).assert_code(1).stderr;
        assert!(told.contains("is already paused"), "{client}: {told}");
        project.with(client, &["unpause"]).assert_code(0);
        let told = project.with(client, &["unpause"]).assert_code(1).stderr;
        assert!(told.contains("is not paused"), "{client}: {told}");
    }
}

#[test]
fn published_ports_are_printed_as_docker_s_client_prints_them() {
    let engine = Engine::isolated();
    let file = "services: {a: {image: IMAGE, init: true, command: sleep 1000, ports: [\"127.0.0.1::80\", \"127.0.0.1::81/udp\"]}, b: {image: IMAGE, init: true, command: sleep 1000}}\n";
    let project = Project::new(&engine, "publishers", file);
    project.compose(["up", "-d"]).ok();
    for format in [
        "{{.Service}} {{.Publishers}}",
        "{{json .Publishers}}",
        "{{range .Publishers}}{{.TargetPort}} {{end}}",
    ] {
        let [ours, docker] = CLIENTS.map(|client| project.with(client, &["ps", "--format", format]).ok());
        assert_eq!(ours, docker, "{format}");
    }
}

/// Once to stop, twice to kill; and what was not named goes on.
#[test]
fn an_unknown_flag_ends_as_with_docker_s_client() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "unknown", "services: {a: {image: IMAGE}}\n");
    for client in CLIENTS {
        for words in [&["up", "--bad"][..], &["--bad", "up"]] {
            let told = project.with(client, words).assert_code(1).stderr;
            assert!(told.starts_with("unknown flag: --bad"), "{client}: {told}");
        }
    }
}

#[test]
fn an_up_that_is_interrupted_stops_what_was_named_and_kills_it_the_second_time() {
    let engine = Engine::isolated();
    let file = "
services:
  stays: {image: IMAGE, init: true, command: sleep 1000}
  ends:
    image: IMAGE
    init: true
    command: sh -c 'trap \"echo bye; exit\" TERM; echo ready; sleep 1000 & wait'
    depends_on: [stays]
  stubborn:
    image: IMAGE
    command: sh -c 'trap \"\" TERM; echo ready; while true; do sleep 1; done'
    depends_on: [stays]
    stop_grace_period: 1h
";
    let project = Project::new(&engine, "keys", file);
    for (service, times, states) in [
        ("ends", 1, "ends exited, stays running"),
        ("stubborn", 2, "ends exited, stays running, stubborn exited"),
    ] {
        let mut up = project.command();
        let mut up = up.args(["up", service]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(up.stdout.take().unwrap());
        let mut errors = BufReader::new(up.stderr.take().unwrap());
        until(&mut output, "| ready");
        for turn in 0..times {
            kill_process(Pid::from_child(&up), Signal::INT).unwrap();
            if turn == 0 {
                until(&mut errors, "Gracefully Stopping");
            }
        }
        let (mut rest, mut last) = (String::new(), String::new());
        errors.read_to_string(&mut rest).unwrap();
        output.read_to_string(&mut last).unwrap();
        assert_eq!(last.contains("ends-1  | bye"), service == "ends", "{last}");
        assert_eq!(up.wait().unwrap().code(), Some(130), "{rest}");
        assert_eq!(project.states(), states, "{rest}");
    }
}
