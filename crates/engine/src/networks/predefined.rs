//! The networks that every engine has: `bridge`, as the administrator wants it, `host` and `none`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use network::Subnet;
use network::pools::Pool;
use state::Durability;

use super::create::Present;
use super::record::{Driver, Network, PREDEFINED, Range};
use super::settings::{BridgeSettings, Chosen, Device};
use super::{Family, NetworkError, Networks, constant, options};
use crate::Error;

impl Networks {
    /// Makes them, or what the settings say of them now: they may be others than the last engine's.
    pub(super) fn make_predefined(&self) -> Result<(), Error> {
        let present: Vec<Network> = self.list();
        for name in PREDEFINED {
            let known = present.iter().find(|network| network.name == name).cloned();
            let mut network = known.clone().unwrap_or_else(|| predefined(name));
            if network.driver == Driver::Bridge {
                if self.settings.device == Device::None {
                    known.iter().try_for_each(|network| self.forget_default(network))?;
                    continue;
                }
                self.settle_default(&mut network)?;
            }
            if known.as_ref() != Some(&network) {
                self.record(&network)?;
                self.tables().insert(network);
            }
        }
        Ok(())
    }

    fn forget_default(&self, network: &Network) -> Result<(), Error> {
        self.db.write(Durability::Power, |tx| tx.delete::<Network>(&network.id))?;
        let mut tables = self.tables();
        tables.networks.remove(&network.id);
        tables.addresses.retain(|(id, _), _| *id != network.id);
        drop(tables);
        Ok(self.kernel.remove(network, &[])?)
    }

    /// Whether containers that ask for no network have one.
    pub(crate) fn has_default(&self) -> bool {
        self.settings.device != Device::None
    }

    fn settle_default(&self, network: &mut Network) -> Result<(), Error> {
        let settings = &self.settings;
        let bridge = match &settings.device {
            Device::Existing(name) => name.clone(),
            _ => self.kernel.default_bridge(),
        };
        network.options = settings.options(bridge.clone());
        network.ipv6 = settings.both_families;
        let mut subnets = Vec::new();
        let families = [(Family::Ipv4, true), (Family::Ipv6, settings.both_families)];
        for (family, _) in families.into_iter().filter(|(_, wanted)| *wanted) {
            let chosen = match family {
                Family::Ipv4 => settings.ipv4,
                Family::Ipv6 => settings.ipv6,
            };
            subnets.push(self.default_range(network, family, &chosen, &bridge)?);
        }
        network.subnets = subnets;
        Ok(())
    }

    fn default_range(
        &self,
        network: &Network,
        family: Family,
        chosen: &Chosen,
        bridge: &str,
    ) -> Result<Range, Error> {
        let told = |why: String| NetworkError::Invalid(format!("the default network: {why}"));
        if matches!(self.settings.device, Device::Existing(_)) {
            let own = self.kernel.address_of(bridge, family == Family::Ipv4)?;
            let own = own.ok_or_else(|| match family {
                Family::Ipv4 => NetworkError::NoSuchBridge(bridge.to_owned()),
                Family::Ipv6 => told(format!("the bridge {bridge} has no IPv6 address")),
            })?;
            let mut range = chosen.within(Subnet::around(own.ip, own.prefix)).map_err(told)?;
            range.gateway = Some(own.ip);
            return Ok(range);
        }
        let known = network.range(family == Family::Ipv4).map(|range| range.subnet);
        let subnet = match chosen.subnet().or(known) {
            Some(subnet) => subnet,
            None => self.default_subnet(family)?,
        };
        Ok(chosen.within(subnet).map_err(told)?)
    }

    /// Docker's own subnet, or another where the host has something there.
    fn default_subnet(&self, family: Family) -> Result<Subnet, Error> {
        let is_ipv4 = family == Family::Ipv4;
        let routes = self.kernel.routes()?;
        let usual = match is_ipv4 && self.settings.pools.is_empty() {
            true => vec![Pool { base: constant("172.17.0.0/16"), size: 16 }],
            false => self.pools.clone(),
        };
        let present = |pools| Present { networks: &[], routes: &routes, pools };
        let subnet = present(&usual).free(is_ipv4).or_else(|_| present(&self.pools).free(is_ipv4));
        Ok(subnet?)
    }
}

impl BridgeSettings {
    /// The default network's options.
    fn options(&self, bridge: String) -> crate::containers::config::Labels {
        let mut options = BTreeMap::from([
            (options::BRIDGE_NAME.to_owned(), bridge),
            (options::DEFAULT_BRIDGE.to_owned(), "true".to_owned()),
            (options::ICC.to_owned(), self.icc.to_string()),
            (options::MASQUERADE.to_owned(), self.masquerade.to_string()),
            (options::HOST_BINDING.to_owned(), self.binding.to_string()),
            (options::MTU.to_owned(), self.mtu.to_string()),
        ]);
        // Docker's own are for networks that people make; for this one they have settings of their own.
        let input = self.defaults.get(Driver::Bridge.name()).and_then(|options| options.get(options::INPUT));
        if let Some(input) = input {
            options.insert(options::INPUT.to_owned(), input.clone());
        }
        options
    }
}

fn predefined(name: &str) -> Network {
    let driver = match name {
        "bridge" => Driver::Bridge,
        "host" => Driver::Host,
        _ => Driver::Null,
    };
    Network {
        id: crate::id::container_id(),
        name: name.to_owned(),
        created: SystemTime::now(),
        driver,
        ipv4: true,
        ipv6: false,
        ipam_options: None,
        subnets: Vec::new(),
        internal: false,
        attachable: false,
        config_from: String::new(),
        config_only: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        made_parent: None,
        strangers: BTreeSet::new(),
    }
}
