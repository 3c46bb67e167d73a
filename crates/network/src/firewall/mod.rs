//! What may go where: one nftables table of our own, spoken over netlink.
//!
//! The rules are constant ([`rules`]); networks and published ports are elements of its sets and maps, so that the
//! thousandth costs what the first did. Each change is one transaction of the kernel's. Beside it is one of the bridges'
//! family with the same name ([`guard`]).

mod guard;
mod message;
mod resolver;
mod rules;
mod strangers;
mod watch;

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use netlink::{Message, Socket};
use serde::{Deserialize, Serialize};

use crate::{Error, Subnet};
pub use guard::Source;
use message::{Element, Family, Table};
pub(crate) use resolver::redirect_resolver;
pub use strangers::{Dropping, admin_rules, dropping_chains, kernel_has};
pub use watch::Watch;

/// Something that the rules know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Network(Network),
    Port(Publication),
    Source(Source),
    Named(Named),
}

/// What a name stood for that the containers of a network may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The bridge's name.
    pub bridge: String,
    pub ip: IpAddr,
    pub lasts: Duration,
}

/// A network, as far as the firewall is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The bridge's name.
    pub bridge: String,
    /// Nothing goes out and nothing comes in.
    pub internal: bool,
    /// What goes out does so under the host's address.
    pub masquerade_4: bool,
    pub masquerade_6: bool,
    /// Whoever has a route to its addresses reaches all of its ports.
    pub reachable_4: bool,
    pub reachable_6: bool,
    /// Nothing is translated for it: its published ports are open at its containers' own addresses.
    pub routed_4: bool,
    pub routed_6: bool,
    /// Whoever has a route reaches at its containers' own addresses what is published.
    pub direct: bool,
    /// The same for what comes by these links of the host.
    pub trusted: Vec<String>,
    /// Those who are in it reach each other.
    pub open_within: bool,
    /// They reach nothing else but this, and what names stood for.
    pub egress: Option<Vec<Subnet>>,
}

/// At which addresses a published port is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// The host's.
    #[default]
    Host,
    /// The host's, and for those whom the network lets in the container's own.
    Both,
    /// The container's own.
    Container,
    /// The host's, where a socket takes in what the host's own rules for input let in.
    Input,
}

/// Which transport a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Tcp,
    Udp,
    Sctp,
}

impl Transport {
    /// As in IP's header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|transport| transport.name() == text)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Ports of the host that lead to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The host's address; an unspecified one is every address of its family.
    pub host: IpAddr,
    pub transport: Transport,
    pub first: u16,
    /// How many; more than one are the same ports on both sides.
    pub count: u16,
    pub container: IpAddr,
    pub container_port: u16,
    #[serde(default)]
    pub reach: Reach,
}

impl Publication {
    /// The last port of the host.
    pub fn last(&self) -> u16 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// Whether another one leads nowhere else than this one does.
    pub fn covers(&self, other: &Self) -> bool {
        (self.host, self.transport, self.container, self.reach)
            == (other.host, other.transport, other.container, other.reach)
            && (self.first..=self.last()).contains(&other.first)
            && (self.first..=self.last()).contains(&other.last())
    }

    /// The sets and maps of the firewall's table that it is in.
    pub fn sets(&self) -> Vec<&'static str> {
        places_of_port(self).into_iter().map(|(set, _)| set).collect()
    }

    /// Each port of the host with the container's.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> + use<> {
        (0..self.count).zip(self.first..).zip(self.container_port..).map(|((_, host), inside)| (host, inside))
    }
}

/// Both tables, in the network namespace that the engine is in.
#[derive(Debug)]
pub struct Firewall {
    socket: Socket,
    table: String,
    /// Whether this kernel has tables of the bridges' family.
    guards: bool,
}

impl Firewall {
    /// Makes the tables, or what is in them anew, with these entries and nothing else.
    pub fn install(table: &str, entries: &[Entry]) -> Result<Self, Error> {
        let mut firewall = Self { socket: Socket::netfilter()?, table: table.to_owned(), guards: true };
        firewall.guards = firewall.can_guard();
        firewall.restore(entries)?;
        Ok(firewall)
    }

    /// Whether anybody keeps containers from sending under others' addresses.
    pub fn guards(&self) -> bool {
        self.guards
    }

