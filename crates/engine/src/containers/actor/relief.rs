//! One container takes another one's place while both run.

use std::os::fd::OwnedFd;

use network::firewall::Publication;
use network::{Door, accepted};
use shim::protocol::ToShim;
use tokio::time::{Duration, Instant, sleep};

use super::super::handle::{Command, Handle};
use super::super::record::{Behind, Container};
use super::super::{Index, Shared};
use super::{Actor, blocking, link};
use crate::Error;

/// How often connections are looked for, and for how long there has to be none: who has just been told an address needs a
/// moment to use it.
const LOOK: Duration = Duration::from_millis(100);
const CALM: u32 = 5;

impl Actor {
    /// The ports of the container in whose shadow this one stands, for as long as that one runs.
    pub(super) fn in_front(&self) -> Option<Vec<Publication>> {
        let behind = self.container().behind.as_ref()?;
        let other = self.index.get(&behind.other).ok()?.view();
        other.container.state.live().map(|_| other.container.ports.clone())
    }

    /// It has gone: whoever stands behind it takes its place, as what it was waiting for won't be said any more.
    pub(super) fn call_those_behind(&self) {
        let id = &self.container().id;
        for view in self.index.views() {
            let is_behind = view.container.behind.as_ref().is_some_and(|behind| behind.other == *id);
            if !is_behind || view.container.state.live().is_none() {
                continue;
            }
            if let Ok(next) = self.index.get(&view.container.id) {
                tasks::spawn(async move { next.succeed().await });
            }
        }
    }

    /// After a restart of the engine: the one in front may have gone meanwhile.
    pub(super) async fn succeed_if_alone(&mut self) {
        let container = self.container();
        if container.behind.is_some() && container.state.live().is_some() && self.in_front().is_none() {
            let taken = self.take_over(Vec::new()).await;
            if let Err(error) = taken {
                tracing::warn!(error = diag::chain(&error), "a container could not take another one's place");
            }
        }
    }

    /// What the other one had is this one's.
    pub(super) async fn take_over(&mut self, old: Vec<Publication>) -> Result<(), Error> {
        let held = self.container().behind.clone().unwrap_or_default().held;
        let (shared, container, new) = (self.shared.clone(), self.container().clone(), held.clone());
        blocking(move || Ok(shared.networks.hand_over(container.guest(), &old, &new)?)).await?;
        self.open_doors(&held, true).await?;
        let container = &mut self.edit().container;
        (container.ports, container.behind) = (held, None);
        self.record()
    }

    /// What it has is another one's from now on, or its own again.
    pub(super) async fn stand(
        &mut self,
        ports: Vec<Publication>,
        behind: Option<Behind>,
    ) -> Result<(), Error> {
        let open = behind.is_none() && !ports.is_empty();
        let concerned = if open { ports.clone() } else { self.container().ports.clone() };
        let container = &mut self.edit().container;
        (container.ports, container.behind) = (ports, behind);
        self.record()?;
        self.open_doors(&concerned, open).await
    }

    /// Lets clients in by the shim's own sockets, if these ports need any, or leaves them to another one's.
    async fn open_doors(&self, ports: &[Publication], open: bool) -> Result<(), Error> {
        if crate::networks::doors(ports, &self.shared.settings.bridge).is_empty() {
            return Ok(());
        }
        let id = &self.container().id;
        link::ask(self.shared.places(id).volatile, id, &ToShim::Doors { open }).await.map(drop)
    }
}

/// Sockets that the shim of the container in front lends.
pub(super) fn borrow(
    shared: &Shared,
    index: &Index,
    container: &Container,
) -> Result<Vec<(Door, OwnedFd)>, Error> {
    let Some(front) = container.behind.as_ref().and_then(|behind| index.get(&behind.other).ok()) else {
        return Ok(Vec::new());
    };
    let doors = crate::networks::doors(&front.view().container.ports, &shared.settings.bridge);
    if doors.is_empty() {
        return Ok(Vec::new());
    }
    let lent = shim::borrow_doors(&shared.places(front.id()).volatile, doors.len())?;
    Ok(doors.into_iter().zip(lent).collect())
}

impl Handle {
    /// Starts it behind another one that runs: with neither its ports nor its names, until it takes them over.
    pub async fn start_behind(&self, other: &Self) -> Result<(), Error> {
        let behind = Behind { other: other.id().to_owned(), held: Vec::new() };
        self.ask(|reply| Command::Start(Some(behind), reply)).await
    }

    /// Takes over the ports and names of the one behind which it was started. Nobody who asks meanwhile is refused.
    pub async fn take_over(&self, other: &Self) -> Result<(), Error> {
        let view = self.view();
        if view.container.state.live().is_none() {
            return Err(Error::NotRunning(self.id().to_owned()));
        }
        if view.container.behind.as_ref().is_none_or(|behind| behind.other != other.id()) {
            let (own, other) = (self.id(), other.id());
            return Err(Error::Invalid(format!("container {own} was not started behind {other}")));
        }
        let ports = other.view().container.ports.clone();
        // On the record nobody has them for a moment; in the kernel somebody always does.
        other.stand(Vec::new(), None).await?;
        if let Err(error) = self.ask(|reply| Command::TakeOver(ports.clone(), reply)).await {
            other.stand(ports, None).await?;
            return Err(error);
        }
        let behind = Behind { other: self.id().to_owned(), held: Vec::new() };
        other.stand(Vec::new(), Some(behind)).await
    }

    /// Takes its place by itself.
    async fn succeed(&self) {
        if let Err(error) = self.ask(|reply| Command::TakeOver(Vec::new(), reply)).await {
            tracing::warn!(error = diag::chain(&error), "a container could not take another one's place");
        }
    }

    async fn stand(&self, ports: Vec<Publication>, behind: Option<Behind>) -> Result<(), Error> {
        match self.ask(|reply| Command::Stand(ports, behind, reply)).await {
            // It has ended meanwhile, and holds nothing.
            Err(Error::ShimLost(_)) => Ok(()),
            other => other,
        }
    }

    /// Waits until nobody is connected to it any more, but no longer than this.
    pub async fn drain(&self, at_most: Duration) {
        let (begun, mut calm) = (Instant::now(), 0);
        while calm < CALM && begun.elapsed() < at_most {
            let Some(pid) = self.view().container.state.live().map(|live| live.pid) else { return };
            let busy = tasks::blocking(move || accepted(pid)).await.unwrap_or_default() > 0;
            calm = if busy { 0 } else { calm + 1 };
            sleep(LOOK).await;
        }
    }
}
