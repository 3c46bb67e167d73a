//! Where a request goes.

use http::uri::Authority;

/// Whom credentials are for: nobody else may have them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether it is spoken to in TLS.
    pub tls: bool,
    /// In lower case; an IPv6 address in brackets.
    pub host: String,
    /// The port, written or not.
    pub port: u16,
}

impl Origin {
    /// `host` or `host:port`, as a reference's domain or a `Host` header has it.
    pub fn parse(authority: &str, tls: bool) -> Option<Self> {
        let authority: Authority = authority.parse().ok()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { tls, host: authority.host().to_ascii_lowercase(), port })
    }

    /// As a `Host` header and a person have it.
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The host without the brackets of an IPv6 address.
    pub fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_port_whether_it_is_written_or_not() {
        assert_eq!(Origin::parse("A.example", true).unwrap(), Origin::parse("a.example:443", true).unwrap());
        assert_ne!(Origin::parse("a.example", false).unwrap(), Origin::parse("a.example", true).unwrap());
        assert_eq!(Origin::parse("[::1]:5000", false).unwrap().bare_host(), "::1");
    }
}