    fn inet(&self) -> Table<'_> {
        Table { family: Family::Inet, name: &self.table }
    }

    fn bridges(&self) -> Table<'_> {
        Table { family: Family::Bridge, name: &self.table }
    }

    fn can_guard(&mut self) -> bool {
        let made = vec![message::new_table(self.bridges())];
        self.commit(made, "make a table for bridges").is_ok()
    }

    /// Puts everything back as it has to be. The administrator's chain stays as it is.
    pub fn restore(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let mut messages = rules::base(self.inet());
        if self.guards {
            messages.extend(guard::base(self.bridges()));
        }
        messages.extend(self.elements(entries, message::add_elements));
        self.commit(messages, "set up the firewall's tables")
    }

    pub fn add(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let messages = self.elements(entries, message::add_elements);
        self.commit(messages, "let the firewall know a network, port or container")
    }

    pub fn remove(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let messages = self.elements(entries, message::remove_elements);
        self.commit(messages, "let the firewall forget a network, port or container")
    }

    /// Takes some away and adds others in one go: nobody comes in between.
    pub fn replace(&mut self, gone: &[Entry], new: &[Entry]) -> Result<(), Error> {
        let mut messages = self.elements(gone, message::remove_elements);
        messages.extend(self.elements(new, message::add_elements));
        self.commit(messages, "lead published ports to another container")
    }

    /// Adds what may be there or not, for a time that begins now.
    pub fn renew(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let mut messages = self.elements(entries, message::add_elements);
        // Of an element that is there most kernels take no new time.
        messages.extend(self.elements(entries, message::remove_elements));
        messages.extend(self.elements(entries, message::add_elements));
        self.commit(messages, "let the firewall know what a name stands for")
    }

    /// Takes away what may be there or not.
    pub fn drop_named(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let mut messages = self.elements(entries, message::add_elements);
        messages.extend(self.elements(entries, message::remove_elements));
        self.commit(messages, "let the firewall forget what a name stood for")
    }

    /// Whether it is this one that changed something, by the number that the kernel tells.
    pub fn is_at(&self, port: u32) -> bool {
        self.socket.port().is_ok_and(|own| own == port)
    }

    /// Takes the tables away.
    pub fn uninstall(mut self) -> Result<(), Error> {
        let mut tables = vec![self.inet()];
        tables.extend(self.guards.then(|| self.bridges()));
        let messages =
            tables.into_iter().flat_map(|table| [message::new_table(table), message::delete_table(table)]);
        self.commit(messages.collect(), "remove the firewall's tables")
    }

    fn commit(&mut self, messages: Vec<Message>, doing: &'static str) -> Result<(), Error> {
        if messages.is_empty() {
            return Ok(());
        }
        let result = self.socket.apply(message::batch(messages));
        result.map_err(|source| Error::Kernel { doing: doing.to_owned(), source })
    }

    /// One message for each set that is concerned.
    fn elements(&self, entries: &[Entry], write: fn(Table<'_>, &str, &[Element]) -> Message) -> Vec<Message> {
        let mut placed: Vec<(&str, Element)> = entries.iter().flat_map(places).collect();
        // One port of a container may be published at several of the host's.
        let mut seen = HashSet::new();
        placed.retain(|(set, element)| seen.insert((*set, element.key.clone())));
        let of = |table: Table<'_>, set: &message::Set| {
            let elements: Vec<_> =
                placed.iter().filter(|(name, _)| *name == set.name).map(|(_, e)| e.clone()).collect();
            // What one attribute can hold.
            elements.chunks(400).map(|part| write(table, set.name, part)).collect::<Vec<_>>()
        };
        let inet = rules::SETS.iter().flat_map(|set| of(self.inet(), set));
        let guarding = guard::SETS.iter().filter(|_| self.guards);
        inet.chain(guarding.flat_map(|set| of(self.bridges(), set))).collect()
    }
}

