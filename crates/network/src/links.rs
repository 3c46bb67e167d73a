//! Links, addresses and routes of one network namespace.

use std::collections::HashMap;
use std::net::IpAddr;

use netlink::{Message, Socket, attributes, u32_of};

use crate::Error;
use crate::error::kernel;
use crate::sysctl;

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;

const REPLACE: u16 = 0x100;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

const UP: u32 = 1;

mod link {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    pub(super) const PARENT: u16 = 5;
    pub(super) const MASTER: u16 = 10;
    pub(super) const INFO: u16 = 18;
    pub(super) const NAMESPACE: u16 = 28;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const VETH_PEER: u16 = 1;
}

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub ip: IpAddr,
    pub prefix: u8,
}

/// A bridge as it has to be.
#[derive(Debug, Clone)]
pub struct Bridge {
    pub name: String,
    pub mtu: Option<u32>,
    pub addresses: Vec<Address>,
    /// The host is told to forward packets, unless it does.
    pub forwarding: bool,
}

/// A pair of connected links: one end in a bridge, the other in a container.
pub(crate) struct Veth<'a> {
    pub(crate) outside: &'a str,
    pub(crate) bridge: u32,
    pub(crate) inside: &'a str,
    pub(crate) namespace: u32,
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: Option<u32>,
}

/// How a link of the host's is split into several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// By hardware addresses: `MACVLAN_MODE_*`.
    Macvlan(u32),
    /// By IP addresses: `IPVLAN_MODE_*` and flags.
    Ipvlan(u16, u16),
}

impl Split {
    fn kind(self) -> &'static str {
        match self {
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(..) => "ipvlan",
        }
    }

    /// Whether each part has a hardware address of its own.
    pub(crate) fn has_addresses(self) -> bool {
        matches!(self, Self::Macvlan(_))
    }
}

/// A part of a link, in a container.
pub(crate) struct Child<'a> {
    pub(crate) name: &'a str,
    pub(crate) parent: u32,
    pub(crate) namespace: u32,
    pub(crate) split: Split,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) mtu: Option<u32>,
}

/// What a bridge does with a cable: `IFLA_BRPORT_*`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PortSwitch {
    /// What came by it may go back by it.
    Hairpin = 4,
    /// It reaches no other that is isolated too.
    Isolated = 33,
}

/// One network namespace's links: that of the thread that opened it.
#[derive(Debug)]
pub struct Links(Socket);

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

impl Links {
    pub fn open() -> Result<Self, Error> {
        Ok(Self(Socket::route()?))
    }

