//! One connection to the shim: a conversation in frames that may turn into a client's streams.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use rustix::io::Errno;
use serde::Serialize;

use crate::log::Stream;
use crate::outbox::Outbox;
use crate::protocol::{self, MAX_FRAME, ToShim};
use crate::task::Key;

/// What goes over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Control,
    Attached(Attachment),
}

/// A client of the container's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// Whether the client's bytes still go to the container.
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// With a terminal there is one stream, and no frames around it.
    pub(crate) raw: bool,
}

pub(crate) struct Connection {
    socket: UnixStream,
    /// Which process it is about.
    pub(crate) task: Key,
    pub(crate) mode: Mode,
    inbox: Vec<u8>,
    outbox: Outbox,
    /// Nothing more will be sent; it closes when everything has been.
    pub(crate) finishing: bool,
    /// To be removed from the list.
    pub(crate) gone: bool,
}

impl Connection {
    pub(crate) fn new(socket: UnixStream, spool_folder: &Path) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let outbox = Outbox::new(spool_folder);
        Ok(Self {
            socket,
            task: Key::INIT,
            mode: Mode::Control,
            inbox: Vec::new(),
            outbox,
            finishing: false,
            gone: false,
        })
    }

    pub(crate) fn attachment(&self) -> Option<Attachment> {
        match self.mode {
            Mode::Attached(attachment) => Some(attachment),
            Mode::Control => None,
        }
    }

    pub(crate) fn wants_to_send(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.outbox.deadline()
    }

    /// Says something in a frame.
    pub(crate) fn tell(&mut self, message: &impl Serialize) {
        let frame = protocol::encode(message);
        self.send(|outbox| outbox.push(&frame?));
    }

    /// Says something that a descriptor goes along with. Only where nothing else waits to be sent, so that it isn't cut.
    pub(crate) fn lend(&mut self, message: &impl Serialize, fd: BorrowedFd<'_>) {
        let sent = protocol::encode(message).and_then(|frame| {
            let length = sys::send_with_fd(&self.socket, &frame, Some(fd))?;
            Ok(length == frame.len())
        });
        self.gone |= self.wants_to_send() || !sent.unwrap_or(false);
    }

    /// Passes on what the container wrote, if this client wants it.
    pub(crate) fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let Some(attachment) = self.attachment() else { return };
        let (wanted, number) = match stream {
            Stream::Stdout => (attachment.stdout, 1),
            Stream::Stderr => (attachment.stderr, 2),
        };
        if !wanted || self.finishing {
            return;
        }
        let length = (bytes.len() as u32).to_be_bytes();
        self.send(|outbox| {
            if !attachment.raw {
                // Docker's multiplexed stream.
                outbox.push(&[number, 0, 0, 0, length[0], length[1], length[2], length[3]])?;
            }
            outbox.push(bytes)
        });
    }

    fn send(&mut self, fill: impl FnOnce(&mut Outbox) -> io::Result<()>) {
        if fill(&mut self.outbox).is_err() {
            self.gone = true;
        }
        self.flush();
    }

    /// Sends what waits. A connection that was finishing is gone when nothing does any more.
    pub(crate) fn flush(&mut self) {
        self.gone |= self.outbox.flush(&self.socket).is_err();
        self.gone |= self.finishing && self.outbox.is_empty();
    }

    /// No more comes for this client: it sees the end as soon as it has read everything.
    pub(crate) fn finish(&mut self) {
        self.finishing = true;
        self.flush();
    }

    /// The frames that have arrived. A peer that sends anything else is hung up on.
    pub(crate) fn requests(&mut self) -> Vec<ToShim> {
        let mut buffer = [0; 4096];
        match self.read(&mut buffer) {
            Some(0) => self.gone = true,
            Some(count) => self.inbox.extend_from_slice(&buffer[..count]),
            None => {}
        }
        let mut requests = Vec::new();
        loop {
            match protocol::decode(&self.inbox) {
                Ok(Some((request, used))) => {
                    self.inbox.drain(..used);
                    let last = matches!(request, ToShim::Attach { .. });
                    requests.push(request);
                    // What follows an attach is the client's standard input.
                    if last {
                        break;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        if self.inbox.is_empty() {
            // A large message must not stay as memory.
            self.inbox = Vec::new();
        }
        debug_assert!(self.inbox.len() <= MAX_FRAME + 4 + buffer.len());
        requests
    }

    /// What came after the frame that made this a stream.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.inbox)
    }

    /// Bytes from the client; zero is its end, nothing means not now.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match rustix::io::read(&self.socket, buffer) {
            Ok(count) => Some(count),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                self.gone = true;
                None
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
