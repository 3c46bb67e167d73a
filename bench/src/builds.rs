//! Builds: by our client, by the real buildx against our engine, and by the same buildx against the peer.
//!
//! A context is made once and kept, but where a build has to be the first of its kind. `KETCH_BENCH_SHORT=1` makes
//! everything a hundredth as large, to see that it works.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use anyhow::Context as _;
use tempfile::TempDir;
use testkit::Scratch;
use testkit::command::{client, ketch_binary};
use testkit::daemon::{Daemon, Plan};

use crate::case::{Against, Case, Owed};
use crate::images::letters;
use crate::processes::high_water;
use crate::stage::{Bench, TAG, timed};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "build-noop",
        what: "`build` of twenty steps with nothing changed",
        unit: "ms",
        rounds: 10,
        owed: &[Owed::Part(10.0), Owed::Below(50.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Job::Nothing),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Nothing)),
    },
    Case {
        name: "buildx-noop",
        what: "the same by the real buildx",
        unit: "ms",
        rounds: 10,
        owed: &[Owed::Part(3.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::BuildxOnOurs, Job::Nothing),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Nothing)),
    },
    Case {
        name: "build-one-of-many",
        what: "`build` of 10,000 files, one of them changed",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(4.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Job::OneOfMany),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::OneOfMany)),
    },
    Case {
        name: "buildx-one-of-many",
        what: "the same by the real buildx",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(3.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::BuildxOnOurs, Job::OneOfMany),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::OneOfMany)),
    },
    Case {
        name: "build-unchanged",
        what: "`build` of 50,000 files, none changed",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(5.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Job::Unchanged),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Unchanged)),
    },
    Case {
        name: "buildx-unchanged",
        what: "the same by the real buildx",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(3.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::BuildxOnOurs, Job::Unchanged),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Unchanged)),
    },
    Case {
        name: "build-large",
        what: "`build` of a gigabyte that was never sent",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(2.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Job::Large),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Large)),
    },
    Case {
        name: "buildx-large",
        what: "the same by the real buildx",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::BuildxOnOurs, Job::Large),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Large)),
    },
    Case {
        name: "build-stages",
        what: "`build` of ten stages that compute",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Job::Stages),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Stages)),
    },
    Case {
        name: "buildx-stages",
        what: "the same by the real buildx",
        unit: "ms",
        rounds: 3,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::BuildxOnOurs, Job::Stages),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Stages)),
    },
    Case {
        name: "build-files",
        what: "`build` with a `RUN` that writes 20,000 files",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(2.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::Ours, Job::Files),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Files)),
    },
    Case {
        name: "buildx-files",
        what: "the same by the real buildx",
        unit: "ms",
        rounds: 5,
        owed: &[Owed::Part(1.0)],
        against: Against::Docker,
        ours: |bench| sample(bench, Whose::BuildxOnOurs, Job::Files),
        theirs: Some(|bench| sample(bench, Whose::Dockers, Job::Files)),
    },
    Case {
        name: "build-peak",
        what: "a new engine's memory at its highest, after a build from a gigabyte",
        unit: "MB",
        rounds: 3,
        owed: &[Owed::Below(150.0)],
        against: Against::Docker,
        ours: peak,
        theirs: None,
    },
];

/// Whose command, against whose engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    /// The real buildx, and our engine.
    BuildxOnOurs,
    Dockers,
}

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// Twenty steps, with nothing changed since the last build.
    Nothing,
    /// Ten thousand files, one of which changed.
    OneOfMany,
    /// Fifty thousand files, none of which changed.
    Unchanged,
    /// A gigabyte that was never sent before.
    Large,
    /// Ten stages that need only processors, and not each other.
    Stages,
    /// A program that writes twenty thousand files.
    Files,
}

/// Contexts that are kept between samples.
#[derive(Default)]
pub(crate) struct Contexts(RefCell<BTreeMap<Job, Rc<TempDir>>>);

fn scaled(count: usize) -> usize {
    if std::env::var_os("KETCH_BENCH_SHORT").is_some() { count.div_ceil(100) } else { count }
}

/// Something that was never built before.
fn unique() -> anyhow::Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(format!("{}-{}", std::process::id(), now.as_nanos()))
}

impl Contexts {
    fn get(&self, job: Job) -> anyhow::Result<Rc<TempDir>> {
        if let Some(known) = self.0.borrow().get(&job) {
            return Ok(known.clone());
        }
        let made = Rc::new(tempfile::tempdir()?);
        fill(job, made.path())?;
        // A gigabyte is new each time.
        if job != Job::Large {
            self.0.borrow_mut().insert(job, made.clone());
        }
        Ok(made)
    }
}