    /// Makes the bridge, or what is missing of it, and returns its index. Addresses that it has beyond these stay.
    pub fn ensure_bridge(&mut self, bridge: &Bridge) -> Result<u32, Error> {
        let name = &bridge.name;
        let index = match self.index(name)? {
            Some(index) => index,
            None => {
                self.make_bridge(bridge)?;
                self.index(name)?.ok_or_else(|| missing(name))?
            }
        };
        let mut messages = vec![Message::new(NEW_LINK, 0, &link_header(index, UP))];
        messages.extend(bridge.addresses.iter().map(|address| new_address(index, *address)));
        self.0.apply(messages).map_err(kernel(format!("give the bridge {name} its addresses")))?;
        // The host's own programs reach published ports by 127.0.0.1.
        sysctl::set(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
        if bridge.forwarding && bridge.addresses.iter().any(|address| address.ip.is_ipv4()) {
            sysctl::set("ipv4/ip_forward", "1")?;
        }
        if sysctl::has_ipv6() {
            let wanted = bridge.addresses.iter().any(|address| address.ip.is_ipv6());
            if wanted && bridge.forwarding {
                sysctl::set("ipv6/conf/all/forwarding", "1")?;
            }
            sysctl::set(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
            sysctl::set(&format!("ipv6/conf/{name}/disable_ipv6"), if wanted { "0" } else { "1" })?;
        }
        Ok(index)
    }

    fn make_bridge(&mut self, bridge: &Bridge) -> Result<(), Error> {
        let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &link_header(0, 0));
        message.text(link::NAME, &bridge.name);
        if let Some(mtu) = bridge.mtu {
            message.u32(link::MTU, mtu);
        }
        message.nest(link::INFO, |info| {
            info.text(link::INFO_KIND, "bridge");
        });
        self.0.apply(vec![message]).map_err(kernel(format!("make the bridge {}", bridge.name)))
    }

    /// A VLAN of a link, up.
    pub fn make_vlan(&mut self, name: &str, of: u32, id: u16) -> Result<u32, Error> {
        self.make(name, "vlan", vlan_message(name, of, id))
    }

    /// A link that leads nowhere, up.
    pub fn make_dummy(&mut self, name: &str) -> Result<u32, Error> {
        self.make(name, "dummy", dummy_message(name))
    }

    fn make(&mut self, name: &str, kind: &str, message: Message) -> Result<u32, Error> {
        self.0.apply(vec![message]).map_err(kernel(format!("make the {kind} link {name}")))?;
        self.index(name)?.ok_or_else(|| missing(name))
    }

    /// A cable whose inside end is in the namespace that the descriptor is of; it can't be up before it has two ends.
    pub(crate) fn make_veth(&mut self, veth: &Veth<'_>) -> Result<(), Error> {
        let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &link_header(0, UP));
        message.text(link::NAME, veth.outside).u32(link::MASTER, veth.bridge);
        if let Some(mtu) = veth.mtu {
            message.u32(link::MTU, mtu);
        }
        message.nest(link::INFO, |info| {
            info.text(link::INFO_KIND, "veth").nest(link::INFO_DATA, |data| {
                data.nest(link::VETH_PEER, |peer| {
                    peer.raw(&link_header(0, 0)).text(link::NAME, veth.inside);
                    peer.bytes(link::ADDRESS, &veth.mac).u32(link::NAMESPACE, veth.namespace);
                    if let Some(mtu) = veth.mtu {
                        peer.u32(link::MTU, mtu);
                    }
                });
            });
        });
        self.0.apply(vec![message]).map_err(kernel("connect a container to its network"))
    }

