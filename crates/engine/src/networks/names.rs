//! Who is called what, and by whom it may be known: reckoned from containers' records, asked by each container's server.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dns::Leave;

use super::egress::Egress;
use super::record::{Endpoint, Lease};
use super::{Networks, PREDEFINED};
use crate::containers::Container;

/// What a container finds the host under.
const HOST: [&str; 2] = ["host.docker.internal", "gateway.docker.internal"];

/// All names of containers that run.
#[derive(Debug, Default)]
pub(super) struct Names(RwLock<Tables>);

#[derive(Debug, Default)]
struct Tables {
    zones: HashMap<String, Zone>,
    present: HashMap<String, Presence>,
}

/// The names of one network.
#[derive(Debug, Default)]
struct Zone {
    /// Several containers may have one name. Each is written with its id.
    names: HashMap<String, Vec<(String, Vec<IpAddr>)>>,
    reverse: HashMap<IpAddr, String>,
}

/// A container that runs, as far as names are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Presence {
    name: String,
    /// Its networks in which there are names.
    places: Vec<Place>,
    /// The host, as the container sees it.
    gateways: Vec<IpAddr>,
    /// Whether anything else may be asked of others.
    goes_out: bool,
    /// If about listed names only: the lists, with their networks.
    listed: Option<Vec<(String, Egress)>>,
    /// Resolvers of its own.
    resolvers: Vec<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    network_id: String,
    network: String,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    /// What it calls others, and who they are.
    links: Vec<(String, String)>,
}

impl Names {
    fn read<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was known of a container is no more; this is.
    fn note(&self, id: &str, presence: Option<Presence>) {
        if self.read(|tables| tables.present.get(id) == presence.as_ref()) {
            return;
        }
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tables.forget(id);
        if let Some(presence) = presence {
            tables.add(id, presence);
        }
    }
}

impl Tables {
    fn forget(&mut self, id: &str) {
        let Some(gone) = self.present.remove(id) else { return };
        for place in gone.places {
            let Some(zone) = self.zones.get_mut(&place.network_id) else { continue };
            for name in &place.names {
                let members = zone.names.entry(name.clone()).or_default();
                members.retain(|(member, _)| member != id);
                if members.is_empty() {
                    zone.names.remove(name);
                }
            }
            place.addresses.iter().for_each(|ip| drop(zone.reverse.remove(ip)));
            if zone.names.is_empty() {
                self.zones.remove(&place.network_id);
            }
        }
    }

    fn add(&mut self, id: &str, presence: Presence) {
        for place in &presence.places {
            let zone = self.zones.entry(place.network_id.clone()).or_default();
            for name in &place.names {
                let member = (id.to_owned(), place.addresses.clone());
                zone.names.entry(name.clone()).or_default().push(member);
            }
            zone.reverse.extend(place.addresses.iter().map(|ip| (*ip, presence.name.clone())));
        }
        self.present.insert(id.to_owned(), presence);
    }

    /// A name as it is, and a name with a network's after a dot.
    fn find(&self, asker: &Presence, asked: &str) -> Option<Vec<IpAddr>> {
        let within = |name: &str, network: Option<&str>| {
            let places = || asker.places.iter().filter(|place| network.is_none_or(|n| place.network == n));
            let linked = |place: &Place| {
                let target = place.links.iter().find(|(alias, _)| alias == name)?;
                self.addresses(place, &target.1)
            };
            places().find_map(linked).or_else(|| places().find_map(|place| self.addresses(place, name)))
        };
        within(asked, None).or_else(|| {
            let mut dots = asked.rmatch_indices('.');
            dots.find_map(|(at, _)| within(&asked[..at], Some(&asked[at + 1..])))
        })
    }

    fn addresses(&self, place: &Place, name: &str) -> Option<Vec<IpAddr>> {
        let members = self.zones.get(&place.network_id)?.names.get(name)?;
        Some(members.iter().flat_map(|(_, addresses)| addresses).copied().collect())
    }
}

