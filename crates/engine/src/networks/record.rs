//! What is remembered of a network, and of a container's place in one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use network::firewall::Source;
use network::{Address, Subnet};
use serde::{Deserialize, Serialize};
use state::Record;

use super::parents::MadeParent;
use crate::containers::config::Labels;

/// Everything the engine remembers of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub id: String,
    pub name: String,
    pub created: SystemTime,
    pub driver: Driver,
    pub ipv4: bool,
    pub ipv6: bool,
    pub ipam_options: Option<Labels>,
    pub subnets: Vec<Range>,
    pub internal: bool,
    pub attachable: bool,
    /// The name of the network whose configuration this one has.
    pub config_from: String,
    /// It only lends its configuration to others.
    pub config_only: bool,
    pub options: Labels,
    pub labels: Labels,
    /// The parent of its links, where the engine made it.
    #[serde(default)]
    pub made_parent: Option<MadeParent>,
    /// Addresses that somebody had under another station than their own: neighbours may go on knowing that one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub strangers: BTreeSet<Ipv4Addr>,
}

/// What makes a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    Bridge,
    Macvlan,
    Ipvlan,
    Host,
    Null,
}

impl Driver {
    /// Whether containers get a link of their own by it.
    pub(crate) fn has_links(self) -> bool {
        matches!(self, Self::Bridge | Self::Macvlan | Self::Ipvlan)
    }

    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Host => "host",
            Self::Null => "null",
        }
    }
}

/// Docker's names for an auxiliary address that containers have as their gateway.
pub(super) const DEFAULT_GATEWAY_4: &str = "DefaultGatewayIPv4";
pub(super) const DEFAULT_GATEWAY_6: &str = "DefaultGatewayIPv6";

impl Range {
    /// Where its containers send what is for elsewhere.
    pub(super) fn way_out(&self) -> Option<IpAddr> {
        let name = if self.subnet.is_ipv4() { DEFAULT_GATEWAY_4 } else { DEFAULT_GATEWAY_6 };
        self.auxiliary.get(name).copied().or(self.gateway)
    }
}

/// A subnet of a network, and what of it is given to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub subnet: Subnet,
    /// Containers get addresses out of this part.
    pub given_from: Option<Subnet>,
    pub gateway: Option<IpAddr>,
    /// Addresses that somebody else has, by name.
    pub auxiliary: BTreeMap<String, IpAddr>,
}

impl Record for Network {
    const KIND: &'static str = "network";
    fn key(&self) -> &str {
        &self.id
    }
}

/// The networks that every engine has.
pub const PREDEFINED: [&str; 3] = ["bridge", "host", "none"];

impl Network {
    pub fn is_predefined(&self) -> bool {
        PREDEFINED.contains(&self.name.as_str())
    }

    /// The one that containers get which ask for none. They don't find each other by name there, as in Docker.
    pub fn is_default_bridge(&self) -> bool {
        self.name == "bridge"
    }

    /// The subnets of the families that are on: a network may have one of a family that is off, for show.
    pub(crate) fn live_subnets(&self) -> impl Iterator<Item = &Range> {
        self.subnets.iter().filter(|range| if range.subnet.is_ipv4() { self.ipv4 } else { self.ipv6 })
    }

    pub(super) fn range(&self, is_ipv4: bool) -> Option<&Range> {
        self.subnets.iter().find(|range| range.subnet.is_ipv4() == is_ipv4)
    }

    /// Whether those who are in it reach each other.
    pub(crate) fn is_open_within(&self) -> bool {
        self.switch(super::options::ICC, true)
    }

    pub(super) fn switch(&self, option: &str, otherwise: bool) -> bool {
        self.options.get(option).and_then(|text| super::options::truth(text)).unwrap_or(otherwise)
    }
}

/// A container's place in a network, kept for as long as it belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub asked: EndpointConfig,
    /// Empty until the network is looked up at the first start.
    pub network_id: String,
    /// What it has while it runs.
    pub lease: Option<Lease>,
}

/// What a client asks a container's place in a network to be: `EndpointSettings`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointConfig {
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: Option<EndpointIpam>,
    pub links: Option<Vec<String>>,
    pub aliases: Option<Vec<String>>,
    pub mac_address: String,
    pub driver_opts: Option<Labels>,
    pub gw_priority: i64,
}

/// `EndpointIPAMConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointIpam {
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    pub ipv4_address: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    pub ipv6_address: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<String>,
}

/// What a running container has in a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub endpoint_id: String,
    pub mac: [u8; 6],
    pub ipv4: Option<Held>,
    pub ipv6: Option<Held>,
    /// The link's name in the container, and at the host, if it has an end there.
    pub inside: String,
    pub outside: String,
    /// Everything that nothing else is said about goes by this network.
    pub is_gateway: bool,
    /// It sends under its own addresses alone.
    #[serde(default)]
    pub guarded: bool,
    /// Neighbours hear of its station.
    #[serde(default)]
    pub announced: bool,
}

/// An address that a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub ip: IpAddr,
    pub prefix: u8,
    pub gateway: Option<IpAddr>,
}

impl Held {
    /// The router's address; nothing where everything goes to the link itself.
    pub fn router(&self) -> Option<IpAddr> {
        self.gateway.filter(|ip| !ip.is_unspecified())
    }
}

impl From<Held> for Address {
    fn from(held: Held) -> Self {
        Self { ip: held.ip, prefix: held.prefix }
    }
}

impl Endpoint {
    /// Addresses of its own that it asked for beside.
    pub(super) fn link_local(&self) -> impl Iterator<Item = IpAddr> {
        let configs = self.asked.ipam_config.iter().flat_map(|config| &config.link_local_ips);
        configs.filter_map(|text| text.parse().ok())
    }

    /// What it may send under, where that is looked at.
    pub(super) fn source(&self) -> Option<Source> {
        let lease = self.lease.as_ref().filter(|lease| lease.guarded)?;
        let addresses = lease.addresses().map(|held| held.ip).chain(self.link_local());
        Some(Source { link: lease.outside.clone(), mac: lease.mac, addresses: addresses.collect() })
    }
}

impl Lease {
    pub fn addresses(&self) -> impl Iterator<Item = Held> {
        self.ipv4.into_iter().chain(self.ipv6)
    }

    /// As the API spells it.
    pub fn mac_text(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join(":")
    }
}
