//! A container's way into its networks, and out.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use network::firewall::{Entry, Publication, Reach};
use network::{Address, Cable, Interior, Way};

use super::options::{self, Mode};
use super::ports::{self, Taken, Target, Wanted};
use super::record::{Driver, Endpoint, Held, Lease, Network, Range};
use super::{Family, NetworkError, Networks, Tables};
use crate::Error;
use crate::containers::View;

/// Who wants in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guest<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
    /// It configures its links itself, and may pass on what others sent.
    pub(crate) is_router: bool,
}

/// A container's networks while it runs.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) interior: Interior,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    pub(crate) ports: Vec<Publication>,
    /// Ports that it will take over from another one.
    pub(crate) held: Vec<Publication>,
}

impl Networks {
    /// Takes addresses and ports, and makes a network namespace, if it isn't given one to go `into`, with cables to all its
    /// networks: `first` has the first link. After an error nothing of it is left. Blocking.
    pub(crate) fn attach(
        &self,
        guest: Guest<'_>,
        into: Option<OwnedFd>,
        first: &str,
        endpoints: &BTreeMap<String, Endpoint>,
        wanted: &[Wanted],
    ) -> Result<Attached, Error> {
        let mut endpoints = endpoints.clone();
        let (networks, ports) = self.reserve(guest, first, &mut endpoints, wanted)?;
        match self.connect_all(into, &networks, &endpoints, &ports) {
            Ok(interior) => {
                self.tell(guest, &endpoints, "connect");
                Ok(Attached { interior, endpoints, ports, held: Vec::new() })
            }
            Err(error) => {
                self.tables().forget(&endpoints, &ports);
                Err(error.into())
            }
        }
    }

    fn reserve(
        &self,
        guest: Guest<'_>,
        first: &str,
        endpoints: &mut BTreeMap<String, Endpoint>,
        wanted: &[Wanted],
    ) -> Result<(Vec<Network>, Vec<Publication>), Error> {
        let mut networks = Vec::new();
        for name in endpoints.keys() {
            networks.push(self.get(name)?);
        }
        // The order of the links: the network that the container was made with, then by name.
        networks.sort_by_key(|network| network.name != first);
        let mut tables = self.tables();
        let mut links = HashMap::new();
        for network in &networks {
            let Some(endpoint) = endpoints.get_mut(&network.name) else { continue };
            let inside = match options::link_name(&endpoint.asked) {
                Some(name) => name.to_owned(),
                None => next_link(&mut links, network),
            };
            match self.lease(&mut tables, guest, network, endpoint, inside) {
                Ok(lease) => {
                    endpoint.network_id.clone_from(&network.id);
                    endpoint.lease = Some(lease);
                }
                Err(error) => {
                    tables.forget(endpoints, &[]);
                    return Err(error);
                }
            }
        }
        if let Err(error) = names_differ(endpoints) {
            tables.forget(endpoints, &[]);
            return Err(error.into());
        }
        choose_gateway(&networks, endpoints);
        let target = self.target(&networks, endpoints);
        match tables.publish(guest, wanted, target) {
            Ok(ports) => {
                tables.sources.extend(endpoints.values().filter_map(Endpoint::source));
                Ok((networks, ports))
            }
            Err(error) => {
                tables.forget(endpoints, &[]);
                Err(error.into())
            }
        }
    }

    /// Takes addresses. Whose neighbours may know it wrongly is remembered for as long as the network is there.
    fn lease(
        &self,
        tables: &mut Tables,
        guest: Guest<'_>,
        network: &Network,
        endpoint: &Endpoint,
        inside: String,
    ) -> Result<Lease, Error> {
        let mut lease = tables.lease(guest, network, endpoint, inside)?;
        let Some(IpAddr::V4(ip)) = lease.ipv4.map(|held| held.ip) else { return Ok(lease) };
        let Some(known) = tables.networks.get_mut(&network.id) else { return Ok(lease) };
        let is_own = network.driver == Driver::Bridge && lease.mac == station_of(ip);
        lease.announced = !is_own || known.strangers.contains(&ip);
        if !is_own && network.driver == Driver::Bridge && known.strangers.insert(ip) {
            let recorded = self.record(known);
            if let Err(error) = recorded {
                lease.addresses().for_each(|held| tables.release(&network.id, held.ip));
                tables.cables.remove(&lease.outside);
                return Err(error);
            }
        }
        Ok(lease)
    }

