//! A container's questions for names: its sockets lie in its network, its shim keeps them, and this engine reads them.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use network::{Interior, ResolverSockets};

use super::super::etc;
use super::{Actor, blocking};
use crate::Error;
use crate::networks::{Inside, KnownTo};

impl Actor {
    /// The sockets at which a container will ask: none if it asks somebody else.
    pub(super) async fn make_resolver(&self, interior: Option<&Inside>) -> Result<Vec<OwnedFd>, Error> {
        let Some(interior) = interior.filter(|_| self.asks_the_engine()) else { return Ok(Vec::new()) };
        let interior = interior.duplicate().map_err(crate::networks::NetworkError::from)?;
        resolver(move || Ok(interior)).await
    }

    fn asks_the_engine(&self) -> bool {
        etc::asks_the_engine(self.container(), &self.shared.networks)
    }

    /// Begins to answer what comes to these sockets, or has come already.
    pub(super) fn serve_names(&mut self, sockets: Vec<OwnedFd>) -> Result<(), Error> {
        let Ok([udp, tcp]) = <[OwnedFd; 2]>::try_from(sockets) else { return Ok(()) };
        let (id, networks) = (self.container().id.clone(), self.shared.networks.clone());
        let forwarder = networks.forwarder.clone();
        let server = dns::Server::start(udp, tcp, Arc::new(KnownTo { id, networks }), forwarder);
        let doing = "answer a container that asks for names";
        self.names = Some(server.map_err(|source| Error::System { doing, source })?);
        Ok(())
    }

    /// After a restart of the engine: what was asked meanwhile waits in the sockets.
    pub(super) async fn resume_names(&mut self) {
        let folder = self.shared.places(&self.container().id).volatile;
        let kept = blocking(move || Ok(shim::borrow_kept(&folder)?)).await;
        let resumed = kept.and_then(|sockets| self.serve_names(sockets));
        if let Err(error) = resumed.and(self.ensure_names().await) {
            let container = self.container().short_id();
            tracing::warn!(container, error = diag::chain(&error), "it can't ask for names");
        }
    }

    /// A container that runs and came to ask the engine only now gets sockets now. They go with this engine: its shim has
    /// none to keep.
    pub(super) async fn ensure_names(&mut self) -> Result<(), Error> {
        let Some(pid) = self.container().state.live().map(|live| live.pid) else { return Ok(()) };
        if self.names.is_some() || !self.asks_the_engine() || self.container().leases().next().is_none() {
            return Ok(());
        }
        let sockets = resolver(move || Interior::of_process(pid)).await?;
        self.serve_names(sockets)?;
        let (shared, container) = (self.shared.clone(), self.container().clone());
        blocking(move || etc::write_resolver(&container, &shared.places(&container.id), &shared.networks))
            .await
    }

    /// Its network goes: nothing of ours may hold it.
    pub(super) async fn stop_names(&mut self) {
        if let Some(server) = self.names.take() {
            server.stop().await;
        }
    }
}

async fn resolver(
    interior: impl FnOnce() -> Result<Interior, network::Error> + Send + 'static,
) -> Result<Vec<OwnedFd>, Error> {
    blocking(move || {
        let made = interior().and_then(|interior| interior.resolver());
        let ResolverSockets { udp, tcp } = made.map_err(crate::networks::NetworkError::from)?;
        Ok(vec![udp, tcp])
    })
    .await
}
