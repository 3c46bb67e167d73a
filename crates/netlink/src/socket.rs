//! A connection to one of the kernel's netlink services, in the network namespace of the thread that opened it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::Message;
use crate::message::HEADER;
use crate::read::{attributes, u16_of, u32_of};

const ERROR: u16 = 2;
const DONE: u16 = 3;
const DUMP: u16 = 0x300;
/// The kernel sends dumps in pieces of at most this.
const BUFFER: usize = 64 << 10;

/// Why the kernel didn't do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot talk to the kernel's network")]
    Socket { source: io::Error },
    /// The message with this number among those that were sent together was refused.
    #[error("{}{}", io::Error::from(*errno), if text.is_empty() { String::new() } else { format!(": {text}") })]
    Refused { index: usize, errno: Errno, text: String },
}

impl Error {
    /// The kernel's word, if it was that which refused.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Socket { .. } => None,
            Self::Refused { errno, .. } => Some(*errno),
        }
    }
}

fn socket(source: impl Into<io::Error>) -> Error {
    Error::Socket { source: source.into() }
}

/// One message of an answer: its kind, who caused it, and what follows its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub kind: u16,
    /// The number of the socket whose doing it is, of what the kernel tells of its own accord.
    pub port: u32,
    pub body: Vec<u8>,
}

