//! How everybody else sees and reaches a container: its last published view, and commands to its task.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use network::firewall::Publication;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::attach::Streams;
use super::effect;
use super::health::{Health, Probe};
use super::record::{Behind, Container};
use super::resources::Update;
use super::state::{Exit, State};
use crate::Error;
use crate::images::Force;
use crate::networks::EndpointConfig;

/// How many commands may wait for one container. A client beyond that waits to hand its own in.
const INBOX: usize = 64;
pub(super) const SIGKILL: i32 = 9;

/// What readers see of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub container: Container,
    /// How often it has ended since this engine runs: lets a waiter tell one exit from the next.
    pub exits: u64,
    /// How its last run ended; outlives the container itself for those who wait for its removal.
    pub last_exit: Option<Exit>,
    pub removed: bool,
    /// While it runs and something checks it, and after that what was last known.
    pub health: Option<Health>,
    /// Whether the record has been compared with the facts since this engine started.
    pub settled: bool,
    /// Whether it ended because it is being restarted by hand: whoever ended it starts it again.
    pub returns: bool,
}

impl View {
    /// The state that clients are to see. One that is restarted by hand is between two runs: dockerd answers nobody who
    /// inspects it before the second one has begun.
    pub fn shown(&self) -> Cow<'_, State> {
        match (self.container.state.shown(), self.returns) {
            (State::Exited { exit, started: Some(started) }, true) => {
                Cow::Owned(State::Restarting { exit: exit.clone(), started: *started })
            }
            (state, _) => Cow::Borrowed(state),
        }
    }
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    NotRunning,
    NextExit,
    Removed,
}

/// What goes with a container that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// Whether also a running one goes.
    pub force: Force,
    pub volumes: Volumes,
}

/// What becomes of its anonymous volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volumes {
    Keep,
    Remove,
}

/// How long a killed container's end is waited for.
const KILLED: Duration = Duration::from_secs(10);

/// Why a signal is sent: decides what comes after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody sends a signal.
    Kill,
    /// Somebody stops it.
    Stop,
    /// Somebody stops it to start it again.
    Restart,
    /// The engine ends, and the container with it: the next engine may start it again.
    Shutdown,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What a container's task can be asked for.
pub(super) enum Command {
    /// Behind another one, if one is named.
    Start(Option<Behind>, Reply<()>),
    /// What the one in front had, is its own.
    TakeOver(Vec<Publication>, Reply<()>),
    /// It has these ports, and stands behind another one or doesn't.
    Stand(Vec<Publication>, Option<Behind>, Reply<()>),
    Signal(i32, Purpose, Reply<()>),
    Pause(Reply<()>),
    Unpause(Reply<()>),
    Rename(String, Reply<()>),
    Unlink(String, Reply<()>),
    ConnectNetwork(String, Box<EndpointConfig>, Reply<()>),
    DisconnectNetwork(String, Reply<()>),
    Update(Box<Update>, Reply<()>),
    /// It was stopped and started on somebody's wish: to be told.
    Restarted(Reply<()>),
    Resize {
        rows: u16,
        columns: u16,
        reply: Reply<()>,
    },
    /// `queued` is answered at once; `stream` when there is something to be connected to.
    Attach {
        streams: Streams,
        queued: Reply<()>,
        stream: Reply<UnixStream>,
    },
    /// A health check has ended.
    Probed(Probe, Reply<()>),
    Remove(Removal, Reply<()>),
}

/// The way to reach a container's task.
#[derive(Debug, Clone)]
pub struct Handle {
    id: String,
    inbox: mpsc::Sender<Command>,
    view: watch::Receiver<Arc<View>>,
}

impl Handle {
    /// The full id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The last published view. Never waits.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Starts it; one that runs is [`Error::NotModified`].
    pub async fn start(&self) -> Result<(), Error> {
        self.ask(|reply| Command::Start(None, reply)).await
    }

    /// Sends a signal to process 1. After the one that nothing survives its end is waited for, as clients expect, but not
    /// for ever: a process that the kernel holds can't end.
    pub async fn kill(&self, signal: i32) -> Result<(), Error> {
        let ended = self.waiter(WaitFor::NotRunning);
        self.signal(signal, Purpose::Kill).await?;
        if signal == SIGKILL {
            let _ = tokio::time::timeout(KILLED, ended.done()).await;
        }
        Ok(())
    }

    async fn signal(&self, signal: i32, purpose: Purpose) -> Result<(), Error> {
        self.ask(|reply| Command::Signal(signal, purpose, reply)).await
    }

    /// Makes it part of a network, under the network's own name.
    pub async fn connect(&self, network: &str, asked: EndpointConfig) -> Result<(), Error> {
        let name = network.to_owned();
        self.ask(|reply| Command::ConnectNetwork(name, Box::new(asked), reply)).await
    }

    /// Takes it out of a network.
    pub async fn disconnect(&self, network: &str) -> Result<(), Error> {
        let name = network.to_owned();
        self.ask(|reply| Command::DisconnectNetwork(name, reply)).await
    }

    /// Holds all its processes still.
    pub async fn pause(&self) -> Result<(), Error> {
        self.ask(Command::Pause).await
    }

    /// Lets them go on.
    pub async fn unpause(&self) -> Result<(), Error> {
        self.ask(Command::Unpause).await
    }

