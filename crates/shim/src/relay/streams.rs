//! Connections: each is two sockets and what one of them couldn't take yet.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::conduit::{Conduit, LOT, is_later};

/// So many in a row from one end, before the others have their turn.
const LOTS: usize = 4;

/// A socket that listens, and who came by it.
#[derive(Debug)]
pub(super) struct Streams {
    door: TcpListener,
    to: SocketAddr,
    pairs: Vec<Pair>,
}

/// A client and the container.
#[derive(Debug)]
struct Pair {
    ends: [TcpStream; 2],
    /// What came from each end and the other has not taken.
    waiting: [Vec<u8>; 2],
    /// Which of them have said all.
    silent: [bool; 2],
    /// Which of them were told so.
    told: [bool; 2],
    /// The container has not answered yet.
    connecting: bool,
    gone: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Door,
    End(usize, usize),
}

impl Streams {
    pub(super) fn new(socket: OwnedFd, to: SocketAddr) -> io::Result<Self> {
        let door = TcpListener::from(socket);
        door.set_nonblocking(true)?;
        Ok(Self { door, to, pairs: Vec::new() })
    }

    pub(super) fn door(&self) -> BorrowedFd<'_> {
        self.door.as_fd()
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Without room nobody is let in.
    pub(super) fn interests(
        &self,
        has_room: bool,
    ) -> impl Iterator<Item = (Place, BorrowedFd<'_>, PollFlags)> {
        let door = has_room.then(|| (Place::Door, self.door.as_fd(), PollFlags::IN));
        let ends = self.pairs.iter().enumerate().flat_map(|(at, pair)| {
            [0, 1].into_iter().filter_map(move |end| {
                let flags = pair.interest(end);
                let waits = !flags.is_empty();
                waits.then(|| (Place::End(at, end), pair.ends[end].as_fd(), flags))
            })
        });
        door.into_iter().chain(ends)
    }

    pub(super) fn ready(&mut self, place: Place, flags: PollFlags, conduit: &mut Conduit) {
        match place {
            // Whoever gave up meanwhile is no reason to do anything.
            Place::Door => {
                let accepted = self.door.accept().and_then(|(client, _)| Pair::new(client, self.to));
                self.pairs.extend(accepted.ok());
            }
            Place::End(at, end) => {
                if let Some(pair) = self.pairs.get_mut(at) {
                    pair.gone |= pair.ready(end, flags, conduit).is_err();
                }
            }
        }
    }

    pub(super) fn tidy(&mut self) {
        self.pairs.retain(|pair| !pair.gone && pair.told != [true, true]);
    }
}

const CONTAINER: usize = 1;

impl Pair {
    fn new(client: TcpStream, to: SocketAddr) -> io::Result<Self> {
        client.set_nonblocking(true)?;
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let container = socket_with(family, SocketType::STREAM, flags, None)?;
        let connecting = match connect(&container, &to) {
            Ok(()) => false,
            Err(Errno::INPROGRESS) => true,
            Err(error) => return Err(error.into()),
        };
        let ends = [client, container.into()];
        // What is passed on has waited already.
        ends.iter().try_for_each(|end| end.set_nodelay(true))?;
        Ok(Self {
            ends,
            waiting: Default::default(),
            silent: [false; 2],
            told: [false; 2],
            connecting,
            gone: false,
        })
    }

    fn interest(&self, end: usize) -> PollFlags {
        let mut flags = PollFlags::empty();
        // Only as much is read from one as the other takes.
        flags.set(PollFlags::IN, !self.connecting && !self.silent[end] && self.waiting[end].is_empty());
        let connects = self.connecting && end == CONTAINER;
        flags.set(PollFlags::OUT, connects || !self.waiting[1 - end].is_empty());
        flags
    }

    /// An error ends the connection on both sides.
    fn ready(&mut self, end: usize, flags: PollFlags, conduit: &mut Conduit) -> io::Result<()> {
        if self.connecting {
            // The client hung up while the container was called, or the container has answered.
            if end == CONTAINER {
                self.ends[end].take_error()?.map_or(Ok(()), Err)?;
                self.connecting = false;
            }
            return Ok(());
        }
        if flags.contains(PollFlags::OUT) {
            self.pass_waiting(1 - end)?;
        }
        if self.silent[end] || !self.waiting[end].is_empty() {
            return Ok(());
        }
        for _ in 0..LOTS {
            let Some(carried) = conduit.carry(&self.ends[end], &self.ends[1 - end])? else { break };
            self.silent[end] = carried.count == 0;
            self.waiting[end] = carried.rest;
            if carried.count < LOT || !self.waiting[end].is_empty() {
                break;
            }
        }
        self.tell_end(end)
    }

    /// Gives the other end what waits of this one's. What it doesn't take goes on waiting.
    fn pass_waiting(&mut self, from: usize) -> io::Result<()> {
        match (&self.ends[1 - from]).write(&self.waiting[from]) {
            Ok(taken) => drop(self.waiting[from].drain(..taken)),
            Err(error) if is_later(&error) => {}
            Err(error) => return Err(error),
        }
        self.tell_end(from)
    }

    /// Tells the other end that this one has said all, once it has all of it.
    fn tell_end(&mut self, from: usize) -> io::Result<()> {
        if self.silent[from] && self.waiting[from].is_empty() && !self.told[from] {
            self.told[from] = true;
            self.ends[1 - from].shutdown(Shutdown::Write)?;
        }
        Ok(())
    }
}
