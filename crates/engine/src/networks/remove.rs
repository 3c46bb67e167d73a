//! Removing networks that nobody is in.

use state::Durability;

use super::record::{Endpoint, Network};
use super::{NetworkError, Networks};
use crate::Error;
use crate::containers::Containers;
use crate::filters::{self, Filters};

/// The filter keys of `POST /networks/prune`.
pub const PRUNE_KEYS: &[&str] = &["label", "label!", "until"];

/// What a pruning removed.
#[derive(Debug, Default)]
pub struct Pruned {
    pub names: Vec<String>,
}

impl Networks {
    /// Removes a network, unless a container that runs is in it.
    pub fn remove(&self, typed: &str, containers: &Containers) -> Result<(), Error> {
        let network = self.get(typed)?;
        if network.is_predefined() {
            return Err(NetworkError::RemovePredefined(network.name).into());
        }
        if network.config_only
            && let Some(user) = self.list().into_iter().find(|other| other.config_from == network.name)
        {
            let why = format!(
                "error while removing network: configuration network \"{}\" is in use by {}",
                network.name, user.name
            );
            return Err(NetworkError::Forbidden(why).into());
        }
        let users: Vec<String> = self
            .occupants(&network, containers)
            .into_iter()
            .map(|occupant| {
                format!(
                    "name:\"{}\" id:\"{}\"",
                    occupant.name,
                    occupant.endpoint.lease.as_ref().map_or("", |lease| &lease.endpoint_id[..12])
                )
            })
            .collect();
        if !users.is_empty() {
            return Err(NetworkError::InUse { name: network.name, users: users.join(", ") }.into());
        }
        self.discard(&network)
    }

    fn discard(&self, network: &Network) -> Result<(), Error> {
        self.db.write(Durability::Power, |tx| tx.delete::<Network>(&network.id))?;
        let mut tables = self.tables();
        tables.networks.remove(&network.id);
        tables.addresses.retain(|(id, _), _| *id != network.id);
        drop(tables);
        self.kernel.remove(network, &self.list())?;
        self.emit(network, "destroy", &[]);
        Ok(())
    }

    /// Removes those that no container is made for and that the filters admit.
    pub fn prune(&self, filters: &Filters, containers: &Containers) -> Result<Pruned, Error> {
        let until = filters::until(filters)?;
        let mut pruned = Pruned::default();
        for network in self.list() {
            let label = |name: &str| network.labels.get(name).map(String::as_str);
            let wanted = until.is_none_or(|until| network.created < until)
                && filters.admits_labels("label", label)
                && (!filters.has("label!") || !filters.admits_labels("label!", label));
            let used =
                containers.list().iter().any(|view| view.container.endpoints.contains_key(&network.name));
            if wanted && !used && !network.is_predefined() && self.discard(&network).is_ok() {
                pruned.names.push(network.name);
            }
        }
        Ok(pruned)
    }

    /// The containers that run in a network.
    pub fn occupants(&self, network: &Network, containers: &Containers) -> Vec<Member> {
        let views = containers.list();
        let member = |view: &std::sync::Arc<crate::containers::View>| {
            let container = &view.container;
            let endpoint = container.endpoints.get(&network.name).filter(|_| container.state.is_active())?;
            Some(Member {
                container: container.id.clone(),
                name: container.name.clone(),
                endpoint: endpoint.clone(),
            })
        };
        views.iter().filter_map(member).collect()
    }
}

/// A container in a network.
#[derive(Debug, Clone)]
pub struct Member {
    pub container: String,
    pub name: String,
    pub endpoint: Endpoint,
}
