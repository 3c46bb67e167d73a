//! Where clients reach the engine: unix sockets, TCP, and what systemd opened for us.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::config::{Config, Tls, TlsMode};
use crate::error::Error;
use crate::groups;

/// One open listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    /// As it was asked for; tells an inherited socket from a new one.
    pub(crate) host: String,
    pub(crate) socket: Socket,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Unix(UnixListener, Option<PathBuf>),
    Tcp(TcpListener),
}

impl Listener {
    /// As dockerd says it: the path, or the address.
    pub(crate) fn shown(&self) -> String {
        match &self.socket {
            Socket::Unix(_, Some(path)) => path.display().to_string(),
            Socket::Unix(_, None) => self.host.clone(),
            Socket::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| self.host.clone(), |address| address.to_string())
            }
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix(listener, _) => listener.as_fd(),
            Socket::Tcp(listener) => listener.as_fd(),
        }
    }

    /// Removes what a listener leaves on disk.
    pub(crate) fn clean_up(&self) {
        if let Socket::Unix(_, Some(path)) = &self.socket {
            let _ = fs::remove_file(path);
        }
    }
}

/// Opens what the configuration names. Sockets in `inherited` are taken over instead of opened anew.
pub(crate) fn open(config: &Config, mut inherited: Vec<(String, OwnedFd)>) -> Result<Vec<Listener>, Error> {
    let mut listeners = Vec::new();
    for host in &config.hosts {
        if let Some(at) = inherited.iter().position(|(name, _)| name == host) {
            let (name, fd) = inherited.swap_remove(at);
            listeners.push(adopt(name, fd)?);
            continue;
        }
        listeners.extend(open_host(host, config)?);
    }
    Ok(listeners)
}

fn open_host(host: &str, config: &Config) -> Result<Vec<Listener>, Error> {
    match split(host)? {
        Address::Unix(path) => Ok(vec![unix(host, path, config.group.as_deref())?]),
        Address::Tcp(address) => tcp(host, address, &config.tls),
        Address::Activation(name) => activation(host, name),
    }
}

/// What a `-H` means.
#[derive(Debug, PartialEq, Eq)]
enum Address<'a> {
    Unix(&'a Path),
    Tcp(&'a str),
    Activation(&'a str),
}

fn split(host: &str) -> Result<Address<'_>, Error> {
    let bad = || Error::BadHost(host.to_owned());
    match host.split_once("://") {
        Some(("unix", path)) if Path::new(path).is_absolute() => Ok(Address::Unix(Path::new(path))),
        Some(("tcp", address)) if !address.is_empty() => Ok(Address::Tcp(address)),
        Some(("fd", name)) => Ok(Address::Activation(name)),
        None if host.starts_with('/') => Ok(Address::Unix(Path::new(host))),
        None if host.contains(':') && !host.contains('/') => Ok(Address::Tcp(host)),
        _ => Err(bad()),
    }
}

// ── unix ──

/// The way to a socket or a pid file: others may go through, and see nothing there.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path)
}

fn unix(host: &str, path: &Path, group: Option<&str>) -> Result<Listener, Error> {
    let failed = |source| Error::Listen { host: host.to_owned(), source };
    if let Some(folder) = path.parent() {
        make_folder(folder).map_err(failed)?;
    }
    remove_stale(path).map_err(failed)?;
    // Private from its first moment: nobody else gets in before the group is set.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.map_err(failed)?;
    give_to_group(path, group)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(Listener { host: host.to_owned(), socket: Socket::Unix(listener, Some(path.to_owned())) })
}

/// A socket file that nobody listens on is what a killed engine left. Anything else stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(meta) => meta.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !kind.is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something that is not a socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The group that was asked for must exist; `docker`, which nobody asked for, may be missing.
fn give_to_group(path: &Path, group: Option<&str>) -> Result<(), Error> {
    let name = group.unwrap_or("docker");
    let id = match groups::find(name) {
        Some(id) => id,
        None if group.is_none() => return Ok(()),
        None => return Err(Error::NoGroup(name.to_owned())),
    };
    std::os::unix::fs::chown(path, None, Some(id)).map_err(|source| Error::File {
        doing: "change the group of",
        path: path.to_owned(),
        source,
    })
}

// ── tcp ──

