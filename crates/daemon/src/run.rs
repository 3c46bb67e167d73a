//! The engine process from its locks to its last word: listeners, signals, reload, hand-over, end.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use api::Api;
use diag::Explain as _;
use engine::Engine;
use engine::containers::Purpose;
use flags::Matches;
use serving::{Drain, Server, Tls};
use state::DataRoot;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::error::Error;
use crate::handover::{self, Inherited};
use crate::listen::{self, Listener, Socket, make_folder};
use crate::log::{self, LevelHandle};
use crate::pidfile::PidFile;
use crate::settings::RELOADABLE;
use crate::{notify, tls};

/// How long a successor waits for requests under way.
const DRAIN_TIME: Duration = Duration::from_secs(5);
const SIGTERM: i32 = 15;

/// One engine process.
struct Daemon {
    config: Config,
    matches: Matches,
    arguments: Vec<OsString>,
    engine: Arc<Engine>,
    listeners: Vec<Listener>,
    /// The private registry, where one is wished.
    registry: Option<registry::Running>,
    tls: Option<Arc<Tls>>,
    level: LevelHandle,
}

/// Runs an engine until it is told to end.
pub(crate) async fn run(config: Config, matches: Matches, arguments: Vec<OsString>) -> Result<(), Error> {
    let level = log::start(&config.log);
    for (variable, reason) in crate::settings::unused_variables() {
        tracing::warn!(variable, reason, "this variable is set and does nothing");
    }
    raise_descriptor_limit();
    let Inherited { lock, sockets } = handover::inherit()?;
    let root = match lock {
        Some(lock) => DataRoot::inherit(&config.settings.data_root, lock)?,
        None => DataRoot::lock(&config.settings.data_root)?,
    };
    let pidfile = PidFile::write(&config.pidfile)?;
    create_run_dir(&config)?;
    // Open before the engine is ready: clients that come early wait in the queue instead of being refused.
    let listeners = listen::open(&config, sockets)?;
    let tls = tls::load(&config.tls)?;
    let engine = Engine::open(config.settings.clone(), config.live.clone(), root).await?;
    let registry = start_registry(&config).await?;
    let mut daemon = Daemon { config, matches, arguments, engine, listeners, registry, tls, level };
    daemon.serve().await?;
    daemon.stop_containers().await;
    daemon.listeners.iter().for_each(Listener::clean_up);
    drop(pidfile);
    tracing::info!("Daemon shutdown complete");
    Ok(())
}

async fn start_registry(config: &Config) -> Result<Option<registry::Running>, Error> {
    let Some(options) = &config.registry else { return Ok(None) };
    Ok(Some(registry::Running::start(registry::Config::load(options)?).await?))
}

fn create_run_dir(config: &Config) -> Result<(), Error> {
    let path = &config.settings.run_dir;
    make_folder(path).map_err(|source| Error::File { doing: "create", path: path.clone(), source })
}

/// Each container has a few descriptors, each client one: what the administrator allows, we use.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    hand_over: Signal,
    report: Signal,
}

impl Signals {
    fn catch() -> Result<Self, Error> {
        let catch = |kind| signal(kind).map_err(|source| Error::System { doing: "catch signals", source });
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            reload: catch(SignalKind::hangup())?,
            hand_over: catch(SignalKind::user_defined2())?,
            report: catch(SignalKind::user_defined1())?,
        })
    }
}

impl Daemon {
    /// Serves until somebody asks for the end.
    async fn serve(&mut self) -> Result<(), Error> {
        let mut signals = Signals::catch()?;
        loop {
            let (api, drain) = Api::server(self.engine.clone(), self.config.oldest_api);
            let mut accepting = self.accept(&api)?;
            for listener in &self.listeners {
                tracing::info!("API listen on {}", listener.shown());
            }
            notify::tell("READY=1");
            let wanted = self.wait(&mut signals, &drain).await;
            accepting.abort_all();
            while accepting.join_next().await.is_some() {}
            notify::tell(if matches!(wanted, Wanted::End) { "STOPPING=1" } else { "RELOADING=1" });
            drain.drain(DRAIN_TIME).await;
            if let Some(registry) = self.registry.take() {
                registry.stop().await;
            }
            match wanted {
                Wanted::End => return Ok(()),
                // Comes back only when it failed; the sockets are still ours and clients wait in their queues.
                Wanted::HandOver => {
                    let executable = &self.config.settings.executable;
                    let lock = self.engine.root().lock_fd();
                    let error =
                        handover::become_successor(executable, &self.arguments, lock, &self.listeners);
                    tracing::error!(error = diag::chain(&error), "the hand-over failed; this engine goes on");
                    self.registry = start_registry(&self.config).await?;
                }
            }
        }
    }

