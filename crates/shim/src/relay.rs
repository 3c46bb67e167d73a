//! Ports of the host that the kernel can't lead to a container by itself: IPv6 has no rule that turns it into IPv4, nor one
//! for `::1`. Their sockets came with the launch. What comes to them is passed on, a piece at a time, in the shim's loop:
//! no process for a port, none for a connection, and an engine that ends interrupts nothing.

mod conduit;
mod datagrams;
mod streams;

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::PollFlags;

use crate::config::{Carries, Relay};
use conduit::Conduit;
use datagrams::Datagrams;
use streams::Streams;

/// Connections at once: each has two sockets, and a process may have a thousand of all kinds. Who comes then waits in the
/// kernel's queue.
const MAX_PAIRS: usize = 256;
/// Clients of datagrams at once, shared out among the sockets.
const MAX_CLIENTS: usize = 256;

/// All that one container's shim passes on.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    streams: Vec<Streams>,
    datagrams: Vec<Datagrams>,
    conduit: Conduit,
    /// Whose socket is which, as they came.
    order: Vec<(Carries, usize)>,
    /// Who comes is another's client.
    closed: bool,
}

/// One of their descriptors.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Streams(usize, streams::Place),
    Datagrams(usize, datagrams::Place),
}

impl Relays {
    pub(crate) fn new(relays: &[Relay], sockets: Vec<OwnedFd>, closed: bool) -> std::io::Result<Self> {
        let mut this = Self { closed, ..Self::default() };
        let datagrams = relays.iter().filter(|relay| relay.carries == Carries::Datagrams).count();
        for (relay, socket) in relays.iter().zip(sockets) {
            match relay.carries {
                Carries::Streams => {
                    this.order.push((relay.carries, this.streams.len()));
                    this.streams.push(Streams::new(socket, relay.to)?);
                }
                Carries::Datagrams => {
                    this.order.push((relay.carries, this.datagrams.len()));
                    let share = MAX_CLIENTS / datagrams.max(1);
                    this.datagrams.push(Datagrams::new(socket, relay.to, share)?);
                }
            }
        }
        Ok(this)
    }

    /// Whether who comes now is let in; who is there stays.
    pub(crate) fn open(&mut self, open: bool) {
        self.closed = !open;
    }

    /// One of the sockets, in the order in which they came.
    pub(crate) fn socket(&self, which: usize) -> Option<BorrowedFd<'_>> {
        let (carries, at) = self.order.get(which)?;
        match carries {
            Carries::Streams => self.streams.get(*at).map(Streams::door),
            Carries::Datagrams => self.datagrams.get(*at).map(Datagrams::door),
        }
    }

    /// What to wait for.
    pub(crate) fn interests(&self) -> Vec<(Place, BorrowedFd<'_>, PollFlags)> {
        let has_room = !self.closed && self.streams.iter().map(Streams::len).sum::<usize>() < MAX_PAIRS;
        let streams = self.streams.iter().enumerate().flat_map(|(at, streams)| {
            streams.interests(has_room).map(move |(place, fd, flags)| (Place::Streams(at, place), fd, flags))
        });
        let datagrams = self.datagrams.iter().enumerate().flat_map(|(at, datagrams)| {
            datagrams
                .interests(!self.closed)
                .map(move |(place, fd, flags)| (Place::Datagrams(at, place), fd, flags))
        });
        streams.chain(datagrams).collect()
    }

    /// `buffer` is for datagrams.
    pub(crate) fn ready(&mut self, place: Place, flags: PollFlags, buffer: &mut [u8]) {
        match place {
            Place::Streams(at, place) => self.streams[at].ready(place, flags, &mut self.conduit),
            Place::Datagrams(at, place) => self.datagrams[at].ready(place, buffer),
        }
    }

    /// After a round: what has ended is forgotten.
    pub(crate) fn tidy(&mut self) {
        self.streams.iter_mut().for_each(Streams::tidy);
    }
}
