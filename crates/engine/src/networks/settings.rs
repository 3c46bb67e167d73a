//! What the administrator says of networks that nobody says more of.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use network::Subnet;
use network::pools::Pool;

use super::options;
use crate::containers::config::Labels;

/// The default network, and where others get their addresses from.
#[derive(Debug, Clone)]
pub struct BridgeSettings {
    pub mtu: u32,
    /// Containers in the default network reach each other.
    pub icc: bool,
    pub masquerade: bool,
    /// Where ports are published that don't say where.
    pub binding: Ipv4Addr,
    /// Without any there are those that are built in.
    pub pools: Vec<Pool>,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        let binding = Ipv4Addr::UNSPECIFIED;
        Self { mtu: 1500, icc: true, masquerade: true, binding, pools: Vec::new() }
    }
}

impl BridgeSettings {
    /// Pieces of this size, out of this range.
    pub fn pool(base: &str, size: u64) -> Result<Pool, String> {
        let base: Subnet = base.parse().map_err(|why| format!("invalid base {base}: {why}"))?;
        let longest = if base.is_ipv4() { 30 } else { 126 };
        let fits = |size: &u8| *size >= base.prefix() && *size <= longest;
        let size = u8::try_from(size).ok().filter(fits);
        let size = size.ok_or_else(|| {
            format!("the size has to be from {} to {longest}, a prefix's length", base.prefix())
        })?;
        Ok(Pool { base, size })
    }

    /// The default network's options.
    pub(super) fn options(&self, bridge: String) -> Labels {
        BTreeMap::from([
            (options::BRIDGE_NAME.to_owned(), bridge),
            (options::DEFAULT_BRIDGE.to_owned(), "true".to_owned()),
            (options::ICC.to_owned(), self.icc.to_string()),
            (options::MASQUERADE.to_owned(), self.masquerade.to_string()),
            (options::HOST_BINDING.to_owned(), self.binding.to_string()),
            (options::MTU.to_owned(), self.mtu.to_string()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_cut_into_pieces_that_fit() {
        assert_eq!(BridgeSettings::pool("10.0.0.0/8", 24).unwrap().size, 24);
        for (base, size) in
            [("10.0.0.0/8", 7), ("10.0.0.0/8", 31), ("10.0.0.1/8", 24), ("x", 24), ("fd00::/48", 300)]
        {
            assert!(BridgeSettings::pool(base, size).is_err(), "{base} {size}");
        }
    }
}
