//! Addresses and their prefixes.

use std::net::IpAddr;

use super::Arguments;
use crate::Error;
use crate::value::Value;

/// An address as a number, and how many bits it has.
struct Prefix {
    bits: u128,
    length: u32,
    width: u32,
}

impl Prefix {
    fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || Error::wrong(format!("invalid CIDR expression: {text}"));
        let (address, length) = text.split_once('/').ok_or_else(invalid)?;
        let (bits, width) = match address.parse().map_err(|_| invalid())? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let length = length.parse().ok().filter(|length| *length <= width).ok_or_else(invalid)?;
        let prefix = Self { bits, length, width };
        Ok(Self { bits: bits & prefix.mask(), ..prefix })
    }

    /// The bits that the prefix decides.
    fn mask(&self) -> u128 {
        let host = self.width - self.length;
        let all = if self.width == 128 { u128::MAX } else { (1 << self.width) - 1 };
        if host == 128 { 0 } else { all >> host << host }
    }

    fn address(&self, bits: u128) -> IpAddr {
        match self.width {
            32 => IpAddr::V4((bits as u32).into()),
            _ => IpAddr::V6(bits.into()),
        }
    }

    /// A prefix within this one.
    fn within(&self, more: u32, number: u128) -> Result<Self, Error> {
        let length = self.length.checked_add(more).filter(|length| *length <= self.width);
        let length = length.ok_or_else(|| Error::wrong("the prefix isn't long enough for that"))?;
        let fits = more >= 128 || number < 1 << more;
        if !fits {
            return Err(Error::wrong("the prefix has no such network"));
        }
        let host = self.width - length;
        let moved = if host >= 128 { 0 } else { number << host };
        Ok(Self { bits: self.bits | moved, length, width: self.width })
    }

    fn shown(&self) -> Value {
        Value::Text(format!("{}/{}", self.address(self.bits), self.length))
    }
}

pub(super) fn call(name: &str, of: &Arguments<'_>) -> Result<Option<Value>, Error> {
    let small = |at: usize| u32::try_from(of.index(at)?).map_err(|_| Error::wrong("a number is negative"));
    let value = match name {
        "cidrhost" => {
            of.count(2, 2)?;
            let prefix = Prefix::parse(&of.text(0)?)?;
            let number = of.index(1)?;
            let host = !prefix.mask() & if prefix.width == 128 { u128::MAX } else { (1 << prefix.width) - 1 };
            let distance = u128::from(number.unsigned_abs());
            let fits = if number < 0 { distance <= host.saturating_add(1) } else { distance <= host };
            if !fits {
                return Err(Error::wrong("the prefix has no such host"));
            }
            // From the end, where it is negative.
            let at = if number < 0 { host - (distance - 1) } else { distance };
            Value::Text(prefix.address(prefix.bits | at).to_string())
        }
        "cidrnetmask" => {
            of.count(1, 1)?;
            let prefix = Prefix::parse(&of.text(0)?)?;
            if prefix.width != 32 {
                return Err(Error::wrong("only IPv4 networks have a netmask"));
            }
            Value::Text(prefix.address(prefix.mask()).to_string())
        }
        "cidrsubnet" => {
            of.count(3, 3)?;
            Prefix::parse(&of.text(0)?)?.within(small(1)?, u128::from(small(2)?))?.shown()
        }
        "cidrsubnets" => {
            of.count(2, 1000)?;
            let prefix = Prefix::parse(&of.text(0)?)?;
            let mut made = Vec::new();
            let mut next = prefix.bits;
            for at in 1..of.all().len() {
                let part = prefix.within(small(at)?, 0)?;
                let size = 1_u128.checked_shl(part.width - part.length).unwrap_or(0);
                // Each begins where one of its size may.
                next = next.div_ceil(size.max(1)) * size.max(1);
                if next & prefix.mask() != prefix.bits {
                    return Err(Error::wrong("the prefix has no room for that"));
                }
                made.push(Prefix { bits: next, ..part }.shown());
                next = next.saturating_add(size);
            }
            Value::List(made)
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}
