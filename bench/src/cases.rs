//! What is measured. Each case runs the work once and returns one sample.

use std::cell::{OnceCell, RefCell};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, ensure};
use testkit::command::{client, ketch_binary};
use testkit::daemon::{Daemon, Plan};
use testkit::http::{self, Request};
use testkit::{Engine, Scratch, images};

use crate::bundle::Bundle;
use crate::compose::{self, Step, Whose};
use crate::dns;
use crate::images::{self as work, Corpus, Kind, Work, sample};
use crate::networks::{self, Crowd, From, Place};
use crate::registry::{self, Measure};
use crate::stats::milliseconds;
use crate::volumes;

/// Who does the same work.
pub(crate) enum Against {
    Docker,
    /// If this machine has it.
    Program(&'static str),
}

type Sample = fn(&Bench) -> anyhow::Result<f64>;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) rounds: usize,
    pub(crate) against: Against,
    pub(crate) ours: Sample,
    pub(crate) theirs: Option<Sample>,
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "ready",
        what: "engine started and listening",
        unit: "ms",
        rounds: 20,
        against: Against::Docker,
        ours: ready,
        theirs: None,
    },
    Case {
        name: "memory",
        what: "engine resident, idle",
        unit: "MB",
        rounds: 5,
        against: Against::Docker,
        ours: memory,
        theirs: Some(peer_memory),
    },
    Case {
        name: "version",
        what: "`version`",
        unit: "ms",
        rounds: 40,
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(&["version"])),
        theirs: Some(|bench| timed(&mut bench.docker(&["version"]))),
    },
    Case {
        name: "run",
        what: "`run --rm --network none busybox true`",
        unit: "ms",
        rounds: 20,
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(RUN)),
        theirs: Some(|bench| timed(&mut bench.docker(RUN))),
    },
    Case {
        name: "exec",
        what: "`exec` of true",
        unit: "ms",
        rounds: 20,
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(EXEC)),
        theirs: Some(|bench| timed(&mut bench.docker(EXEC))),
    },
    Case {
        name: "ps",
        what: "`ps`",
        unit: "ms",
        rounds: 20,
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(&["ps"])),
        theirs: Some(|bench| timed(&mut bench.docker(&["ps"]))),
    },
    Case {
        name: "dns",
        what: "a question for a container's name",
        unit: "µs",
        rounds: 10,
        against: Against::Docker,
        ours: |bench| dns::throughput(bench.engine.socket(), TAG),
        theirs: Some(|bench| dns::throughput(&bench.peer_socket(), TAG)),
    },
    Case {
        name: "dns-cost",
        what: "the engine's processor time for one",
        unit: "µs",
        rounds: 10,
        against: Against::Docker,
        ours: |bench| {
            dns::cost(bench.engine.socket(), TAG, bench.engine.pid().context("the engine has no process")?)
        },
        theirs: None,
    },
    Case {
        name: "dns-p99",
        what: "99 of 100 questions, sixteen under way",
        unit: "ms",
        rounds: 10,
        against: Against::Docker,
        ours: |bench| dns::slowest(bench.engine.socket(), TAG),
        theirs: Some(|bench| dns::slowest(&bench.peer_socket(), TAG)),
    },
    Case {
        name: "run-bridge",
        what: "`run --rm busybox true` on the default bridge",
        unit: "ms",
        rounds: 20,
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(ON_BRIDGE)),
        theirs: Some(|bench| timed(&mut bench.docker(ON_BRIDGE))),
    },
    Case {
        name: "run-ports",
        what: "the same with ten published ports",
        unit: "ms",
        rounds: 10,
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(TEN_PORTS)),
        theirs: Some(|bench| timed(&mut bench.docker(TEN_PORTS))),
    },
    Case {
        name: "run-range",
        what: "the same with 10,000 published as a range",
        unit: "ms",
        rounds: 10,
        against: Against::Docker,
        ours: |bench| timed(&mut bench.ketch(RANGE)),
        theirs: None,
    },
    Case {
        name: "network-create",
        what: "`network create`",
        unit: "ms",
        rounds: 10,
        against: Against::Docker,
        ours: |bench| networks::create(&|words| timed(&mut bench.ketch(words))),
        theirs: Some(|bench| networks::create(&|words| timed(&mut bench.docker(words)))),
    },
    Case {
        name: "stream-loopback",
        what: "a stream of 1 GB from the host's loopback by a published port",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| networks::stream(&bench.place()?, From::Loopback, bench.megabytes()),
        theirs: Some(|bench| {
            let socket = bench.peer_socket();
            networks::stream(&peer_place(&socket)?, From::Loopback, bench.megabytes())
        }),
    },
    Case {
        name: "stream-loopback6",
        what: "the same by `[::1]`",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| networks::stream(&bench.place()?, From::Loopback6, bench.megabytes()),
        theirs: Some(|bench| {
            let socket = bench.peer_socket();
            networks::stream(&peer_place(&socket)?, From::Loopback6, bench.megabytes())
        }),
    },
    Case {
        name: "stream-outside",
        what: "the same from another host",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| networks::stream(&bench.place()?, From::Outside, bench.megabytes()),
        theirs: Some(|bench| {
            let socket = bench.peer_socket();
            networks::stream(&peer_place(&socket)?, From::Outside, bench.megabytes())
        }),
    },
    Case {
        name: "stream-containers",
        what: "the same from another container",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| networks::stream(&bench.place()?, From::Container, bench.megabytes()),
        theirs: Some(|bench| {
            let socket = bench.peer_socket();
            networks::stream(&peer_place(&socket)?, From::Container, bench.megabytes())
        }),
    },
    Case {
        name: "pull-large",
        what: "`pull`, one layer of 1 GB",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Pull, Kind::Large),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Pull, Kind::Large)),
    },
    Case {
        name: "inflate-large",
        what: "bare inflate of that layer",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| work::inflate(bench, Kind::Large),
        theirs: None,
    },
    Case {
        name: "pull-ten",
        what: "`pull`, ten layers of 100 MB",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Pull, Kind::Ten),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Pull, Kind::Ten)),
    },
    Case {
        name: "inflate-ten",
        what: "bare inflate of those layers",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| work::inflate(bench, Kind::Ten),
        theirs: None,
    },
    Case {
        name: "pull-many",
        what: "`pull`, 50,000 small files",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Pull, Kind::Many),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Pull, Kind::Many)),
    },
    Case {
        name: "inflate-many",
        what: "bare inflate of that layer",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| work::inflate(bench, Kind::Many),
        theirs: None,
    },
    Case {
        name: "push-large",
        what: "`push`, one layer of 1 GB",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Push, Kind::Large),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Push, Kind::Large)),
    },
    Case {
        name: "load-large",
        what: "`load`, one layer of 1 GB",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Load, Kind::Large),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Load, Kind::Large)),
    },
    Case {
        name: "load-many",
        what: "`load`, 50,000 small files",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Load, Kind::Many),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Load, Kind::Many)),
    },
    Case {
        name: "save-large",
        what: "`save`, one layer of 1 GB",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Save, Kind::Large),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Save, Kind::Large)),
    },
    Case {
        name: "rmi-many",
        what: "`rmi`, 50,000 small files",
        unit: "ms",
        rounds: 3,
        against: Against::Docker,
        ours: |bench| sample(bench, Bench::ketch, Work::Remove, Kind::Many),
        theirs: Some(|bench| sample(bench, Bench::docker, Work::Remove, Kind::Many)),
    },
    Case {
        name: "registry-push",
        what: "registry: push of a blob of 1 GB",
        unit: "ms",
        rounds: 3,
        against: Against::Program("docker-registry"),
        ours: |_| registry::ours(Measure::Push),
        theirs: Some(|_| registry::docker(Measure::Push)),
    },
    Case {
        name: "registry-pull",
        what: "registry: pull of it",
        unit: "ms",
        rounds: 3,
        against: Against::Program("docker-registry"),
        ours: |_| registry::ours(Measure::Pull),
        theirs: Some(|_| registry::docker(Measure::Pull)),
    },
    Case {
        name: "registry-reads",
        what: "registry: 20 manifests for each of 1,000 clients at once",
        unit: "ms",
        rounds: 5,
        against: Against::Program("docker-registry"),
        ours: |_| registry::ours(Measure::Reads),
        theirs: Some(|_| registry::docker(Measure::Reads)),
    },
    Case {
        name: "registry-memory",
        what: "registry: its largest resident size in all of that",
        unit: "MB",
        rounds: 1,
        against: Against::Program("docker-registry"),
        ours: |_| registry::ours(Measure::Memory),
        theirs: None,
    },
    Case {
        name: "peak",
        what: "engine's largest resident size in all of that",
        unit: "MB",
        rounds: 1,
        against: Against::Docker,
        ours: peak,
        theirs: None,
    },
    Case {
        name: "thousand",
        what: "`images`, a thousand of them",
        unit: "ms",
        rounds: 20,
        against: Against::Docker,
        ours: |bench| {
            bench.thousand()?;
            work::thousand(bench, Bench::ketch)
        },
        theirs: None,
    },
    Case {
        name: "run-bridge-crowd",
        what: "`run --rm busybox true` beside 300 containers with ten ports each",
        unit: "ms",
        rounds: 20,
        against: Against::Docker,
        ours: |bench| {
            bench.crowd()?;
            timed(&mut bench.ketch(ON_BRIDGE))
        },
        theirs: None,
    },
    Case {
        name: "run-ports-crowd",
        what: "the same with ten published ports",
        unit: "ms",
        rounds: 20,
        against: Against::Docker,
        ours: |bench| {
            bench.crowd()?;
            timed(&mut bench.ketch(TEN_PORTS))
        },
        theirs: None,
    },
    Case {
        name: "compose-up",
        what: "`compose up -d`, ten services on a network, a volume each",
        unit: "ms",
        rounds: 8,
        against: Against::Docker,
        ours: |bench| compose::sample(bench, Whose::Ours, Step::Up),
        theirs: Some(|bench| compose::sample(bench, Whose::Dockers, Step::Up)),
    },
    Case {
        name: "compose-again",
        what: "the same again, nothing changed",
        unit: "ms",
        rounds: 8,
        against: Against::Docker,
        ours: |bench| compose::sample(bench, Whose::Ours, Step::Again),
        theirs: Some(|bench| compose::sample(bench, Whose::Dockers, Step::Again)),
    },
    Case {
        name: "compose-ps",
        what: "`compose ps` of them",
        unit: "ms",
        rounds: 8,
        against: Against::Docker,
        ours: |bench| compose::sample(bench, Whose::Ours, Step::Ps),
        theirs: Some(|bench| compose::sample(bench, Whose::Dockers, Step::Ps)),
    },
    Case {
        name: "compose-down",
        what: "`compose down -v` of them",
        unit: "ms",
        rounds: 8,
        against: Against::Docker,
        ours: |bench| compose::sample(bench, Whose::Ours, Step::Down),
        theirs: Some(|bench| compose::sample(bench, Whose::Dockers, Step::Down)),
    },
    Case {
        name: "compose-config",
        what: "`compose config` of two hundred services",
        unit: "ms",
        rounds: 10,
        against: Against::Docker,
        ours: |bench| compose::config(bench, Whose::Ours),
        theirs: Some(|bench| compose::config(bench, Whose::Dockers)),
    },
    Case {
        name: "volume-fill",
        what: "first `run` with a volume, 20,000 files to copy",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| volumes::sample(bench, Bench::ketch, volumes::Step::Fill),
        theirs: Some(|bench| volumes::sample(bench, Bench::docker, volumes::Step::Fill)),
    },
    Case {
        name: "volume-ls",
        what: "`volume ls`, a thousand of them",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| volumes::sample(bench, Bench::ketch, volumes::Step::List),
        theirs: Some(|bench| volumes::sample(bench, Bench::docker, volumes::Step::List)),
    },
    Case {
        name: "volume-prune",
        what: "`volume prune` of a thousand",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| volumes::sample(bench, Bench::ketch, volumes::Step::Prune),
        theirs: Some(|bench| volumes::sample(bench, Bench::docker, volumes::Step::Prune)),
    },
    Case {
        name: "volume-write",
        what: "512 MB written to a volume and synced",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| volumes::sample(bench, Bench::ketch, volumes::Step::Write),
        theirs: Some(|bench| volumes::sample(bench, Bench::docker, volumes::Step::Write)),
    },
    Case {
        name: "volume-read",
        what: "512 MB read from a volume",
        unit: "ms",
        rounds: 5,
        against: Against::Docker,
        ours: |bench| volumes::sample(bench, Bench::ketch, volumes::Step::Read),
        theirs: Some(|bench| volumes::sample(bench, Bench::docker, volumes::Step::Read)),
    },
    Case {
        name: "runtime-run",
        what: "`ketch runtime run` of a bundle, against crun",
        unit: "ms",
        rounds: 40,
        against: Against::Program("crun"),
        ours: |bench| bench.bundle()?.run(ketch_binary().into(), &["runtime", "run"]),
        theirs: Some(|bench| bench.bundle()?.run("crun".into(), &["run"])),
    },
    Case {
        name: "runtime-run-runc",
        what: "the same, against runc",
        unit: "ms",
        rounds: 40,
        against: Against::Program("runc"),
        ours: |bench| bench.bundle()?.run(ketch_binary().into(), &["runtime", "run"]),
        theirs: Some(|bench| bench.bundle()?.run("runc".into(), &["run"])),
    },
];