    /// A part of a link, in the namespace that the descriptor is of.
    pub(crate) fn make_child(&mut self, child: &Child<'_>) -> Result<(), Error> {
        let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &link_header(0, 0));
        message.text(link::NAME, child.name).u32(link::PARENT, child.parent);
        message.u32(link::NAMESPACE, child.namespace);
        if let Some(mac) = child.mac {
            message.bytes(link::ADDRESS, &mac);
        }
        if let Some(mtu) = child.mtu {
            message.u32(link::MTU, mtu);
        }
        let split = child.split;
        message.nest(link::INFO, |info| {
            info.text(link::INFO_KIND, split.kind()).nest(link::INFO_DATA, |data| match split {
                Split::Macvlan(mode) => drop(data.u32(1, mode)),
                Split::Ipvlan(mode, flags) => {
                    data.bytes(1, &mode.to_ne_bytes()).bytes(2, &flags.to_ne_bytes());
                }
            });
        });
        self.0.apply(vec![message]).map_err(kernel(format!("make a {} link for a container", split.kind())))
    }

    /// Switches something on for a cable at its bridge.
    pub(crate) fn switch_on(&mut self, name: &str, what: PortSwitch) -> Result<(), Error> {
        const BRIDGE: u8 = 7;
        /// Of a new link with this family the kernel would take no notice.
        const PORT_INFO: u16 = 12;
        let index = self.index(name)?.ok_or_else(|| missing(name))?;
        let mut header = link_header(index, 0);
        header[0] = BRIDGE;
        let mut message = Message::new(SET_LINK, 0, &header);
        message.nest(PORT_INFO, |port| {
            port.u8(what as u16, 1);
        });
        self.0.apply(vec![message]).map_err(kernel(format!("set {what:?} for a container's cable")))
    }

    /// Brings loopback up.
    pub fn raise_loopback(&mut self) -> Result<(), Error> {
        self.0
            .apply(vec![Message::new(NEW_LINK, 0, &link_header(1, UP))])
            .map_err(kernel("bring the loopback up"))
    }

    /// Brings a link up with its addresses and, if it leads there, the way to everywhere else.
    pub(crate) fn raise(
        &mut self,
        index: u32,
        addresses: &[Address],
        gateways: &[IpAddr],
    ) -> Result<(), Error> {
        // Addresses first: whoever is to be told of them (`arp_notify`) is told when the link comes up.
        let mut messages: Vec<Message> =
            addresses.iter().map(|address| new_address(index, *address)).collect();
        messages.push(Message::new(NEW_LINK, 0, &link_header(index, UP)));
        messages.extend(gateways.iter().map(|gateway| default_route(index, *gateway)));
        self.0.apply(messages).map_err(kernel("give a container its addresses and its route"))
    }

    /// Where everything goes that nothing else is said about, in the place of what was there.
    pub(crate) fn set_gateways(&mut self, index: u32, gateways: &[IpAddr]) -> Result<(), Error> {
        let messages = gateways.iter().map(|gateway| default_route(index, *gateway)).collect();
        self.0.apply(messages).map_err(kernel("give a container its route"))
    }

    /// Removes a link if it is there; false if it isn't.
    pub fn remove(&mut self, name: &str) -> Result<bool, Error> {
        let mut message = Message::new(DELETE_LINK, 0, &link_header(0, 0));
        message.text(link::NAME, name);
        match self.0.apply(vec![message]) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(rustix::io::Errno::NODEV) => Ok(false),
            Err(source) => Err(kernel(format!("remove the link {name}"))(source)),
        }
    }

    /// Every link's name with its index.
    pub fn names(&mut self) -> Result<Vec<(String, u32)>, Error> {
        let links = self.0.list(GET_LINK, &[0; 16], |_| {}).map_err(kernel("list links"))?;
        let named = |body: &[u8]| {
            let index = u32_of(body.get(4..)?)?;
            let name = attributes(body.get(16..)?).find(|found| found.kind == link::NAME)?;
            Some((name.text().to_owned(), index))
        };
        Ok(links.iter().filter_map(|link| named(&link.body)).collect())
    }

    /// The links that are in a bridge, each with the bridge's index.
    pub fn in_bridges(&mut self) -> Result<HashMap<String, u32>, Error> {
        let links = self.0.list(GET_LINK, &[0; 16], |_| {}).map_err(kernel("list links"))?;
        let read = |body: &[u8]| {
            let of = |kind| attributes(body.get(16..)?).find(|found| found.kind == kind);
            Some((of(link::NAME)?.text().to_owned(), u32_of(of(link::MASTER)?.value)?))
        };
        Ok(links.iter().filter_map(|link| read(&link.body)).collect())
    }

    /// Tells all neighbours of a link's station, where it is switched so (`arp_notify`, `ndisc_notify`).
    pub(crate) fn announce(&mut self, index: u32, station: [u8; 6]) -> Result<(), Error> {
        let mut message = Message::new(SET_LINK, 0, &link_header(index, 0));
        message.bytes(link::ADDRESS, &station);
        self.0.apply(vec![message]).map_err(kernel("announce a container's station"))
    }

    /// Whether a link works: what it is sent comes to where it leads.
    pub(crate) fn works(&mut self, name: &str) -> Result<bool, Error> {
        const STATE: u16 = 16;
        const UP: u8 = 6;
        let asked = self.0.get(GET_LINK, &[0; 16], |message| {
            message.text(link::NAME, name);
        });
        let found = asked.map_err(kernel(format!("find the link {name}")))?;
        let state = found
            .as_ref()
            .and_then(|link| attributes(link.body.get(16..)?).find(|found| found.kind == STATE));
        Ok(state.is_some_and(|state| state.value.first() == Some(&UP)))
    }

    /// A link's index, if there is such a link.
    pub fn index(&mut self, name: &str) -> Result<Option<u32>, Error> {
        // Not out of the list of all: there may be thousands.
        let asked = self.0.get(GET_LINK, &[0; 16], |message| {
            message.text(link::NAME, name);
        });
        match asked {
            Ok(found) => Ok(found.and_then(|link| u32_of(link.body.get(4..)?))),
            Err(error) if error.errno() == Some(rustix::io::Errno::NODEV) => Ok(None),
            Err(source) => Err(kernel(format!("find the link {name}"))(source)),
        }
    }

    /// Every address of this namespace's links, with the link's index.
    pub fn addresses(&mut self) -> Result<Vec<(u32, Address)>, Error> {
        const ADDRESS: u16 = 1;
        const LOCAL: u16 = 2;
        let found = self.0.list(GET_ADDRESS, &[0; 8], |_| {}).map_err(kernel("list addresses"))?;
        let read = |body: &[u8]| {
            let (prefix, index) = (*body.get(1)?, u32_of(body.get(4..)?)?);
            let attribute = |kind| attributes(body.get(8..)?).find(|found| found.kind == kind);
            let ip = ip_of(attribute(LOCAL).or_else(|| attribute(ADDRESS))?.value)?;
            Some((index, Address { ip, prefix }))
        };
        Ok(found.iter().filter_map(|address| read(&address.body)).collect())
    }

    /// Every network that this namespace has a route to, default routes left out, with the link it goes by.
    pub fn routes(&mut self) -> Result<Vec<(Address, Option<u32>)>, Error> {
        const DESTINATION: u16 = 1;
        const OUT_LINK: u16 = 4;
        const MAIN_TABLE: u8 = 254;
        let found = self.0.list(GET_ROUTE, &[0; 12], |_| {}).map_err(kernel("list routes"))?;
        let read = |body: &[u8]| {
            let (prefix, table) = (*body.get(1)?, *body.get(4)?);
            let attribute = |kind| attributes(body.get(12..)?).find(|found| found.kind == kind);
            let ip = ip_of(attribute(DESTINATION)?.value)?;
            let link = attribute(OUT_LINK).and_then(|found| u32_of(found.value));
            (table == MAIN_TABLE && prefix > 0).then_some((Address { ip, prefix }, link))
        };
        Ok(found.iter().filter_map(|route| read(&route.body)).collect())
    }
}

