//! Containers' ends, many of them at once, and what they write.

use std::cell::OnceCell;
use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::http::{self, Request};
use testkit::{Engine, images};

use crate::case::{Against, Case, Owed, RUN};
use crate::processes::resident;
use crate::stage::{Bench, TAG, timed};
use crate::stats::milliseconds;

/// What is in each engine while something else is measured.
const RUNNING: usize = 300;
const AT_ONCE: usize = 100;
const SLEEP: &[&str] = &["run", "-d", "--network", "none", "--name", NAME, TAG, "sleep", "100000"];
const NAME: &str = "ketch-bench-one";
const WRITER: &str = "ketch-bench-writer";
/// The container writes so many bytes of lines.
const WRITTEN: &str = "yes 'a line that a program would write to its log, of eighty characters with its end' | head -c 268435456";

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "stop",
        what: "`stop` of a container that sleeps",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(10.0)],
        against: Against::Docker,
        ours: |bench| ended(bench, Bench::ketch, &["stop", NAME]),
        theirs: Some(|bench| ended(bench, Bench::docker, &["stop", NAME])),
    },
    Case {
        name: "rm",
        what: "`rm -f` of a container that sleeps",
        unit: "ms",
        rounds: 10,
        owed: &[Owed::Part(10.0)],
        against: Against::Docker,
        ours: |bench| ended(bench, Bench::ketch, &["rm", "-f", NAME]),
        theirs: Some(|bench| ended(bench, Bench::docker, &["rm", "-f", NAME])),
    },
    Case {
        name: "parallel",
        what: "a hundred containers started at once",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(10.0)],
        against: Against::Docker,
        ours: |bench| at_once(bench.socket()),
        theirs: Some(|bench| at_once(&bench.peer_socket())),
    },
    Case {
        name: "recover",
        what: "an engine killed and back, a hundred containers running",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Below(100.0)],
        against: Against::Docker,
        ours: |_| recovered(),
        theirs: None,
    },
    Case {
        name: "log-written",
        what: "a container writes 256 MB of lines to its log",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(3.0)],
        against: Against::Docker,
        ours: |bench| written(bench, Bench::ketch),
        theirs: Some(|bench| written(bench, Bench::docker)),
    },
    Case {
        name: "log-read",
        what: "`logs` of them",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(3.0)],
        against: Against::Docker,
        ours: |bench| read(bench, Bench::ketch),
        theirs: Some(|bench| read(bench, Bench::docker)),
    },
    Case {
        name: "run-alone",
        what: "`run --rm --network none busybox true`, nothing else running",
        unit: "ms",
        rounds: 100,
        owed: &[],
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(RUN)),
        theirs: None,
    },
    Case {
        name: "run-among",
        what: "the same, 300 others running",
        unit: "ms",
        rounds: 100,
        owed: &[Owed::Times(1.2, "run-alone")],
        against: Against::Docker,
        ours: |bench| {
            bench.sleepers.made(bench)?;
            timed(&mut bench.ketch(RUN))
        },
        theirs: None,
    },
    Case {
        name: "engine-each",
        what: "the engine's memory for each of them",
        unit: "kB",
        rounds: 1,
        owed: &[Owed::Below(30.0)],
        against: Against::Docker,
        ours: |bench| Ok(bench.sleepers.made(bench)?.engine * 1024.0 / RUNNING as f64),
        theirs: None,
    },
    Case {
        name: "shim",
        what: "a shim's own memory and its part of what is shared",
        unit: "kB",
        rounds: 1,
        owed: &[Owed::Below(1500.0)],
        against: Against::Docker,
        ours: |bench| Ok(bench.sleepers.made(bench)?.shim),
        theirs: None,
    },
];

/// Three hundred containers that sleep, in our engine.
#[derive(Default)]
pub(crate) struct Sleepers(OnceCell<Measured>);

#[derive(Debug, Clone, Copy)]
struct Measured {
    /// What the engine's memory has grown by, in MB.
    engine: f64,
    /// In kB.
    shim: f64,
}

