//! Datagrams: each client has a socket to the container for as long as others don't need the place.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::PollFlags;

#[derive(Debug)]
pub(super) struct Datagrams {
    door: UdpSocket,
    to: SocketAddr,
    clients: Vec<Client>,
    /// Who said nothing for the longest time makes room for another.
    most: usize,
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    /// Connected to the container.
    socket: UdpSocket,
    heard: Instant,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Door,
    Client(usize),
}

impl Datagrams {
    pub(super) fn new(socket: OwnedFd, to: SocketAddr, most: usize) -> io::Result<Self> {
        let door = UdpSocket::from(socket);
        door.set_nonblocking(true)?;
        Ok(Self { door, to, clients: Vec::new(), most })
    }

    pub(super) fn door(&self) -> BorrowedFd<'_> {
        self.door.as_fd()
    }

    /// Where nobody is let in, only what the container says to those who are there is passed on.
    pub(super) fn interests(&self, open: bool) -> impl Iterator<Item = (Place, BorrowedFd<'_>, PollFlags)> {
        let clients = self.clients.iter().enumerate();
        let clients = clients.map(|(at, client)| (Place::Client(at), client.socket.as_fd(), PollFlags::IN));
        let door = open.then(|| (Place::Door, self.door.as_fd(), PollFlags::IN));
        door.into_iter().chain(clients)
    }

    /// What can't be passed on is lost, as datagrams may be.
    pub(super) fn ready(&mut self, place: Place, buffer: &mut [u8]) {
        match place {
            Place::Door => {
                let Ok((count, address)) = self.door.recv_from(buffer) else { return };
                if let Ok(client) = self.client(address) {
                    client.heard = Instant::now();
                    let _ = client.socket.send(&buffer[..count]);
                }
            }
            Place::Client(at) => {
                let Some(client) = self.clients.get(at) else { return };
                // A refusal of the container's is read here, too, and has no way back.
                if let Ok(count) = client.socket.recv(buffer) {
                    let _ = self.door.send_to(&buffer[..count], client.address);
                }
            }
        }
    }

    fn client(&mut self, address: SocketAddr) -> io::Result<&mut Client> {
        let known = self.clients.iter().position(|client| client.address == address);
        let at = match known {
            Some(at) => at,
            None => {
                let new = Client { address, socket: connected(self.to)?, heard: Instant::now() };
                let oldest = (0..self.clients.len()).min_by_key(|at| self.clients[*at].heard);
                match oldest.filter(|_| self.clients.len() >= self.most) {
                    // Its place is not another's: others may have been told to be ready in this round.
                    Some(oldest) => {
                        self.clients[oldest] = new;
                        oldest
                    }
                    None => {
                        self.clients.push(new);
                        self.clients.len() - 1
                    }
                }
            }
        };
        Ok(&mut self.clients[at])
    }
}

fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    Ok(socket)
}