fn tcp(host: &str, address: &str, tls: &Tls) -> Result<Vec<Listener>, Error> {
    if tls.mode == TlsMode::Unsaid {
        return Err(Error::Plaintext { host: host.to_owned() });
    }
    let failed = |source| Error::Listen { host: host.to_owned(), source };
    let default_port = if matches!(tls.mode, TlsMode::Off) { 2375 } else { 2376 };
    let listeners = addresses(address, default_port).map_err(failed)?.into_iter().map(|address| {
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        if !matches!(tls.mode, TlsMode::Verified) {
            tracing::warn!(%address, "the API is open to everybody who reaches this address; that is root access");
        }
        Ok(Listener { host: host.to_owned(), socket: Socket::Tcp(listener) })
    });
    listeners.collect()
}

/// `127.0.0.1:2376`, `[::1]`, `localhost:0`, `:2376`. Only the names that every machine has are resolved.
fn addresses(text: &str, default_port: u16) -> io::Result<Vec<SocketAddr>> {
    let with_port = match text.rsplit_once(':') {
        Some((_, port)) if !port.contains(']') => text.to_owned(),
        _ => format!("{text}:{default_port}"),
    };
    let numeric = match with_port.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => with_port.replace("localhost:", "127.0.0.1:"),
    };
    match numeric.parse::<SocketAddr>() {
        Ok(address) => Ok(vec![address]),
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{text} is not an address to listen on")))
        }
    }
}

// ── systemd ──

/// The first descriptor of systemd's protocol.
const FIRST: i32 = 3;
/// Nobody activates with more sockets.
const MOST: i32 = 64;

fn activation(host: &str, name: &str) -> Result<Vec<Listener>, Error> {
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<i32>().ok();
    let me = i32::try_from(std::process::id()).ok();
    let count = number("LISTEN_FDS").filter(|count| (1..=MOST).contains(count));
    let (Some(count), true) = (count, number("LISTEN_PID") == me) else { return Err(Error::NoActivation) };
    let wanted: Vec<i32> = match name {
        "" | "*" => (FIRST..FIRST + count).collect(),
        name => match name.parse::<i32>() {
            Ok(fd) if (FIRST..FIRST + count).contains(&fd) => vec![fd],
            _ => return Err(Error::NoActivation),
        },
    };
    let take = |fd| {
        let fd = sys::inherited(fd).map_err(|source| Error::Listen { host: host.to_owned(), source })?;
        adopt(host.to_owned(), fd)
    };
    wanted.into_iter().map(take).collect()
}

/// A socket that somebody else opened: unix or TCP, as the kernel says.
fn adopt(host: String, fd: OwnedFd) -> Result<Listener, Error> {
    let failed = |source: io::Error| Error::Listen { host: host.clone(), source };
    let domain = rustix::net::sockopt::socket_domain(&fd).map_err(|errno| failed(errno.into()))?;
    let socket = if domain == rustix::net::AddressFamily::UNIX {
        let listener = UnixListener::from(fd);
        listener.set_nonblocking(true).map_err(failed)?;
        // systemd removes its own file; one of ours is known by its name.
        let path = host.strip_prefix("unix://").map(PathBuf::from);
        Socket::Unix(listener, path)
    } else {
        let listener = TcpListener::from(fd);
        listener.set_nonblocking(true).map_err(failed)?;
        Socket::Tcp(listener)
    };
    Ok(Listener { host, socket })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_dockerd_reads_them() {
        assert_eq!(split("unix:///a").unwrap(), Address::Unix(Path::new("/a")));
        assert_eq!(split("/a").unwrap(), Address::Unix(Path::new("/a")));
        assert_eq!(split("tcp://:2376").unwrap(), Address::Tcp(":2376"));
        assert_eq!(split("127.0.0.1:1").unwrap(), Address::Tcp("127.0.0.1:1"));
        assert_eq!(split("fd://").unwrap(), Address::Activation(""));
        for wrong in ["", "unix://", "unix://a", "npipe:////./pipe/x", "http://x", "tcp://"] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_have_a_default_port() {
        let one = |text| addresses(text, 2376).unwrap()[0].to_string();
        assert_eq!(one("127.0.0.1"), "127.0.0.1:2376");
        assert_eq!(one(":80"), "0.0.0.0:80");
        assert_eq!(one("[::1]"), "[::1]:2376");
        assert_eq!(one("localhost:0"), "127.0.0.1:0");
        assert!(addresses("example.org", 1).is_err());
    }

    #[test]
    fn only_a_dead_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(remove_stale(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        remove_stale(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(remove_stale(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
