//! A container's networks: which it is made for, and what it has of them while it runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use network::firewall::Publication;

use super::config::{Config, HostConfig};
use super::links::{self, Link};
use super::record::Container;
use super::{Index, namespaces};
use crate::Error;
use crate::networks::{
    Attached, Driver, Endpoint, EndpointConfig, Guest, Lease, Network, NetworkError, Networks, PREDEFINED,
    check_endpoint_options,
};

/// How a new container is connected.
#[derive(Debug, Default)]
pub(super) struct Networked {
    pub(super) endpoints: BTreeMap<String, Endpoint>,
    pub(super) links: Vec<Link>,
    pub(super) warnings: Vec<String>,
}

/// Which networks a new container belongs to, and warnings about what has no meaning there. `host` gets the mode's own
/// name: the default has one, and an id may be written for it.
pub(super) fn settle(
    asked: BTreeMap<String, EndpointConfig>,
    host: &mut HostConfig,
    config: &Config,
    networks: &Networks,
    index: &Index,
) -> Result<Networked, Error> {
    if matches!(host.network_mode.as_str(), "" | "default") {
        "bridge".clone_into(&mut host.network_mode);
    }
    let mode = host.network_mode.clone();
    if namespaces::other(&mode).is_some() {
        return Ok(Networked::default());
    }
    let known = networks.get(&mode).ok();
    if let Some(known) = &known {
        host.network_mode.clone_from(&known.name);
    }
    // A network namespace of its own, and nothing in it: `NetworkMode` stays what it was.
    if config.network_disabled && mode != "host" {
        return Ok(Networked::default());
    }
    let first = host.network_mode.clone();
    let mut endpoints = BTreeMap::new();
    for (name, config) in asked {
        // Clients write the default's other name here as well.
        let name = if name == mode || name == "default" { first.clone() } else { name };
        let network = networks.get(&name).ok();
        if let Some(network) = &network {
            check(network, &config)?;
        }
        let name = network.map_or(name, |network| network.name);
        endpoints.insert(name, Endpoint { asked: config, ..Endpoint::default() });
    }
    let links = match PREDEFINED.contains(&first.as_str()) {
        true => links::settle(host, index, known.as_ref().is_some_and(|network| !network.is_open_within()))?,
        false => Vec::new(),
    };
    // Clients write them here and at the networks that they are for; dockerd reads these alone of a network that people made.
    let of_made = host.links.take().filter(|links| !links.is_empty());
    let own = endpoints.entry(first.clone()).or_default();
    if own.asked.links.as_ref().is_none_or(Vec::is_empty) {
        own.asked.links = of_made;
    }
    if own.asked.mac_address.is_empty() {
        own.asked.mac_address.clone_from(&config.mac_address);
    }
    let shared = ["host", "none"].iter().find(|name| endpoints.contains_key(**name));
    if let Some(name) = shared.filter(|_| endpoints.len() > 1) {
        let why = format!("container cannot be connected to network endpoints: {name} and others");
        return Err(Error::Invalid(why));
    }
    let wanted = crate::networks::wanted_ports(config, host)?;
    let driver =
        if first == "host" { Driver::Host } else { known.map_or(Driver::Bridge, |network| network.driver) };
    let warning = match driver {
        _ if wanted.is_empty() => None,
        Driver::Host => Some("Published ports are discarded when using host network mode".to_owned()),
        Driver::Macvlan | Driver::Ipvlan => Some(format!(
            "Published ports are discarded in a network of the driver {}: its containers have addresses of their own",
            driver.name()
        )),
        Driver::Bridge | Driver::Null => None,
    };
    Ok(Networked { endpoints, links, warnings: warning.into_iter().collect() })
}