    fn accept(&self, api: &Server) -> Result<JoinSet<()>, Error> {
        let mut tasks = JoinSet::new();
        for listener in &self.listeners {
            let failed = |source| Error::Listen { host: listener.host.clone(), source };
            match &listener.socket {
                Socket::Unix(socket, _) => {
                    let socket =
                        UnixListener::from_std(socket.try_clone().map_err(failed)?).map_err(failed)?;
                    tasks.spawn(serving::accept_unix(socket, api.clone()));
                }
                Socket::Tcp(socket) => {
                    let socket =
                        TcpListener::from_std(socket.try_clone().map_err(failed)?).map_err(failed)?;
                    tasks.spawn(serving::accept_tcp(socket, api.clone(), self.tls.clone()));
                }
            }
        }
        Ok(tasks)
    }

    async fn wait(&mut self, signals: &mut Signals, drain: &Drain) -> Wanted {
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => return Wanted::End,
                _ = signals.interrupt.recv() => return Wanted::End,
                _ = signals.reload.recv() => self.reload(),
                _ = signals.report.recv() => self.report(drain),
                _ = signals.hand_over.recv() => {
                    match handover::check(&self.config.settings.executable, &self.arguments) {
                        Ok(()) => return Wanted::HandOver,
                        Err(error) => tracing::error!(error = diag::chain(&error), "no hand-over"),
                    }
                }
                () = idle(self.config.idle_timeout.filter(|_| self.registry.is_none()), &self.engine, drain) => {
                    tracing::info!("no client and no running container for a while: ending");
                    return Wanted::End;
                }
            }
        }
    }

    /// What dockerd's dump of its goroutines is for: what is this engine doing just now?
    fn report(&self, drain: &Drain) {
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let descriptors = engine::system::open_descriptors();
        let (busy, watchers) = (drain.busy(), self.engine.events.watchers());
        tracing::info!(tasks, descriptors, requests = busy, watchers, "what this engine is doing");
        for view in self.engine.containers.list() {
            let (id, state) = (view.container.short_id(), view.container.state.word());
            tracing::info!(container = id, state, "a container");
        }
    }

    /// Takes over what may change; says what would need a restart.
    fn reload(&mut self) {
        let loaded = match Config::load(&self.matches) {
            Ok(loaded) => loaded,
            Err(error) => {
                return tracing::error!(
                    error = diag::chain(&error),
                    hint = error.hint(),
                    "the configuration stays"
                );
            }
        };
        let changed = |key: &&str| self.config.given.get(*key) != loaded.given.get(*key);
        let all = self.config.given.keys().chain(loaded.given.keys()).copied();
        let fixed: std::collections::BTreeSet<&str> =
            all.filter(changed).filter(|key| !RELOADABLE.contains(key)).collect();
        for key in fixed {
            tracing::warn!(key, "this setting changes with a restart only");
        }
        if let Err(error) = self.level.reload(log::level(&loaded.log.level)) {
            tracing::warn!(%error, "the log level stays");
        }
        self.engine.reload(loaded.live.clone());
        self.config.live = loaded.live;
        let described = self.config.live.attributes(&self.engine.host.name);
        tracing::info!("Reloaded configuration: {}", serde_json::json!(described));
    }

    /// Containers outlive the engine, unless the administrator said otherwise.
    async fn stop_containers(&self) {
        let live = self.engine.live.load();
        if live.live_restore {
            return;
        }
        let mut stopping = JoinSet::new();
        for view in self.engine.containers.list() {
            if let Ok(handle) = self.engine.containers.get(&view.container.id) {
                let config = &view.container.config;
                let signal = engine::signal::parse(&config.stop_signal).unwrap_or(SIGTERM);
                // A container that asked for more time, or for as long as it takes, gets it here as well.
                let seconds = config.stop_timeout.map_or(live.shutdown_timeout.into(), i64::from);
                let patience = u64::try_from(seconds).ok().map(Duration::from_secs);
                stopping.spawn(async move { handle.stop(signal, patience, Purpose::Shutdown).await });
            }
        }
        while stopping.join_next().await.is_some() {}
    }
}

/// What a signal asks for.
enum Wanted {
    End,
    HandOver,
}

/// Ends once there was neither a request nor a running container for the whole time. Never without a time-out.
async fn idle(timeout: Option<Duration>, engine: &Engine, drain: &Drain) {
    let Some(timeout) = timeout else { return std::future::pending().await };
    let mut idle_since = tokio::time::Instant::now();
    let mut served = drain.served();
    let mut tick = tokio::time::interval(timeout.min(Duration::from_secs(1)));
    loop {
        tick.tick().await;
        let running = engine.containers.list().iter().any(|view| view.container.state.is_active());
        if running || drain.busy() > 0 || drain.served() != served {
            served = drain.served();
            idle_since = tokio::time::Instant::now();
        }
        if idle_since.elapsed() >= timeout {
            return;
        }
    }
}
