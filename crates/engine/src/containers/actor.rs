//! The task that owns one container: it alone changes the record, talks to the shim and publishes what it knows.
//!
//! Commands queue in its inbox; a client that hangs up does not stop one half way. Between commands it listens to the
//! shim. It holds nothing that a running container needs: when it goes, the shim goes on.

mod health;
mod launch;
mod lost;
mod names;
mod networks;
mod pause;
mod recover;
mod relief;
mod rename;
mod signal;
mod update;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::state::Durability;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use shim::protocol::{FailureKind, FromShim, ToShim};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::attach::{self, Streams};
use super::handle::{self, Command, Handle, Removal, Reply, View, Volumes};
use super::health::Monitor;
use super::mounts::volume_of;
use super::record::{Behind, Container};
use super::restart::{self, Backoff};
use super::state::{Event, Exit, Live, Next, State};
use super::{Index, Shared, create, link, logs};
use crate::Error;
use crate::images::Force;
use crate::ready::Readable;

/// Starts the task for a container that is recorded.
pub(super) fn spawn(container: Container, shared: Arc<Shared>, index: &Arc<Index>) -> Handle {
    let last_exit = container.state.exit().cloned();
    let settled = !container.state.is_active();
    let view = View { container, exits: 0, last_exit, removed: false, health: None, settled, returns: false };
    let view = Arc::new(view);
    let (handle, inbox, published) = handle::channel(view.clone());
    let plan = Plan::default();
    let actor = Actor {
        view,
        shared,
        index: index.clone(),
        published,
        inbox,
        shim: None,
        waiting: Vec::new(),
        monitor: None,
        names: None,
        plan,
    };
    // Before it runs: it finds itself there.
    index.insert(handle.clone());
    tasks::spawn(actor.run());
    handle
}

/// The first connection to a shim: what is sent to it, and what its reader hears.
struct Shim {
    writer: OwnedWriteHalf,
    heard: mpsc::Receiver<FromShim>,
}

/// What is to come after the present run.
#[derive(Default)]
struct Plan {
    backoff: Backoff,
    /// When it is started again.
    retry: Option<Instant>,
    /// Somebody ended it: its restart policy is not asked.
    cancelled: bool,
    /// The end that comes was asked for as a stop.
    stopping: bool,
    /// It isn't removed at its end: whoever ends it starts it again.
    keep: bool,
}

struct Actor {
    /// What was published last, until it changes: there is one of it then.
    view: Arc<View>,
    shared: Arc<Shared>,
    index: Arc<Index>,
    published: watch::Sender<Arc<View>>,
    inbox: mpsc::Receiver<Command>,
    shim: Option<Shim>,
    /// Clients that attached before the start.
    waiting: Vec<(Streams, Reply<UnixStream>)>,
    /// Runs its health checks while it runs.
    monitor: Option<Monitor>,
    /// Answers it when it asks for names.
    names: Option<dns::Server>,
    plan: Plan,
}

impl Actor {
    async fn run(mut self) {
        if self.container().state.is_active() {
            Box::pin(self.recover()).await;
        }
        if self.container().state == State::Removing {
            Box::pin(self.end_removal()).await;
        }
        self.plan_after_engine_start();
        // What is done now and then has its memory only then: most containers wait most of the time.
        while !self.view.removed {
            tokio::select! {
                command = self.inbox.recv() => match command {
                    Some(command) => Box::pin(self.obey(command)).await,
                    None => return,
                },
                message = hear(&mut self.shim) => Box::pin(self.heard(message)).await,
                () = due(self.plan.retry) => Box::pin(self.start_again()).await,
            }
        }
    }

    fn container(&self) -> &Container {
        &self.view.container
    }

    /// To be followed by a publication.
    fn edit(&mut self) -> &mut View {
        Arc::make_mut(&mut self.view)
    }

    async fn obey(&mut self, command: Command) {
        // A client that went away isn't there for the answer; what it asked for is done all the same.
        match command {
            Command::Start(behind, reply) => drop(reply.send(self.start(behind).await)),
            Command::TakeOver(ports, reply) => drop(reply.send(self.take_over(ports).await)),
            Command::Stand(ports, behind, reply) => drop(reply.send(self.stand(ports, behind).await)),
            Command::Signal(signal, purpose, reply) => drop(reply.send(self.signal(signal, purpose).await)),
            Command::Pause(reply) => drop(reply.send(self.pause().await)),
            Command::Unpause(reply) => drop(reply.send(self.unpause().await)),
            Command::ConnectNetwork(name, asked, reply) => {
                drop(reply.send(self.connect_network(name, *asked).await));
            }
            Command::DisconnectNetwork(name, reply) => {
                drop(reply.send(self.disconnect_network(name).await));
            }
            Command::Unlink(alias, reply) => drop(reply.send(self.unlink(&alias))),
            Command::Rename(asked, reply) => drop(reply.send(self.rename(&asked))),
            Command::Update(update, reply) => drop(reply.send(self.update(&update).await)),
            Command::Restarted(reply) => {
                self.shared.emit(self.container(), "restart", &[]);
                drop(reply.send(Ok(())));
            }
            Command::Resize { rows, columns, reply } => {
                let resized = self.tell_running(ToShim::Resize { rows, columns }).await;
                if resized.is_ok() {
                    let size = [("height", rows.to_string()), ("width", columns.to_string())];
                    self.shared.emit(self.container(), "resize", &size);
                }
                drop(reply.send(resized));
            }
            Command::Attach { streams, queued, stream } => self.attach(streams, queued, stream).await,
            Command::Probed(probe, reply) => {
                self.probed(probe);
                drop(reply.send(Ok(())));
            }
            Command::Remove(removal, reply) => drop(reply.send(self.remove(removal).await)),
        }
    }

