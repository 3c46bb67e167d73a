//! What the containers of a network reach outside, where the network says it: addresses, and names, whose addresses are
//! known from the answers that our own resolver gives.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use network::Subnet;
use network::firewall::{Entry, Named};

use super::{NetworkError, Networks};

/// More than a person writes.
const MAX_ENTRIES: usize = 256;
/// An address is reached for at least so long after an answer: a client may take its time.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Addresses of names, of all networks together. Who asks for more of them at once isn't told.
const MAX_LEARNT: usize = 65_536;

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Egress {
    /// None is within another.
    pub(super) addresses: Vec<Subnet>,
    /// In lower case; one that begins with `*.` is all names below.
    names: Vec<String>,
}

impl Egress {
    /// Addresses, subnets and names with commas between them. Nothing at all is a list too.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        if words.len() > MAX_ENTRIES {
            return Err(format!("more than {MAX_ENTRIES} entries"));
        }
        let (mut found, mut names) = (Vec::new(), Vec::new());
        for word in words {
            if let Ok(ip) = word.parse::<IpAddr>() {
                found.push(Subnet::around(ip, if ip.is_ipv4() { 32 } else { 128 }));
            } else if word.contains('/') {
                found.push(word.parse().map_err(|why| format!("invalid subnet {word}: {why}"))?);
            } else if is_name(word) {
                names.push(word.trim_end_matches('.').to_ascii_lowercase());
            } else {
                return Err(format!("{word} is no address, no subnet and no name"));
            }
        }
        found.sort_by_key(Subnet::prefix);
        let mut addresses: Vec<Subnet> = Vec::new();
        for part in found {
            if !addresses.iter().any(|known| known.is_ipv4() == part.is_ipv4() && known.contains_all(&part)) {
                addresses.push(part);
            }
        }
        Ok(Self { addresses, names })
    }

    /// `name` in lower case, without a last dot.
    pub(super) fn names(&self, name: &str) -> bool {
        self.names.iter().any(|listed| match listed.strip_prefix('*') {
            Some(below) => name.len() > below.len() && name.ends_with(below),
            None => listed == name,
        })
    }
}

fn is_name(word: &str) -> bool {
    let name = word.strip_prefix("*.").unwrap_or(word).trim_end_matches('.');
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // What looks like an address and is none was meant as one.
    let digits = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    name.len() <= 253 && !digits && name.split('.').all(label)
}

/// What names stand for, for each bridge.
#[derive(Debug, Default)]
pub(super) struct Learnt(HashMap<(String, IpAddr), Instant>);

impl Learnt {
    /// What the kernel is to be told of it.
    pub(super) fn add(&mut self, bridge: &str, found: &[(IpAddr, Duration)]) -> Vec<Entry> {
        let now = Instant::now();
        if self.0.len() + found.len() > MAX_LEARNT {
            self.0.retain(|_, until| *until > now);
        }
        let room = MAX_LEARNT.saturating_sub(self.0.len());
        let known = found.iter().take(room).map(|(ip, lasts)| {
            let lasts = (*lasts).clamp(SHORTEST, LONGEST);
            self.0.insert((bridge.to_owned(), *ip), now + lasts);
            Entry::Named(Named { bridge: bridge.to_owned(), ip: *ip, lasts })
        });
        known.collect()
    }

    /// All that is known still.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let now = Instant::now();
        let left = self.0.iter().filter_map(|((bridge, ip), until)| {
            let lasts = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
            Some(Entry::Named(Named { bridge: bridge.clone(), ip: *ip, lasts }))
        });
        left.collect()
    }

    /// A network goes; what was known of it.
    pub(super) fn forget(&mut self, bridge: &str) -> Vec<Entry> {
        let gone = |entry: &Entry| matches!(entry, Entry::Named(named) if named.bridge == bridge);
        let entries = self.entries().into_iter().filter(gone).collect();
        self.0.retain(|(known, _), _| known != bridge);
        entries
    }
}

impl Networks {
    /// What a name stands for, for those of a container's networks that list it.
    pub(super) fn learn(&self, networks: &[String], name: &str, found: &[(IpAddr, Duration)]) {
        let listing = networks.iter().filter_map(|network| self.get(network).ok());
        let listing = listing.filter(|network| network.egress().is_some_and(|egress| egress.names(name)));
        for network in listing {
            if let Err(error) = self.kernel.learn(&network, found) {
                tracing::warn!(name, error = diag::chain(&error), "what a name stands for can't be reached");
            }
        }
    }
}

impl super::kernel::Kernel {
    fn learn(
        &self,
        network: &super::record::Network,
        found: &[(IpAddr, Duration)],
    ) -> Result<(), NetworkError> {
        self.with_open(|open| {
            let entries = open.learnt.add(&self.bridge_name(network), found);
            Ok(open.firewall.renew(&entries)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_addresses_subnets_and_names() {
        let list = "10.0.0.0/8, 10.1.0.0/16,192.0.2.7,fd00::/8,Example.org.,*.ghcr.io";
        let egress = Egress::read(list).unwrap();
        let addresses: Vec<String> = egress.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]);
        for listed in ["example.org", "a.ghcr.io", "a.b.ghcr.io"] {
            assert!(egress.names(listed), "{listed}");
        }
        for other in ["www.example.org", "ghcr.io", "xghcr.io", "org", ""] {
            assert!(!egress.names(other), "{other}");
        }
        assert_eq!(Egress::read("").unwrap(), Egress::default());
    }

    #[test]
    fn what_is_neither_is_refused() {
        let many = vec!["10.0.0.1"; MAX_ENTRIES + 1].join(",");
        for wrong in ["10.0.0", "10.0.0.1/33", "a b", "*", "*.*.org", "a..b", "ä.org", "x/y", &many] {
            assert!(Egress::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_name_stood_for_goes_with_its_network() {
        let mut learnt = Learnt::default();
        let found = [("10.0.0.1".parse().unwrap(), Duration::from_secs(1))];
        let told = learnt.add("br-a", &found);
        let [Entry::Named(named)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(named.lasts, SHORTEST);
        learnt.add("br-b", &found);
        assert_eq!(learnt.entries().len(), 2);
        assert_eq!(learnt.forget("br-a").len(), 1);
        assert_eq!(learnt.entries().len(), 1);
    }
}
