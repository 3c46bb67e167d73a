//! The registry as a process: listeners, signals, what is done from time to time, and the end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serving::{Drain, Limits, Tls, Until};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::auth::Auth;
use crate::body::Room;
use crate::config::Config;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::notify::{self, Notifier};
use crate::repository::Repositories;
use crate::serve::{Debug, Registry, Service};
use crate::upstream::Upstreams;
use crate::{log, storage, upkeep};

const LIMITS: Limits = Limits {
    head_time: Duration::from_secs(30),
    head: 128 << 10,
    headers: 100,
    connections: 8192,
    write_patience: Some(Duration::from_secs(120)),
    busy: Until::Sent,
};

/// Serves until it is told to end. What is under way then is finished first.
pub fn serve(config: Config) -> Result<(), Error> {
    log::start(&config.log);
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 16)))
        // A disk has enough with a few; who waits for an object store mostly waits.
        .max_blocking_threads(if config.bucket.is_some() { 256 } else { 32 })
        .thread_keep_alive(Duration::from_secs(2))
        .enable_all()
        .build()
        .map_err(|source| Error::System { doing: "start the runtime", source })?;
    let result = runtime.block_on(run(config));
    // A blocking task that waits for a disk that doesn't answer must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// Looks at everything that serving would look at first, and opens nothing.
pub fn validate(config: &Config) -> Result<(), Error> {
    config.tls.clone().map(Tls::load).transpose()?;
    Auth::new(config)?;
    Ok(())
}

/// Each client and each transfer has a descriptor: what the administrator allows, we use.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays");
    }
}

async fn run(config: Config) -> Result<(), Error> {
    let running = Running::start(config).await?;
    wait().await?;
    running.stop().await;
    Ok(())
}

/// A registry that serves, until it is stopped.
pub struct Running {
    registry: Arc<Registry>,
    tasks: JoinSet<()>,
    notifying: JoinSet<()>,
    drain: Drain,
    /// The connections of who watches live as long as it.
    _debug: Drain,
    drain_time: Duration,
}

impl Running {
    /// Opens the storage and listens. What it says goes to the caller's log.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let storage = storage::open(&config, Handle::current())?;
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let listener = listen(config.address).await?;
        let debug_listener = match config.debug_address {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let auth = Auth::new(&config)?;
        let (drain_time, connections) = (config.drain, config.connections);
        let (repositories, metrics) = (Repositories::new(storage), Arc::new(Metrics::default()));
        let (notifier, notifying) = Notifier::start(config.notifications, &metrics);
        let registry = Arc::new(Registry {
            upstreams: Upstreams::new(config.upstreams, &repositories, &metrics),
            notifier: Mutex::new(Some(notifier)),
            repositories,
            auth,
            cache: Default::default(),
            room: Room::new(),
            metrics,
            settings: config.settings,
        });
        let drain = Drain::new(Limits { connections, ..LIMITS });
        let mut tasks = JoinSet::new();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = listener.local_addr().unwrap_or(config.address);
        tracing::info!(%address, scheme, "the registry listens");
        tasks.spawn(serving::accept_tcp(listener, drain.server(Service(registry.clone())), tls));
        let debug = Drain::new(Limits { connections: 64, ..LIMITS });
        if let Some(listener) = debug_listener {
            let address = listener.local_addr().unwrap_or(config.address);
            tracing::info!(%address, "metrics and health are there as well");
            tasks.spawn(serving::accept_tcp(listener, debug.server(Debug(registry.clone())), None));
        }
        upkeep::start(
            &mut tasks,
            &registry,
            config.purge,
            config.gc,
            config.retention,
            config.check_interval,
        );
        Ok(Self { registry, tasks, notifying, drain, _debug: debug, drain_time })
    }

    /// Takes no new connections, lets what is under way end, and delivers what is queued.
    pub async fn stop(mut self) {
        tracing::info!("ending: no new connections; what is under way is finished");
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        self.drain.drain(self.drain_time).await;
        // Without their sender, the endpoints' tasks end with the last event.
        drop(self.registry.notifier.lock().unwrap_or_else(PoisonError::into_inner).take());
        notify::finish(self.notifying).await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let failed = |source| Error::Listen { address: address.to_string(), source };
    TcpListener::bind(address).await.map_err(failed)
}

/// Until a signal asks for the end.
async fn wait() -> Result<(), Error> {
    let catch = |kind| signal(kind).map_err(|source| Error::System { doing: "catch signals", source });
    let (mut terminate, mut interrupt) = (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