/// In which sets an entry is, and as what.
fn places(entry: &Entry) -> Vec<(&'static str, Element)> {
    match entry {
        Entry::Network(network) => {
            let key = link_key(&network.bridge);
            let pair = Element::plain([&key[..], &key].concat());
            let trusted = network.trusted.iter();
            let trusted: Vec<_> =
                trusted.map(|link| Element::plain([&link_key(link)[..], &key].concat())).collect();
            let listed: Vec<_> = network.egress.iter().flatten().map(|part| listed(&key, *part)).collect();
            let element = Element::plain(key);
            [
                (rules::BRIDGES, true),
                (rules::INTERNAL, network.internal),
                (rules::REACHABLE_4, network.reachable_4),
                (rules::REACHABLE_6, network.reachable_6),
                (rules::ROUTED_4, network.routed_4),
                (rules::ROUTED_6, network.routed_6),
                (rules::DIRECT, network.direct),
                (rules::RESTRICTED, network.egress.is_some()),
                (rules::MASQUERADED_4, network.masquerade_4 && !network.internal),
                (rules::MASQUERADED_6, network.masquerade_6 && !network.internal),
            ]
            .into_iter()
            .filter(|(_, concerned)| *concerned)
            .map(|(set, _)| (set, element.clone()))
            .chain(network.open_within.then_some((rules::WITHIN, pair)))
            .chain(trusted.into_iter().map(|element| (rules::TRUSTED, element)))
            .chain(listed)
            .collect()
        }
        Entry::Port(port) => places_of_port(port),
        Entry::Source(source) => guard::places(source),
        Entry::Named(named) => {
            let key = [link_key(&named.bridge), octets(named.ip)].concat();
            let set = if named.ip.is_ipv4() { rules::NAMED_4 } else { rules::NAMED_6 };
            vec![(set, Element { lasts: Some(named.lasts), ..Element::plain(key) })]
        }
    }
}

/// Addresses that a network's containers may reach.
fn listed(bridge: &[u8], part: Subnet) -> (&'static str, Element) {
    let set = if part.is_ipv4() { rules::EGRESS_4 } else { rules::EGRESS_6 };
    let key = |ip| [bridge, &octets(ip)].concat();
    (set, Element { until: Some(key(part.last())), ..Element::plain(key(part.base())) })
}

fn link_key(name: &str) -> Vec<u8> {
    let mut key = vec![0; 16];
    let length = name.len().min(15);
    key[..length].copy_from_slice(&name.as_bytes()[..length]);
    key
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn service(transport: Transport, number: u16) -> Vec<u8> {
    [&[transport.number(), 0, 0, 0][..], &number.to_be_bytes(), &[0, 0]].concat()
}

fn places_of_port(port: &Publication) -> Vec<(&'static str, Element)> {
    if port.is_relayed() {
        return Vec::new();
    }
    let is_4 = port.container.is_ipv4();
    match port.reach {
        Reach::Host => vec![translated(port)],
        Reach::Both if is_4 => {
            vec![translated(port), at_container(port, rules::INNER_4, rules::INNER_RANGES_4)]
        }
        Reach::Both => vec![translated(port), at_container(port, rules::INNER_6, rules::INNER_RANGES_6)],
        Reach::Container if is_4 => vec![at_container(port, rules::OPEN_4, rules::OPEN_RANGES_4)],
        Reach::Container => vec![at_container(port, rules::OPEN_6, rules::OPEN_RANGES_6)],
        Reach::Input => Vec::new(),
    }
}

/// The container's own address and ports.
fn at_container(port: &Publication, single: &'static str, ranges: &'static str) -> (&'static str, Element) {
    let key = |number| [octets(port.container), service(port.transport, number)].concat();
    let last = port.container_port.saturating_add(port.count.saturating_sub(1));
    let until = (port.count > 1).then(|| key(last));
    let set = if until.is_some() { ranges } else { single };
    (set, Element { until, ..Element::plain(key(port.container_port)) })
}

/// From the host's address to the container's.
fn translated(port: &Publication) -> (&'static str, Element) {
    let is_4 = port.host.is_ipv4();
    let data = |with_port: bool| {
        let mut data = octets(port.container);
        if with_port {
            data.extend([&port.container_port.to_be_bytes()[..], &[0, 0]].concat());
        }
        data
    };
    let any = port.host.is_unspecified();
    if port.count > 1 {
        let last = port.last();
        let (lowest, highest) = match any {
            true => (vec![0; octets(port.host).len()], vec![255; octets(port.host).len()]),
            false => (octets(port.host), octets(port.host)),
        };
        let key = [lowest, service(port.transport, port.first)].concat();
        let until = Some([highest, service(port.transport, last)].concat());
        let set = if is_4 { rules::RANGES_4 } else { rules::RANGES_6 };
        return (set, Element { until, data: data(false), ..Element::plain(key) });
    }
    let (set, key) = match (any, is_4) {
        (true, true) => (rules::PORTS_4, Vec::new()),
        (true, false) => (rules::PORTS_6, Vec::new()),
        (false, true) => (rules::PORTS_4_AT, octets(port.host)),
        (false, false) => (rules::PORTS_6_AT, octets(port.host)),
    };
    let key = [key, service(port.transport, port.first)].concat();
    (set, Element { data: data(true), ..Element::plain(key) })
}
