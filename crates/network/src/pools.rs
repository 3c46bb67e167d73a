//! Which addresses networks and containers get. Pure arithmetic: what is taken is said by the caller.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::Subnet;

/// Where networks that don't say what they want are cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    pub base: Subnet,
    /// The prefix's length of each piece.
    pub size: u8,
}

/// The first piece of the first pool that touches nothing of what is taken.
pub fn cut(pools: &[Pool], taken: &[Subnet]) -> Option<Subnet> {
    let free = |piece: &Subnet| !taken.iter().any(|other| other.overlaps(piece));
    pools.iter().flat_map(|pool| pool.base.slices(pool.size)).find(free)
}

/// The addresses of one subnet that containers may get.
#[derive(Debug, Clone)]
pub struct Addresses {
    subnet: Subnet,
    /// The part of it to take from.
    range: Subnet,
    taken: HashSet<IpAddr>,
    /// Where to look next. An address that was given back rests for as long as there are others: its last owner may still
    /// be on its way out, and neighbours still know it.
    next: u128,
}

impl Addresses {
    /// All but those in `kept`, which are the gateway's and the administrator's.
    pub fn new(subnet: Subnet, range: Option<Subnet>, kept: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut taken: HashSet<IpAddr> = kept.into_iter().collect();
        // The network's own, and everybody's; of two or fewer addresses, each is one.
        if subnet.size() > 2 {
            taken.insert(subnet.base());
            if subnet.is_ipv4() {
                taken.insert(subnet.last());
            }
        }
        Self { subnet, range: range.unwrap_or(subnet), taken, next: 0 }
    }

    /// How many of the subnet nobody can get, and how many of the part to take from anybody can.
    pub fn counted(&self) -> (u128, u128) {
        let taken = self.taken.iter().filter(|ip| self.range.contains(**ip)).count() as u128;
        (self.taken.len() as u128, self.range.size().saturating_sub(taken))
    }

    /// Takes the next free address; nothing if there is none.
    pub fn take(&mut self) -> Option<IpAddr> {
        let size = self.range.size();
        // Whatever the subnet's size: behind all that are taken, one is free.
        let tries = size.min(self.taken.len() as u128 + 1);
        for step in 0..tries {
            let place = (self.next + step) % size;
            if let Some(ip) = self.range.nth(place)
                && self.taken.insert(ip)
            {
                self.next = place + 1;
                return Some(ip);
            }
        }
        None
    }

    /// Takes this address; false if somebody has it.
    pub fn claim(&mut self, ip: IpAddr) -> bool {
        self.taken.insert(ip)
    }

    pub fn release(&mut self, ip: IpAddr) {
        self.taken.remove(&ip);
    }

    pub fn subnet(&self) -> Subnet {
        self.subnet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_touches_nothing_that_is_taken() {
        let pools =
            [Pool { base: subnet("10.0.0.0/22"), size: 24 }, Pool { base: subnet("10.9.0.0/24"), size: 24 }];
        let mut taken = vec![subnet("10.0.1.128/25")];
        for expected in ["10.0.0.0/24", "10.0.2.0/24", "10.0.3.0/24", "10.9.0.0/24"] {
            let piece = cut(&pools, &taken).unwrap();
            assert_eq!(piece, subnet(expected));
            taken.push(piece);
        }
        assert_eq!(cut(&pools, &taken), None);
    }

    #[test]
    fn an_address_rests_before_it_is_given_again() {
        let gateway: IpAddr = "10.0.0.1".parse().unwrap();
        let mut addresses = Addresses::new(subnet("10.0.0.0/29"), None, [gateway]);
        let first = addresses.take().unwrap();
        addresses.release(first);
        let rest: Vec<String> = std::iter::from_fn(|| addresses.take()).map(|ip| ip.to_string()).collect();
        assert_eq!(first.to_string(), "10.0.0.2");
        assert_eq!(rest, ["10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]);
        assert!(!addresses.claim(first));
    }

    #[test]
    fn a_range_bounds_what_is_given_and_not_what_may_be_claimed() {
        let mut addresses = Addresses::new(subnet("fd00::/64"), Some(subnet("fd00::8/126")), []);
        assert!(addresses.claim("fd00::1".parse().unwrap()));
        let given: Vec<String> = std::iter::from_fn(|| addresses.take()).map(|ip| ip.to_string()).collect();
        assert_eq!(given, ["fd00::8", "fd00::9", "fd00::a", "fd00::b"]);
    }
}
