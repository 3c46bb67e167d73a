//! What the administrator says of networks that nobody says more of.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use network::Subnet;
use network::pools::Pool;

use super::options;
use super::record::{DEFAULT_GATEWAY_4, DEFAULT_GATEWAY_6, Range};
use crate::containers::config::Labels;

/// The default network, and where others get their addresses from.
#[derive(Debug, Clone)]
pub struct BridgeSettings {
    pub mtu: u32,
    /// Containers in the default network reach each other.
    pub icc: bool,
    pub masquerade: bool,
    /// Where ports are published that don't say where.
    pub binding: Ipv4Addr,
    /// Without any there are those that are built in.
    pub pools: Vec<Pool>,
    pub device: Device,
    pub ipv4: Chosen,
    pub ipv6: Chosen,
    /// The default network has both families.
    pub both_families: bool,
    /// Options of networks that don't say otherwise, by their driver.
    pub defaults: BTreeMap<String, Labels>,
    /// What `host-gateway` stands for, where it isn't the network's own gateway.
    pub host_gateways: Vec<IpAddr>,
    /// Forwarding is switched on for the host where a network needs it.
    pub forwarding: bool,
    /// Who has a route to a container's address reaches there what is published.
    pub direct_routing: bool,
    /// Shims pass on what comes to published ports that no rule leads to a container.
    pub relays: bool,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self {
            mtu: 1500,
            icc: true,
            masquerade: true,
            binding: Ipv4Addr::UNSPECIFIED,
            pools: Vec::new(),
            device: Device::Own,
            ipv4: Chosen::default(),
            ipv6: Chosen::default(),
            both_families: false,
            defaults: BTreeMap::new(),
            host_gateways: Vec::new(),
            forwarding: true,
            direct_routing: false,
            relays: true,
        }
    }
}

/// The default network's bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Device {
    /// One of the engine's.
    #[default]
    Own,
    /// There is no default network.
    None,
    /// One that the administrator made, with its addresses.
    Existing(String),
}

impl Device {
    /// `--bridge`.
    pub fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::Own),
            "none" => Ok(Self::None),
            name if options::is_link_name(name) => Ok(Self::Existing(name.to_owned())),
            name => Err(format!("{name:?} can be no bridge's name")),
        }
    }
}

/// One family's addresses of the default network; what isn't said is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The bridge's own address and its subnet.
    address: Option<(IpAddr, Subnet)>,
    given_from: Option<Subnet>,
    /// Where containers send what is for elsewhere, if that isn't the bridge.
    gateway: Option<IpAddr>,
}

impl Chosen {
    /// The texts of `bip`, `fixed-cidr` and `default-gateway` of one family; an empty one says nothing.
    pub fn read(is_ipv4: bool, address: &str, part: &str, gateway: &str) -> Result<Self, String> {
        let version = if is_ipv4 { 4 } else { 6 };
        let family = |ip: &IpAddr| ip.is_ipv4() == is_ipv4;
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let address = said(address).map(|text| {
            let invalid = || format!("invalid CIDR address: {text}");
            let (ip, prefix) = text.split_once('/').ok_or_else(invalid)?;
            let ip: IpAddr = ip.parse().ok().filter(family).ok_or_else(invalid)?;
            let longest = if is_ipv4 { 32 } else { 128 };
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= longest).ok_or_else(invalid)?;
            let subnet = Subnet::around(ip, prefix);
            match subnet.size() > 2 && (ip == subnet.base() || is_ipv4 && ip == subnet.last()) {
                true => Err(format!("{ip} is no address for a bridge in {subnet}")),
                false => Ok::<_, String>((ip, subnet)),
            }
        });
        let given_from = said(part).map(|text| {
            let part: Subnet = text.parse().map_err(|why| format!("invalid subnet {text}: {why}"))?;
            if part.is_ipv4() == is_ipv4 {
                Ok(part)
            } else {
                Err(format!("{text} is no IPv{version} subnet"))
            }
        });
        let gateway = said(gateway).map(|text| {
            let ip = text.parse().ok().filter(family);
            ip.ok_or_else(|| format!("{text} is no IPv{version} address"))
        });
        let this = Self {
            address: address.transpose()?,
            given_from: given_from.transpose()?,
            gateway: gateway.transpose()?,
        };
        let within = this.subnet();
        if let (Some(subnet), Some(part)) = (within, this.given_from)
            && !subnet.contains_all(&part)
        {
            return Err(format!("the fixed subnet {part} lies outside of {subnet}"));
        }
        match (within, this.gateway) {
            (Some(subnet), Some(gateway)) if !subnet.contains(gateway) => {
                Err(format!("the default gateway {gateway} lies outside of {subnet}"))
            }
            _ => Ok(this),
        }
    }

    /// What the administrator says the subnet is.
    pub(super) fn subnet(&self) -> Option<Subnet> {
        self.address.map(|(_, subnet)| subnet).or(self.given_from)
    }

    /// The same with a subnet that was chosen where he says nothing of it.
    pub(super) fn within(&self, subnet: Subnet) -> Result<Range, String> {
        let mut range = Range::of(subnet);
        if let Some((ip, _)) = self.address {
            range.gateway = Some(ip);
        }
        range.given_from = self.given_from;
        if let Some(gateway) = self.gateway {
            if !subnet.contains(gateway) {
                return Err(format!("the default gateway {gateway} lies outside of {subnet}"));
            }
            let name = if subnet.is_ipv4() { DEFAULT_GATEWAY_4 } else { DEFAULT_GATEWAY_6 };
            range.auxiliary.insert(name.to_owned(), gateway);
        }
        Ok(range)
    }
}