pub(crate) const TAG: &str = "ketch-bench:1";
/// A container that sleeps in each engine, for `exec`.
const SLEEPER: &str = "ketch-bench-sleeper";
const EXEC: &[&str] = &["exec", SLEEPER, "true"];
const ON_BRIDGE: &[&str] = &["run", "--rm", TAG, "true"];
const TEN_PORTS: &[&str] = &["run", "--rm", "-p", "18411-18420:80-89", TAG, "true"];
const RANGE: &[&str] = &["run", "--rm", "-p", "30000-39999:30000-39999", TAG, "true"];
const RUN: &[&str] = &["run", "--rm", "--network", "none", TAG, "true"];

/// Our engine, idle, and the peer if there is one; both have the image.
pub(crate) struct Bench {
    engine: Engine,
    peer: Option<String>,
    /// Made when a case needs it, one at a time: they are large.
    corpus: RefCell<Option<(Kind, Rc<Corpus>)>>,
    thousand: OnceCell<()>,
    bundle: OnceCell<Bundle>,
    crowd: OnceCell<Crowd>,
    /// Each case once and small: whether it works at all.
    pub(crate) short: bool,
}

impl Bench {
    pub(crate) fn start(peer: Option<String>, short: bool) -> anyhow::Result<Self> {
        let bench = Self {
            engine: Engine::ours(),
            peer,
            corpus: RefCell::default(),
            thousand: OnceCell::new(),
            bundle: OnceCell::new(),
            crowd: OnceCell::new(),
            short,
        };
        let archive = images::busybox(TAG)?;
        let sockets = bench.peer().map(|host| host.trim_start_matches("unix://").into()).into_iter();
        for socket in sockets.chain([bench.engine.socket().to_path_buf()]) {
            let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
            let reply = http::call(&socket, &load.body(archive.clone()))?;
            ensure!(reply.status() == 200, "{}: {}", socket.display(), reply.text());
        }
        let start = ["run", "--detach", "--network", "none", "--name", SLEEPER, TAG, "sleep", "100000"];
        timed(&mut bench.ketch(&start))?;
        if bench.peer().is_some() {
            timed(&mut bench.docker(&start))?;
        }
        Ok(bench)
    }

