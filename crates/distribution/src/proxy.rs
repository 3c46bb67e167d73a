//! Whether a request goes through a proxy, by the rules of Go's `http.ProxyFromEnvironment`.

use std::net::IpAddr;

use base64::Engine as _;

use crate::config::{Network, Proxies};
use crate::credentials::Secret;
use crate::url::{Origin, Url};
use crate::{Error, url};

/// A proxy and what it wants to be told.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) origin: Origin,
    pub(crate) authorization: Option<Secret>,
}

/// The proxy for this origin, if it is not reached directly.
pub(crate) fn find(proxies: &Proxies, origin: &Origin) -> Result<Option<Proxy>, Error> {
    let text = if origin.tls { &proxies.https } else { &proxies.http };
    if text.is_empty() || is_direct(&proxies.none, origin) {
        return Ok(None);
    }
    parse(text).map(Some)
}

fn parse(text: &str) -> Result<Proxy, Error> {
    let wrong = || Error::Address { what: "the proxy's address", value: "[redacted]".into() };
    let absolute = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let (scheme, rest) = absolute.split_once("://").ok_or_else(wrong)?;
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, authority),
    };
    let origin = url::Url::parse(&format!("{scheme}://{authority}/")).map_err(|_| wrong())?;
    let Url { origin, .. } = origin;
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
        find(proxies, &Origin::parse(host, true).unwrap()).unwrap().is_some()
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
