//! A container's networks: had from before its first process until after its last.

use super::{Actor, blocking};
use crate::Error;
use crate::containers::identities::Users;
use crate::containers::record::Behind;
use crate::containers::{etc, links, networking};
use crate::networks::{Endpoint, EndpointConfig, Inside, NetworkError};

impl Actor {
    /// Takes addresses and ports, and writes them down before anything uses them. The namespace is to be held until the
    /// container is in it.
    pub(super) async fn join_networks(&mut self, users: Option<&Users>) -> Result<Option<Inside>, Error> {
        let leaving = self.in_front();
        let other = leaving.as_ref().map(|_| self.container().behind.clone().unwrap_or_default().other);
        let (shared, container) = (self.shared.clone(), self.container().clone());
        let held = |source| Error::System { doing: "hold a network open", source };
        let into = users.map(|users| users.network.try_clone().map_err(held)).transpose()?;
        let attached =
            blocking(move || networking::attach(&container, into, &shared.networks, leaving.as_deref()))
                .await?;
        self.edit().container.behind = other.map(|other| Behind {
            other,
            held: attached.as_ref().map(|attached| attached.held.clone()).unwrap_or_default(),
        });
        let Some(attached) = attached else { return Ok(None) };
        self.edit().container.endpoints = attached.endpoints;
        self.edit().container.ports = attached.ports;
        match links::resolve(self.container(), &self.index) {
            Ok(links) => self.edit().container.links = links,
            Err(error) => {
                self.leave_networks().await;
                return Err(error);
            }
        }
        let (shared, container) = (self.shared.clone(), self.container().clone());
        let recorded = self.record();
        let written =
            recorded.and_then(|()| etc::write(&container, &shared.places(&container.id), &shared.networks));
        if let Err(error) = written {
            self.leave_networks().await;
            return Err(error);
        }
        links::tell_others(&container, &self.index, &shared.places(&container.id));
        Ok(Some(attached.interior))
    }

    /// The other container of this link is known by its own name again, from the next start on.
    pub(super) fn unlink(&mut self, alias: &str) -> Result<(), Error> {
        self.edit().container.links.retain(|link| link.alias != alias);
        self.record()
    }

    /// Gives everything back. The record says so with the next step of the life.
    pub(super) async fn leave_networks(&mut self) {
        self.stop_names().await;
        let container = self.container().clone();
        let nothing = container.endpoints.values().all(|endpoint| endpoint.lease.is_none());
        if nothing && container.ports.is_empty() {
            return;
        }
        if let Some(behind) = &mut self.edit().container.behind {
            let held = std::mem::take(&mut behind.held);
            self.shared.networks.let_go(&held);
        }
        for endpoint in self.edit().container.endpoints.values_mut() {
            endpoint.lease = None;
        }
        self.edit().container.ports.clear();
        let shared = self.shared.clone();
        let done = blocking(move || {
            let guest = container.guest();
            shared.networks.detach(guest, &container.endpoints, &container.ports);
            Ok(())
        });
        if let Err(error) = done.await {
            tracing::error!(error = diag::chain(&error), "a container's networks could not be left");
        }
        self.call_those_behind();
    }

    /// Makes it part of one more network, at once if it runs.
    pub(super) async fn connect_network(&mut self, name: String, asked: EndpointConfig) -> Result<(), Error> {
        let (container, mode) = (self.container(), &self.container().host.network_mode);
        if mode == "host" || mode.starts_with("container:") {
            let why = format!(
                "container sharing network namespace with another container or host cannot be connected to any other network ({mode})"
            );
            return Err(NetworkError::Invalid(why).into());
        }
        let known = container.endpoints.get(&name);
        if known.is_some_and(|endpoint| endpoint.lease.is_some() || !container.state.is_active()) {
            let container = container.name.clone();
            return Err(NetworkError::AlreadyConnected { container, network: name }.into());
        }
        let endpoint = Endpoint { asked, ..Endpoint::default() };
        let endpoint = match container.state.live().map(|live| live.pid) {
            None => endpoint,
            Some(pid) => {
                let (shared, container, name) = (self.shared.clone(), container.clone(), name.clone());
                let mut endpoint = endpoint;
                blocking(move || {
                    let guest = container.guest();
                    shared.networks.plug(guest, pid, &name, &container.endpoints, &mut endpoint)?;
                    Ok(endpoint)
                })
                .await?
            }
        };
        self.edit().container.endpoints.remove("none");
        self.edit().container.endpoints.insert(name, endpoint);
        self.record()?;
        self.ensure_names().await
    }

    /// Takes it out of a network, at once if it runs.
    pub(super) async fn disconnect_network(&mut self, name: String) -> Result<(), Error> {
        let container = self.container();
        if container.host.network_mode == "host" {
            let why = "container cannot be disconnected from host network".to_owned();
            return Err(NetworkError::Forbidden(why).into());
        }
        let Some(endpoint) = container.endpoints.get(&name).cloned() else {
            let container = container.id.clone();
            return Err(NetworkError::NotConnected { container, network: name }.into());
        };
        if let Some(pid) = container.state.live().map(|live| live.pid) {
            let (shared, container, name) = (self.shared.clone(), container.clone(), name.clone());
            blocking(move || {
                let guest = container.guest();
                shared.networks.unplug(guest, pid, &name, &endpoint)
            })
            .await?;
        }
        self.edit().container.endpoints.remove(&name);
        self.record()
    }
}