    fn connect_all(
        &self,
        into: Option<OwnedFd>,
        networks: &[Network],
        endpoints: &BTreeMap<String, Endpoint>,
        ports: &[Publication],
    ) -> Result<Interior, NetworkError> {
        let cabled: Vec<Network> =
            networks.iter().filter(|network| network.driver.has_links()).cloned().collect();
        if !cabled.is_empty() {
            self.raise_default(&cabled);
        }
        let sources = endpoints.values().filter_map(Endpoint::source);
        let new: Vec<Entry> =
            ports.iter().cloned().map(Entry::Port).chain(sources.map(Entry::Source)).collect();
        self.kernel.with(
            &cabled,
            || self.tables().entries(),
            &new,
            |links, bridges| {
                let cables: Vec<Cable> = cabled
                    .iter()
                    .filter_map(|network| {
                        cable(network, endpoints.get(&network.name)?, *bridges.get(&network.id)?)
                    })
                    .collect();
                Interior::connected_in(into, links, &cables)
            },
        )
    }

    /// Programs take the default network's gateway for the host itself, whichever network they are in.
    fn raise_default(&self, cabled: &[Network]) {
        let Ok(default) = self.get("bridge") else { return };
        if default.driver != Driver::Bridge || cabled.iter().any(|network| network.id == default.id) {
            return;
        }
        let present = || self.tables().entries();
        if let Err(error) = self.kernel.with(&[default], present, &[], |_, _| Ok(())) {
            tracing::debug!(error = diag::chain(&error), "the default network isn't there");
        }
    }

    /// Gives everything back. Mostly the cables go with the container's last process; but a connection that waits for its
    /// end would keep them, and with them the address.
    pub(crate) fn detach(
        &self,
        guest: Guest<'_>,
        endpoints: &BTreeMap<String, Endpoint>,
        ports: &[Publication],
    ) {
        let forget = || self.tables().forget(endpoints, ports);
        let sources = endpoints.values().filter_map(Endpoint::source).map(Entry::Source);
        let gone: Vec<Entry> = ports.iter().cloned().map(Entry::Port).chain(sources).collect();
        if let Err(error) = self.kernel.close(&gone, forget) {
            tracing::warn!(container = guest.name, error = diag::chain(&error), "its ports stay open");
        }
        let leases = endpoints.values().filter_map(|endpoint| endpoint.lease.as_ref());
        self.kernel.cut(leases.map(|lease| lease.outside.clone()).collect());
        self.tell(guest, endpoints, "disconnect");
    }

    /// Published ports lead to the addresses of the network that is the way out. A part of a link of the host's has an
    /// address that others reach anyway.
    pub(super) fn target(&self, networks: &[Network], endpoints: &BTreeMap<String, Endpoint>) -> Target {
        let leading = networks.iter().find_map(|network| {
            let lease = endpoints.get(&network.name)?.lease.as_ref().filter(|lease| lease.is_gateway)?;
            Some((network, lease))
        });
        let Some((network, lease)) = leading.filter(|(network, _)| network.driver == Driver::Bridge) else {
            return Target::default();
        };
        let direct = match (network.is_input(), self.kernel.is_direct(network)) {
            (true, _) => Reach::Input,
            (false, true) => Reach::Both,
            (false, false) => Reach::Host,
        };
        let reach = |is_ipv4| if network.mode(is_ipv4) == Mode::Routed { Reach::Container } else { direct };
        Target {
            ipv4: lease.ipv4.map(|held| held.ip),
            ipv6: lease.ipv6.map(|held| held.ip),
            binding: network.options.get(options::HOST_BINDING).and_then(|text| text.parse().ok()),
            reach_4: reach(true),
            reach_6: reach(false),
            relays: self.settings.relays && network::speaks_ipv6(),
        }
    }

    fn tell(&self, guest: Guest<'_>, endpoints: &BTreeMap<String, Endpoint>, action: &str) {
        for name in endpoints.keys() {
            if let Ok(network) = self.get(name) {
                self.emit(&network, action, &[("container", guest.id)]);
            }
        }
    }

    /// What `host-gateway` stands for: what the administrator says, or else the host's address.
    pub(crate) fn host_gateways(&self, endpoints: &BTreeMap<String, Endpoint>) -> Result<Vec<IpAddr>, Error> {
        match self.settings.host_gateways.is_empty() {
            true => Ok(vec![self.host_gateway(endpoints)?]),
            false => Ok(self.settings.host_gateways.clone()),
        }
    }