/// A socket to one service.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Links, addresses, routes.
    pub fn route() -> Result<Self, Error> {
        Self::open(None, 0)
    }

    /// Netfilter.
    pub fn netfilter() -> Result<Self, Error> {
        Self::open(Some(net::netlink::NETFILTER), 0)
    }

    /// Sockets and who listens on them.
    pub fn diagnosis() -> Result<Self, Error> {
        Self::open(Some(net::netlink::SOCK_DIAG), 0)
    }

    /// What changes in links, addresses and routes, for [`Socket::listen`]; groups as a bit mask.
    pub fn route_changes(groups: u32) -> Result<Self, Error> {
        Self::open(None, groups)
    }

    /// What changes in netfilter's rules, for [`Socket::listen`]; groups as a bit mask.
    pub fn netfilter_changes(groups: u32) -> Result<Self, Error> {
        Self::open(Some(net::netlink::NETFILTER), groups)
    }

    fn open(protocol: Option<Protocol>, groups: u32) -> Result<Self, Error> {
        let flags = SocketFlags::CLOEXEC;
        let fd =
            net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol).map_err(socket)?;
        net::bind(&fd, &SocketAddrNetlink::new(0, groups)).map_err(socket)?;
        // Only words: older kernels have none.
        let _ = sys::explain_netlink_errors(fd.as_fd());
        Ok(Self { fd, sequence: 0 })
    }

    /// Sends the messages in one go and waits for what becomes of each. The first refusal is the one to tell; what came
    /// after it was tried all the same.
    pub fn apply(&mut self, messages: Vec<Message>) -> Result<(), Error> {
        let first = self.sequence.wrapping_add(1);
        let mut open = messages.iter().filter(|message| message.is_acknowledged()).count();
        let mut bytes = Vec::with_capacity(messages.iter().map(Message::size).sum());
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            bytes.extend(message.finish(self.sequence));
        }
        net::send(&self.fd, &bytes, SendFlags::empty()).map_err(socket)?;
        let mut refused: Option<(u32, Errno, String)> = None;
        while open > 0 {
            let mut seen = 0;
            self.receive(|header, body| {
                if header.kind == ERROR {
                    seen += 1;
                    let place = header.sequence.wrapping_sub(first);
                    if let Some((errno, text)) = refusal(header.flags, body)
                        && refused.as_ref().is_none_or(|(earliest, ..)| place < *earliest)
                    {
                        refused = Some((place, errno, text));
                    }
                }
            })?;
            open = open.saturating_sub(seen);
            // A batch that can't even begin is answered once.
            if matches!(refused, Some((0, ..))) && open > 0 && !self.readable() {
                break;
            }
        }
        match refused {
            None => Ok(()),
            Some((place, errno, text)) => Err(Error::Refused { index: place as usize, errno, text }),
        }
    }

    /// One message, and all that is listed for it.
    pub fn list(
        &mut self,
        kind: u16,
        fixed: &[u8],
        fill: impl FnOnce(&mut Message),
    ) -> Result<Vec<Received>, Error> {
        let mut message = Message::new(kind, DUMP, fixed);
        fill(&mut message);
        self.ask(message)
    }

    /// One message, and what the kernel tells of the one thing that it is about.
    pub fn get(
        &mut self,
        kind: u16,
        fixed: &[u8],
        fill: impl FnOnce(&mut Message),
    ) -> Result<Option<Received>, Error> {
        let mut message = Message::new(kind, 0, fixed);
        fill(&mut message);
        Ok(self.ask(message)?.pop())
    }

    fn ask(&mut self, message: Message) -> Result<Vec<Received>, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        net::send(&self.fd, &message.finish(sequence), SendFlags::empty()).map_err(socket)?;
        let (mut found, mut done, mut refused) = (Vec::new(), false, None);
        while !done {
            self.receive(|header, body| {
                if header.sequence != sequence {
                    return;
                }
                match header.kind {
                    DONE => done = true,
                    ERROR => {
                        done = true;
                        refused = refusal(header.flags, body);
                    }
                    kind => found.push(Received { kind, port: header.port, body: body.to_vec() }),
                }
            })?;
        }
        match refused {
            None => Ok(found),
            Some((errno, text)) => Err(Error::Refused { index: 0, errno, text }),
        }
    }

    /// What the kernel tells of its own accord, once there is something.
    pub fn listen(&mut self) -> Result<Vec<Received>, Error> {
        let mut found = Vec::new();
        self.receive(|header, body| {
            found.push(Received { kind: header.kind, port: header.port, body: body.to_vec() });
        })?;
        Ok(found)
    }

    /// The number by which the kernel knows this socket.
    pub fn port(&self) -> Result<u32, Error> {
        let address = net::getsockname(&self.fd).map_err(socket)?;
        Ok(SocketAddrNetlink::try_from(address).map_err(socket)?.pid())
    }

    fn readable(&self) -> bool {
        let mut fds = [rustix::event::PollFd::new(&self.fd, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1..))
    }

    fn receive(&self, mut each: impl FnMut(&Header, &[u8])) -> Result<(), Error> {
        let mut buffer = vec![0; BUFFER];
        let (length, _) = net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()).map_err(socket)?;
        let mut rest = &buffer[..length];
        while let Some(header) = Header::read(rest) {
            let Some(body) = rest.get(HEADER..header.length) else { break };
            each(&header, body);
            rest = rest.get(header.length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

struct Header {
    length: usize,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let length = u32_of(bytes)? as usize;
        let (kind, flags) = (u16_of(bytes.get(4..)?)?, u16_of(bytes.get(6..)?)?);
        let (sequence, port) = (u32_of(bytes.get(8..)?)?, u32_of(bytes.get(12..)?)?);
        (length >= HEADER).then_some(Self { length, kind, flags, sequence, port })
    }
}

/// What an answer refuses, and the kernel's words about it; nothing if all is well.
fn refusal(flags: u16, body: &[u8]) -> Option<(Errno, String)> {
    const CAPPED: u16 = 0x100;
    const HAS_WORDS: u16 = 0x200;
    const MESSAGE: u16 = 1;
    let code = u32_of(body)?.cast_signed();
    if code == 0 {
        return None;
    }
    // The refused message follows, whole or its header alone, then the words.
    let echoed = u32_of(body.get(4..)?)? as usize;
    let skipped = 4 + if flags & CAPPED != 0 { HEADER } else { echoed.next_multiple_of(4) };
    let words = body.get(skipped..).filter(|_| flags & HAS_WORDS != 0).unwrap_or_default();
    let text =
        attributes(words).find(|attribute| attribute.kind == MESSAGE).map(|found| found.text().to_owned());
    Some((Errno::from_raw_os_error(-code), text.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_lists_the_loopback_link() {
        const GET_LINK: u16 = 18;
        const NAME: u16 = 3;
        let links = Socket::route().unwrap().list(GET_LINK, &[0; 16], |_| {}).unwrap();
        let names: Vec<_> = links
            .iter()
            .filter_map(|link| {
                attributes(&link.body[16..]).find(|a| a.kind == NAME).map(|a| a.text().to_owned())
            })
            .collect();
        assert!(names.contains(&"lo".to_owned()), "{names:?}");
    }

    #[test]
    fn a_refusal_says_which_message_and_why() {
        const NEW_LINK: u16 = 16;
        let mut wrong = Message::new(NEW_LINK, 0x400, &[0; 16]);
        wrong.text(3, "a-name-that-is-too-long-for-a-link");
        let error = Socket::route().unwrap().apply(vec![wrong]).unwrap_err();
        assert!(matches!(error, Error::Refused { index: 0, .. }), "{error}");
    }
}
