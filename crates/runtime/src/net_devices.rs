//! `linux.netDevices`: links of the host's that become the container's, with the names and addresses that they are to have.
//!
//! The kernel takes a link's addresses away when it goes to another network, so they are written down before. What was
//! given and isn't needed after all, because a later step failed, is taken back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use netlink::{Message, Socket, attributes, u32_of};
use oci_spec::runtime::Linux;
use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Error;
use crate::error::Doing;
use crate::namespaces::Plan;

const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const CREATE: u16 = 0x400;
const LINK_NAME: u16 = 3;
const LINK_NAMESPACE: u16 = 28;
const UP: u32 = 1;
/// `ADDRESS`, `LOCAL` and `BROADCAST` of an address.
const KEPT: [u16; 3] = [1, 2, 4];
const PERMANENT: u8 = 0x80;
const MAX_NAME: usize = 15;

#[derive(Debug, Default)]
pub(crate) struct NetDevices {
    all: Vec<Device>,
    given: RefCell<Option<Given>>,
}

#[derive(Debug)]
struct Device {
    name: String,
    inside: String,
    up: bool,
    addresses: Vec<Address>,
}

/// Its header without the link's index, and its attributes.
#[derive(Debug)]
struct Address {
    header: [u8; 4],
    attributes: Vec<(u16, Vec<u8>)>,
}

#[derive(Debug)]
struct Given {
    network: OwnedFd,
    count: usize,
}