impl BridgeSettings {
    /// Pieces of this size, out of this range.
    pub fn pool(base: &str, size: u64) -> Result<Pool, String> {
        let base: Subnet = base.parse().map_err(|why| format!("invalid base {base}: {why}"))?;
        let longest = if base.is_ipv4() { 30 } else { 126 };
        let fits = |size: &u8| *size >= base.prefix() && *size <= longest;
        let size = u8::try_from(size).ok().filter(fits);
        let size = size.ok_or_else(|| {
            format!("the size has to be from {} to {longest}, a prefix's length", base.prefix())
        })?;
        Ok(Pool { base, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_networks_addresses_fit_each_other() {
        let chosen = Chosen::read(true, "10.9.0.1/24", "10.9.0.128/25", "10.9.0.3").unwrap();
        let range = chosen.within(chosen.subnet().unwrap()).unwrap();
        assert_eq!(range.subnet.to_string(), "10.9.0.0/24");
        assert_eq!(range.given_from.unwrap().to_string(), "10.9.0.128/25");
        assert_eq!(range.gateway.unwrap().to_string(), "10.9.0.1");
        assert_eq!(range.auxiliary[DEFAULT_GATEWAY_4].to_string(), "10.9.0.3");
        assert_eq!(
            Chosen::read(false, "", "fd00:7::/64", "").unwrap().subnet().unwrap().to_string(),
            "fd00:7::/64"
        );
        for (address, part, gateway, expected) in [
            ("xx", "", "", "invalid CIDR address: xx"),
            ("10.9.0.0/24", "", "", "10.9.0.0 is no address for a bridge in 10.9.0.0/24"),
            ("fd00::1/64", "", "", "invalid CIDR address: fd00::1/64"),
            ("10.9.0.1/24", "10.8.0.0/24", "", "the fixed subnet 10.8.0.0/24 lies outside of 10.9.0.0/24"),
            ("", "fd00::/64", "", "fd00::/64 is no IPv4 subnet"),
            ("10.9.0.1/24", "", "10.8.0.1", "the default gateway 10.8.0.1 lies outside of 10.9.0.0/24"),
            ("", "", "x", "x is no IPv4 address"),
        ] {
            assert_eq!(Chosen::read(true, address, part, gateway).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_pool_is_cut_into_pieces_that_fit() {
        assert_eq!(BridgeSettings::pool("10.0.0.0/8", 24).unwrap().size, 24);
        for (base, size) in
            [("10.0.0.0/8", 7), ("10.0.0.0/8", 31), ("10.0.0.1/8", 24), ("x", 24), ("fd00::/48", 300)]
        {
            assert!(BridgeSettings::pool(base, size).is_err(), "{base} {size}");
        }
    }
}
