//! From what a client asks for to a network: checked, and with addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::SystemTime;

use network::Subnet;
use network::pools::{self, Pool};
use serde::Deserialize;

use super::NetworkError;
use super::options::{self, Mode};
use super::record::{Driver, Network, PREDEFINED, Range};
use crate::containers::config::Labels;

/// The body of `POST /networks/create`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateNetwork {
    pub name: String,
    pub driver: String,
    pub scope: String,
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: Option<bool>,
    #[serde(rename = "IPAM")]
    pub ipam: Option<Ipam>,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub config_only: bool,
    pub config_from: Option<ConfigFrom>,
    pub options: Option<Labels>,
    pub labels: Option<Labels>,
}

/// The network whose configuration is taken.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigFrom {
    pub network: String,
}

/// `IPAM`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ipam {
    pub driver: String,
    pub options: Option<Labels>,
    pub config: Option<Vec<IpamConfig>>,
}

/// `IPAMConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IpamConfig {
    pub subnet: String,
    #[serde(rename = "IPRange")]
    pub ip_range: String,
    pub gateway: String,
    pub auxiliary_addresses: Option<BTreeMap<String, String>>,
}

/// What is there already.
pub(super) struct Present<'a> {
    pub(super) networks: &'a [Network],
    /// Networks that the host has routes to, with what they go by.
    pub(super) routes: &'a [(Subnet, String)],
    pub(super) pools: &'a [Pool],
}

impl CreateNetwork {
    /// Checks all that was asked for and chooses the rest.
    pub(super) fn settle(
        mut self,
        present: &Present<'_>,
        defaults: &BTreeMap<String, Labels>,
    ) -> Result<Network, NetworkError> {
        self.check_name(present.networks)?;
        self.take_configuration(present.networks)?;
        let driver = self.choose_driver()?;
        if self.ingress || matches!(self.scope.as_str(), "swarm" | "global") {
            let feature = "swarm networks".to_owned();
            return Err(NetworkError::Unsupported {
                feature,
                instead: "for several machines there is Kubernetes",
            });
        }
        let mut options = self.options.take().unwrap_or_default();
        for (name, value) in defaults.get(driver.name()).into_iter().flatten().filter(|_| !self.config_only) {
            options.entry(name.clone()).or_insert_with(|| value.clone());
        }
        options::check(driver, &options)?;
        let by_option = |name: &str| options.get(name).and_then(|text| options::truth(text));
        let ipv4 = self.enable_ipv4.or_else(|| by_option(options::ENABLE_IPV4)).unwrap_or(true);
        let ipv6 = self.enable_ipv6.or_else(|| by_option(options::ENABLE_IPV6)).unwrap_or(false);
        if !ipv4 && !ipv6 && !self.config_only {
            return Err(NetworkError::Invalid("IPv4 or IPv6 must be enabled".to_owned()));
        }
        let ipam = self.ipam.take().unwrap_or_default();
        match ipam.driver.as_str() {
            "" | "default" => {}
            // It gives no addresses, which a bridge can't do without.
            "null" => return Err(NetworkError::Invalid("ipv4 pool is empty".to_owned())),
            _ => return Err(NetworkError::NoSuchDriver(ipam.driver)),
        }
        let mut subnets = read_ranges(ipam.config.unwrap_or_default())?;
        if !self.config_only {
            // One of a family that is off is kept and shown, as dockerd does: nobody gets an address of it.
            for range in &subnets {
                // Parts of a link of the host's are in the network that the link is in.
                let routes = if driver == Driver::Bridge { present.routes } else { &[] };
                present.refuse_overlap(range.subnet, routes)?;
            }
            for (wanted, is_ipv4) in [(ipv4, true), (ipv6, false)] {
                let has = subnets.iter().any(|range| range.subnet.is_ipv4() == is_ipv4);
                if wanted && !has {
                    subnets.push(Range::of(present.free(is_ipv4)?));
                }
            }
            subnets.sort_by_key(|range| !range.subnet.is_ipv4());
        }
        let network = Network {
            id: crate::id::container_id(),
            name: self.name,
            created: SystemTime::now(),
            driver,
            ipv4,
            ipv6,
            ipam_options: ipam.options,
            subnets,
            internal: self.internal,
            attachable: self.attachable,
            config_from: self.config_from.unwrap_or_default().network,
            config_only: self.config_only,
            options,
            labels: self.labels.unwrap_or_default(),
            made_parent: None,
            strangers: BTreeSet::new(),
        };
        if network.config_only { Ok(network) } else { by_driver(network, present.networks) }
    }