fn fill(job: Job, folder: &Path) -> anyhow::Result<()> {
    let mut text = format!("FROM {TAG}\n");
    match job {
        Job::Nothing => {
            for number in 0..10 {
                fs::write(folder.join(format!("f{number}")), number.to_string())?;
                let _ = write!(text, "COPY f{number} /f{number}\nRUN cat /f{number} > /g{number}\n");
            }
        }
        Job::OneOfMany => many(folder, scaled(10_000), &mut text)?,
        Job::Unchanged => many(folder, scaled(50_000), &mut text)?,
        Job::Large => {
            let size = scaled(1 << 30) / 16;
            for number in 0..16 {
                let mut part = letters(size);
                part.extend_from_slice(unique()?.as_bytes());
                fs::write(folder.join(format!("part{number}")), part)?;
            }
            text.push_str("COPY part* /parts/\n");
        }
        Job::Stages => {
            text.clear();
            let loops = scaled(400_000);
            for number in 0..10 {
                let _ = write!(
                    text,
                    "FROM {TAG} AS s{number}\nARG ANEW\n\
                     RUN i=0; while [ $i -lt {loops} ]; do i=$((i+1)); done; echo $ANEW > /s{number}\n"
                );
            }
            let _ = writeln!(text, "FROM {TAG}");
            for number in 0..10 {
                let _ = writeln!(text, "COPY --from=s{number} /s{number} /");
            }
        }
        Job::Files => {
            let files = scaled(20_000);
            let _ = write!(
                text,
                "ARG ANEW\nRUN mkdir /d; i=0; while [ $i -lt {files} ]; do echo $i $ANEW > /d/$i; i=$((i+1)); done\n"
            );
        }
    }
    fs::write(folder.join("Dockerfile"), text)?;
    Ok(())
}

/// Files of a few hundred bytes, a hundred in a folder.
fn many(folder: &Path, count: usize, text: &mut String) -> anyhow::Result<()> {
    for number in 0..count {
        let below = folder.join(format!("d{}", number / 100));
        if number % 100 == 0 {
            fs::create_dir(&below)?;
        }
        fs::write(below.join(format!("f{number}")), format!("{number} ").repeat(40))?;
    }
    text.push_str("COPY d* /all/\n");
    Ok(())
}

pub(crate) fn sample(bench: &Bench, whose: Whose, job: Job) -> anyhow::Result<f64> {
    let context = bench.contexts().get(job)?;
    let tag = "ketch-bench-built:1";
    let build = |more: &[&str]| {
        // What the other engine left to be written is nobody's time.
        rustix::fs::sync();
        timed(command(bench, whose).args(["-t", tag]).args(more).arg(context.path()))
    };
    let anew = format!("ANEW={}", unique()?);
    let took = match job {
        Job::Nothing | Job::Unchanged => {
            build(&[])?;
            build(&[])?
        }
        Job::OneOfMany => {
            build(&[])?;
            fs::write(context.path().join("d0/f7"), unique()?)?;
            build(&[])?
        }
        Job::Large => build(&[])?,
        Job::Stages | Job::Files => build(&["--build-arg", &anew])?,
    };
    match whose {
        Whose::Ours | Whose::BuildxOnOurs => timed(&mut bench.ketch(&["rmi", "--force", tag]))?,
        Whose::Dockers => timed(&mut bench.docker(&["rmi", "--force", tag]))?,
    };
    Ok(took)
}

fn command(bench: &Bench, whose: Whose) -> Command {
    let ours = format!("unix://{}", bench.socket().display());
    let mut command = match whose {
        Whose::Ours => Command::new(ketch_binary()),
        Whose::BuildxOnOurs | Whose::Dockers => client("docker-buildx"),
    };
    command.env("DOCKER_CONFIG", bench.folder());
    command
        .env("DOCKER_HOST", if whose == Whose::Dockers { bench.peer().unwrap_or_default() } else { &ours });
    command.env("BUILDX_CONFIG", bench.folder());
    command.arg("build");
    command
}

/// The most that a new engine has in memory while it builds from a gigabyte.
pub(crate) fn peak(bench: &Bench) -> anyhow::Result<f64> {
    let scratch = Scratch::create();
    let plan = Plan::below(&scratch);
    let mut daemon = Daemon::start(&plan);
    let context = tempfile::tempdir()?;
    fill(Job::Large, context.path())?;
    let dockerfile = fs::read_to_string(context.path().join("Dockerfile"))?;
    fs::write(context.path().join("Dockerfile"), dockerfile.replace(TAG, "scratch"))?;
    let mut build = Command::new(ketch_binary());
    build
        .env("DOCKER_HOST", format!("unix://{}", plan.socket.display()))
        .env("DOCKER_CONFIG", bench.folder());
    let built = timed(build.args(["build", "-t", "large"]).arg(context.path())).context("the build");
    let high = high_water(daemon.pid());
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait();
    scratch.remove();
    built.and(high)
}