    /// Gives it another name.
    pub async fn rename(&self, name: &str) -> Result<(), Error> {
        self.ask(|reply| Command::Rename(name.to_owned(), reply)).await
    }

    /// Takes one of its links away.
    pub async fn unlink(&self, alias: &str) -> Result<(), Error> {
        self.ask(|reply| Command::Unlink(alias.to_owned(), reply)).await
    }

    /// Changes its limits and its restart policy.
    pub async fn update(&self, update: Update) -> Result<(), Error> {
        self.ask(|reply| Command::Update(Box::new(update), reply)).await
    }

    /// Stops it where it runs, and starts it.
    pub async fn restart(&self, signal: i32, patience: Option<Duration>) -> Result<(), Error> {
        let not_modified = |result| match result {
            Err(Error::NotModified(_)) => Ok(()),
            other => other,
        };
        not_modified(self.stop(signal, patience, Purpose::Restart).await)?;
        not_modified(self.start().await)?;
        self.ask(Command::Restarted).await
    }

    /// Hands in the result of a health check.
    pub(super) async fn probed(&self, probe: Probe) -> Result<(), Error> {
        self.ask(|reply| Command::Probed(probe, reply)).await
    }

    /// Changes the terminal's size.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), Error> {
        self.ask(|reply| Command::Resize { rows, columns, reply }).await
    }

    /// Removes it; a running one only by force.
    pub async fn remove(&self, removal: Removal) -> Result<(), Error> {
        self.ask(|reply| Command::Remove(removal, reply)).await
    }

    /// Registers for the streams. When this returns, a later start can't be missed; the receiver yields the connection
    /// once the container has its streams.
    pub async fn attach(
        &self,
        streams: Streams,
    ) -> Result<oneshot::Receiver<Result<UnixStream, Error>>, Error> {
        let (stream, receiver) = oneshot::channel();
        self.ask(|queued| Command::Attach { streams, queued, stream }).await?;
        Ok(receiver)
    }

    /// Stops it: the signal, and SIGKILL when the time is over, or at once where the signal can have no effect. One that doesn't run is [`Error::NotModified`].
    pub async fn stop(&self, signal: i32, patience: Option<Duration>, why: Purpose) -> Result<(), Error> {
        if !self.view().container.state.is_active() {
            return Err(Error::NotModified(self.id.clone()));
        }
        let stopped = self.waiter(WaitFor::NotRunning);
        let before = self.is_deaf_to(signal).await;
        ignore_ended(self.signal(signal, why).await)?;
        // Before and after: a program may come to handle the signal in between. Who waits for ever wants no SIGKILL.
        let patience = match patience {
            Some(_) if before && self.is_deaf_to(signal).await => Some(Duration::ZERO),
            other => other,
        };
        let ended = tokio::time::timeout(patience.unwrap_or(Duration::MAX), stopped.done()).await;
        if ended.is_err() {
            let stopped = self.waiter(WaitFor::NotRunning);
            ignore_ended(self.signal(SIGKILL, why).await)?;
            stopped.done().await;
        }
        Ok(())
    }

    async fn is_deaf_to(&self, signal: i32) -> bool {
        let Some(pid) = self.view().container.state.live().map(|live| live.pid) else { return false };
        tasks::blocking(move || effect::is_without(pid, signal)).await.unwrap_or(false)
    }

    /// Begins to wait now; what happens from here on isn't missed.
    pub fn waiter(&self, until: WaitFor) -> Waiter {
        let view = self.view.clone();
        let exits = view.borrow().exits;
        Waiter { view, until, exits }
    }

    /// Waits until the record was compared with the facts.
    pub async fn settled(&self) {
        let _ = self.view.clone().wait_for(|view| view.settled).await;
    }

    pub(super) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::NoSuchContainer(self.id.clone());
        self.inbox.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Who is signalled may end of something else in the same moment: stopped is stopped.
fn ignore_ended(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::KillNotRunning(_) | Error::NoSuchContainer(_)) => Ok(()),
        other => other,
    }
}

/// Somebody who waits.
#[derive(Debug)]
pub struct Waiter {
    view: watch::Receiver<Arc<View>>,
    until: WaitFor,
    exits: u64,
}

impl Waiter {
    /// The last exit once the condition holds; `None` for a container that never ran.
    pub async fn done(mut self) -> Option<Exit> {
        let (until, exits) = (self.until, self.exits);
        let met = self.view.wait_for(|view| match until {
            // Also one that its restart policy starts again has ended.
            WaitFor::NotRunning => view.exits > exits || !view.container.state.is_active(),
            WaitFor::NextExit => view.exits > exits || view.removed,
            WaitFor::Removed => view.removed,
        });
        // The sender goes with the task, and its last word is that the container is removed.
        let met = met.await.map(|view| view.last_exit.clone());
        met.unwrap_or_else(|_| self.view.borrow().last_exit.clone())
    }
}

/// The two ends: a handle for everybody, the inbox and the publisher for the task.
pub(super) fn channel(view: Arc<View>) -> (Handle, mpsc::Receiver<Command>, watch::Sender<Arc<View>>) {
    let id = view.container.id.clone();
    let (sender, inbox) = mpsc::channel(INBOX);
    let (published, receiver) = watch::channel(view);
    (Handle { id, inbox: sender, view: receiver }, inbox, published)
}