impl Sleepers {
    fn made(&self, bench: &Bench) -> anyhow::Result<Measured> {
        if let Some(measured) = self.0.get() {
            return Ok(*measured);
        }
        let engine = bench.engine_pid()?;
        let before = resident(engine)?;
        let ids = (0..RUNNING).map(|_| create(bench.socket())).collect::<anyhow::Result<Vec<_>>>()?;
        // One after the other: three hundred at once leave the memory of as many threads behind.
        for id in &ids {
            call(bench.socket(), "POST", &format!("/containers/{id}/start"), None)?;
        }
        let about = call(bench.socket(), "GET", &format!("/containers/{}/json", ids[0]), None)?;
        let pid = about["State"]["Pid"].as_u64().context("no process")?;
        let measured = Measured { engine: resident(engine)? - before, shim: proportional(parent(pid)?)? };
        Ok(*self.0.get_or_init(|| measured))
    }
}

fn parent(pid: u64) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).context("no parent")?;
    Ok(line.trim().parse()?)
}

fn proportional(pid: u64) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no sum")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

type Client = fn(&Bench, &[&str]) -> Command;

/// Ends a container that was made for it.
fn ended(bench: &Bench, client: Client, end: &[&str]) -> anyhow::Result<f64> {
    timed(&mut client(bench, SLEEP))?;
    let took = timed(&mut client(bench, end));
    // Gone already, mostly.
    let _ = timed(&mut client(bench, &["rm", "-f", NAME]));
    took
}

fn written(bench: &Bench, client: Client) -> anyhow::Result<f64> {
    let _ = timed(&mut client(bench, &["rm", "-f", WRITER]));
    let run = [
        "run",
        "-d",
        "--network",
        "none",
        "--log-opt",
        "max-size=4g",
        "--name",
        WRITER,
        TAG,
        "sh",
        "-c",
        WRITTEN,
    ];
    let begun = Instant::now();
    timed(&mut client(bench, &run))?;
    timed(&mut client(bench, &["wait", WRITER]))?;
    Ok(milliseconds(begun.elapsed()))
}

/// Of the container that `written` left, or of one that it makes.
fn read(bench: &Bench, client: Client) -> anyhow::Result<f64> {
    if timed(&mut client(bench, &["inspect", WRITER])).is_err() {
        written(bench, client)?;
    }
    timed(&mut client(bench, &["logs", WRITER]))
}

/// Made one after the other and not measured; started by a hundred clients.
fn at_once(socket: &std::path::Path) -> anyhow::Result<f64> {
    let ids = (0..AT_ONCE).map(|_| create(socket)).collect::<anyhow::Result<Vec<_>>>()?;
    let took = start_all(socket, &ids);
    for id in &ids {
        call(socket, "DELETE", &format!("/containers/{id}?force=1"), None)?;
    }
    took
}

/// From the kill until the next engine answers: it does so when each container is as its shim says.
fn recovered() -> anyhow::Result<f64> {
    let mut engine = Engine::ours();
    let archive = images::busybox(TAG)?;
    let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
    let reply = http::call(engine.socket(), &load.body(archive))?;
    ensure!(reply.status() == 200, "{}", reply.text());
    let ids = (0..AT_ONCE).map(|_| create(engine.socket())).collect::<anyhow::Result<Vec<_>>>()?;
    start_all(engine.socket(), &ids)?;
    let begun = Instant::now();
    engine.crash_and_restart();
    let took = milliseconds(begun.elapsed());
    let running = call(engine.socket(), "GET", "/containers/json", None)?;
    ensure!(running.as_array().is_some_and(|list| list.len() == AT_ONCE), "not all of them run");
    Ok(took)
}

fn start_all(socket: &std::path::Path, ids: &[String]) -> anyhow::Result<f64> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let starts = ids.iter().map(|id| {
            scope.spawn(move || call(socket, "POST", &format!("/containers/{id}/start"), None).map(drop))
        });
        let starts: Vec<_> = starts.collect();
        starts
            .into_iter()
            .try_for_each(|start| start.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a start crashed"))))
    })?;
    Ok(milliseconds(begun.elapsed()))
}

fn create(socket: &std::path::Path) -> anyhow::Result<String> {
    let body = json!({"Image": TAG, "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "none"}});
    let made = call(socket, "POST", "/containers/create", Some(&body))?;
    Ok(made["Id"].as_str().context("no id")?.to_owned())
}

fn call(socket: &std::path::Path, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let request = Request::new(method, path);
    let request = body.into_iter().fold(request, |request, body| request.json(body));
    let reply = http::call(socket, &request)?;
    ensure!(reply.status() < 300, "{method} {path}: {} {}", reply.status(), reply.text());
    if reply.text().is_empty() { Ok(Value::Null) } else { Ok(reply.json()) }
}
