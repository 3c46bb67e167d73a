//! What the kernel has of our networks: made when the first container needs it, and put right after a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use network::firewall::{Entry, Firewall};
use network::{Bridge, Cable, Interior, Links, Way};
use rustix::io::Errno;

use super::NetworkError;
use super::egress::Learnt;
use super::options::{self, Mode};
use super::record::{Driver, Network};
use super::settings::BridgeSettings;

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
    /// Whether the host may be told to forward packets.
    forwarding: bool,
    /// Whether all networks' published ports are reached at containers' own addresses, too.
    direct: bool,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
pub(super) struct Open {
    links: Links,
    pub(super) firewall: Firewall,
    /// What names stand for that restricted networks reach.
    pub(super) learnt: Learnt,
    /// Networks whose bridge is there, with its index.
    bridges: HashMap<String, u32>,
}

impl Kernel {
    pub(super) fn new(names: Names, settings: &BridgeSettings) -> Self {
        let BridgeSettings { forwarding, direct_routing: direct, .. } = *settings;
        Self { names, forwarding, direct, open: Mutex::new(None) }
    }

    /// How the default network's bridge is called, where the administrator has none of his own.
    pub(super) fn default_bridge(&self) -> String {
        self.names.default_bridge.clone()
    }

    /// The first address of a link of the host's.
    pub(super) fn address_of(
        &self,
        link: &str,
        is_ipv4: bool,
    ) -> Result<Option<network::Address>, NetworkError> {
        let mut links = Links::open()?;
        let Some(index) = links.index(link)? else {
            return Err(NetworkError::NoSuchBridge(link.to_owned()));
        };
        let link_local =
            |ip: std::net::IpAddr| matches!(ip, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local());
        let mut addresses = links.addresses()?.into_iter();
        Ok(addresses
            .find(|(at, address)| *at == index && address.ip.is_ipv4() == is_ipv4 && !link_local(address.ip))
            .map(|(_, address)| address))
    }

    /// The host's addresses, with the names of their links.
    pub(super) fn addresses(&self) -> Result<Vec<(std::net::IpAddr, String)>, NetworkError> {
        let mut links = Links::open()?;
        let names: HashMap<u32, String> =
            links.names()?.into_iter().map(|(name, index)| (index, name)).collect();
        let addresses = links.addresses()?.into_iter();
        Ok(addresses.map(|(at, address)| (address.ip, names.get(&at).cloned().unwrap_or_default())).collect())
    }

    /// Whether the bridge is nobody's but this engine's.
    pub(super) fn owns_bridge(&self, network: &Network) -> bool {
        !network.options.contains_key(options::BRIDGE_NAME)
            || (network.is_default_bridge() && self.bridge_name(network) == self.names.default_bridge)
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

    /// Works on links with the bridges of these networks in place, under the names and indexes that it is given, and with
    /// what is new known to the firewall. `present` is all that it knows if it is made only now, with what is new.
    pub(super) fn with<T>(
        &self,
        networks: &[Network],
        present: impl FnOnce() -> Vec<Entry>,
        new: &[Entry],
        work: impl FnOnce(&mut Links, &HashMap<String, u32>) -> Result<T, network::Error>,
    ) -> Result<T, NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = open.is_none();
        let open = match &mut *open {
            Some(open) => open,
            // What an engine before this one left is replaced in one go: connections that are open stay so.
            empty => {
                // And with their networks at once: there is no moment without isolation.
                let bridges = networks.iter().filter(|network| network.driver == Driver::Bridge);
                let entries: Vec<Entry> = bridges.map(|n| self.entry(n)).chain(present()).collect();
                let firewall = Firewall::install(&self.names.table, &entries)?;
                empty.insert(Open {
                    links: Links::open()?,
                    firewall,
                    learnt: Learnt::default(),
                    bridges: HashMap::new(),
                })
            }
        };
        for network in networks {
            // It may be another one by now.
            if let Some(index) = network.ensure_parent(&mut open.links)? {
                open.bridges.insert(network.id.clone(), index);
            } else if !open.bridges.contains_key(&network.id) {
                self.raise(open, network)?;
            }
        }
        if !is_new {
            open.firewall.add(new)?;
        }
        work(&mut open.links, &open.bridges).map_err(|error| {
            // Somebody took a bridge away: whoever comes next finds it made anew.
            let is_gone = [Errno::NODEV, Errno::INVAL].map(Some).contains(&error.errno());
            if is_gone {
                for network in networks {
                    open.bridges.remove(&network.id);
                }
            }
            if let Err(error) = open.firewall.remove(new) {
                tracing::warn!(error = diag::chain(&error), "what wasn't connected stays in the firewall");
            }
            error.into()
        })
    }

