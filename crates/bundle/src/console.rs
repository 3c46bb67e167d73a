//! Descriptors that a caller waits for at a socket: a terminal's master, a process.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::error::{Doing, Error};

/// Sends one descriptor; `name` is what runc sends with it, and what readers skip.
pub(crate) fn send(socket: &str, name: &str, fd: BorrowedFd<'_>) -> Result<(), Error> {
    let path = Path::new(socket);
    let stream = UnixStream::connect(path).at("connect to", path)?;
    sys::send_with_fd(stream.as_fd(), name.as_bytes(), Some(fd)).at("send a descriptor to", path)?;
    Ok(())
}
