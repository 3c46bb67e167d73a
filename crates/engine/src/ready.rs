//! Waiting for a descriptor that isn't a socket: a pidfd, an inotify queue.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::net::unix::pipe::Receiver;

/// A descriptor in the runtime's poll set.
///
/// tokio's own type for this, `AsyncFd`, is unsafe to construct for types of which it can't know that their descriptor
/// stays the same. A pipe's receiving end asks nothing of its descriptor but `poll` and is safe, so it stands in.
#[derive(Debug)]
pub(crate) struct Readable(Receiver);

impl Readable {
    /// Takes over a descriptor that does not block.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        Receiver::from_owned_fd_unchecked(fd).map(Self)
    }

    /// Waits until a read would not block.
    pub(crate) async fn wait(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// Reads what is there; would it block, the next [`Readable::wait`] waits for more.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