    /// The host's address as a container with these places sees it: its own gateway's, or the default network's.
    pub(crate) fn host_gateway(&self, endpoints: &BTreeMap<String, Endpoint>) -> Result<IpAddr, Error> {
        let leases = endpoints.values().filter_map(|endpoint| endpoint.lease.as_ref());
        let own =
            leases.filter(|lease| lease.is_gateway).flat_map(Lease::addresses).find_map(|held| held.router());
        if let Some(own) = own {
            return Ok(own);
        }
        let default = self.get("bridge")?;
        let gateway = default.subnets.iter().find_map(|range| range.gateway);
        gateway.ok_or_else(|| {
            NetworkError::Invalid("unable to derive the IP value for host-gateway".to_owned()).into()
        })
    }

    /// The same as a container in the default network sees it; nothing where there is none.
    pub fn host_from_containers(&self) -> Option<IpAddr> {
        self.host_gateway(&BTreeMap::new()).ok()
    }

    /// After a restart: makes sure that the kernel has what running containers need, and nothing that they left.
    pub(crate) fn restore(&self, containers: &[Arc<View>]) -> Result<(), Error> {
        let used: Vec<Network> = {
            let tables = self.tables();
            let used = |network: &&Network| {
                network.subnets.iter().any(|range| tables.holders.keys().any(|ip| range.subnet.contains(*ip)))
            };
            let networks = tables.networks.values().filter(|network| network.driver == Driver::Bridge);
            networks.filter(used).cloned().collect()
        };
        if let Err(error) = self.cut_orphans() {
            tracing::warn!(error = diag::chain(&error), "cables that nobody has can't be looked for");
        }
        if !self.tables().inherited {
            return Ok(());
        }
        Ok(self.kernel.with(
            &used,
            || self.tables().entries(),
            &[],
            |links, bridges| self.mend(links, bridges, containers),
        )?)
    }

    /// Adds a running container to a network.
    pub(crate) fn plug(
        &self,
        guest: Guest<'_>,
        pid: i32,
        name: &str,
        endpoints: &BTreeMap<String, Endpoint>,
        endpoint: &mut Endpoint,
    ) -> Result<(), Error> {
        let network = self.get(name)?;
        let mut links: HashMap<String, usize> = HashMap::new();
        let used: Vec<&str> =
            endpoints.values().filter_map(|e| Some(e.lease.as_ref()?.inside.as_str())).collect();
        let inside = match options::link_name(&endpoint.asked) {
            Some(name) if used.contains(&name) => return Err(taken_name(name).into()),
            Some(name) => name.to_owned(),
            None => std::iter::repeat_with(|| next_link(&mut links, &network))
                .find(|link| !used.contains(&link.as_str()))
                .unwrap_or_default(),
        };
        {
            let mut tables = self.tables();
            let lease = self.lease(&mut tables, guest, &network, endpoint, inside)?;
            endpoint.network_id.clone_from(&network.id);
            endpoint.lease = Some(lease);
            tables.sources.extend(endpoint.source());
        }
        let new: Vec<Entry> = endpoint.source().map(Entry::Source).into_iter().collect();
        let present = || self.tables().entries();
        let result = self.kernel.with(std::slice::from_ref(&network), present, &new, |links, bridges| {
            let bridge = bridges.get(&network.id).copied().unwrap_or_default();
            match cable(&network, endpoint, bridge) {
                Some(cable) => Interior::of_process(pid)?.connect(links, &cable),
                None => Ok(()),
            }
        });
        if let Err(error) = result {
            self.tables().forget(&BTreeMap::from([(name.to_owned(), endpoint.clone())]), &[]);
            endpoint.lease = None;
            return Err(error.into());
        }
        self.emit(&network, "connect", &[("container", guest.id)]);
        Ok(())
    }

    /// Takes a running container out of a network.
    pub(crate) fn unplug(
        &self,
        guest: Guest<'_>,
        pid: i32,
        name: &str,
        endpoint: &Endpoint,
    ) -> Result<(), Error> {
        if let Some(lease) = &endpoint.lease {
            Interior::of_process(pid)
                .and_then(|interior| interior.disconnect(&lease.inside))
                .map_err(NetworkError::from)?;
        }
        let gone: Vec<Entry> = endpoint.source().map(Entry::Source).into_iter().collect();
        let forget = || self.tables().forget(&BTreeMap::from([(name.to_owned(), endpoint.clone())]), &[]);
        if let Err(error) = self.kernel.close(&gone, forget) {
            tracing::warn!(
                container = guest.name,
                error = diag::chain(&error),
                "the firewall knows it still"
            );
        }
        if let Ok(network) = self.get(name) {
            self.emit(&network, "disconnect", &[("container", guest.id)]);
        }
        Ok(())
    }
}

