//! Whether a request goes through a proxy, by the rules of Go's `http.ProxyFromEnvironment`.

use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::{Network, Origin, Secret};

/// The proxies of outgoing requests; an empty text is none.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http`.
    pub http: String,
    /// For `https`.
    pub https: String,
    /// Comma-separated hosts that are reached directly.
    pub none: String,
}

/// A proxy and what it wants to be told.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens.
    pub origin: Origin,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<Secret>,
}

/// The proxy's address can't be read. What it says isn't repeated: there may be a password in it.
#[derive(Debug, thiserror::Error)]
#[error("the proxy's address is not http://host:port")]
pub struct Unreadable;

/// A proxy didn't give the connection that it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The connection to the proxy broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first line of its answer.
    #[error("{0}")]
    Said(String),
}

impl Proxies {
    /// The proxies of the environment, in upper or lower case.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read =
            |name: &str| variable(name).or_else(|| variable(&name.to_ascii_lowercase())).unwrap_or_default();
        Self { http: read("HTTP_PROXY"), https: read("HTTPS_PROXY"), none: read("NO_PROXY") }
    }

    /// The proxy for this origin, if it is not reached directly.
    pub fn find(&self, origin: &Origin) -> Result<Option<Proxy>, Unreadable> {
        let text = if origin.tls { &self.https } else { &self.http };
        if text.is_empty() || is_direct(&self.none, origin) {
            return Ok(None);
        }
        parse(text).map(Some)
    }
}

/// Asks a proxy, over an open connection, for a connection to the origin.
pub async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    origin: &Origin,
    proxy: &Proxy,
    mut stream: S,
) -> Result<S, Refused> {
    const LIMIT: usize = 16 << 10;
    let to = format!("{}:{}", origin.host, origin.port);
    let authorization = proxy.authorization.as_ref();
    let authorization =
        authorization.map(|text| format!("Proxy-Authorization: {}\r\n", text.reveal())).unwrap_or_default();
    let asked = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{authorization}\r\n");
    stream.write_all(asked.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LIMIT {
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let line = text.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(stream),
        _ => Err(Refused::Said(line.chars().take(200).collect())),
    }
}

fn parse(text: &str) -> Result<Proxy, Unreadable> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let tls = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(Unreadable),
    };
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, authority),
    };
    let origin = Origin::parse(authority, tls).ok_or(Unreadable)?;
    let authorization = user.map(|user| {
        let user = decode(user);
        Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user)))
    });
    Ok(Proxy { origin, authorization })
}

/// `%40` and the like in a proxy's user and password.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let value =
            escaped.and_then(|hex| std::str::from_utf8(hex).ok()).map(|hex| u8::from_str_radix(hex, 16));
        match value {
            Some(Ok(byte)) => (bytes.push(byte), rest = &after[2..]).0,
            _ => (bytes.push(*first), rest = after).0,
        }
    }
    bytes
}

fn is_direct(none: &str, origin: &Origin) -> bool {
    let host = origin.bare_host();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    none.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
            _ => (entry, None),
        };
        if port.is_some_and(|port| port != origin.port) {
            return false;
        }
        let within = address.is_some_and(|a| Network::parse(entry).is_some_and(|n| n.contains(a)));
        let name = name.trim_start_matches('*').to_ascii_lowercase();
        let domain = name.trim_start_matches('.');
        entry == "*"
            || within
            || (!name.starts_with('.') && host == domain)
            || (!domain.is_empty() && host.strip_suffix(domain).is_some_and(|head| head.ends_with('.')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(proxies: &Proxies, host: &str) -> bool {
        proxies.find(&Origin::parse(host, true).unwrap()).unwrap().is_some()
    }

    #[test]
    fn what_is_named_is_reached_directly() {
        let none = "example.com, .internal,10.0.0.0/8,port.test:5000".to_owned();
        let proxies = Proxies { http: String::new(), https: "http://proxy:3128".into(), none };
        for direct in [
            "example.com",
            "a.example.com",
            "a.internal",
            "10.1.2.3",
            "port.test:5000",
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
        ] {
            assert!(!through(&proxies, direct), "{direct}");
        }
        for proxied in ["example.org", "notexample.com", "internal", "11.1.2.3", "port.test:5001"] {
            assert!(through(&proxies, proxied), "{proxied}");
        }
    }

    #[test]
    fn a_proxy_s_password_is_told_to_the_proxy_and_printed_nowhere() {
        let proxy = parse("http://me:p%40ss@proxy:3128").unwrap();
        assert_eq!(proxy.origin.authority(), "proxy:3128");
        assert_eq!(proxy.authorization.as_ref().unwrap().reveal(), "Basic bWU6cEBzcw==");
        assert!(!format!("{proxy:?}").contains("bWU6"));
        assert!(!parse("http://me:secret@pro xy/").unwrap_err().to_string().contains("secret"));
    }
}