    // ── starting ──

    async fn start(&mut self, behind: Option<Behind>) -> Result<(), Error> {
        match &self.container().state {
            State::Paused(_) => return Err(Error::StartPaused),
            State::Running(_) | State::Starting | State::StartingAgain(_) | State::Restarting { .. } => {
                return Err(Error::NotModified(self.container().id.clone()));
            }
            State::Removing => return Err(Error::MarkedForRemoval("started")),
            State::Created | State::Exited { .. } => {}
        }
        self.plan = Plan::default();
        let past = &mut self.edit().container.past;
        (past.restarts, past.stopped_by_hand) = (0, false);
        self.edit().container.behind = behind;
        self.begin().await
    }

    /// Its restart policy has it started.
    async fn start_again(&mut self) {
        self.plan.retry = None;
        if let Err(error) = self.begin().await {
            let container = self.container().short_id();
            tracing::warn!(container, error = diag::chain(&error), "could not be started again");
        }
    }

    async fn begin(&mut self) -> Result<(), Error> {
        (self.plan.stopping, self.plan.keep) = (false, false);
        // A root has one mount that is written to.
        let _writing = self.shared.writers.try_write(&self.container().id)?;
        self.advance(Event::Start)?;
        match self.launch().await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.shim = None;
                self.release().await;
                let exit = failed_start(&error);
                // Not an exit for those who wait for the next one: the client hears of it as the start's answer.
                self.edit().last_exit = Some(exit.clone());
                self.edit().returns = false;
                self.advance(Event::Failed(exit, self.container().past.started))?;
                self.waiting.clear();
                self.remove_if_asked().await;
                Err(error)
            }
        }
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let users = match self.container().identities.clone() {
            Some(identities) => Some(blocking(move || identities.namespaces()).await?),
            None => None,
        };
        let interior = self.join_networks(users.as_ref()).await?;
        let sockets = self.make_resolver(interior.as_ref()).await?;
        let (shared, container) = (self.shared.clone(), self.container().clone());
        let log = logs::configure(&container, &shared.places(&container.id)).await?;
        let index = self.index.clone();
        // What is joined stays open until the shim has joined it.
        let (launched, _joined, sockets) = blocking(move || {
            let (launched, joined) =
                launch::launch_shim(&shared, &index, &container, (users, interior), &sockets, log)?;
            Ok((launched, joined, sockets))
        })
        .await?;
        self.serve_names(sockets)?;
        let stream =
            link::adopt(launched.control).map_err(|source| self.lost_on("reach the shim", &source))?;
        reap(launched.pidfd);
        self.connect(stream);
        let Created { pid } = self.expect_created().await?;
        self.attach_waiting().await;
        self.finish_start(pid).await
    }

    /// From "process 1 exists" to "the program runs".
    async fn finish_start(&mut self, pid: i32) -> Result<(), Error> {
        self.tell(&ToShim::Start).await?;
        match hear(&mut self.shim).await {
            Some(FromShim::Started) => {}
            Some(FromShim::Failed { step, message, kind }) => {
                let id = self.container().id.clone();
                return Err(Error::Start { id, step, message, kind });
            }
            _ => return Err(Error::ShimLost(self.container().id.clone())),
        }
        self.started(pid)?;
        self.shared.emit(self.container(), "start", &[]);
        Ok(())
    }

    fn started(&mut self, pid: i32) -> Result<(), Error> {
        let since = SystemTime::now();
        self.edit().container.past.started = Some(since);
        self.edit().returns = false;
        self.advance(Event::Started(Live { pid, since }))?;
        self.watch_health();
        Ok(())
    }

    async fn expect_created(&mut self) -> Result<Created, Error> {
        match hear(&mut self.shim).await {
            Some(FromShim::Created { pid }) => Ok(Created { pid }),
            Some(FromShim::Failed { step, message, kind }) => {
                Err(Error::Start { id: self.container().id.clone(), step, message, kind })
            }
            _ => Err(Error::ShimLost(self.container().id.clone())),
        }
    }

    async fn attach_waiting(&mut self) {
        for (streams, reply) in std::mem::take(&mut self.waiting) {
            drop(reply.send(self.open_streams(streams).await));
        }
    }

    fn connect(&mut self, stream: UnixStream) {
        let (mut reader, writer) = stream.into_split();
        let (sender, heard) = mpsc::channel(16);
        tasks::spawn(async move {
            while let Ok(message) = link::receive::<FromShim>(&mut reader).await {
                if sender.send(message).await.is_err() {
                    return;
                }
            }
        });
        self.shim = Some(Shim { writer, heard });
    }

    /// What it had while it ran is for others.
    async fn release(&mut self) {
        self.leave_networks().await;
        let container = self.container();
        for name in container.mounts.iter().filter_map(volume_of) {
            self.shared.volumes.give_back(&container.id, name);
        }
    }

    // ── running ──

    async fn tell_running(&mut self, message: ToShim) -> Result<(), Error> {
        if self.container().state.live().is_none() {
            return Err(Error::NotRunning(self.container().id.clone()));
        }
        self.tell(&message).await
    }

    async fn attach(&mut self, streams: Streams, queued: Reply<()>, stream: Reply<UnixStream>) {
        let refused = match self.container().state {
            State::Paused(_) => Some(Error::AttachPaused(self.container().name.clone())),
            State::Restarting { .. } => Some(Error::AttachRestarting(self.container().name.clone())),
            _ => None,
        };
        if let Some(error) = refused {
            drop(queued.send(Err(error)));
            return;
        }
        self.shared.emit(self.container(), "attach", &[]);
        drop(queued.send(Ok(())));
        match self.container().state {
            State::Running(_) => drop(stream.send(self.open_streams(streams).await)),
            _ => {
                // Clients that gave up meanwhile don't pile up.
                self.waiting.retain(|(_, reply)| !reply.is_closed());
                self.waiting.push((streams, stream));
            }
        }
    }

    async fn open_streams(&self, streams: Streams) -> Result<UnixStream, Error> {
        let places = self.shared.places(&self.container().id);
        attach::open(places.volatile, &self.container().id, None, streams).await
    }

    async fn heard(&mut self, message: Option<FromShim>) {
        match message {
            Some(FromShim::Exited(exit)) => self.exited(from_shim(&exit)).await,
            Some(FromShim::Rotated) => self.shared.logs.may_have_grown(),
            Some(FromShim::Refused { message }) => {
                tracing::warn!(container = self.container().short_id(), message, "the shim refused");
            }
            Some(other) => tracing::warn!(?other, "a shim spoke out of turn"),
            None => self.shim_gone().await,
        }
    }

    async fn exited(&mut self, exit: Exit) {
        let started = self.container().state.live().map_or_else(SystemTime::now, |live| live.since);
        let run = exit.at.duration_since(started).unwrap_or_default();
        self.monitor = None;
        self.shared.logs.may_have_grown();
        self.release().await;
        self.edit().last_exit = Some(exit.clone());
        self.edit().exits += 1;
        self.edit().returns = self.plan.keep;
        let code = exit.code.to_string();
        let (lasted, oom) = (run.as_secs().to_string(), exit.oom_killed);
        self.edit().container.past.finished = Some(exit.at);
        let next = self.next_after(&exit, run);
        if let Err(error) = self.advance(Event::Died(exit, next)) {
            tracing::error!(error = diag::chain(&error), "an exit could not be recorded");
        }
        if oom {
            self.shared.emit(self.container(), "oom", &[]);
        }
        self.shared.emit(self.container(), "die", &[("exitCode", code), ("execDuration", lasted)]);
        if self.plan.stopping {
            self.shared.emit(self.container(), "stop", &[]);
        }
        // The exit is recorded: the shim may go. One that has gone is as good.
        let _ = self.tell(&ToShim::Release).await;
        self.shim = None;
        if next == Next::Rest && !self.plan.keep {
            self.remove_if_asked().await;
        }
    }

    /// Asks the restart policy, and plans the next start where it wants one.
    fn next_after(&mut self, exit: &Exit, run: Duration) -> Next {
        let container = self.container();
        let policy = &container.host.restart_policy;
        if self.plan.cancelled || !restart::is_wanted(policy, exit.code, &container.past) {
            return Next::Rest;
        }
        self.edit().container.past.restarts += 1;
        self.plan.retry = Some(Instant::now() + self.plan.backoff.after(run));
        Next::Restart
    }

    // ── the end ──

    async fn remove_if_asked(&mut self) {
        if self.container().host.auto_remove
            && let Err(error) = self.remove(Removal { force: Force::No, volumes: Volumes::Remove }).await
        {
            tracing::error!(error = diag::chain(&error), "cannot remove a container that asked for it");
        }
    }

    /// An engine was killed in the middle of it. Whether volumes were to go with it nobody knows: none goes that isn't asked for.
    async fn end_removal(&mut self) {
        let volumes = if self.container().host.auto_remove { Volumes::Remove } else { Volumes::Keep };
        if let Err(error) = self.remove(Removal { force: Force::No, volumes }).await {
            tracing::error!(error = diag::chain(&error), "cannot end the removal of a container");
        }
    }

    async fn remove(&mut self, Removal { force, volumes }: Removal) -> Result<(), Error> {
        if self.container().state.is_active() {
            if force == Force::No {
                if let State::Paused(_) = self.container().state {
                    return Err(Error::RemovePaused(self.container().name.clone()));
                }
                let (name, state) = (self.container().name.clone(), self.container().state.word());
                return Err(Error::RemoveRunning { name, state });
            }
            self.kill_and_wait().await?;
            if self.view.removed {
                return Ok(());
            }
        }
        self.advance(Event::Remove)?;
        let (shared, id) = (self.shared.clone(), self.container().id.clone());
        let container = self.container().clone();
        blocking(move || {
            shared.db.write(Durability::Process, |tx| tx.delete::<Container>(&id))?;
            create::discard(&shared.places(&id));
            if volumes == Volumes::Remove {
                shared.volumes.remove_unheld(container.mounts.iter().filter_map(volume_of))?;
            }
            let layers: Vec<_> = container.all_layers().cloned().collect();
            shared.images.container_gone(&layers)
        })
        .await?;
        self.index.forget(&self.view.container.id, &self.view.container.name);
        self.edit().removed = true;
        self.publish();
        self.shared.emit(self.container(), "destroy", &[]);
        Ok(())
    }

    // ── telling and recording ──

    async fn tell(&mut self, message: &ToShim) -> Result<(), Error> {
        let id = &self.view.container.id;
        let Some(shim) = &mut self.shim else { return Err(Error::ShimLost(id.clone())) };
        link::send(&mut shim.writer, message).await.map_err(|_| Error::ShimLost(id.clone()))
    }

    /// One step of the life: on disk first, then for everybody to see.
    fn advance(&mut self, event: Event) -> Result<(), Error> {
        let state = self.container().state.clone().step(event);
        self.edit().container.state = state.map_err(|refused| {
            Error::Invalid(format!("a container that is {} can't do that", refused.state.word()))
        })?;
        self.record()
    }

    /// What is known goes on disk, then to everybody.
    fn record(&self) -> Result<(), Error> {
        let container = self.view.container.clone();
        // Tens of microseconds in WAL mode: not worth a thread.
        self.shared.db.write(Durability::Process, |tx| tx.put(&container))?;
        self.publish();
        Ok(())
    }

    fn publish(&self) {
        self.shared.networks.note_names(self.container());
        self.published.send_replace(self.view.clone());
    }

    fn lost_on(&self, doing: &'static str, source: &std::io::Error) -> Error {
        tracing::warn!(%source, doing, "a shim can't be used");
        Error::ShimLost(self.container().id.clone())
    }
}

