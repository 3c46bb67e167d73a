//! What the kernel has of our networks: made when the first container needs it, and put right after a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use network::firewall::{Entry, Firewall, Publication};
use network::{Bridge, Links};

use super::NetworkError;
use super::options;
use super::record::Network;

/// Names that no other engine of this host has.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) table: String,
    pub(super) default_bridge: String,
}

/// Bridges and the firewall's table.
#[derive(Debug)]
pub(super) struct Kernel {
    names: Names,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    links: Links,
    firewall: Firewall,
    /// Networks whose bridge is there, with its index.
    bridges: HashMap<String, u32>,
}

impl Kernel {
    pub(super) fn new(names: Names) -> Self {
        Self { names, open: Mutex::new(None) }
    }

    /// How a network's bridge is called.
    pub(super) fn bridge_name(&self, network: &Network) -> String {
        match network.options.get(options::BRIDGE_NAME) {
            Some(name) => name.clone(),
            None if network.is_default_bridge() => self.names.default_bridge.clone(),
            None => format!("br-{}", &network.id[..12]),
        }
    }

    /// Networks that the host has routes to, with the links' names.
    pub(super) fn routes(&self) -> Result<Vec<(network::Subnet, String)>, NetworkError> {
        let mut links = Links::open()?;
        let names: HashMap<u32, String> =
            links.names()?.into_iter().map(|(name, index)| (index, name)).collect();
        let routes = links.routes()?.into_iter().map(|(address, link)| {
            let subnet = network::Subnet::around(address.ip, address.prefix);
            (subnet, link.and_then(|index| names.get(&index).cloned()).unwrap_or_default())
        });
        Ok(routes.collect())
    }

    /// Works on links with the bridges of these networks in place, under the names and indexes that it is given.
    pub(super) fn with<T>(
        &self,
        networks: &[Network],
        published: impl FnOnce() -> Vec<Publication>,
        work: impl FnOnce(&mut Links, &HashMap<String, u32>) -> Result<T, network::Error>,
    ) -> Result<T, NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = match &mut *open {
            Some(open) => open,
            // What an engine before this one left is replaced in one go: connections that are open stay so.
            empty => {
                // And with their networks at once: there is no moment without isolation.
                let ports = published().into_iter().map(Entry::Port);
                let entries: Vec<Entry> = networks.iter().map(|n| self.entry(n)).chain(ports).collect();
                let firewall = Firewall::install(&self.names.table, &entries)?;
                empty.insert(Open { links: Links::open()?, firewall, bridges: HashMap::new() })
            }
        };
        for network in networks {
            if !open.bridges.contains_key(&network.id) {
                self.raise(open, network)?;
            }
        }
        Ok(work(&mut open.links, &open.bridges)?)
    }

    fn raise(&self, open: &mut Open, network: &Network) -> Result<(), NetworkError> {
        let name = self.bridge_name(network);
        let silent = network.switch(options::INHIBIT_IPV4, false);
        let gateways = network.live_subnets().filter(|range| !(silent && range.subnet.is_ipv4()));
        let addresses = gateways
            .filter_map(|range| Some(network::Address { ip: range.gateway?, prefix: range.subnet.prefix() }));
        let bridge = Bridge { name, mtu: network.mtu(), addresses: addresses.collect() };
        let index = open.links.ensure_bridge(&bridge)?;
        open.firewall.add(&[self.entry(network)])?;
        open.bridges.insert(network.id.clone(), index);
        Ok(())
    }

    fn entry(&self, network: &Network) -> Entry {
        let masquerade = network.switch(options::MASQUERADE, true);
        Entry::Network(network::firewall::Network {
            bridge: self.bridge_name(network),
            internal: network.internal,
            masquerade_4: masquerade && network.ipv4,
            masquerade_6: masquerade && network.ipv6,
            reachable_4: network.is_reachable(options::GATEWAY_MODE_4),
            reachable_6: network.is_reachable(options::GATEWAY_MODE_6),
            open_within: network.switch(options::ICC, true),
        })
    }

    /// Opens or closes ports. The table is there: a container that has ports has a network.
    pub(super) fn publish(&self, ports: &[Publication], on: bool) -> Result<(), NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_mut().filter(|_| !ports.is_empty()) else { return Ok(()) };
        let entries: Vec<Entry> = ports.iter().cloned().map(Entry::Port).collect();
        let done = if on { open.firewall.add(&entries) } else { open.firewall.remove(&entries) };
        Ok(done?)
    }

    /// Removes cables, without anybody waiting for it: the kernel takes its time over each.
    pub(super) fn cut(&self, cables: Vec<String>) {
        let work = move || {
            let removed = Links::open()
                .and_then(|mut links| cables.iter().try_for_each(|cable| links.remove(cable).map(drop)));
            if let Err(error) = removed {
                tracing::warn!(error = diag::chain(&error), "a container's cable stays for now");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("cables".to_owned()).spawn(work) {
            tracing::warn!(%error, "a container's cables stay for now: no thread");
        }
    }

    /// Takes a network away.
    pub(super) fn remove(&self, network: &Network) -> Result<(), NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_mut()
            && open.bridges.remove(&network.id).is_some()
        {
            open.firewall.remove(&[self.entry(network)])?;
        }
        // A bridge that somebody else made under a name that was asked for goes too, as with dockerd.
        Links::open()?.remove(&self.bridge_name(network))?;
        Ok(())
    }
}