    pub(crate) fn corpus(&self, kind: Kind) -> anyhow::Result<Rc<Corpus>> {
        let mut corpus = self.corpus.borrow_mut();
        match &*corpus {
            Some((known, made)) if *known == kind => return Ok(made.clone()),
            _ => *corpus = None,
        }
        let made = Rc::new(Corpus::make(kind)?);
        *corpus = Some((kind, made.clone()));
        Ok(made)
    }

    /// Gives our engine a thousand images, once.
    fn thousand(&self) -> anyhow::Result<()> {
        if self.thousand.get().is_none() {
            work::fill(self.engine.socket())?;
        }
        self.thousand.get_or_init(|| ());
        Ok(())
    }

    fn bundle(&self) -> anyhow::Result<&Bundle> {
        match self.bundle.get() {
            Some(bundle) => Ok(bundle),
            None => {
                let bundle = Bundle::make()?;
                Ok(self.bundle.get_or_init(|| bundle))
            }
        }
    }

    fn crowd(&self) -> anyhow::Result<()> {
        if self.crowd.get().is_none() {
            let crowd = Crowd::gather(self, if self.short { 5 } else { 300 })?;
            self.crowd.get_or_init(|| crowd);
        }
        Ok(())
    }

    fn megabytes(&self) -> usize {
        if self.short { 8 } else { 1024 }
    }

