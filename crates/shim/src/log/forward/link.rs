//! The connection to a log server, which never makes anybody wait but at the start.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};

use crate::Server;

/// How long a start waits for the server.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Link {
    to: Server,
    state: State,
}

enum State {
    Down { until: Instant },
    Connecting(OwnedFd),
    Up(OwnedFd),
}

/// What became of a message.
pub(super) enum Sent {
    All,
    /// Over a stream: the rest is yet to come.
    Some(usize),
    NotNow,
    /// It can't be sent at all.
    Never,
}

impl Link {
    pub(super) fn new(to: Server) -> Self {
        Self { to, state: State::Down { until: Instant::now() } }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    pub(super) fn down_until(&self) -> Option<Instant> {
        match self.state {
            State::Down { until } => Some(until),
            _ => None,
        }
    }

    /// Leaves the server alone for a while.
    pub(super) fn rest(&mut self, pause: Duration) {
        self.state = State::Down { until: Instant::now() + pause };
    }

    pub(super) fn interest(&self, has_more: bool) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.state {
            State::Connecting(socket) => Some((socket.as_fd(), PollFlags::OUT)),
            State::Up(socket) if has_more => Some((socket.as_fd(), PollFlags::OUT)),
            // Whoever hangs up is noticed before something is written to nobody.
            State::Up(socket) if self.is_stream() => Some((socket.as_fd(), PollFlags::RDHUP)),
            _ => None,
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self.to, Server::Tcp(_) | Server::UnixStream(_))
    }

    /// Connects before a container's start, and says why it can't in Go's words.
    pub(super) fn connect_now(&mut self) -> io::Result<()> {
        let to = self.to.clone();
        let failed = |error: io::Error| io::Error::new(error.kind(), describe(&to, &error));
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.dial();
        while let Ok(State::Connecting(socket)) = state {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(failed(io::Error::new(io::ErrorKind::TimedOut, "i/o timeout")));
            }
            let timeout = Timespec::try_from(left).ok();
            let _ = poll(&mut [PollFd::new(&socket, PollFlags::OUT)], timeout.as_ref());
            state = settle(socket);
        }
        self.state = state.map_err(failed)?;
        Ok(())
    }

    /// Goes on connecting; whether it is connected.
    pub(super) fn connect(&mut self) -> io::Result<bool> {
        let resting = State::Down { until: Instant::now() };
        self.state = match std::mem::replace(&mut self.state, resting) {
            State::Down { until } if Instant::now() < until => State::Down { until },
            State::Down { .. } => self.dial()?,
            State::Connecting(socket) => settle(socket)?,
            up @ State::Up(_) => up,
        };
        Ok(self.is_up())
    }

    /// Notices a server that has hung up. Nothing that servers say is listened to.
    pub(super) fn look(&mut self) {
        let State::Up(socket) = &self.state else { return };
        let mut buffer = [0; 256];
        while self.is_stream() {
            match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, count)) if count > 0 => {}
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                _ => return self.rest(Duration::ZERO),
            }
        }
    }

    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<Sent> {
        let State::Up(socket) = &self.state else { return Ok(Sent::NotNow) };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut refused = false;
        loop {
            return match send(socket, message, flags) {
                Ok(count) if count < message.len() => Ok(Sent::Some(count)),
                Ok(_) => Ok(Sent::All),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN | Errno::NOBUFS) => Ok(Sent::NotNow),
                Err(Errno::MSGSIZE) => Ok(Sent::Never),
                // That is about the message before this one.
                Err(Errno::CONNREFUSED) if matches!(self.to, Server::Udp(_)) && !refused => {
                    refused = true;
                    continue;
                }
                Err(Errno::CONNREFUSED) if matches!(self.to, Server::Udp(_)) => Ok(Sent::Never),
                Err(error) => Err(error.into()),
            };
        }
    }

    fn dial(&mut self) -> io::Result<State> {
        let made = match &self.to {
            Server::Udp(address) => {
                let socket = open_socket(family(*address), SocketType::DGRAM)?;
                connect(&socket, address).map(|()| State::Up(socket))
            }
            Server::Tcp(address) => {
                let socket = open_socket(family(*address), SocketType::STREAM)?;
                match connect(&socket, address) {
                    Err(Errno::INPROGRESS) => Ok(State::Connecting(socket)),
                    other => other.map(|()| State::Up(socket)),
                }
            }
            Server::UnixDatagram(path) => match dial_unix(path, SocketType::DGRAM) {
                // Some daemons offer the machine's own log as a stream.
                Err(Errno::PROTOTYPE) => {
                    self.to = Server::UnixStream(path.clone());
                    return self.dial();
                }
                other => other,
            },
            Server::UnixStream(path) => dial_unix(path, SocketType::STREAM),
        };
        Ok(made?)
    }
}

/// Why there is no connection, in Go's words.
fn describe(to: &Server, error: &io::Error) -> String {
    let (network, address) = match to {
        Server::Udp(address) => ("udp", address.to_string()),
        Server::Tcp(address) => ("tcp", address.to_string()),
        Server::UnixDatagram(path) => ("unixgram", path.display().to_string()),
        Server::UnixStream(path) => ("unix", path.display().to_string()),
    };
    diag::plain(&format!("dial {network} {address}: connect: {error}"))
}

fn family(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

fn open_socket(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

fn dial_unix(path: &Path, kind: SocketType) -> Result<State, Errno> {
    let socket = open_socket(AddressFamily::UNIX, kind)?;
    // An address ends at 108 bytes, and paths are longer, so the folder goes by descriptor.
    let folder = path.parent().unwrap_or(Path::new("/"));
    let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = path.file_name().unwrap_or_default();
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    connect(&socket, &SocketAddrUnix::new(&short)?)?;
    Ok(State::Up(socket))
}

/// What has become of a connection that was begun.
fn settle(socket: OwnedFd) -> io::Result<State> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&now))? == 0 {
        return Ok(State::Connecting(socket));
    }
    rustix::net::sockopt::socket_error(&socket)??;
    Ok(State::Up(socket))
}