impl Tables {
    fn lease(
        &mut self,
        guest: Guest<'_>,
        network: &Network,
        endpoint: &Endpoint,
        inside: String,
    ) -> Result<Lease, NetworkError> {
        let asked = endpoint.asked.ipam_config.clone().unwrap_or_default();
        let ipv4 = self.address(guest, network, Family::Ipv4, &asked.ipv4_address)?;
        let ipv6 = match self.address(guest, network, Family::Ipv6, &asked.ipv6_address) {
            Ok(ipv6) => ipv6,
            Err(error) => {
                ipv4.iter().for_each(|held| self.release(&network.id, held.ip));
                return Err(error);
            }
        };
        let [a, b, c, d] = crate::id::random::<4>();
        let outside = match network.driver {
            Driver::Bridge => format!("veth{a:02x}{b:02x}{c:02x}{:x}", d & 15),
            _ => String::new(),
        };
        self.cables.insert(outside.clone());
        Ok(Lease {
            endpoint_id: crate::id::container_id(),
            mac: match (ipv4.map(|held| held.ip), network.driver) {
                (Some(IpAddr::V4(ip)), Driver::Bridge) if endpoint.asked.mac_address.is_empty() => {
                    station_of(ip)
                }
                _ => mac(&endpoint.asked.mac_address)?,
            },
            ipv4,
            ipv6,
            inside,
            outside,
            is_gateway: false,
            guarded: network.driver == Driver::Bridge && !guest.is_router && network.is_guarded(),
            announced: false,
        })
    }

    fn address(
        &mut self,
        guest: Guest<'_>,
        network: &Network,
        family: Family,
        asked: &str,
    ) -> Result<Option<Held>, NetworkError> {
        let key = (network.id.clone(), family);
        let Some(addresses) = self.addresses.get_mut(&key) else { return Ok(None) };
        let ip = if asked.is_empty() {
            addresses.take().ok_or_else(|| NetworkError::Full {
                version: if family == Family::Ipv4 { 4 } else { 6 },
                name: network.name.clone(),
                id: network.id.clone(),
            })?
        } else {
            let ip: IpAddr =
                asked.parse().map_err(|_| NetworkError::Endpoint(format!("invalid IP address: {asked}")))?;
            if !addresses.subnet().contains(ip) {
                return Err(NetworkError::Endpoint(format!("no configured subnet contains IP address {ip}")));
            }
            if !addresses.claim(ip) {
                let by = self.holders.get(&ip).cloned().unwrap_or_else(|| "the network itself".to_owned());
                return Err(NetworkError::AddressTaken { ip, by });
            }
            ip
        };
        let prefix = addresses.subnet().prefix();
        self.holders.insert(ip, guest.name.to_owned());
        let gateway = match network.is_routed_by_link() {
            true => {
                Some(if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() })
            }
            false => network.range(ip.is_ipv4()).and_then(Range::way_out),
        };
        let gateway = gateway.filter(|_| !network.leads_nowhere());
        Ok(Some(Held { ip, prefix, gateway }))
    }

    fn release(&mut self, network: &str, ip: IpAddr) {
        let family = if ip.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        if let Some(addresses) = self.addresses.get_mut(&(network.to_owned(), family)) {
            addresses.release(ip);
        }
        self.holders.remove(&ip);
    }

    fn publish(
        &mut self,
        guest: Guest<'_>,
        wanted: &[Wanted],
        target: Target,
    ) -> Result<Vec<Publication>, NetworkError> {
        self.publish_among(guest, wanted, target, &[])
    }

    pub(super) fn publish_among(
        &mut self,
        guest: Guest<'_>,
        wanted: &[Wanted],
        target: Target,
        leaving: &[Publication],
    ) -> Result<Vec<Publication>, NetworkError> {
        if wanted.is_empty() || (target.ipv4.is_none() && target.ipv6.is_none()) {
            return Ok(Vec::new());
        }
        ports::check_hosts(wanted, target)?;
        let ports = ports::choose(wanted, target, &Taken::look(&self.published, wanted, leaving))?;
        self.published.extend(ports.iter().map(|port| (port.clone(), guest.name.to_owned())));
        Ok(ports)
    }

    /// What a container had is for others now.
    fn forget(&mut self, endpoints: &BTreeMap<String, Endpoint>, ports: &[Publication]) {
        for endpoint in endpoints.values() {
            for held in endpoint.lease.iter().flat_map(Lease::addresses) {
                self.release(&endpoint.network_id, held.ip);
            }
        }
        for lease in endpoints.values().filter_map(|endpoint| endpoint.lease.as_ref()) {
            self.cables.remove(&lease.outside);
        }
        self.published.retain(|(port, _)| !ports.contains(port));
        let gone: Vec<String> = endpoints.values().filter_map(Endpoint::source).map(|s| s.link).collect();
        self.sources.retain(|source| !gone.contains(&source.link));
    }

    /// What the firewall knows of containers.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let ports = self.published.iter().map(|(port, _)| Entry::Port(port.clone()));
        ports.chain(self.sources.iter().cloned().map(Entry::Source)).collect()
    }
}

