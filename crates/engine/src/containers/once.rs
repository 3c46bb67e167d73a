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
use tokio::sync::{mpsc, oneshot};

use super::attach::{self, Streams};
use super::config::{Config, HostConfig};
use super::mounts::Point;
use super::namespaces::Joined;
use super::record::{Container, Past, Places};
use super::state::State;
use super::{Shared, actor, create, etc, link, networking, spec};
use crate::Error;
use crate::networks::{Endpoint, Inside, KnownTo};
use crate::settings::BUILT_IN_RUNTIME;

/// How much is read from a program's output at once.
const PIECE: usize = 64 * 1024;

/// Which output something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Out,
    Error,
}

/// Who hears what a program writes.
type Hears = Box<dyn FnMut(Output, &[u8]) + Send>;

/// What becomes of the program's streams.
pub(crate) enum Ear {
    /// What it writes is told here; it reads nothing.
    Told(Hears),
    /// Somebody talks to it.
    Lent(oneshot::Sender<Lent>),
}

/// A program's streams, as the shim has them: without a terminal, what it writes comes in pieces with heads.
pub(crate) struct Lent {
    pub(crate) streams: UnixStream,
    pub(crate) pid: i32,
    /// Dropped when all was read.
    pub(crate) read: oneshot::Sender<()>,
}

