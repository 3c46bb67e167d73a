//! What may go where: one nftables table of our own, spoken over netlink.
//!
//! The rules are constant ([`rules`]); networks and published ports are elements of its sets and maps, so that the
//! thousandth costs what the first did. Each change is one transaction of the kernel's.

mod message;
mod resolver;
mod rules;

use std::net::IpAddr;

use netlink::{Message, Socket};
use serde::{Deserialize, Serialize};

use crate::Error;
use message::Element;
pub(crate) use resolver::redirect_resolver;

/// Something that the rules know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Network(Network),
    Port(Publication),
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
    /// Those who are in it reach each other.
    pub open_within: bool,
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
}

impl Publication {
    /// The last port of the host.
    pub fn last(&self) -> u16 {
        self.first.saturating_add(self.count.saturating_sub(1))
    }

    /// Each port of the host with the container's.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> + use<> {
        (0..self.count).zip(self.first..).zip(self.container_port..).map(|((_, host), inside)| (host, inside))
    }
}

/// A table in the network namespace that the engine is in.
#[derive(Debug)]
pub struct Firewall {
    socket: Socket,
    table: String,
}

impl Firewall {
    /// Makes the table, or what is in it anew, with these entries and nothing else.
    pub fn install(table: &str, entries: &[Entry]) -> Result<Self, Error> {
        let mut firewall = Self { socket: Socket::netfilter()?, table: table.to_owned() };
        firewall.restore(entries)?;
        Ok(firewall)
    }

    /// Puts everything back as it has to be. The administrator's chain stays as it is.
    pub fn restore(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let mut messages = rules::base(&self.table);
        messages.extend(self.elements(entries, message::add_elements));
        self.commit(messages, "set up the firewall's table")
    }

    pub fn add(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let messages = self.elements(entries, message::add_elements);
        self.commit(messages, "let the firewall know a network or port")
    }

    pub fn remove(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let messages = self.elements(entries, message::remove_elements);
        self.commit(messages, "let the firewall forget a network or port")
    }

    /// Takes the table away.
    pub fn uninstall(mut self) -> Result<(), Error> {
        let messages = vec![message::new_table(&self.table), message::delete_table(&self.table)];
        self.commit(messages, "remove the firewall's table")
    }

    fn commit(&mut self, messages: Vec<Message>, doing: &'static str) -> Result<(), Error> {
        if messages.is_empty() {
            return Ok(());
        }
        let result = self.socket.apply(message::batch(messages));
        result.map_err(|source| Error::Kernel { doing: doing.to_owned(), source })
    }

    /// One message for each set that is concerned.
    fn elements(&self, entries: &[Entry], write: fn(&str, &str, &[Element]) -> Message) -> Vec<Message> {
        let placed: Vec<(&str, Element)> = entries.iter().flat_map(places).collect();
        let of = |set: &message::Set| {
            let elements: Vec<_> =
                placed.iter().filter(|(name, _)| *name == set.name).map(|(_, e)| e.clone()).collect();
            // What one attribute can hold.
            elements.chunks(400).map(|part| write(&self.table, set.name, part)).collect::<Vec<_>>()
        };
        rules::SETS.iter().flat_map(of).collect()
    }
}

/// In which sets an entry is, and as what.
fn places(entry: &Entry) -> Vec<(&'static str, Element)> {
    match entry {
        Entry::Network(network) => {
            let mut key = vec![0; 16];
            let name = network.bridge.as_bytes();
            let length = name.len().min(15);
            key[..length].copy_from_slice(&name[..length]);
            let pair = Element { key: [&key[..], &key].concat(), until: None, data: Vec::new() };
            let element = Element { key, until: None, data: Vec::new() };
            [
                (rules::BRIDGES, true),
                (rules::INTERNAL, network.internal),
                (rules::REACHABLE_4, network.reachable_4),
                (rules::REACHABLE_6, network.reachable_6),
                (rules::MASQUERADED_4, network.masquerade_4 && !network.internal),
                (rules::MASQUERADED_6, network.masquerade_6 && !network.internal),
            ]
            .into_iter()
            .filter(|(_, concerned)| *concerned)
            .map(|(set, _)| (set, element.clone()))
            .chain(network.open_within.then_some((rules::WITHIN, pair)))
            .collect()
        }
        Entry::Port(port) => vec![place_of_port(port)],
    }
}

fn place_of_port(port: &Publication) -> (&'static str, Element) {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let service = |transport: Transport, number: u16| {
        [&[transport.number(), 0, 0, 0][..], &number.to_be_bytes(), &[0, 0]].concat()
    };
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
        return (set, Element { key, until, data: data(false) });
    }
    let (set, key) = match (any, is_4) {
        (true, true) => (rules::PORTS_4, Vec::new()),
        (true, false) => (rules::PORTS_6, Vec::new()),
        (false, true) => (rules::PORTS_4_AT, octets(port.host)),
        (false, false) => (rules::PORTS_6_AT, octets(port.host)),
    };
    let key = [key, service(port.transport, port.first)].concat();
    (set, Element { key, until: None, data: data(true) })
}
