//! Networks: which there are, who is in them, and what the kernel has of them.
//!
//! A record says what a network is; a container's record says what it has in each. What is taken, addresses and ports, is
//! reckoned from both when the engine starts, so that nothing leaks and nothing is given twice.

mod attach;
mod create;
mod egress;
mod error;
mod guard;
mod kernel;
mod mend;
mod names;
mod openings;
mod options;
mod parents;
mod ports;
mod predefined;
mod record;
mod relief;
mod remove;
mod resolvers;
pub mod runs;
mod settings;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use network::firewall::{Publication, Source};
use network::pools::Addresses;
pub use network::pools::Pool;
use network::{Interior, Subnet};
use state::{Db, Durability};

pub use crate::containers::check_endpoint;
pub(crate) use attach::{Attached, Guest};
pub use create::{ConfigFrom, CreateNetwork, Ipam, IpamConfig};
pub use error::NetworkError;
pub(crate) use names::KnownTo;
pub use openings::Opening;
pub use options::check_defaults;
pub(crate) use options::check_endpoint as check_endpoint_options;
pub use ports::port_map;
pub(crate) use ports::{doors, open_doors, wanted as wanted_ports};
pub use record::{Driver, Endpoint, EndpointConfig, EndpointIpam, Held, Lease, Network, PREDEFINED, Range};
pub use remove::{PRUNE_KEYS, Pruned};
pub(crate) use resolvers::{Resolvers, servers};
pub use settings::{BridgeSettings, Chosen, Device};

use crate::Error;
use crate::containers::Container;
use crate::events::{Events, Kind};
use crate::settings::Settings;
use create::Present;
use kernel::{Kernel, Names};

/// All networks.
#[derive(Debug)]
pub struct Networks {
    db: Arc<Db>,
    events: Arc<Events>,
    kernel: Kernel,
    pools: Vec<Pool>,
    settings: BridgeSettings,
    tables: Mutex<Tables>,
    names: names::Names,
    pub(crate) resolvers: Resolvers,
    /// The way to them for all containers.
    pub(crate) forwarder: Arc<dns::Forwarder>,
}

#[derive(Debug, Default)]
struct Tables {
    networks: BTreeMap<String, Network>,
    /// What each network's containers may get and have, by network and family.
    addresses: HashMap<(String, Family), Addresses>,
    /// Who has which address, for whoever asks for it too.
    holders: HashMap<std::net::IpAddr, String>,
    /// With the names of the containers that they lead to.
    published: Vec<(Publication, String)>,
    /// What containers may send under.
    sources: Vec<Source>,
    /// The host's ends of all cables.
    cables: HashSet<String>,
    /// An engine before this one left something in the kernel.
    inherited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    Ipv4,
    Ipv6,
}

impl Networks {
    /// Takes up the networks that are recorded, and makes those that every engine has.
    pub fn open(
        db: Arc<Db>,
        events: Arc<Events>,
        settings: &Settings,
        engine_id: &str,
    ) -> Result<Self, Error> {
        let networks: Vec<Network> = db.read(|tx| tx.list())?;
        let kernel = Kernel::new(names(&settings.data_root, engine_id), &settings.bridge);
        let this = Self {
            db,
            events,
            kernel,
            pools: chosen_pools(&settings.bridge, engine_id),
            settings: settings.bridge.clone(),
            tables: Mutex::default(),
            names: names::Names::default(),
            resolvers: Resolvers::new(settings.resolv_conf.clone()),
            forwarder: Arc::default(),
        };
        {
            let mut tables = this.tables();
            networks.into_iter().for_each(|network| tables.insert(network));
        }
        this.make_predefined()?;
        Ok(this)
    }

    /// Notes what containers have, as their records say.
    pub(crate) fn adopt(&self, containers: &[Container]) {
        let mut tables = self.tables();
        containers.iter().for_each(|container| tables.occupy(container));
        drop(tables);
        // All of them before anybody is answered.
        containers.iter().for_each(|container| self.note_names(container));
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, network: &Network) -> Result<(), Error> {
        Ok(self.db.write(Durability::Power, |tx| tx.put(network))?)
    }

    /// How the firewall's table is called.
    pub fn table(&self) -> &str {
        self.kernel.table()
    }

    /// Every network, by name.
    pub fn list(&self) -> Vec<Network> {
        let mut networks: Vec<Network> = self.tables().networks.values().cloned().collect();
        networks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        networks
    }

    /// What a person typed: a name, a full id, or an unambiguous beginning of an id.
    pub fn get(&self, typed: &str) -> Result<Network, Error> {
        let tables = self.tables();
        let by_name = tables.networks.values().find(|network| network.name == typed);
        if let Some(found) = by_name.or_else(|| tables.networks.get(typed)) {
            return Ok(found.clone());
        }
        let begins: Vec<&Network> = match typed {
            "" => Vec::new(),
            _ => tables.networks.values().filter(|network| network.id.starts_with(typed)).collect(),
        };
        match begins[..] {
            [one] => Ok(one.clone()),
            [] => Err(NetworkError::Unknown(typed.to_owned()).into()),
            _ => Err(NetworkError::Ambiguous(typed.to_owned(), begins.len()).into()),
        }
    }