impl Networks {
    /// What a container is called in its networks, from here on.
    pub(crate) fn note_names(&self, container: &Container) {
        self.names.note(&container.id, self.presence(container));
    }

    fn presence(&self, container: &Container) -> Option<Presence> {
        let held = |endpoint: &Endpoint| endpoint.lease.clone();
        let leases: Vec<(&String, &Endpoint, Lease)> = container
            .endpoints
            .iter()
            .filter_map(|(name, endpoint)| Some((name, endpoint, held(endpoint)?)))
            .collect();
        if leases.is_empty() {
            return None;
        }
        let is_open = |name: &str| self.get(name).is_ok_and(|network| !network.internal);
        let places = leases.iter().filter(|(name, ..)| !PREDEFINED.contains(&name.as_str()));
        let places = places.map(|(name, endpoint, lease)| Place {
            network_id: endpoint.network_id.clone(),
            network: name.to_lowercase(),
            names: match container.behind {
                None => container.dns_names(endpoint).iter().map(|name| name.to_ascii_lowercase()).collect(),
                // The other one has them.
                Some(_) => vec![container.short_id().to_owned()],
            },
            addresses: lease.addresses().map(|held| held.ip).collect(),
            links: endpoint.asked.links.iter().flatten().map(|link| link_of(link)).collect(),
        });
        let gateways = leases.iter().filter(|(_, _, lease)| lease.is_gateway);
        Some(Presence {
            name: container.name.clone(),
            places: places.collect(),
            gateways: gateways
                .flat_map(|(.., lease)| lease.addresses())
                .filter_map(|held| held.router())
                .collect(),
            goes_out: leases.iter().any(|(name, ..)| is_open(name)),
            listed: self.lists(leases.iter().map(|(name, ..)| name.as_str())),
            resolvers: container.host.dns.iter().flatten().filter_map(|text| text.parse().ok()).collect(),
        })
    }
}

impl Networks {
    /// What the networks of a container list; nothing if one of them leads anywhere.
    fn lists<'a>(&self, networks: impl Iterator<Item = &'a str>) -> Option<Vec<(String, Egress)>> {
        let open = networks.filter_map(|name| self.get(name).ok()).filter(|network| !network.internal);
        let lists: Option<Vec<_>> =
            open.map(|network| Some((network.name.clone(), network.egress()?))).collect();
        lists.filter(|lists| !lists.is_empty())
    }
}

/// `container:alias`, or a container under its own name.
fn link_of(text: &str) -> (String, String) {
    let (target, alias) = text.split_once(':').unwrap_or((text, text));
    let plain = |name: &str| name.trim_start_matches('/').to_ascii_lowercase();
    (plain(alias), plain(target))
}

/// The names that one container may know.
#[derive(Debug)]
pub(crate) struct KnownTo {
    pub(crate) id: String,
    pub(crate) networks: Arc<Networks>,
}

impl KnownTo {
    fn look<T>(&self, look: impl FnOnce(&Tables, &Presence) -> Option<T>) -> Option<T> {
        self.networks.names.read(|tables| look(tables, tables.present.get(&self.id)?))
    }
}

