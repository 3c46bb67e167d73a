//! What the administrator decided about registries.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The decisions of one moment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses that stand in for Docker Hub, tried in order before it.
    pub mirrors: Vec<String>,
    /// Host names with or without port, and networks, that may be spoken to without verified TLS.
    pub insecure: Vec<String>,
    pub proxies: Proxies,
    /// `<folder>/<host>/ca.crt`, `client.cert` and `client.key`.
    pub certificates: PathBuf,
    /// How often one blob is tried without getting further.
    pub attempts: u32,
    /// How long a registry may be silent.
    pub patience: Duration,
    pub user_agent: String,
    /// Whether anybody may be spoken to without TLS: where nothing secret is sent and nothing is believed.
    pub plain_http: bool,
}

/// The proxies of outgoing requests; an empty text is none.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    pub http: String,
    pub https: String,
    /// Comma-separated hosts that are reached directly.
    pub none: String,
}

/// `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= if address.is_ipv4() { 32 } else { 128 })?;
        Some(Self { address, bits })
    }

    pub(crate) fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                u64::from(ours.to_bits()) >> shift == u64::from(other.to_bits()) >> shift
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                ours.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let holds = |network: &str, address: &str| {
            Network::parse(network).unwrap().contains(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && holds("::/0", "fe80::1"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "fe00::1"));
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
        for wrong in ["10.0.0.0", "10.0.0.0/33", "x/8", "::/129"] {
            assert!(Network::parse(wrong).is_none(), "{wrong}");
        }
    }
}