    /// Makes a network. The kernel hears of it when the first container needs it.
    pub fn create(&self, request: CreateNetwork) -> Result<Network, Error> {
        let routes = self.kernel.routes()?;
        let mut tables = self.tables();
        let networks: Vec<Network> = tables.networks.values().cloned().collect();
        let mut network = request.settle(
            &Present { networks: &networks, routes: &routes, pools: &self.pools },
            &self.settings.defaults,
        )?;
        network.choose_parent(&mut network::Links::open().map_err(NetworkError::from)?)?;
        let kept = self.kernel.try_out(&network).map_err(Error::from).and_then(|()| self.record(&network));
        if let Err(error) = kept {
            if let Err(left) = network.drop_parent(&networks) {
                tracing::warn!(error = diag::chain(&left), "a link that was made for a network stays");
            }
            return Err(error);
        }
        tables.insert(network.clone());
        drop(tables);
        self.emit(&network, "create", &[]);
        Ok(network)
    }

    /// For each subnet how many addresses are taken, and how many are to be had.
    pub fn usage(&self, network: &Network) -> Vec<(Subnet, u128, u128)> {
        let tables = self.tables();
        let counted = |family| {
            let addresses: &Addresses = tables.addresses.get(&(network.id.clone(), family))?;
            let (taken, free) = addresses.counted();
            Some((addresses.subnet(), taken, free))
        };
        [Family::Ipv4, Family::Ipv6].into_iter().filter_map(counted).collect()
    }

    pub(crate) fn emit(&self, network: &Network, action: &str, more: &[(&str, &str)]) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), network.name.clone()),
            ("type".to_owned(), network.driver.name().to_owned()),
        ]);
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.events.emit(Kind::Network, action, &network.id, attributes);
    }
}

impl Tables {
    fn insert(&mut self, network: Network) {
        for range in network.live_subnets() {
            let family = if range.subnet.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
            let kept = range.gateway.into_iter().chain(range.auxiliary.values().copied());
            let addresses = Addresses::new(range.subnet, range.given_from, kept);
            self.addresses.insert((network.id.clone(), family), addresses);
        }
        self.networks.insert(network.id.clone(), network);
    }

    /// Notes what a container that runs has.
    fn occupy(&mut self, occupant: &Container) {
        for endpoint in occupant.endpoints.values() {
            for held in endpoint.lease.iter().flat_map(Lease::addresses) {
                let family = if held.ip.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
                if let Some(addresses) = self.addresses.get_mut(&(endpoint.network_id.clone(), family)) {
                    addresses.claim(held.ip);
                }
                self.holders.insert(held.ip, occupant.name.clone());
                self.inherited = true;
            }
        }
        let leases = occupant.endpoints.values().filter_map(|endpoint| endpoint.lease.as_ref());
        self.cables.extend(leases.map(|lease| lease.outside.clone()));
        self.sources.extend(occupant.endpoints.values().filter_map(Endpoint::source));
        let ports = occupant.ports.iter().map(|port| (port.clone(), occupant.name.clone()));
        self.published.extend(ports);
    }
}

fn constant(text: &str) -> Subnet {
    text.parse().unwrap_or_else(|_| Subnet::around(std::net::Ipv4Addr::UNSPECIFIED.into(), 32))
}

/// The administrator's; for a family that he says nothing of, what is built in.
fn chosen_pools(settings: &BridgeSettings, engine_id: &str) -> Vec<Pool> {
    let mut chosen = settings.pools.clone();
    let says = |is_ipv4: bool| settings.pools.iter().any(|pool| pool.base.is_ipv4() == is_ipv4);
    chosen.extend(pools(engine_id).into_iter().filter(|pool| !says(pool.base.is_ipv4())));
    chosen
}

/// Small slices of what is private: thousands of networks. For IPv6, a range of this engine's own.
fn pools(engine_id: &str) -> Vec<Pool> {
    let ipv4 = ["172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "10.192.0.0/10", "192.168.0.0/16"];
    let mut pools: Vec<Pool> = ipv4.map(|base| Pool { base: constant(base), size: 24 }).into();
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    let digits: Vec<u8> = engine_id.bytes().filter(u8::is_ascii_hexdigit).collect();
    for (place, pair) in octets[1..6].iter_mut().zip(digits.chunks(2)) {
        *place =
            std::str::from_utf8(pair).ok().and_then(|text| u8::from_str_radix(text, 16).ok()).unwrap_or(0);
    }
    pools.push(Pool { base: Subnet::around(std::net::IpAddr::from(octets), 48), size: 64 });
    pools
}

/// Engines beside the usual one have names of their own.
fn names(data_root: &Path, engine_id: &str) -> Names {
    if data_root == Path::new("/var/lib/ketch") {
        return Names { table: "ketch".to_owned(), default_bridge: "ketch0".to_owned() };
    }
    let part: String = engine_id.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    Names { table: format!("ketch-{part}"), default_bridge: format!("ketch-{part}") }
}

/// A container's own network, held open until its first process is in it.
pub type Inside = Interior;