    /// As on a host that has nothing yet.
    #[cfg(test)]
    pub(super) fn settle_alone(self) -> Result<Network, NetworkError> {
        let pools = [Pool { base: super::constant("10.0.0.0/8"), size: 24 }];
        self.settle(&Present { networks: &[], routes: &[], pools: &pools }, &BTreeMap::new())
    }

    fn check_name(&self, networks: &[Network]) -> Result<(), NetworkError> {
        if self.name.is_empty() {
            return Err(NetworkError::NoName);
        }
        if PREDEFINED.contains(&self.name.as_str()) {
            return Err(NetworkError::Predefined(self.name.clone()));
        }
        match networks.iter().any(|network| network.name == self.name) {
            true => Err(NetworkError::Exists(self.name.clone())),
            false => Ok(()),
        }
    }

    /// What a network that only lends its configuration says.
    fn take_configuration(&mut self, networks: &[Network]) -> Result<(), NetworkError> {
        let name = self.config_from.clone().unwrap_or_default().network;
        if name.is_empty() {
            return Ok(());
        }
        let from = networks.iter().find(|network| network.config_only && network.name == name);
        let from = from.ok_or(NetworkError::NoSuchConfig(name))?;
        let depends = "if the network depends on a configuration network";
        let ipam = self.ipam.take().unwrap_or_default();
        if !ipam.is_plain() || self.enable_ipv6 == Some(true) || is_filled(self.labels.as_ref()) {
            let why = format!("user specified configurations are not supported {depends}");
            return Err(NetworkError::Forbidden(why));
        }
        if is_filled(self.options.as_ref()) {
            return Err(NetworkError::Forbidden(format!(
                "network driver options are not supported {depends}"
            )));
        }
        let config = from.subnets.iter().map(|range| IpamConfig {
            subnet: range.subnet.to_string(),
            ip_range: range.given_from.map(|part| part.to_string()).unwrap_or_default(),
            gateway: range.gateway.map(|ip| ip.to_string()).unwrap_or_default(),
            auxiliary_addresses: None,
        });
        self.ipam = Some(Ipam { config: Some(config.collect()), ..Ipam::default() });
        self.options = Some(from.options.clone());
        self.enable_ipv6 = Some(from.ipv6);
        self.internal |= from.internal;
        Ok(())
    }

    fn choose_driver(&self) -> Result<Driver, NetworkError> {
        if self.config_only {
            return Ok(Driver::Null);
        }
        let unsupported = |instead| {
            let feature = format!("the network driver {}", self.driver);
            Err(NetworkError::Unsupported { feature, instead })
        };
        match self.driver.as_str() {
            "" | "default" | "bridge" => Ok(Driver::Bridge),
            "host" => Err(NetworkError::OnlyOne("host")),
            "null" => Err(NetworkError::OnlyOne("null")),
            "overlay" => unsupported("for several machines there is Kubernetes"),
            "macvlan" => Ok(Driver::Macvlan),
            "ipvlan" => Ok(Driver::Ipvlan),
            other => Err(NetworkError::NoSuchDriver(other.to_owned())),
        }
    }
}

/// What a network's driver makes of it, or refuses.
fn by_driver(mut network: Network, others: &[Network]) -> Result<Network, NetworkError> {
    if network.driver == Driver::Bridge {
        if network.internal && network.options.contains_key(options::EGRESS) {
            let why = format!(
                "{} says what is reached outside: an internal network reaches nothing",
                options::EGRESS
            );
            return Err(NetworkError::Invalid(why));
        }
        let modes = [true, false].map(|is_ipv4| (is_ipv4, network.mode(is_ipv4)));
        for (is_ipv4, _) in modes.into_iter().filter(|(_, mode)| *mode == Mode::Isolated) {
            if !network.internal {
                let why = "gateway mode 'isolated' can only be used for an internal network";
                return Err(NetworkError::Invalid(why.to_owned()));
            }
            let ranges = network.subnets.iter_mut().filter(|range| range.subnet.is_ipv4() == is_ipv4);
            ranges.for_each(|range| range.gateway = None);
        }
        return Ok(network);
    }
    let driver = network.driver.name();
    let unsupported = |feature: String, instead| Err(NetworkError::Unsupported { feature, instead });
    // Without one it gets one that leads nowhere.
    let Some(parent) = network.options.get(options::PARENT) else { return Ok(network) };
    if network.internal {
        return unsupported(
            format!("an internal network of the driver {driver} on a link of the host's"),
            "without a parent it leads nowhere; a bridge can be internal, too",
        );
    }
    let on_it = |other: &&Network| {
        other.driver.name() == driver && other.options.get(options::PARENT) == Some(parent)
    };
    match others.iter().find(on_it).filter(|other| network.is_passthru() || other.is_passthru()) {
        Some(other) => Err(NetworkError::Forbidden(format!(
            "cannot use mode passthru, {driver} network {} is already using parent interface {parent}",
            other.id
        ))),
        None => Ok(network),
    }
}