/// How a program is to be run.
pub(crate) struct Running {
    pub(crate) config: Config,
    pub(crate) privileged: bool,
    /// Whether it is spoken to.
    pub(crate) input: bool,
    pub(crate) ear: Ear,
    /// What it is told meanwhile.
    pub(crate) orders: mpsc::Receiver<ToShim>,
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
        // The steps of builds are the engine's own, whatever runs containers.
        let (runtime, ipc_mode) = (BUILT_IN_RUNTIME.to_owned(), "private".to_owned());
        let host = HostConfig { ipc_mode, runtime, ..host };
        let host = create::settle(host, &shared.settings, &shared.live.load())?;
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
            behind: None,
            state: State::Created,
            past: Past::default(),
            identities: None,
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
        let running = Running {
            config: self.container.config.clone(),
            privileged: self.container.host.privileged,
            input: false,
            ear: Ear::Told(Box::new(output)),
            // Nobody tells it anything.
            orders: mpsc::channel(1).1,
        };
        self.run_as(root, sources, running).await
    }

    /// The same of another program than was said first.
    pub(crate) async fn run_as(
        self: Arc<Self>,
        root: OwnedFd,
        sources: Vec<(String, OwnedFd)>,
        running: Running,
    ) -> Result<i32, Error> {
        // Whoever waits holds one end; when that goes, the other one hears of it.
        let (waiting, gone) = oneshot::channel::<()>();
        let task = tasks::spawn(self.live(root, sources, running, gone));
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
        running: Running,
        gone: oneshot::Receiver<()>,
    ) -> Result<i32, Error> {
        let mut container = self.container.clone();
        container.config = running.config.clone();
        container.host.privileged = running.privileged;
        let (networks, what) = (self.shared.networks.clone(), container.clone());
        let attached = actor::blocking(move || networking::attach(&what, None, &networks, None)).await?;
        let mut interior = None;
        if let Some(attached) = attached {
            container.endpoints = attached.endpoints;
            interior = Some(attached.interior);
        }
        let ended = self.clone().with_networks(&container, interior, root, sources, running, gone).await;
        let (networks, left) = (self.shared.networks.clone(), container.clone());
        let detached = actor::blocking(move || {
            let guest = left.guest();
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
        running: Running,
        gone: oneshot::Receiver<()>,
    ) -> Result<i32, Error> {
        let names = match &interior {
            Some(interior) if etc::asks_the_engine(container, &self.shared.networks) => {
                Some(self.names(interior)?)
            }
            _ => None,
        };
        let (once, what, input) = (self.clone(), container.clone(), running.input);
        let launched =
            actor::blocking(move || once.launch(&what, interior, root.as_fd(), sources, input)).await?;
        let ended = self.converse(launched, running, gone).await;
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
        input: bool,
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
            stdin: if input { shim::Stdin::Once } else { shim::Stdin::Closed },
            log: shim::LogConfig::default(),
            run_dir: self.places.volatile.clone(),
            container_dir: self.places.durable.clone(),
            runtime: None,
            kept: 0,
            relays: Vec::new(),
            closed: false,
            fleeting: true,
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
        running: Running,
        gone: oneshot::Receiver<()>,
    ) -> Result<i32, Error> {
        let lost = |_: std::io::Error| Error::ShimLost(self.container.id.clone());
        let mut control = link::adopt(launched.control).map_err(lost)?;
        actor::reap(launched.pidfd);
        let FromShim::Created { pid } =
            self.expect(&mut control, |message| matches!(message, FromShim::Created { .. })).await?
        else {
            return Err(Error::ShimLost(self.container.id.clone()));
        };
        drop(joined);
        let streams = Streams { stdin: running.input, stdout: true, stderr: true };
        let folder = self.places.volatile.clone();
        let streams = attach::open(folder, &self.container.id, None, streams).await?;
        link::send(&mut control, &ToShim::Start).await.map_err(lost)?;
        self.expect(&mut control, |message| matches!(message, FromShim::Started)).await?;
        let read = running.ear.listen(streams, pid);
        let exit = self.until_exit(&mut control, running.orders, gone).await?;
        // Everything that was written is in the stream before the exit is told.
        let _ = read.await;
        let _ = link::send(&mut control, &ToShim::Release).await;
        Ok(exit)
    }

    async fn until_exit(
        &self,
        control: &mut UnixStream,
        mut orders: mpsc::Receiver<ToShim>,
        mut gone: oneshot::Receiver<()>,
    ) -> Result<i32, Error> {
        let lost = |_: std::io::Error| Error::ShimLost(self.container.id.clone());
        let (mut reader, mut writer) = control.split();
        let (mut killed, mut told) = (false, true);
        // A message may come in pieces: its reading is not begun anew for an order.
        loop {
            let mut message = std::pin::pin!(link::receive::<FromShim>(&mut reader));
            let message = loop {
                tokio::select! {
                    message = &mut message => break message.map_err(lost)?,
                    _ = &mut gone, if !killed => {
                        killed = true;
                        link::send(&mut writer, &ToShim::Signal { signal: 9 }).await.map_err(lost)?;
                    }
                    order = orders.recv(), if told => match order {
                        Some(order) => link::send(&mut writer, &order).await.map_err(lost)?,
                        None => told = false,
                    },
                }
            };
            match message {
                FromShim::Exited(exit) => return Ok(exit.code),
                other => tracing::debug!(?other, "a build's step says"),
            }
        }
    }

    /// Runs one more program beside the first, which is process `first`, until it ends.
    pub(crate) async fn join(self: Arc<Self>, first: i32, running: Running) -> Result<i32, Error> {
        let (waiting, gone) = oneshot::channel::<()>();
        let task = tasks::spawn(async move { self.live_beside(first, running, gone).await });
        let ended = task.await;
        drop(waiting);
        let crashed = |error: tokio::task::JoinError| Error::System {
            doing: "run a program in a build's container",
            source: std::io::Error::other(error.to_string()),
        };
        ended.map_err(crashed)?
    }

    async fn live_beside(
        &self,
        first: i32,
        running: Running,
        gone: oneshot::Receiver<()>,
    ) -> Result<i32, Error> {
        let id = &self.container.id;
        let lost = |_: std::io::Error| Error::ShimLost(id.clone());
        let name = crate::id::container_id();
        let guest = {
            let (container, shared, running_config) =
                (self.container.clone(), self.shared.clone(), running.config.clone());
            let (privileged, name) = (running.privileged, name.clone());
            let stdin = if running.input { shim::Stdin::Once } else { shim::Stdin::Closed };
            let described = move || {
                let root =
                    super::exec::root_of(first).map_err(|_| Error::NotRunning(container.id.clone()))?;
                let asked = exec_config(&running_config, privileged);
                let like =
                    Container { config: Config { env: None, ..container.config.clone() }, ..container };
                let process = spec::guest(&like, &asked, None, root.as_fd(), &shared.settings)?;
                Ok(shim::protocol::Guest { id: name, process, stdin })
            };
            actor::blocking(described).await?
        };
        let mut control = link::greet(self.places.volatile.clone(), id).await?;
        link::send(&mut control, &ToShim::Join(Box::new(guest))).await.map_err(lost)?;
        let FromShim::Created { pid } =
            self.expect(&mut control, |message| matches!(message, FromShim::Created { .. })).await?
        else {
            return Err(Error::ShimLost(id.clone()));
        };
        let streams = Streams { stdin: running.input, stdout: true, stderr: true };
        let streams = attach::open(self.places.volatile.clone(), id, Some(&name), streams).await?;
        link::send(&mut control, &ToShim::Start).await.map_err(lost)?;
        self.expect(&mut control, |message| matches!(message, FromShim::Started)).await?;
        let read = running.ear.listen(streams, pid);
        let exit = self.until_exit(&mut control, running.orders, gone).await?;
        let _ = read.await;
        Ok(exit)
    }

    async fn expect(
        &self,
        control: &mut UnixStream,
        wanted: impl Fn(&FromShim) -> bool,
    ) -> Result<FromShim, Error> {
        let id = self.container.id.clone();
        match link::receive::<FromShim>(control).await {
            Ok(message) if wanted(&message) => Ok(message),
            Ok(FromShim::Failed { step, message, kind }) => Err(Error::Start { id, step, message, kind }),
            _ => Err(Error::ShimLost(id)),
        }
    }
}

impl Ear {
    /// Lets somebody hear the program; the answer comes when all was heard.
    fn listen(self, mut streams: UnixStream, pid: i32) -> oneshot::Receiver<()> {
        let (read, all_read) = oneshot::channel();
        match self {
            Self::Told(mut output) => drop(tasks::spawn(async move {
                let _read = read;
                let mut buffer = vec![0; PIECE];
                while let Ok(Some((stream, count))) = piece(&mut streams, &mut buffer).await {
                    output(stream, &buffer[..count]);
                }
            })),
            // Who asked for it may be gone: then nobody reads, and the program is about to be killed.
            Self::Lent(lender) => drop(lender.send(Lent { streams, pid, read })),
        }
        all_read
    }
}

/// A program as one that joins is asked for.
fn exec_config(config: &Config, privileged: bool) -> super::exec::ExecConfig {
    super::exec::ExecConfig {
        tty: config.tty,
        privileged,
        env: config.env.clone(),
        cmd: config.cmd.clone(),
        user: config.user.clone(),
        working_dir: config.working_dir.clone(),
        ..Default::default()
    }
}

/// The next piece of output; nothing at the end.
pub(crate) async fn piece(
    streams: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut [u8],
) -> std::io::Result<Option<(Output, usize)>> {
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