impl dns::Names for KnownTo {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let mut found = self.look(|tables, asker| {
            let own = tables.find(asker, name);
            own.or_else(|| HOST.contains(&name).then(|| asker.gateways.clone()))
        })?;
        // Each of several is the first in its turn.
        if found.len() > 1 {
            let [turn] = crate::id::random::<1>();
            let length = found.len();
            found.rotate_left(usize::from(turn) % length);
        }
        Some(found)
    }

    fn name_of(&self, ip: IpAddr) -> Option<String> {
        self.look(|tables, asker| {
            asker.places.iter().find_map(|place| {
                let name = tables.zones.get(&place.network_id)?.reverse.get(&ip)?;
                Some(format!("{name}.{}", place.network))
            })
        })
    }

    fn resolvers(&self) -> Option<Vec<SocketAddr>> {
        let own = self.look(|_, asker| asker.goes_out.then(|| asker.resolvers.clone()))?;
        let asked = if own.is_empty() { self.networks.resolvers.servers() } else { own };
        Some(asked.into_iter().map(|ip| SocketAddr::new(ip, 53)).collect())
    }

    fn leave(&self, name: Option<&str>) -> Leave {
        let listed = self.look(|_, asker| {
            let lists = asker.listed.as_ref()?;
            Some(name.is_some_and(|name| lists.iter().any(|(_, egress)| egress.names(name))))
        });
        match listed {
            None => Leave::Given,
            Some(true) => Leave::Watched,
            Some(false) => Leave::Denied,
        }
    }

    fn learn(&self, name: &str, found: &[(IpAddr, Duration)]) {
        let networks = self.look(|_, asker| {
            Some(asker.listed.as_ref()?.iter().map(|(network, _)| network.clone()).collect::<Vec<_>>())
        });
        self.networks.learn(&networks.unwrap_or_default(), name, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(name: &str, networks: &[(&str, &str)], aliases: &[&str], links: &[(&str, &str)]) -> Presence {
        let own = |text: &&str| (*text).to_owned();
        let places = networks.iter().map(|(network, ip)| Place {
            network_id: format!("id of {network}"),
            network: (*network).to_owned(),
            names: [&name].into_iter().chain(aliases).map(own).collect(),
            addresses: vec![ip.parse().unwrap()],
            links: links.iter().map(|(alias, target)| (own(alias), own(target))).collect(),
        });
        Presence {
            name: name.to_owned(),
            places: places.collect(),
            gateways: Vec::new(),
            goes_out: true,
            listed: None,
            resolvers: Vec::new(),
        }
    }

    fn find(names: &Names, asker: &str, name: &str) -> Vec<String> {
        let found = names.read(|tables| tables.find(&tables.present[asker], name));
        found.into_iter().flatten().map(|ip| ip.to_string()).collect()
    }

    #[test]
    fn names_are_known_within_their_networks_until_they_are_gone() {
        let names = Names::default();
        names.note("1", Some(presence("a", &[("x", "10.0.0.1"), ("y", "10.1.0.1")], &["web"], &[])));
        names.note("2", Some(presence("b", &[("y", "10.1.0.2")], &["web"], &[("boss", "a")])));
        names.note("3", Some(presence("c.d", &[("z", "10.2.0.3")], &["web"], &[])));
        assert_eq!(find(&names, "1", "a"), ["10.0.0.1"]);
        assert_eq!(find(&names, "1", "a.y"), ["10.1.0.1"]);
        assert_eq!(find(&names, "2", "a"), ["10.1.0.1"]);
        assert_eq!(find(&names, "2", "boss"), ["10.1.0.1"]);
        assert_eq!(find(&names, "2", "web"), ["10.1.0.1", "10.1.0.2"]);
        assert_eq!(find(&names, "3", "c.d"), ["10.2.0.3"]);
        assert_eq!(find(&names, "3", "c.d.z"), ["10.2.0.3"]);
        assert!(find(&names, "3", "a").is_empty() && find(&names, "2", "c.d").is_empty());
        names.note("1", Some(presence("renamed", &[("y", "10.1.0.1")], &[], &[])));
        assert!(find(&names, "2", "a").is_empty() && find(&names, "2", "boss").is_empty());
        assert_eq!(find(&names, "2", "web"), ["10.1.0.2"]);
        for id in ["1", "2", "3"] {
            names.note(id, None);
        }
        names.read(|tables| assert!(tables.zones.is_empty() && tables.present.is_empty()));
    }

    #[test]
    fn a_link_names_a_container_and_what_it_is_called() {
        assert_eq!(link_of("/Db:Store"), ("store".to_owned(), "db".to_owned()));
        assert_eq!(link_of("db"), ("db".to_owned(), "db".to_owned()));
    }
}
