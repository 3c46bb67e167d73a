//! The kernel's switches of the calling thread's network namespace.

use std::fs;
use std::path::Path;

use crate::Error;
use crate::error::system;

/// Writes a switch below `/proc/sys/net`, unless it stands so already: a host may let nobody write what is right.
pub(crate) fn set(name: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys/net").join(name);
    if fs::read_to_string(&path).is_ok_and(|present| present.trim() == value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(system(format!("set net/{name} to {value}")))
}

/// Whether this kernel speaks IPv6.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// Whether br_netfilter shows the firewall what bridges pass on.
pub(crate) fn bridges_are_filtered() -> bool {
    std::fs::read("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|value| value.starts_with(b"1"))
}
