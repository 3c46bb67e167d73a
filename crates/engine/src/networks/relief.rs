//! A container that takes another one's place while both run: it has no ports and no names until it takes over the other's.

use std::collections::BTreeMap;

use network::firewall::{Entry, Publication};

use super::attach::Guest;
use super::ports::Wanted;
use super::record::Endpoint;
use super::{NetworkError, Networks};
use crate::Error;

impl Networks {
    /// Reserves what a container will publish, which may be what is `leaving`.
    pub(crate) fn hold(
        &self,
        guest: Guest<'_>,
        endpoints: &BTreeMap<String, Endpoint>,
        wanted: &[Wanted],
        leaving: &[Publication],
    ) -> Result<Vec<Publication>, Error> {
        let networks = endpoints.keys().map(|name| self.get(name)).collect::<Result<Vec<_>, _>>()?;
        let target = self.target(&networks, endpoints);
        Ok(self.tables().publish_among(guest, wanted, target, leaving)?)
    }

    /// What was reserved is for others.
    pub(crate) fn let_go(&self, held: &[Publication]) {
        self.tables().published.retain(|(port, _)| !held.contains(port));
    }

    /// Leads what came to `old` to `new` from the next connection on. What is open stays where it is.
    pub(crate) fn hand_over(
        &self,
        guest: Guest<'_>,
        old: &[Publication],
        new: &[Publication],
    ) -> Result<(), NetworkError> {
        let entries = |ports: &[Publication]| ports.iter().cloned().map(Entry::Port).collect::<Vec<_>>();
        self.kernel.replace(&entries(old), &entries(new), || {
            let mut tables = self.tables();
            tables.published.retain(|(port, _)| !old.contains(port) && !new.contains(port));
            tables.published.extend(new.iter().map(|port| (port.clone(), guest.name.to_owned())));
        })
    }
}
