//! Sockets at published ports that no rule of the kernel's leads to a container: what comes to them is passed on.
//!
//! nftables translates addresses within a family. So an IPv6 client of a container that has IPv4 alone needs somebody between;
//! and one that asks `::1` does in any case, since there is no `route_localnet` for IPv6. And where the host's own rules for
//! its input are to decide, what comes must be the host's.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use crate::firewall::{Publication, Reach, Transport};

/// As many connections wait to be taken as the kernel lets.
const QUEUE: i32 = 4096;

/// A port of the host at which a socket is needed, and what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    pub transport: Transport,
    pub at: SocketAddr,
    pub to: SocketAddr,
}

impl Publication {
    /// Whether somebody has to stand between the host's address and the container's.
    pub fn is_relayed(&self) -> bool {
        self.host.is_ipv4() != self.container.is_ipv4() || self.reach == Reach::Input
    }

    /// The sockets that it needs. For SCTP there are none.
    pub fn doors(&self) -> Vec<Door> {
        self.door_address().map_or_else(Vec::new, |at| {
            self.pairs().map(|(outside, inside)| self.door(at, outside, inside)).collect()
        })
    }

    /// How many those are.
    pub fn door_count(&self) -> usize {
        self.door_address().map_or(0, |_| usize::from(self.count))
    }

    /// The one of them that is at this port of the host.
    pub fn door_at(&self, port: u16) -> Option<Door> {
        let at = self.door_address()?;
        let place = port.checked_sub(self.first).filter(|_| port <= self.last())?;
        Some(self.door(at, port, self.container_port.checked_add(place)?))
    }

    fn door(&self, at: IpAddr, outside: u16, inside: u16) -> Door {
        Door {
            transport: self.transport,
            at: SocketAddr::new(at, outside),
            to: SocketAddr::new(self.container, inside),
        }
    }

    fn door_address(&self) -> Option<IpAddr> {
        if self.reach == Reach::Container || self.transport == Transport::Sctp {
            return None;
        }
        match self.host {
            host if self.is_relayed() => Some(host),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED | Ipv6Addr::LOCALHOST) => Some(Ipv6Addr::LOCALHOST.into()),
            _ => None,
        }
    }
}

impl Door {
    /// A socket that takes what comes, in the network of the calling thread.
    pub fn open(&self) -> io::Result<OwnedFd> {
        let kind = if self.transport == Transport::Udp { SocketType::DGRAM } else { SocketType::STREAM };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let family = if self.at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, kind, flags, None)?;
        if self.at.is_ipv6() {
            // IPv4 has a way of its own.
            set_ipv6_v6only(&socket, true)?;
        }
        if kind == SocketType::STREAM {
            set_socket_reuseaddr(&socket, true)?;
        }
        bind(&socket, &self.at)?;
        if kind == SocketType::STREAM {
            listen(&socket, QUEUE)?;
        }
        Ok(socket)
    }
}

/// Whether this host has IPv6 at all: without so much as `::1` nobody asks by it.
pub fn speaks_ipv6() -> bool {
    std::fs::read("/proc/thread-self/net/if_inet6").is_ok_and(|text| !text.is_empty())
}