impl NetDevices {
    /// Finds them and writes down how they are.
    pub(crate) fn plan(linux: &Linux, namespaces: &Plan) -> Result<Self, Error> {
        let Some(wanted) = linux.net_devices().as_ref().filter(|all| !all.is_empty()) else {
            return Ok(Self::default());
        };
        let invalid = |why: String| Error::Invalid { field: "linux.netDevices", why };
        if !namespaces.has_own_network() {
            return Err(invalid("is given without a network namespace of the container's own".into()));
        }
        let mut socket = Socket::route().map_err(refused("list the host's links"))?;
        let links = links(&mut socket)?;
        let mut taken = BTreeMap::new();
        let mut all = Vec::new();
        for (name, device) in wanted {
            let inside = device.name().as_ref().filter(|name| !name.is_empty()).unwrap_or(name);
            if !is_name(name) || !is_name(inside) {
                return Err(invalid(format!("has the name {:?}", if is_name(name) { inside } else { name })));
            }
            if let Some(other) = taken.insert(inside.clone(), name) {
                return Err(invalid(format!("gives {other} and {name} the name {inside}")));
            }
            let link = links.get(name).ok_or_else(|| invalid(format!("names {name}, which is no link")))?;
            let addresses = addresses(&mut socket, link.index)?;
            all.push(Device {
                name: name.clone(),
                inside: inside.clone(),
                up: link.flags & UP != 0,
                addresses,
            });
        }
        Ok(Self { all, given: RefCell::default() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Gives them to the network of a process, or to the one that it will join.
    pub(crate) fn give(&self, pid: i32, joined: Option<BorrowedFd<'_>>) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let doing = "open the container's network namespace";
        let network = match joined {
            Some(network) => network.try_clone_to_owned().doing(doing)?,
            None => open_network(&format!("/proc/{pid}/ns/net")).doing(doing)?,
        };
        *self.given.borrow_mut() = Some(Given { network: network.try_clone().doing(doing)?, count: 0 });
        let mut socket = Socket::route().map_err(refused("give the container its links"))?;
        for device in &self.all {
            device.send(&mut socket, &device.name, &device.inside, network.as_fd())?;
            if let Some(given) = self.given.borrow_mut().as_mut() {
                given.count += 1;
            }
        }
        let mut inside = socket_within(network.as_fd())?;
        self.all.iter().try_for_each(|device| device.settle(&mut inside, &device.inside))
    }

    /// Takes back what was given. Of several failures the first is the one to tell, and it has been by now.
    pub(crate) fn take_back(&self) {
        let Some(given) = self.given.take() else { return };
        let (Ok(mut inside), Ok(own), Ok(mut outside)) =
            (socket_within(given.network.as_fd()), open_network("/proc/self/ns/net"), Socket::route())
        else {
            return;
        };
        for device in &self.all[..given.count] {
            let _ = device.send(&mut inside, &device.inside, &device.name, own.as_fd());
            let _ = device.settle(&mut outside, &device.name);
        }
    }
}

impl Device {
    fn send(&self, socket: &mut Socket, from: &str, to: &str, network: BorrowedFd<'_>) -> Result<(), Error> {
        let index = index(socket, from)?;
        let mut message = Message::new(NEW_LINK, 0, &link_header(index, 0));
        message.u32(LINK_NAMESPACE, network.as_raw_fd().cast_unsigned()).text(LINK_NAME, to);
        let doing = format!("give the container the link {}", self.name);
        socket.apply(vec![message]).map_err(refused(&doing))
    }

    /// Its addresses, and whether it is up, as before.
    fn settle(&self, socket: &mut Socket, name: &str) -> Result<(), Error> {
        let index = index(socket, name)?;
        let mut messages: Vec<Message> =
            self.addresses.iter().map(|address| address.message(index)).collect();
        if self.up {
            messages.push(Message::new(NEW_LINK, 0, &link_header(index, UP)));
        }
        if messages.is_empty() {
            return Ok(());
        }
        socket.apply(messages).map_err(refused(&format!("give the link {name} its addresses")))
    }
}

impl Address {
    fn message(&self, index: u32) -> Message {
        let mut header = [0; 8];
        header[..4].copy_from_slice(&self.header);
        header[4..].copy_from_slice(&index.to_ne_bytes());
        let mut message = Message::new(NEW_ADDRESS, CREATE, &header);
        for (kind, value) in &self.attributes {
            message.bytes(*kind, value);
        }
        message
    }
}

struct Link {
    index: u32,
    flags: u32,
}

fn links(socket: &mut Socket) -> Result<BTreeMap<String, Link>, Error> {
    let found = socket.list(GET_LINK, &[0; 16], |_| {}).map_err(refused("list links"))?;
    let read = |body: &[u8]| {
        let (index, flags) = (u32_of(body.get(4..)?)?, u32_of(body.get(8..)?)?);
        let name = attributes(body.get(16..)?).find(|attribute| attribute.kind == LINK_NAME)?;
        Some((name.text().to_owned(), Link { index, flags }))
    };
    Ok(found.iter().filter_map(|link| read(&link.body)).collect())
}

fn index(socket: &mut Socket, name: &str) -> Result<u32, Error> {
    let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
    links(socket)?.get(name).map(|link| link.index).ok_or_else(gone).doing(&format!("find the link {name}"))
}

/// Those that somebody gave it and that are of meaning beyond the link.
fn addresses(socket: &mut Socket, of: u32) -> Result<Vec<Address>, Error> {
    let found = socket.list(GET_ADDRESS, &[0; 8], |_| {}).map_err(refused("list addresses"))?;
    let read = |body: &[u8]| {
        let header: [u8; 4] = *body.first_chunk()?;
        let [_, _, flags, scope] = header;
        if u32_of(body.get(4..)?)? != of || flags & PERMANENT == 0 || scope != 0 {
            return None;
        }
        let kept = attributes(body.get(8..)?).filter(|attribute| KEPT.contains(&attribute.kind));
        let attributes = kept.map(|attribute| (attribute.kind, attribute.value.to_vec())).collect();
        Some(Address { header, attributes })
    };
    Ok(found.iter().filter_map(|address| read(&address.body)).collect())
}

/// A socket to another network than ours: made there, it stays there.
fn socket_within(network: BorrowedFd<'_>) -> Result<Socket, Error> {
    let doing = "look into the container's network";
    let own = open_network("/proc/self/ns/net").doing(doing)?;
    move_into_link_name_space(network, Some(LinkNameSpaceType::Network)).doing(doing)?;
    let socket = Socket::route();
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))
        .doing("return to our network")?;
    socket.map_err(refused(doing))
}

fn open_network(path: &str) -> rustix::io::Result<OwnedFd> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn refused(doing: &str) -> impl FnOnce(netlink::Error) -> Error {
    let doing = doing.to_owned();
    move |error| Error::Setup { doing, source: std::io::Error::other(diag::chain(&error)) }
}

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

/// The kernel's own rule, so that a wrong one is found before anything is done.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernel_s() {
        for wrong in ["", ".", "..", "a/b", "a:b", "a b", "0123456789abcdef", "a\0"] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
        assert!(is_name("eth0.100") && is_name("0123456789abcde"));
    }
}