    fn place(&self) -> anyhow::Result<Place<'_>> {
        let pid = self.engine.pid().context("the engine has no process")?;
        Ok(Place { socket: self.engine.socket(), pid: pid.cast_signed() })
    }

    /// Whether there is somebody to compare a case with.
    pub(crate) fn has(&self, against: &Against) -> bool {
        match against {
            Against::Docker => self.peer().is_some(),
            Against::Program(name) => std::env::var_os("PATH")
                .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file())),
        }
    }

    pub(crate) fn socket(&self) -> &std::path::Path {
        self.engine.socket()
    }

    pub(crate) fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    fn peer_socket(&self) -> std::path::PathBuf {
        self.peer().unwrap_or_default().trim_start_matches("unix://").into()
    }

    pub(crate) fn ketch(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ketch_binary());
        command.env("DOCKER_HOST", format!("unix://{}", self.engine.socket().display())).args(arguments);
        command
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = client("docker");
        command.env("DOCKER_HOST", self.peer().unwrap_or_default()).args(arguments);
        command
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(host) = self.peer() {
            // The peer keeps them when it can't be reached any more; nothing else depends on it.
            for path in [
                format!("/containers/{SLEEPER}?force=1"),
                format!("/images/{TAG}"),
                format!("/images/{}", volumes::MANY),
            ] {
                let remove = Request::new("DELETE", &path);
                let _ = http::call(host.trim_start_matches("unix://").as_ref(), &remove);
            }
        }
    }
}