/// Refuses what a network can't give, in dockerd's words.
pub fn check(network: &Network, asked: &EndpointConfig) -> Result<(), NetworkError> {
    let refuse = |why: String| {
        Err(NetworkError::Invalid(format!(
            "invalid config for network {}: invalid endpoint settings:\n{why}",
            network.name
        )))
    };
    if network.config_only {
        let why =
            format!("network {} is not an attachable network: it only lends its configuration", network.name);
        return Err(NetworkError::Forbidden(why));
    }
    let ipam = asked.ipam_config.clone().unwrap_or_default();
    match check_endpoint_options(asked) {
        Err(NetworkError::Settings(why)) => return refuse(why),
        checked => checked?,
    }
    for text in &ipam.link_local_ips {
        let local = text.parse().is_ok_and(|ip: IpAddr| match ip {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        });
        if !local {
            return refuse(format!("invalid link-local IP address: {text}"));
        }
    }
    for (text, is_ipv4) in [(&ipam.ipv4_address, true), (&ipam.ipv6_address, false)] {
        if text.is_empty() {
            continue;
        }
        let family = if is_ipv4 { "IPv4" } else { "IPv6" };
        let ip: Option<IpAddr> = text.parse().ok().filter(|ip: &IpAddr| ip.is_ipv4() == is_ipv4);
        let Some(ip) = ip else { return refuse(format!("invalid {family} address: {text}")) };
        if network.is_predefined() {
            return refuse("user specified IP address is supported on user defined networks only".to_owned());
        }
        if !network.live_subnets().any(|range| range.subnet.contains(ip)) {
            return refuse(format!("no configured subnet or ip-range contain the IP address {ip}"));
        }
    }
    Ok(())
}

/// Takes what it needs of its networks, `into` a namespace that is there if one is; nothing where it has none of its own.
/// Behind another one it takes no ports, but holds those that it will have of those that are `leaving`.
pub(super) fn attach(
    container: &Container,
    into: Option<OwnedFd>,
    networks: &Networks,
    leaving: Option<&[Publication]>,
) -> Result<Option<Attached>, Error> {
    if namespaces::other(&container.host.network_mode).is_some() {
        return Ok(None);
    }
    if container.endpoints.is_empty() {
        return Ok(None);
    }
    if !networks.has_default() && container.endpoints.keys().any(|name| name == "bridge") {
        return Ok(None);
    }
    for name in container.endpoints.keys() {
        let failed = |error| match error {
            Error::Network(error) => Error::Networking(error),
            other => other,
        };
        if !networks.get(name).map_err(failed)?.driver.has_links() {
            return Ok(None);
        }
    }
    let wanted = crate::networks::wanted_ports(&container.config, &container.host)?;
    let guest = container.guest();
    let own: &[_] = if leaving.is_some() { &[] } else { &wanted };
    let attached = networks.attach(guest, into, &container.host.network_mode, &container.endpoints, own);
    let attached = attached.and_then(|mut attached| match leaving {
        None => Ok(attached),
        Some(leaving) => match networks.hold(guest, &attached.endpoints, &wanted, leaving) {
            Ok(held) => {
                attached.held = held;
                Ok(attached)
            }
            Err(error) => {
                networks.detach(guest, &attached.endpoints, &[]);
                Err(error)
            }
        },
    });
    match attached {
        Err(Error::Network(error)) => Err(Error::Networking(error)),
        other => other.map(Some),
    }
}

impl Container {
    /// As networks know it.
    pub(super) fn guest(&self) -> Guest<'_> {
        let is_router = super::spec::administers_its_network(&self.host);
        Guest { id: &self.id, name: &self.name, is_router }
    }

    /// Whether it is in a network in which there are names: one that people made.
    pub(super) fn is_in_a_made_network(&self) -> bool {
        let made = |name: &String| !PREDEFINED.contains(&name.as_str());
        namespaces::other(&self.host.network_mode).is_none() && self.endpoints.keys().any(made)
    }

    /// What it has of its networks while it runs.
    pub(super) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.endpoints.values().filter_map(|endpoint| endpoint.lease.as_ref())
    }

    /// By what it is known in a network: its name, what it is called there, and its short id.
    pub fn dns_names(&self, endpoint: &Endpoint) -> Vec<String> {
        let mut names = vec![self.name.clone()];
        let aliases = endpoint.asked.aliases.iter().flatten().cloned();
        for name in aliases.chain([self.short_id().to_owned(), self.config.hostname.clone()]) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
