//! How a created container hears that it is to start, when whoever made it has ended: a listening socket that init holds
//! until its `execve`. Only one can be first; whoever comes later finds the socket gone.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect as connect_socket,
    listen as listen_on, socket_with,
};

/// Who lets a created container start.
#[derive(Debug, Default)]
pub enum Gate {
    /// Whoever made it, through [`crate::Waiting::start`]; if it ends before, so does the container.
    #[default]
    Maker,
    /// Whoever connects to this socket by [`crate::start`].
    Socket(OwnedFd),
}

impl Gate {
    /// A socket at a path of the file system, for its owner alone.
    pub fn at(path: &Path) -> io::Result<Self> {
        let (_folder, address) = address(path)?;
        let socket = socket()?;
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = bind(&socket, &address);
        rustix::process::umask(before);
        bound?;
        listen_on(&socket, 8)?;
        Ok(Self::Socket(socket))
    }
}

pub(crate) fn accept(listening: &OwnedFd) -> io::Result<OwnedFd> {
    loop {
        match accept_with(listening, SocketFlags::CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

pub(crate) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let (_folder, address) = address(path)?;
    let socket = socket()?;
    connect_socket(&socket, &address)?;
    Ok(socket)
}

fn socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// A socket's address ends at 108 bytes, a path needn't: so it goes by the descriptor of its folder.
fn address(path: &Path) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (folder, name) = (path.parent().ok_or_else(invalid)?, path.file_name().ok_or_else(invalid)?);
    let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((folder, SocketAddrUnix::new(short)?))
}