/// `FromShim::Created`, as a type.
struct Created {
    pid: i32,
}

/// The next message; `None` when the shim hung up. Without a shim there is none to wait for.
async fn hear(shim: &mut Option<Shim>) -> Option<FromShim> {
    match shim {
        Some(shim) => shim.heard.recv().await,
        None => std::future::pending().await,
    }
}

/// Returns at that time; never without one.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tasks::blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(Error::System { doing: "finish a task", source: source.into() }),
    }
}

/// Waits for a shim of ours to end, so that it doesn't stay as a zombie.
pub(super) fn reap(pidfd: OwnedFd) {
    tasks::spawn(async move {
        let Ok(shim) = Readable::new(pidfd) else { return };
        if shim.wait().await.is_ok() {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            // One that isn't our child was started by the engine before us and is reaped by init.
            let _ = waitid(WaitId::PidFd(shim.fd()), options);
        }
    });
}

fn from_shim(exit: &shim::protocol::Exit) -> Exit {
    Exit {
        code: exit.code,
        oom_killed: exit.oom_killed,
        at: SystemTime::UNIX_EPOCH + Duration::from_nanos(exit.at),
        error: String::new(),
    }
}

/// docker's exit code for a container that never ran.
fn failed_start(error: &Error) -> Exit {
    let code = match error {
        Error::Start { kind: FailureKind::NotFound, .. } => 127,
        Error::Start { kind: FailureKind::NotExecutable, .. } => 126,
        _ => 128,
    };
    Exit { code, oom_killed: false, at: SystemTime::now(), error: diag::chain(error) }
}
