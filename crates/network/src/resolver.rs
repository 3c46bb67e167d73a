//! The sockets at which a container asks for names.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use crate::error::system;
use crate::firewall::{Transport, redirect_resolver};
use crate::{Error, Interior};

/// Where containers ask, as `resolv.conf` tells them.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;

/// A UDP socket and a listening TCP socket in a container's network. The network lives for as long as they are open.
#[derive(Debug)]
pub struct ResolverSockets {
    pub udp: OwnedFd,
    pub tcp: OwnedFd,
}

impl Interior {
    /// Makes them. They have ports of the kernel's choice, and what is sent to port 53 is led there: that port is free for
    /// the container's own server on all addresses.
    pub fn resolver(&self) -> Result<ResolverSockets, Error> {
        self.enter(|_| {
            let udp = UdpSocket::bind((RESOLVER, 0)).map_err(system("bind a resolver's socket"))?;
            let tcp = TcpListener::bind((RESOLVER, 0)).map_err(system("bind a resolver's socket"))?;
            let ports = [udp.local_addr(), tcp.local_addr()];
            let [udp_port, tcp_port] = ports.map(|at| at.map(|at| at.port()));
            let udp_port = udp_port.map_err(system("look at a resolver's socket"))?;
            let tcp_port = tcp_port.map_err(system("look at a resolver's socket"))?;
            redirect_resolver(RESOLVER, PORT, [(Transport::Udp, udp_port), (Transport::Tcp, tcp_port)])?;
            Ok(ResolverSockets { udp: udp.into(), tcp: tcp.into() })
        })
    }
}
