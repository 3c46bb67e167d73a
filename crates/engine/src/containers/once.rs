//! A program that runs once, in a container that nobody lists and no record names: a build's step.
//!
//! It is confined as every container is, by the same specification. Its folders are where containers' are, so that the
//! next engine sweeps them if this one dies; its shim is ended then, too.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use oci::Digest;
use shim::protocol::{FromShim, ToShim};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::attach::{self, Streams};
use super::config::{Config, HostConfig};
use super::mounts::Point;
use super::namespaces::Joined;
use super::record::{Container, Past, Places};
use super::state::State;
use super::{Shared, actor, create, etc, link, networking, spec};
use crate::Error;
use crate::networks::{Endpoint, Guest, Inside, KnownTo};

/// How much is read from a program's output at once.
const PIECE: usize = 64 * 1024;

/// Which output something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Out,
    Error,
}

/// The folders of one run; they go with it.
#[derive(Debug)]
pub(crate) struct Once {
    container: Container,
    places: Places,
    shared: Arc<Shared>,
}

impl Drop for Once {
    fn drop(&mut self) {
        create::discard(&self.places);
    }
}

impl Once {
    /// Makes the folders. `points` are mounted beside what every container has.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        config: Config,
        host: HostConfig,
        points: Vec<Point>,
    ) -> Result<Arc<Self>, Error> {
        let runtime = shared.live.load().default_runtime.clone();
        let host =
            create::settle(HostConfig { ipc_mode: "private".into(), ..host }, &shared.settings, &runtime)?;
        let id = crate::id::container_id();
        let mut endpoints = BTreeMap::new();
        endpoints.insert(host.network_mode.clone(), Endpoint::default());
        let container = Container {
            name: format!("build-{}", &id[..12]),
            created: SystemTime::now(),
            image: Digest::sha256(b""),
            layers: Vec::new(),
            config,
            host,
            mounts: points,
            endpoints,
            links: Vec::new(),
            ports: Vec::new(),
            state: State::Created,
            past: Past::default(),
            id,
        };
        let places = shared.places(&container.id);
        let once = Self { container, places, shared: shared.clone() };
        create::make_folder(&once.places.durable, 0o710)?;
        for folder in [once.upper(), once.work()] {
            create::make_folder(&folder, 0o755)?;
        }
        create::make_folder(&once.places.volatile, 0o700)?;
        Ok(Arc::new(once))
    }

    /// Where what is written goes.
    pub(crate) fn upper(&self) -> PathBuf {
        self.places.upper()
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.places.work()
    }

    /// A new folder of this run's, for what else is written.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.places.durable.join(name);
        create::make_folder(&path, 0o755)?;
        Ok(path)
    }

    /// Runs the program in `root` to its end; its exit code. `sources` are what the points mount. Dropped, it kills the
    /// program, and everything it has goes when that has ended.
    pub(crate) async fn run(
        self: Arc<Self>,
        root: OwnedFd,
        sources: Vec<(String, OwnedFd)>,
        output: impl FnMut(Output, &[u8]) + Send + 'static,
    ) -> Result<i32, Error> {
        // Whoever waits holds one end; when that goes, the other one hears of it.
        let (waiting, gone) = oneshot::channel::<()>();
        let task = tokio::spawn(self.live(root, sources, output, gone));
        let ended = task.await;
        drop(waiting);
        let crashed = |error: tokio::task::JoinError| Error::System {
            doing: "run a build's step",
            source: std::io::Error::other(error.to_string()),
        };
        ended.map_err(crashed)?
    }

    async fn live(
        self: Arc<Self>,
        root: OwnedFd,
        sources: Vec<(String, OwnedFd)>,
        output: impl FnMut(Output, &[u8]) + Send + 'static,
        gone: oneshot::Receiver<()>,
    ) -> Result<i32, Error> {
        let (networks, mut container) = (self.shared.networks.clone(), self.container.clone());
        let attached = actor::blocking(move || networking::attach(&container, &networks)).await?;
        container = self.container.clone();
        let mut interior = None;
        if let Some(attached) = attached {
            container.endpoints = attached.endpoints;
            interior = Some(attached.interior);
        }
        let ended = self.clone().with_networks(&container, interior, root, sources, output, gone).await;
        let (networks, left) = (self.shared.networks.clone(), container.clone());
        let detached = actor::blocking(move || {
            let guest = Guest { id: &left.id, name: &left.name };
            if left.endpoints.values().any(|endpoint| endpoint.lease.is_some()) {
                networks.detach(guest, &left.endpoints, &left.ports);
            }
            Ok(())
        });
        detached.await?;
        ended
    }

    async fn with_networks(
        self: Arc<Self>,
        container: &Container,
        interior: Option<Inside>,
        root: OwnedFd,
        sources: Vec<(String, OwnedFd)>,
        output: impl FnMut(Output, &[u8]) + Send + 'static,
        gone: oneshot::Receiver<()>,
    ) -> Result<i32, Error> {
        let names = match &interior {
            Some(interior) if etc::asks_the_engine(container, &self.shared.networks) => {
                Some(self.names(interior)?)
            }
            _ => None,
        };
        let (once, what) = (self.clone(), container.clone());
        let launched = actor::blocking(move || once.launch(&what, interior, root.as_fd(), sources)).await?;
        let ended = self.converse(launched, output, gone).await;
        if let Some(names) = names {
            names.stop().await;
        }
        ended
    }

    fn names(&self, interior: &Inside) -> Result<dns::Server, Error> {
        let made = interior.duplicate().and_then(|interior| interior.resolver());
        let sockets = made.map_err(crate::networks::NetworkError::from)?;
        let networks = self.shared.networks.clone();
        let known = KnownTo { id: self.container.id.clone(), networks: networks.clone() };
        let server =
            dns::Server::start(sockets.udp, sockets.tcp, Arc::new(known), networks.forwarder.clone());
        server.map_err(|source| Error::System { doing: "answer a build's step that asks for names", source })
    }

    fn launch(
        &self,
        container: &Container,
        interior: Option<Inside>,
        root: std::os::fd::BorrowedFd<'_>,
        sources: Vec<(String, OwnedFd)>,
    ) -> Result<(shim::Launched, Joined), Error> {
        self.write_etc(container)?;
        let mut joined = Joined::default().with_network(interior);
        for (target, source) in sources {
            joined.add_source(&target, source);
        }
        let mut spec = spec::build(container, root, &self.places, &self.shared.settings, &joined)?;
        // A build's step knows its name from the kernel alone, unless somebody set the variable.
        let given = container.config.env.iter().flatten().any(|entry| entry.starts_with("HOSTNAME="));
        if let Some(process) = spec.process_mut().as_mut().filter(|_| !given) {
            let env = process.env().iter().flatten().filter(|entry| !entry.starts_with("HOSTNAME="));
            process.set_env(Some(env.cloned().collect()));
        }
        let launch = shim::Launch {
            id: container.id.clone(),
            spec,
            seccomp: spec::filter(&container.host, &self.shared.filters)?.as_deref().cloned(),
            stdin: shim::Stdin::Closed,
            log: shim::LogConfig::default(),
            run_dir: self.places.volatile.clone(),
            container_dir: self.places.durable.clone(),
            kept: 0,
        };
        Ok((shim::launch(&launch, root, &[])?, joined))
    }

    /// The files of ours in `/etc`. The hosts are BuildKit's: the same whatever address a step has.
    fn write_etc(&self, container: &Container) -> Result<(), Error> {
        etc::write(container, &self.places, &self.shared.networks)?;
        if container.host.network_mode == "host" {
            return Ok(());
        }
        let name = &container.config.hostname;
        let mut text = format!("127.0.0.1\tlocalhost {name}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        for entry in container.host.extra_hosts.iter().flatten() {
            if let Some((name, address)) = entry.split_once('=') {
                text.push_str(&format!("{address}\t{name}\n"));
            }
        }
        let path = self.places.etc("hosts");
        std::fs::write(&path, text).map_err(|source| Error::File { doing: "write", path, source })
    }

    /// From "process 1 exists" to its end.
    async fn converse(
        &self,
        (launched, joined): (shim::Launched, Joined),
        mut output: impl FnMut(Output, &[u8]) + Send + 'static,
        mut gone: oneshot::Receiver<()>,
    ) -> Result<i32, Error> {
        let id = &self.container.id;
        let lost = |_: std::io::Error| Error::ShimLost(id.clone());
        let mut control = link::adopt(launched.control).map_err(lost)?;
        actor::reap(launched.pidfd);
        self.expect(&mut control, |message| matches!(message, FromShim::Created { .. })).await?;
        drop(joined);
        let streams = Streams { stdin: false, stdout: true, stderr: true };
        let mut streams = attach::open(self.places.volatile.clone(), id, None, streams).await?;
        link::send(&mut control, &ToShim::Start).await.map_err(lost)?;
        self.expect(&mut control, |message| matches!(message, FromShim::Started)).await?;
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; PIECE];
            while let Ok(Some((stream, count))) = piece(&mut streams, &mut buffer).await {
                output(stream, &buffer[..count]);
            }
        });
        let (mut reader, mut writer) = control.into_split();
        let mut killed = false;
        let exit = loop {
            tokio::select! {
                message = link::receive::<FromShim>(&mut reader) => match message.map_err(lost)? {
                    FromShim::Exited(exit) => break exit,
                    other => tracing::debug!(?other, "a build's step says"),
                },
                _ = &mut gone, if !killed => {
                    killed = true;
                    link::send(&mut writer, &ToShim::Signal { signal: 9 }).await.map_err(lost)?;
                }
            }
        };
        // Everything that was written is in the stream before the exit is told.
        let _ = reading.await;
        let _ = link::send(&mut writer, &ToShim::Release).await;
        Ok(exit.code)
    }

    async fn expect(
        &self,
        control: &mut UnixStream,
        wanted: impl Fn(&FromShim) -> bool,
    ) -> Result<(), Error> {
        let id = self.container.id.clone();
        match link::receive::<FromShim>(control).await {
            Ok(message) if wanted(&message) => Ok(()),
            Ok(FromShim::Failed { step, message, kind }) => Err(Error::Start { id, step, message, kind }),
            _ => Err(Error::ShimLost(id)),
        }
    }
}

/// The next piece of output; nothing at the end.
async fn piece(streams: &mut UnixStream, buffer: &mut [u8]) -> std::io::Result<Option<(Output, usize)>> {
    let mut header = [0; 8];
    if let Err(error) = streams.read_exact(&mut header).await {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Ok(None),
            _ => Err(error),
        };
    }
    let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
    if length > buffer.len() {
        return Err(std::io::Error::other("the shim sent too much at once"));
    }
    streams.read_exact(&mut buffer[..length]).await?;
    let stream = if header[0] == 2 { Output::Error } else { Output::Out };
    Ok(Some((stream, length)))
}

/// Ends a step whose engine died: its folder has no record. Blocking, for as long as it takes to end.
pub(super) fn end_orphan(run_dir: &std::path::Path) {
    let Ok(shim) = shim::connect(run_dir) else { return };
    let _ = shim::protocol::send(&shim, &ToShim::Signal { signal: 9 });
    while let Ok(message) = shim::protocol::receive::<FromShim>(&shim) {
        if matches!(message, FromShim::Exited(_)) {
            let _ = shim::protocol::send(&shim, &ToShim::Release);
            return;
        }
    }
}
