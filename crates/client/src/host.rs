//! The address of an engine as docker writes it.

use std::path::PathBuf;

use crate::Error;

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `unix:///run/docker.sock`
    Unix(PathBuf),
    /// `tcp://host:port/path`
    Tcp {
        /// Name or address, without brackets.
        name: String,
        /// The port.
        port: u16,
        /// What stands before the API's own paths.
        path: String,
    },
    /// `ssh://user@host:port/path/of/socket`
    Ssh {
        /// The name before `@`.
        user: Option<String>,
        /// Name or address.
        name: String,
        /// The port.
        port: Option<u16>,
        /// The remote engine's socket.
        socket: Option<String>,
    },
}

impl Host {
    /// Reads an address; TLS moves tcp's default port from 2375 to 2376.
    pub fn parse(text: &str, tls: bool) -> Result<Self, Error> {
        let invalid = || Error::Host(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        match scheme {
            "unix" if rest.is_empty() => Err(invalid()),
            "unix" => Ok(Self::Unix(rest.into())),
            "tcp" => {
                let (authority, path) = split_path(rest);
                let (name, port) = split_port(authority).ok_or_else(invalid)?;
                let port = port.unwrap_or(if tls { 2376 } else { 2375 });
                let path = path.trim_end_matches('/').to_owned();
                Ok(Self::Tcp { name: default_name(name), port, path })
            }
            "ssh" => parse_ssh(text, rest),
            "npipe" => Err(Error::HostUnsupported {
                host: text.to_owned(),
                reason: "named pipes exist on Windows only; use unix://, tcp:// or ssh://",
            }),
            // docker takes neither: with `https` read as `tcp` a user would believe in a TLS that isn't there.
            "http" | "https" => Err(Error::HostUnsupported {
                host: text.to_owned(),
                reason: "invalid bind address format: write tcp://, with --tls or --tlsverify for HTTPS",
            }),
            "fd" => Err(Error::HostUnsupported {
                host: text.to_owned(),
                reason: "fd:// is for an engine that systemd starts; a client uses unix://, tcp:// or ssh://",
            }),
            _ => Err(invalid()),
        }
    }
}

fn default_name(name: String) -> String {
    if name.is_empty() { "127.0.0.1".into() } else { name }
}

fn split_path(rest: &str) -> (&str, &str) {
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    }
}

fn split_port(authority: &str) -> Option<(String, Option<u16>)> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (name, tail) = inner.split_once(']')?;
        let port = match tail.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if tail.is_empty() => None,
            None => return None,
        };
        return Some((name.to_owned(), port));
    }
    match authority.rsplit_once(':') {
        Some((name, _)) if name.contains(':') => None,
        Some((name, port)) => Some((name.to_owned(), Some(port.parse().ok()?))),
        None => Some((authority.to_owned(), None)),
    }
}

/// A user or host that starts with `-` would be an option of ssh's: refused, as is anything that a shell reads.
fn parse_ssh(text: &str, rest: &str) -> Result<Host, Error> {
    let unsupported = |reason| Error::HostUnsupported { host: text.to_owned(), reason };
    let (authority, path) = split_path(rest);
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        // The password isn't repeated: errors are shown, logged and pasted.
        let host = format!("ssh://[redacted]@{authority}{path}");
        return Err(Error::HostUnsupported { host, reason: "plain-text password is not supported" });
    }
    let (name, port) = split_port(authority).ok_or_else(|| Error::Host(text.to_owned()))?;
    let plain = |word: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-:%+".contains(&b);
        !word.is_empty() && !word.starts_with('-') && word.bytes().all(allowed)
    };
    if !plain(&name) || user.is_some_and(|user| !plain(user)) {
        return Err(unsupported("the user and the host must be plain words"));
    }
    let socket = Some(path).filter(|path| !matches!(*path, "" | "/")).map(str::to_owned);
    if socket
        .as_deref()
        .is_some_and(|s| !s.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)))
    {
        return Err(unsupported("the socket's path must be of plain characters"));
    }
    Ok(Host::Ssh { user: user.map(str::to_owned), name, port, socket })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str, port: u16, path: &str) -> Host {
        Host::Tcp { name: name.into(), port, path: path.into() }
    }

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        assert_eq!(Host::parse("unix:///a/b.sock", false).unwrap(), Host::Unix("/a/b.sock".into()));
        assert_eq!(Host::parse("tcp://h:99/p/", false).unwrap(), tcp("h", 99, "/p"));
        assert_eq!(Host::parse("tcp://h", false).unwrap(), tcp("h", 2375, ""));
        assert_eq!(Host::parse("tcp://h", true).unwrap(), tcp("h", 2376, ""));
        assert_eq!(Host::parse("tcp://[::1]:5", false).unwrap(), tcp("::1", 5, ""));
        assert_eq!(Host::parse("tcp://:5", false).unwrap(), tcp("127.0.0.1", 5, ""));
    }

    #[test]
    fn ssh_options_cannot_be_smuggled_in() {
        for text in
            ["ssh://-oProxyCommand=x", "ssh://-l@h", "ssh://a b@h", "ssh://u:p@h", "ssh://h/a;b", "ssh://"]
        {
            Host::parse(text, false).unwrap_err();
        }
        let told = Host::parse("ssh://me:secret@h/x", false).unwrap_err().to_string();
        assert_eq!(told, "ssh://[redacted]@h/x: plain-text password is not supported");
        let host = Host::parse("ssh://me@h:22/run/d.sock", false).unwrap();
        let expected = Host::Ssh {
            user: Some("me".into()),
            name: "h".into(),
            port: Some(22),
            socket: Some("/run/d.sock".into()),
        };
        assert_eq!(host, expected);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "x", "unix://", "tcp://h:x", "tcp://a:b:1", "npipe:////./pipe/x", "fd://", "ftp://h"]
        {
            Host::parse(text, false).unwrap_err();
        }
    }
}
