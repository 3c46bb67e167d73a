//! Subnets and the addresses in them, for both families alike.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A range of addresses with a common beginning. What lies behind the prefix is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    #[error("invalid CIDR block notation")]
    Notation,
    /// Bits behind the prefix are set; this is what was probably meant.
    #[error("it should be {0}")]
    Host(Subnet),
}

/// An address as a number, at the top of 128 bits, so that both families are reckoned with alike.
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl Subnet {
    /// The subnet that an address with a prefix of this length is in.
    pub fn around(ip: IpAddr, prefix: u8) -> Self {
        let prefix = prefix.min(bits(ip));
        let base = number(ip) & mask(prefix);
        let base = match ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from((base >> 96) as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(base)),
        };
        Self { base, prefix }
    }

    pub fn base(&self) -> IpAddr {
        self.base
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn is_ipv4(&self) -> bool {
        self.base.is_ipv4()
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.is_ipv4() && number(ip) & mask(self.prefix) == number(self.base)
    }

    pub fn contains_all(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// How many addresses there are, the first and the last included.
    pub fn size(&self) -> u128 {
        1_u128.checked_shl(u32::from(bits(self.base) - self.prefix)).unwrap_or(u128::MAX)
    }

    /// The address at this place.
    pub fn nth(&self, place: u128) -> Option<IpAddr> {
        if place >= self.size() {
            return None;
        }
        Some(match self.base {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::from(v4) + place as u32)),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) + place)),
        })
    }

    /// The last address, which of an IPv4 subnet is everybody's.
    pub fn last(&self) -> IpAddr {
        self.nth(self.size() - 1).unwrap_or(self.base)
    }

    /// The parts of this size, from the first on.
    pub fn slices(self, prefix: u8) -> impl Iterator<Item = Self> {
        let step = 1_u128.checked_shl(u32::from(bits(self.base).saturating_sub(prefix))).unwrap_or(u128::MAX);
        let count = if prefix < self.prefix { 0 } else { self.size() / step };
        (0..count).filter_map(move |place| Some(Self { base: self.nth(place * step)?, prefix }))
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let (ip, prefix) = text.split_once('/').ok_or(SubnetError::Notation)?;
        let ip: IpAddr = ip.parse().map_err(|_| SubnetError::Notation)?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u8 = prefix.parse().ok().filter(|_| digits).ok_or(SubnetError::Notation)?;
        if prefix > bits(ip) {
            return Err(SubnetError::Notation);
        }
        match Self::around(ip, prefix) {
            subnet if subnet.base == ip => Ok(subnet),
            meant => Err(SubnetError::Host(meant)),
        }
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;
    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn wrong_texts_are_told_apart() {
        for wrong in ["", "10.0.0.0", "192.268.100.0/24", "10.0.0.0/33", "10.0.0.0/+8", "fd00::/129", "a/b"] {
            assert_eq!(wrong.parse::<Subnet>(), Err(SubnetError::Notation), "{wrong}");
        }
        assert_eq!("10.77.0.5/24".parse::<Subnet>(), Err(SubnetError::Host(subnet("10.77.0.0/24"))));
    }

    #[test]
    fn both_families_are_reckoned_with_alike() {
        let v4 = subnet("10.1.0.0/16");
        assert!(v4.contains("10.1.255.255".parse().unwrap()) && !v4.contains("10.2.0.0".parse().unwrap()));
        assert!(v4.overlaps(&subnet("10.0.0.0/8")) && !v4.overlaps(&subnet("10.2.0.0/16")));
        assert!(!v4.overlaps(&subnet("::/0")) && subnet("0.0.0.0/0").overlaps(&v4));
        assert_eq!(v4.last().to_string(), "10.1.255.255");
        let v6 = subnet("fd00::/48");
        let slices: Vec<String> = v6.slices(64).take(2).map(|s| s.to_string()).collect();
        assert_eq!(slices, ["fd00::/64", "fd00:0:0:1::/64"]);
        assert_eq!(v4.slices(24).count(), 256);
        assert_eq!(subnet("::/0").size(), u128::MAX);
    }
}
