//! An engine that is killed again and again while containers write, end and are started: nothing that was acknowledged is lost.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::command::run;
use testkit::http::{self, Request};
use testkit::{DEADLINE, Engine, Faults, eventually};

use crate::life::{inspected, runs, state};

/// Long enough to come into every step of a start and a short life, short enough to come before their end.
const LONGEST: Duration = Duration::from_millis(60);

fn log(engine: &Engine, name: &str) -> Vec<String> {
    engine.ketch(["logs", name]).ok().lines().map(str::to_owned).collect()
}

/// Numbers from one on, without a hole and without one twice.
fn assert_whole(engine: &Engine, name: &str) -> usize {
    let lines = log(engine, name);
    for (place, line) in lines.iter().enumerate() {
        assert_eq!(line, &(place + 1).to_string(), "{name}: line {place} of {}", lines.len());
    }
    lines.len()
}

/// How far a client came before its engine was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acknowledged {
    Nothing,
    Created,
    Started,
}

/// Makes and starts a container, whatever befalls the engine meanwhile.
fn create_and_start(socket: &std::path::Path, name: &str, config: &Value) -> Acknowledged {
    let ask = |request: &Request| http::call(socket, request).map(|reply| reply.status());
    let create = Request::new("POST", &format!("/containers/create?name={name}")).json(config);
    if !matches!(ask(&create), Ok(201)) {
        return Acknowledged::Nothing;
    }
    match ask(&Request::new("POST", &format!("/containers/{name}/start")).json(&Value::Null)) {
        Ok(204) => Acknowledged::Started,
        _ => Acknowledged::Created,
    }
}

/// `kill -9` of the engine while a container is made, started and ends, others write all the time, and one ends and is
/// started again all the time.
#[test]
fn no_kill_of_the_engine_loses_a_line_or_an_exit_code() {
    let mut engine = Engine::ours();
    let mut faults = Faults::of(500);
    let tag = engine.busybox();
    let writes = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.01; done";
    let writers = ["w1", "w2"].map(|name| runs(&engine, name, writes, &json!({})));
    let again =
        runs(&engine, "again", "echo once; sleep 0.2; exit 7", &json!({"RestartPolicy": {"Name": "always"}}));
    for round in 0..faults.count {
        let name = engine.name(&format!("r{round}"));
        let code = round % 200 + 1;
        let script = format!("echo a; echo b >&2; sleep 0.0{}; echo c; exit {code}", round % 5);
        let config =
            json!({"Image": tag, "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none"}});
        let socket = engine.socket().to_owned();
        let far = thread::scope(|scope| {
            let client = scope.spawn(|| create_and_start(&socket, &name, &config));
            // Every second time it is its end that the kill comes into.
            while round % 2 == 1 && !client.is_finished() {
                thread::yield_now();
            }
            faults.moment(LONGEST);
            engine.crash_and_restart();
            client.join().expect("a client")
        });
        assert!(round % 2 == 0 || far == Acknowledged::Started, "round {round}: {far:?}");
        if far == Acknowledged::Nothing {
            continue;
        }
        // Made, it is there. Started, it has run: to its own end, with its own code and every line.
        let end = eventually(DEADLINE, || match state(&engine, &name) {
            end if far == Acknowledged::Created && end["Status"] == "created" => Ok(end),
            end if end["Status"] == "exited" => Ok(end),
            end => Err(format!("{far:?}: {end}")),
        });
        let ran = end["Error"] == "" && end["Status"] == "exited";
        assert!(ran || far == Acknowledged::Created, "round {round}: {end}");
        if ran {
            assert_eq!(end["ExitCode"], code, "round {round}: {end}");
            let mut lines = log(&engine, &name);
            lines.extend(engine.ketch(["logs", &name]).stderr.lines().map(str::to_owned));
            lines.sort_unstable();
            assert_eq!(lines, ["a", "b", "c"], "round {round}");
        }
        let removed = Request::new("DELETE", &format!("/containers/{name}"));
        engine.request_unchecked(&removed).expect(204);
    }
    for name in &writers {
        assert!(assert_whole(&engine, name) > 5, "{name} wrote nothing");
    }
    // Each start of it has its line.
    let restarts = || inspected(&engine, &again)["RestartCount"].as_u64().unwrap_or_default();
    let (before, lines, after) = (restarts(), log(&engine, &again).len() as u64, restarts());
    assert!((before..=after + 1).contains(&lines), "{lines} lines of {before} to {after} restarts");
    assert_eq!(inspected(&engine, &again)["HostConfig"]["RestartPolicy"]["Name"], "always");
}

/// What was being removed goes with the next engine, and what wasn't can be removed there.
#[test]
fn no_kill_of_the_engine_leaves_a_removal_half_done() {
    let mut engine = Engine::ours();
    let mut faults = Faults::of(100);
    let tag = engine.busybox();
    let names: Vec<String> = (0..24).map(|number| engine.name(&format!("gone{number}"))).collect();
    for round in 0..faults.count {
        for name in &names {
            engine.ketch(["create", "--network", "none", "--name", name, &tag, "true"]).ok();
        }
        let mut command = engine.ketch_command();
        command.args(["rm", "-f"]).args(&names).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        faults.moment(LONGEST);
        engine.crash_and_restart();
        child.wait().unwrap();
        let ketch = |words: &[&str]| run(engine.ketch_command().args(words)).ok();
        let listed = |more: &[&str]| ketch(&[&["ps", "--all", "--quiet"], more].concat());
        eventually(DEADLINE, || match listed(&["--filter", "status=removing"]) {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        });
        let left = listed(&[]);
        if !left.is_empty() {
            ketch(&["rm"].into_iter().chain(left.lines()).collect::<Vec<_>>());
        }
        assert_eq!(listed(&[]), "", "round {round}");
    }
}
