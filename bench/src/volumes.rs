//! Volumes: filled for the first time, listed, pruned, read and written.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use testkit::http::{self, Request};
use testkit::images::{self, Layer};

use crate::case::{Against, Case, Owed};
use crate::stage::{Bench, TAG, timed};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "volume-fill",
        what: "first `run` with a volume, 20,000 files to copy",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(2.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Step::Fill),
        theirs: Some(|bench| sample(bench, Bench::docker, Step::Fill)),
    },
    Case {
        name: "volume-ls",
        what: "`volume ls`, a thousand of them",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Below(15.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Step::List),
        theirs: Some(|bench| sample(bench, Bench::docker, Step::List)),
    },
    Case {
        name: "volume-prune",
        what: "`volume prune` of a thousand",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(5.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Step::Prune),
        theirs: Some(|bench| sample(bench, Bench::docker, Step::Prune)),
    },
    Case {
        name: "volume-write",
        what: "512 MB written to a volume and synced",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Step::Write),
        theirs: Some(|bench| sample(bench, Bench::docker, Step::Write)),
    },
    Case {
        name: "volume-read",
        what: "512 MB read from a volume",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Step::Read),
        theirs: Some(|bench| sample(bench, Bench::docker, Step::Read)),
    },
];

/// Whose command, as a case has it.
type Client = fn(&Bench, &[&str]) -> Command;

/// An image with so many files in one folder.
pub(crate) const MANY: &str = "ketch-bench-many:1";
const FILES: usize = 20_000;
const VOLUMES: usize = 1_000;
/// What is read and written, in mebibytes.
const SIZE: usize = 512;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The first use of a volume, with 20,000 files to be copied.
    Fill,
    List,
    Prune,
    Read,
    Write,
}

pub(crate) fn sample(bench: &Bench, client: Client, step: Step) -> anyhow::Result<f64> {
    match step {
        Step::Fill => fill(bench, client),
        Step::List | Step::Prune => thousand(bench, client, step),
        Step::Read | Step::Write => speed(bench, client, step),
    }
}

fn quiet(command: &mut Command) -> anyhow::Result<()> {
    timed(command).map(drop)
}

fn fill(bench: &Bench, client: Client) -> anyhow::Result<f64> {
    let run = |command: &[&str]| timed(&mut client(bench, command));
    if run(&["image", "inspect", MANY]).is_err() {
        load(&socket(&client(bench, &[])))?;
    }
    let took = run(&["run", "--rm", "--network", "none", "-v", "ketch-bench-fill:/many", MANY, "true"]);
    run(&["volume", "rm", "--force", "ketch-bench-fill"])?;
    took
}

/// The image with many files, and a program to run.
fn load(socket: &Path) -> anyhow::Result<()> {
    let mut layer = Layer::default();
    layer.file("bin/busybox", &std::fs::read(images::BUSYBOX)?)?;
    layer.link("bin/true", "busybox")?;
    layer.directory("many", 0o755)?;
    for number in 0..FILES {
        layer.file(&format!("many/{number}"), format!("the content of file {number}\n").as_bytes())?;
    }
    let config = serde_json::json!({ "Cmd": ["true"], "Env": ["PATH=/bin"] });
    let archive = images::archive(MANY, &layer.finish()?, &config)?;
    let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
    let reply = http::call(socket, &load.body(archive))?;
    ensure!(reply.status() == 200, "{}", reply.text());
    Ok(())
}

fn thousand(bench: &Bench, client: Client, step: Step) -> anyhow::Result<f64> {
    for number in 0..VOLUMES {
        let body =
            serde_json::json!({ "Name": format!("ketch-bench-{number}"), "Labels": {"ketch-bench": ""} });
        let made =
            http::call(&socket(&client(bench, &[])), &Request::new("POST", "/volumes/create").json(&body))?;
        ensure!(made.status() == 201, "{}", made.text());
    }
    let listed = timed(&mut client(bench, &["volume", "ls"]));
    let pruned =
        timed(&mut client(bench, &["volume", "prune", "--all", "--force", "--filter", "label=ketch-bench"]));
    if step == Step::List { pruned.and(listed) } else { pruned }
}

/// The engine that a client was told to ask.
fn socket(client: &Command) -> std::path::PathBuf {
    let host = client.get_envs().find(|(name, _)| *name == "DOCKER_HOST").and_then(|(_, value)| value);
    host.and_then(std::ffi::OsStr::to_str).unwrap_or_default().trim_start_matches("unix://").into()
}

/// By a container that runs already.
fn speed(bench: &Bench, client: Client, step: Step) -> anyhow::Result<f64> {
    const NAME: &str = "ketch-bench-speed";
    let run = |command: &[&str]| quiet(&mut client(bench, command));
    let start = [
        "run",
        "--detach",
        "--network",
        "none",
        "--name",
        NAME,
        "-v",
        "ketch-bench-speed:/v",
        TAG,
        "sleep",
        "100000",
    ];
    run(&start)?;
    let write = format!("dd if=/dev/zero of=/v/file bs=1M count={SIZE} conv=fsync");
    let read = "dd if=/v/file of=/dev/null bs=1M";
    let exec = |script: &str| -> anyhow::Result<f64> {
        timed(&mut client(bench, &["exec", NAME, "sh", "-c", script]))
    };
    let done = exec(&write).and_then(|written| match step {
        Step::Write => Ok(written),
        _ => exec(read),
    });
    run(&["rm", "--force", NAME])?;
    run(&["volume", "rm", "--force", "ketch-bench-speed"])?;
    done
}