fn is_filled(labels: Option<&Labels>) -> bool {
    labels.is_some_and(|labels| !labels.is_empty())
}

impl Ipam {
    /// Nothing is asked for that isn't there anyway.
    fn is_plain(&self) -> bool {
        matches!(self.driver.as_str(), "" | "default")
            && self.config.as_ref().is_none_or(Vec::is_empty)
            && !is_filled(self.options.as_ref())
    }
}

fn read_ranges(configs: Vec<IpamConfig>) -> Result<Vec<Range>, NetworkError> {
    let (mut ranges, mut wrong) = (Vec::new(), Vec::new());
    for config in configs {
        match read_range(config) {
            Ok(range) => ranges.push(range),
            Err(why) => wrong.push(why),
        }
    }
    for is_ipv4 in [true, false] {
        if ranges.iter().filter(|range: &&Range| range.subnet.is_ipv4() == is_ipv4).count() > 1 {
            let feature = "several subnets of one family in a bridge network".to_owned();
            return Err(NetworkError::Unsupported { feature, instead: "make a network for each" });
        }
    }
    if wrong.is_empty() { Ok(ranges) } else { Err(NetworkError::Config(wrong.join("\n"))) }
}

fn read_range(config: IpamConfig) -> Result<Range, String> {
    let text = &config.subnet;
    let subnet: Subnet = text.parse().map_err(|why| format!("invalid subnet {text}: {why}"))?;
    let within = |what: &str, text: &str| -> Result<IpAddr, String> {
        let ip: IpAddr = text.parse().map_err(|_| format!("invalid {what} {text}: invalid address"))?;
        match subnet.contains(ip) {
            true => Ok(ip),
            false => {
                Err(format!("invalid {what} {text}: parent subnet {subnet} doesn't contain this address"))
            }
        }
    };
    let given_from = match config.ip_range.as_str() {
        "" => None,
        text => {
            let part: Subnet = text.parse().map_err(|why| format!("invalid ip-range {text}: {why}"))?;
            if !subnet.contains_all(&part) {
                return Err(format!(
                    "invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"
                ));
            }
            Some(part)
        }
    };
    let gateway = match config.gateway.as_str() {
        "" => Range::of(subnet).gateway,
        text => Some(within("gateway", text)?),
    };
    let mut auxiliary = BTreeMap::new();
    for (name, text) in config.auxiliary_addresses.unwrap_or_default() {
        auxiliary.insert(name, within("auxiliary address", &text)?);
    }
    Ok(Range { subnet, given_from, gateway, auxiliary })
}

impl Range {
    /// A whole subnet, with its first address as the gateway.
    pub(super) fn of(subnet: Subnet) -> Self {
        let gateway = if subnet.size() > 1 { subnet.nth(1) } else { None };
        Self { subnet, given_from: None, gateway, auxiliary: BTreeMap::new() }
    }
}

