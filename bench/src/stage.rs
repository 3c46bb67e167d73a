//! What cases are run on: our engine, idle, and the peer, both with the image.

use std::cell::{OnceCell, RefCell};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, ensure};
use testkit::command::{client, ketch_binary};
use testkit::http::{self, Request};
use testkit::{Engine, images};

use crate::builds;
use crate::case::Against;
use crate::containers::Sleepers;
use crate::images::{self as work, Corpus, Kind};
use crate::networks::{Crowd, Place};
use crate::podman::Podman;
use crate::runtime::Bundle;
use crate::stats::milliseconds;
use crate::volumes;

pub(crate) const TAG: &str = "ketch-bench:1";
/// A container that sleeps in each engine, for `exec`.
pub(crate) const SLEEPER: &str = "ketch-bench-sleeper";

/// Our engine, idle, and the peer if there is one; both have the image.
pub(crate) struct Bench {
    engine: Engine,
    peer: Option<String>,
    /// Made when a case needs it, one at a time: they are large.
    corpus: RefCell<Option<(Kind, Rc<Corpus>)>>,
    thousand: OnceCell<()>,
    bundle: OnceCell<Bundle>,
    pub(crate) podman: OnceCell<Podman>,
    pub(crate) sleepers: Sleepers,
    crowd: OnceCell<Crowd>,
    /// Each case once and small: whether it works at all.
    pub(crate) short: bool,
    contexts: builds::Contexts,
    /// The clients' own.
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn start(peer: Option<String>, short: bool) -> anyhow::Result<Self> {
        let bench = Self {
            engine: Engine::ours(),
            peer,
            corpus: RefCell::default(),
            thousand: OnceCell::new(),
            bundle: OnceCell::new(),
            podman: OnceCell::new(),
            sleepers: Sleepers::default(),
            crowd: OnceCell::new(),
            short,
            contexts: builds::Contexts::default(),
            folder: tempfile::tempdir()?,
        };
        bench.tidy_peer();
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

    /// What a peer has of ours, also of a run that was killed; it keeps it when it can't be reached: nothing else depends on it.
    fn tidy_peer(&self) {
        let Some(host) = self.peer() else { return };
        for path in [
            "/containers/ketch-bench-writer?force=1".to_owned(),
            format!("/containers/{SLEEPER}?force=1"),
            format!("/images/{TAG}"),
            format!("/images/{}", volumes::MANY),
        ] {
            let _ = http::call(host.trim_start_matches("unix://").as_ref(), &Request::new("DELETE", &path));
        }
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
    pub(crate) fn thousand(&self) -> anyhow::Result<()> {
        if self.thousand.get().is_none() {
            work::fill(self.engine.socket())?;
        }
        self.thousand.get_or_init(|| ());
        Ok(())
    }

    pub(crate) fn bundle(&self) -> anyhow::Result<&Bundle> {
        match self.bundle.get() {
            Some(bundle) => Ok(bundle),
            None => {
                let bundle = Bundle::make()?;
                Ok(self.bundle.get_or_init(|| bundle))
            }
        }
    }

    pub(crate) fn crowd(&self) -> anyhow::Result<()> {
        if self.crowd.get().is_none() {
            let crowd = Crowd::gather(self, if self.short { 5 } else { 300 })?;
            self.crowd.get_or_init(|| crowd);
        }
        Ok(())
    }

    pub(crate) fn megabytes(&self) -> usize {
        if self.short { 8 } else { 1024 }
    }

    pub(crate) fn place(&self) -> anyhow::Result<Place<'_>> {
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

    pub(crate) fn contexts(&self) -> &builds::Contexts {
        &self.contexts
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> &std::path::Path {
        self.engine.socket()
    }

    pub(crate) fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    pub(crate) fn engine_pid(&self) -> anyhow::Result<u32> {
        self.engine.pid().context("the engine has no process")
    }

    pub(crate) fn peer_socket(&self) -> std::path::PathBuf {
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
        self.tidy_peer();
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