fn taken_name(name: &str) -> NetworkError {
    NetworkError::Endpoint(format!("another link of the container is called {name}"))
}

fn names_differ(endpoints: &BTreeMap<String, Endpoint>) -> Result<(), NetworkError> {
    let mut seen: Vec<&str> = Vec::new();
    for name in endpoints.values().filter_map(|endpoint| Some(endpoint.lease.as_ref()?.inside.as_str())) {
        if seen.contains(&name) {
            return Err(taken_name(name));
        }
        seen.push(name);
    }
    Ok(())
}

/// `eth0`, `eth1` …, each prefix counted for itself.
fn next_link(links: &mut HashMap<String, usize>, network: &Network) -> String {
    let prefix = network.link_prefix();
    let count = links.entry(prefix.to_owned()).or_default();
    *count += 1;
    format!("{prefix}{}", *count - 1)
}

/// The network with the highest priority leads everywhere else; among equals the first by name.
fn choose_gateway(networks: &[Network], endpoints: &mut BTreeMap<String, Endpoint>) {
    let leads = |network: &&Network| {
        let lease = endpoints.get(&network.name).and_then(|endpoint| endpoint.lease.as_ref());
        lease.is_some_and(|lease| lease.addresses().any(|held| held.gateway.is_some()))
    };
    let mut leading: Vec<&Network> = networks.iter().filter(leads).collect();
    leading.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let priority = |network: &&&Network| endpoints.get(&network.name).map_or(0, |e| e.asked.gw_priority);
    let chosen = leading.iter().rev().max_by_key(priority).map(|network| network.name.clone());
    if let Some(lease) = chosen.and_then(|name| endpoints.get_mut(&name)).and_then(|e| e.lease.as_mut()) {
        lease.is_gateway = true;
    }
}

/// `index` is the bridge's, or the parent's.
pub(super) fn cable(network: &Network, endpoint: &Endpoint, index: u32) -> Option<Cable> {
    let lease = endpoint.lease.as_ref()?;
    let gateways = lease.addresses().filter_map(|held| held.gateway);
    let way = match network.split() {
        Some(split) => Way::Parent { index, split },
        None => {
            Way::Bridge { outside: lease.outside.clone(), bridge: index, isolated: !network.is_open_within() }
        }
    };
    let local = endpoint.link_local().map(|ip| Address { ip, prefix: if ip.is_ipv4() { 16 } else { 64 } });
    Some(Cable {
        way,
        inside: lease.inside.clone(),
        mac: lease.mac,
        mtu: network.mtu(),
        addresses: lease.addresses().map(Into::into).chain(local).collect(),
        gateways: if lease.is_gateway { gateways.collect() } else { Vec::new() },
        switches: options::switches(&endpoint.asked).unwrap_or_default(),
        announced: lease.announced,
    })
}

/// The station of an address in a bridge network: always the same, so that the host and neighbours, who go on knowing it for
/// half a minute, are right about whoever has the address next. An announcement that they are wrong can be lost, and goes to
/// all who are in the network.
fn station_of(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [0x02, 0x42, a, b, c, d]
}

/// The address that was asked for, or one that nobody else has.
pub(super) fn mac(asked: &str) -> Result<[u8; 6], NetworkError> {
    if asked.is_empty() {
        let mut mac = crate::id::random::<6>();
        // Local, and one station's.
        mac[0] = mac[0] & 0xfe | 2;
        return Ok(mac);
    }
    let parts: Vec<u8> = asked
        .split([':', '-'])
        .filter_map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2))
        .collect();
    <[u8; 6]>::try_from(parts).map_err(|_| NetworkError::Endpoint(format!("invalid MAC address: {asked}")))
}
