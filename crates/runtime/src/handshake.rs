//! What the caller and init say to each other while a container is made: one enum for each direction, one message a
//! packet, at most one descriptor with it. The channel closes at `execve`, which is how its success is told.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Fault;

const MAX_MESSAGE: usize = 16 * 1024;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToInit {
    /// What had to be done from outside is done. With the number that the caller knows the process by.
    Go {
        pid: i32,
    },
    Exec,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromInit {
    /// Its namespaces are there, and something has to be done to them from outside.
    Made,
    /// The terminal's master comes with it.
    Console,
    /// Only `execve` is left to do.
    Ready,
    Failed(Fault),
}

pub(crate) struct Channel(OwnedFd);

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    /// Over a connection of this kind that was made otherwise.
    pub(crate) fn over(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(a), Self(b)))
    }

    pub(crate) fn send(&self, message: &impl Serialize, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        sys::send_with_fd(&self.0, &text, fd).map(drop)
    }

    /// The next message; nothing when the other side has closed.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let mut buffer = [0; MAX_MESSAGE];
        match sys::receive_with_fd(&self.0, &mut buffer) {
            Ok((0, _)) => Ok(None),
            Ok((size, fd)) => Ok(Some((serde_json::from_slice(&buffer[..size])?, fd))),
            // Killed before it read what we had sent.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(e) => Err(e),
        }
    }
}
