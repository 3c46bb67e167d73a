//! An application of ten services on a network, a volume each: up, up again, listed, taken down.

use std::fmt::Write as _;
use std::process::Command;

use testkit::command::{client, ketch_binary};

use crate::case::{Against, Case, Owed};
use crate::stage::{Bench, TAG, timed};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "compose-up",
        what: "`compose up -d`, ten services on a network, a volume each",
        unit: "ms",
        rounds: 8,
        owed: &[Owed::Part(8.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Step::Up),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Step::Up)),
    },
    Case {
        name: "compose-again",
        what: "the same again, nothing changed",
        unit: "ms",
        rounds: 8,
        owed: &[Owed::Below(30.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Step::Again),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Step::Again)),
    },
    Case {
        name: "compose-ps",
        what: "`compose ps` of them",
        unit: "ms",
        rounds: 8,
        owed: &[Owed::Part(8.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Step::Ps),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Step::Ps)),
    },
    Case {
        name: "compose-down",
        what: "`compose down -v` of them",
        unit: "ms",
        rounds: 8,
        owed: &[Owed::Part(8.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Step::Down),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Step::Down)),
    },
    Case {
        name: "compose-config",
        what: "`compose config` of two hundred services",
        unit: "ms",
        rounds: 10,
        owed: &[Owed::Below(30.0)],
        against: Against::Docker,
        ours: |bench| config(bench, Whose::Ours),
        theirs: Some(|bench| config(bench, Whose::Dockers)),
    },
];

/// Whose command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Dockers,
}

/// The step that is measured; all of them are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Up,
    Again,
    Ps,
    Down,
}

pub(crate) fn sample(bench: &Bench, whose: Whose, step: Step) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("compose.yaml"), file(10))?;
    let run = |words: &[&str]| timed(command(bench, whose).current_dir(folder.path()).args(words));
    let steps = [
        (Step::Up, run(&["up", "--detach"])?),
        (Step::Again, run(&["up", "--detach"])?),
        (Step::Ps, run(&["ps"])?),
        (Step::Down, run(&["down", "--volumes", "--timeout", "0"])?),
    ];
    Ok(steps.into_iter().find(|(known, _)| *known == step).map(|(_, took)| took).unwrap_or_default())
}

/// A file of two hundred services, read and printed.
pub(crate) fn config(bench: &Bench, whose: Whose) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("compose.yaml"), file(200))?;
    timed(command(bench, whose).current_dir(folder.path()).arg("config"))
}

fn command(bench: &Bench, whose: Whose) -> Command {
    match whose {
        Whose::Ours => {
            let mut command = Command::new(ketch_binary());
            let host = format!("unix://{}", bench.socket().display());
            command.env("DOCKER_HOST", host).args(["compose", "-p", "ketch-bench"]);
            command
        }
        Whose::Dockers => {
            let mut command = client("docker-compose");
            command.env("DOCKER_HOST", bench.peer().unwrap_or_default()).args(["-p", "ketch-bench"]);
            command
        }
    }
}

fn file(services: usize) -> String {
    let mut text = "services:\n".to_owned();
    for number in 0..services {
        let _ = write!(
            text,
            "  s{number}:\n    image: {TAG}\n    command: sleep 100000\n    stop_signal: SIGKILL\n    \
             environment: {{NUMBER: \"{number}\"}}\n    volumes: [\"v{number}:/data\"]\n"
        );
    }
    text.push_str("volumes:\n");
    for number in 0..services {
        let _ = writeln!(text, "  v{number}: {{}}");
    }
    text
}