pub(crate) fn timed(command: &mut Command) -> anyhow::Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("{command:?}"))?;
    let took = milliseconds(begun.elapsed());
    ensure!(status.success(), "{command:?}: {status}");
    Ok(took)
}

fn ready(_: &Bench) -> anyhow::Result<f64> {
    let scratch = Scratch::create();
    let plan = Plan::below(&scratch);
    let begun = Instant::now();
    let mut daemon = Daemon::start(&plan);
    let took = milliseconds(begun.elapsed());
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait();
    scratch.remove();
    Ok(took)
}

fn memory(_: &Bench) -> anyhow::Result<f64> {
    let scratch = Scratch::create();
    let mut daemon = Daemon::start(&Plan::below(&scratch));
    let resident = resident(daemon.pid());
    daemon.signal(rustix::process::Signal::TERM);
    daemon.wait();
    scratch.remove();
    resident
}

/// The peer's host: the only dockerd that a machine usually has.
fn peer_place(socket: &std::path::Path) -> anyhow::Result<Place<'_>> {
    let pid = named(&["dockerd"])?.first().copied().context("no dockerd runs on this machine")?;
    Ok(Place { socket, pid: pid.cast_signed() })
}

fn named(names: &[&str]) -> anyhow::Result<Vec<u32>> {
    let entries = std::fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        names.contains(&name.trim())
    };
    Ok(pids.filter(is_one).collect())
}

/// dockerd and its containerd, wherever they came from: the only ones that a machine usually has.
fn peer_memory(_: &Bench) -> anyhow::Result<f64> {
    let sum: f64 = named(&["dockerd", "containerd"])?.into_iter().filter_map(|pid| resident(pid).ok()).sum();
    ensure!(sum > 0.0, "no dockerd runs on this machine");
    Ok(sum)
}

/// Our engine's, since it was started.
fn peak(bench: &Bench) -> anyhow::Result<f64> {
    status(bench.engine.pid().context("the engine has no process")?, "VmHWM:")
}

fn resident(pid: u32) -> anyhow::Result<f64> {
    status(pid, "VmRSS:")
}

fn status(pid: u32, key: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(key)).with_context(|| format!("no {key}"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1024.0)
}