    fn raise(&self, open: &mut Open, network: &Network) -> Result<(), NetworkError> {
        let name = self.bridge_name(network);
        let inhibited = network.switch(options::INHIBIT_IPV4, false);
        let silent = |is_ipv4: bool| (inhibited && is_ipv4) || network.mode(is_ipv4) == Mode::Isolated;
        let gateways = network.live_subnets().filter(|range| !silent(range.subnet.is_ipv4()));
        let addresses = gateways
            .filter_map(|range| Some(network::Address { ip: range.gateway?, prefix: range.subnet.prefix() }));
        let bridge =
            Bridge { name, mtu: network.mtu(), addresses: addresses.collect(), forwarding: self.forwarding };
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
            masquerade_4: masquerade && network.ipv4 && network.mode(true) != Mode::Routed,
            masquerade_6: masquerade && network.ipv6 && network.mode(false) != Mode::Routed,
            reachable_4: network.mode(true) == Mode::Unprotected,
            reachable_6: network.mode(false) == Mode::Unprotected,
            routed_4: network.mode(true) == Mode::Routed,
            routed_6: network.mode(false) == Mode::Routed,
            direct: self.direct,
            trusted: network.trusted(),
            open_within: network.switch(options::ICC, true),
            egress: network.egress().map(|egress| egress.addresses),
        })
    }

    /// Whether a network's published ports are reached at its containers' own addresses, too, by some or by all.
    pub(super) fn is_direct(&self, network: &Network) -> bool {
        self.direct || network.options.contains_key(options::TRUSTED)
    }

    /// Makes a part of a network's parent and takes it away: what this kernel doesn't have, or the parent can't, is known
    /// when the network is made.
    pub(super) fn try_out(&self, network: &Network) -> Result<(), NetworkError> {
        let Some(split) = network.split() else { return Ok(()) };
        let mut links = Links::open()?;
        let Some(index) = network.ensure_parent(&mut links)? else { return Ok(()) };
        if network.is_passthru() {
            // One that goes would be in the way of the next for a moment.
            return Ok(());
        }
        let cable = Cable {
            way: Way::Parent { index, split },
            inside: "eth0".to_owned(),
            mac: super::attach::mac("")?,
            mtu: None,
            addresses: Vec::new(),
            gateways: Vec::new(),
            switches: Vec::new(),
            announced: false,
        };
        match Interior::connected(&mut links, &[cable]) {
            Ok(_) => Ok(()),
            Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => {
                Err(NetworkError::NoSuchLinks { kind: network.driver.name() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Does something with what the kernel has, if it has anything.
    pub(super) fn with_open(
        &self,
        work: impl FnOnce(&mut Open) -> Result<(), NetworkError>,
    ) -> Result<(), NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_mut().map_or(Ok(()), work)
    }

    pub(super) fn table(&self) -> &str {
        &self.names.table
    }

    /// Whether a change to the table is this engine's own.
    pub(super) fn is_own(&self, port: u32) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().is_some_and(|open| open.firewall.is_at(port))
    }

    /// Makes the table anew with what is in use; false if there has been none yet.
    pub(super) fn restore(
        &self,
        state: impl FnOnce() -> (Vec<Network>, Vec<Entry>),
    ) -> Result<bool, NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_mut() else { return Ok(false) };
        let (networks, entries) = state();
        let raised =
            |network: &&Network| network.driver == Driver::Bridge && open.bridges.contains_key(&network.id);
        let raised = networks.iter().filter(raised).map(|network| self.entry(network));
        let entries: Vec<Entry> = raised.chain(entries).collect();
        open.firewall.restore(&entries)?;
        open.firewall.renew(&open.learnt.entries())?;
        Ok(true)
    }

    /// Closes ports and cables, and forgets them in the same breath: whoever puts the table back knows them until then, or
    /// not at all.
    pub(super) fn close(&self, gone: &[Entry], forget: impl FnOnce()) -> Result<(), NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = match open.as_mut() {
            Some(open) => open.firewall.remove(gone),
            None => Ok(()),
        };
        forget();
        Ok(closed?)
    }

    /// Leads ports elsewhere; whoever asks for all entries meanwhile waits.
    pub(super) fn replace(
        &self,
        gone: &[Entry],
        new: &[Entry],
        note: impl FnOnce(),
    ) -> Result<(), NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_mut() {
            open.firewall.replace(gone, new)?;
        }
        note();
        Ok(())
    }

    /// Removes cables, without anybody waiting for it: the kernel takes its time over each.
    pub(super) fn cut(&self, cables: Vec<String>) {
        let work = move || {
            let at_host = cables.iter().filter(|cable| !cable.is_empty());
            let removed = Links::open().and_then(|mut links| {
                at_host.into_iter().try_for_each(|cable| links.remove(cable).map(drop))
            });
            if let Err(error) = removed {
                tracing::warn!(error = diag::chain(&error), "a container's cable stays for now");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("cables".to_owned()).spawn(work) {
            tracing::warn!(%error, "a container's cables stay for now: no thread");
        }
    }

    /// Takes a network away.
    pub(super) fn remove(&self, network: &Network, others: &[Network]) -> Result<(), NetworkError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_mut()
            && open.bridges.remove(&network.id).is_some()
            && network.driver == Driver::Bridge
        {
            open.firewall.remove(&[self.entry(network)])?;
            let named = open.learnt.forget(&self.bridge_name(network));
            open.firewall.drop_named(&named)?;
        }
        if network.driver != Driver::Bridge {
            return network.drop_parent(others);
        }
        // The default network's may be the administrator's own.
        if network.is_default_bridge() && self.bridge_name(network) != self.names.default_bridge {
            return Ok(());
        }
        // A bridge that somebody else made under a name that was asked for goes too, as with dockerd.
        Links::open()?.remove(&self.bridge_name(network))?;
        Ok(())
    }
}
