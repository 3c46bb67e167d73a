//! Addresses as far as registries need them: an origin and a target, and how a `Location` is read.

use std::fmt;

use dial::Origin;
use http::Uri;

use crate::Error;

/// `host` or `host:port`, as a reference's domain has it.
pub(crate) fn origin(authority: &str, tls: bool) -> Result<Origin, Error> {
    Origin::parse(authority, tls)
        .ok_or_else(|| Error::Address { what: "a registry's name", value: authority.to_owned() })
}

/// An absolute address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) origin: Origin,
    /// Path and query, from the slash.
    pub(crate) target: String,
}

impl Url {
    pub(crate) fn new(origin: Origin, target: impl Into<String>) -> Self {
        Self { origin, target: target.into() }
    }

    /// An absolute `http` or `https` address.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Address { what: "an address", value: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self::new(origin(authority.as_str(), tls)?, target))
    }

    /// What a `Location` means that came from here.
    pub(crate) fn join(&self, location: &str) -> Result<Self, Error> {
        if location.starts_with("http://") || location.starts_with("https://") {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.origin.scheme()));
        }
        let absolute = match location.strip_prefix('/') {
            Some(_) => location.to_owned(),
            None => {
                let path = self.target.split('?').next().unwrap_or_default();
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{location}")
            }
        };
        Self::parse(&format!("{}://{}{absolute}", self.origin.scheme(), self.origin.authority()))
    }

    /// The same with one more parameter.
    pub(crate) fn with_query(&self, key: &str, value: &str) -> Self {
        let separator = if self.target.contains('?') { '&' } else { '?' };
        Self::new(self.origin.clone(), format!("{}{separator}{key}={}", self.target, encode(value)))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}{}", self.origin.scheme(), self.origin.authority(), self.target)
    }
}

/// A text as one value of a query or a form.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_relative_to_where_they_came_from() {
        let here = Url::parse("https://r.example:5000/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, expected) in [
            ("https://cdn.example/x?y=1", "https://cdn.example/x?y=1"),
            ("//cdn.example/x", "https://cdn.example/x"),
            ("/v2/y", "https://r.example:5000/v2/y"),
            ("id?z=2", "https://r.example:5000/v2/a/blobs/uploads/id?z=2"),
        ] {
            assert_eq!(here.join(location).unwrap().to_string(), expected);
        }
        for wrong in ["https://user:pass@r.example/", "https://", "http://a b/"] {
            assert!(here.join(wrong).is_err(), "{wrong}");
        }
    }
}