fn vlan_message(name: &str, of: u32, id: u16) -> Message {
    let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &link_header(0, UP));
    message.text(link::NAME, name).u32(link::PARENT, of);
    message.nest(link::INFO, |info| {
        info.text(link::INFO_KIND, "vlan").nest(link::INFO_DATA, |data| {
            data.u16(1, id);
        });
    });
    message
}

fn dummy_message(name: &str) -> Message {
    let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &link_header(0, UP));
    message.text(link::NAME, name).nest(link::INFO, |info| {
        info.text(link::INFO_KIND, "dummy");
    });
    message
}

fn missing(name: &str) -> Error {
    let source = netlink::Error::Refused { index: 0, errno: rustix::io::Errno::NODEV, text: String::new() };
    Error::Kernel { doing: format!("find the link {name}"), source }
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The kernel's number of an address's family.
fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 2 } else { 10 }
}

fn with_octets(message: &mut Message, kind: u16, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => message.bytes(kind, &v4.octets()),
        IpAddr::V6(v6) => message.bytes(kind, &v6.octets()),
    };
}

fn new_address(index: u32, address: Address) -> Message {
    // Nobody else can have it: we gave it.
    const NO_DUPLICATE_DETECTION: u8 = 2;
    let flags = if address.ip.is_ipv6() { NO_DUPLICATE_DETECTION } else { 0 };
    let mut header = vec![family(address.ip), address.prefix, flags, 0];
    header.extend(index.to_ne_bytes());
    let mut message = Message::new(NEW_ADDRESS, CREATE | REPLACE, &header);
    with_octets(&mut message, 2, address.ip);
    with_octets(&mut message, 1, address.ip);
    if let IpAddr::V4(v4) = address.ip
        && address.prefix < 31
    {
        let broadcast = u32::from(v4) | u32::MAX.checked_shr(u32::from(address.prefix)).unwrap_or(0);
        message.bytes(4, &broadcast.to_be_bytes());
    }
    message
}

/// By a router, or, where its address is none, by the link itself.
fn default_route(index: u32, gateway: IpAddr) -> Message {
    const MAIN_TABLE: u8 = 254;
    const BY_BOOT: u8 = 3;
    const UNICAST: u8 = 1;
    const OF_LINK: u8 = 253;
    let scope = if gateway == IpAddr::from([0; 4]) { OF_LINK } else { 0 };
    let header = [family(gateway), 0, 0, 0, MAIN_TABLE, BY_BOOT, scope, UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(NEW_ROUTE, CREATE | REPLACE, &header);
    if !gateway.is_unspecified() {
        with_octets(&mut message, 5, gateway);
    }
    message.u32(4, index);
    message
}