impl Present<'_> {
    fn refuse_overlap(&self, subnet: Subnet, routes: &[(Subnet, String)]) -> Result<(), NetworkError> {
        let network = self.networks.iter().filter(|network| !network.config_only).find_map(|network| {
            let other = network.subnets.iter().find(|range| range.subnet.overlaps(&subnet))?;
            Some(format!("{} of the network {}", other.subnet, network.name))
        });
        let route = || {
            let (other, link) = routes.iter().find(|(other, _)| other.overlaps(&subnet))?;
            Some(format!("the host's route to {other} by {link}"))
        };
        match network.or_else(route) {
            Some(with) => Err(NetworkError::Overlaps { subnet, with }),
            None => Ok(()),
        }
    }

    /// A subnet that touches no network and no route of the host's.
    pub(super) fn free(&self, is_ipv4: bool) -> Result<Subnet, NetworkError> {
        let pools: Vec<Pool> =
            self.pools.iter().filter(|pool| pool.base.is_ipv4() == is_ipv4).copied().collect();
        let networks = self.networks.iter().flat_map(|network| &network.subnets).map(|range| range.subnet);
        let taken: Vec<Subnet> = networks.chain(self.routes.iter().map(|(subnet, _)| *subnet)).collect();
        pools::cut(&pools, &taken).ok_or(NetworkError::Exhausted)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settle(body: serde_json::Value) -> Result<Network, String> {
        let other = Network {
            subnets: vec![Range::of("172.17.0.0/16".parse().unwrap())],
            ..serde_json::from_value::<CreateNetwork>(json!({"Name": "bridge2"}))
                .unwrap()
                .settle(&none(), &BTreeMap::new())
                .unwrap()
        };
        let routes = [("192.168.7.0/24".parse().unwrap(), "lan0".to_owned())];
        let pools = pools();
        let present = Present { networks: &[other], routes: &routes, pools: &pools };
        let request: CreateNetwork = serde_json::from_value(body).unwrap();
        request.settle(&present, &BTreeMap::new()).map_err(|error| error.to_string())
    }

    fn pools() -> [Pool; 2] {
        ["172.17.0.0/16", "fd12::/56"].map(|base: &str| {
            let base: Subnet = base.parse().unwrap();
            Pool { base, size: if base.is_ipv4() { 24 } else { 64 } }
        })
    }

    fn none() -> Present<'static> {
        static POOLS: std::sync::LazyLock<[Pool; 2]> = std::sync::LazyLock::new(pools);
        Present { networks: &[], routes: &[], pools: &*POOLS }
    }

    /// What dockerd 28 answers.
    #[test]
    fn what_cannot_be_is_refused_in_dockers_words() {
        let config = |config: serde_json::Value| json!({"Name": "n", "IPAM": {"Config": [config]}});
        for (body, expected) in [
            (json!({"Name": ""}), "invalid name: name is empty"),
            (json!({"Name": "bridge2"}), "network with name bridge2 already exists"),
            (json!({"Name": "host"}), "operation is not permitted on predefined host network "),
            (json!({"Name": "n", "Driver": "nosuch"}), "plugin \"nosuch\" not found"),
            (json!({"Name": "n", "Driver": "host"}), "only one instance of \"host\" network is allowed"),
            (json!({"Name": "n", "EnableIPv4": false}), "IPv4 or IPv6 must be enabled"),
            (
                json!({"Name": "n", "ConfigFrom": {"Network": "x"}}),
                "configuration network \"x\" does not exist",
            ),
            (json!({"Name": "n", "IPAM": {"Driver": "null"}}), "ipv4 pool is empty"),
            (json!({"Name": "n", "IPAM": {"Driver": "zzz"}}), "plugin \"zzz\" not found"),
            (
                config(json!({"Subnet": "192.268.100.0/24"})),
                "invalid network config:\ninvalid subnet 192.268.100.0/24: invalid CIDR block notation",
            ),
            (
                config(json!({"Subnet": "10.77.0.0/24", "Gateway": "10.78.0.1"})),
                "invalid network config:\ninvalid gateway 10.78.0.1: parent subnet 10.77.0.0/24 doesn't contain this address",
            ),
            (
                config(json!({"Subnet": "10.77.0.5/24"})),
                "invalid network config:\ninvalid subnet 10.77.0.5/24: it should be 10.77.0.0/24",
            ),
            (
                config(json!({"Subnet": "10.77.0.0/24", "IPRange": "10.78.0.0/25"})),
                "invalid network config:\ninvalid ip-range 10.78.0.0/25: parent subnet 10.77.0.0/24 doesn't contain ip-range",
            ),
            (
                config(json!({"Gateway": "10.77.0.1"})),
                "invalid network config:\ninvalid subnet : invalid CIDR block notation",
            ),
            (
                config(json!({"Subnet": "172.17.0.0/24"})),
                "invalid pool request: Pool overlaps with other one on this address space",
            ),
            (
                config(json!({"Subnet": "192.168.0.0/16"})),
                "invalid pool request: Pool overlaps with other one on this address space",
            ),
        ] {
            assert_eq!(settle(body.clone()).unwrap_err(), expected, "{body}");
        }
    }

    #[test]
    fn what_is_left_open_is_chosen() {
        let network = settle(json!({
            "Name": "n", "EnableIPv6": true, "IPAM": {"Config": [{"Subnet": "10.77.0.0/24", "IPRange": "10.77.0.128/25",
            "AuxiliaryAddresses": {"x": "10.77.0.130"}}]},
        }))
        .unwrap();
        let shown: Vec<String> = network
            .subnets
            .iter()
            .map(|range| format!("{} {}", range.subnet, range.gateway.unwrap()))
            .collect();
        assert_eq!(shown, ["10.77.0.0/24 10.77.0.1", "fd12::/64 fd12::1"]);
        assert_eq!(network.driver, Driver::Bridge);
    }
}
