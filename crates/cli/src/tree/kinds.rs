//! Flag values with a grammar of docker's own: how help calls them, and what isn't one.

use crate::shape;
use flags::{Kind, go};

/// `--filter name=value`.
pub(super) const FILTER: Kind = Kind::Custom { name: "filter", repeats: true, check: filter };
/// `key=value`, repeated.
pub(super) const MAP: Kind = Kind::Custom { name: "map", repeats: true, check: accept };
/// `name=soft[:hard]`.
pub(super) const ULIMIT: Kind = Kind::Custom { name: "ulimit", repeats: true, check: ulimit };
/// A number of CPUs: `1.5`.
pub(super) const DECIMAL: Kind = Kind::Custom { name: "decimal", repeats: false, check: decimal };
/// A size, or -1 for no limit.
pub(super) const MEMORY_SWAP: Kind = Kind::Custom { name: "bytes", repeats: false, check: memory_swap };
/// `type=…,source=…,target=…`.
pub(super) const MOUNT: Kind = Kind::Custom { name: "mount", repeats: true, check: shape::check_mount };
/// An address of a name server.
pub(super) const DNS: Kind = Kind::Custom { name: "list", repeats: true, check: address };
/// `name:address`.
pub(super) const HOST: Kind = Kind::Custom { name: "list", repeats: true, check: host };
/// `c 1:3 rwm`.
pub(super) const DEVICE_RULE: Kind = Kind::Custom { name: "list", repeats: true, check: device_rule };
/// A kernel parameter of a namespace.
pub(super) const SYSCTL: Kind = Kind::Custom { name: "map", repeats: true, check: sysctl };
/// A network's name, or `name=…,ip=…`.
pub(super) const NETWORK: Kind = Kind::Custom { name: "network", repeats: true, check: shape::check_network };
/// `container[:alias]`.
pub(super) const LINK: Kind = Kind::Custom { name: "list", repeats: true, check: shape::check_link };
/// `all`, a count, or `device=…,driver=…`.
pub(super) const GPUS: Kind = Kind::Custom { name: "gpu-request", repeats: true, check: gpus };
/// `key=value,key=value`.
pub(super) const STRING_TO_STRING: Kind =
    Kind::Custom { name: "stringToString", repeats: true, check: string_to_string };

/// A value that the command itself checks, under the name that help shows.
pub(super) const fn other(name: &'static str) -> Kind {
    Kind::Custom { name, repeats: true, check: accept }
}

fn accept(_: &str) -> Result<(), String> {
    Ok(())
}

fn filter(value: &str) -> Result<(), String> {
    if value.is_empty() || value.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".into())
}

fn gpus(value: &str) -> Result<(), String> {
    shape::gpus(value).map(drop)
}

fn decimal(value: &str) -> Result<(), String> {
    crate::shape::nano_cpus(value).map(drop)
}

fn memory_swap(value: &str) -> Result<(), String> {
    if value == "-1" { Ok(()) } else { go::parse_bytes(value).map(drop) }
}

fn ulimit(value: &str) -> Result<(), String> {
    crate::shape::ulimit(value).map(drop)
}

fn string_to_string(value: &str) -> Result<(), String> {
    for pair in go::split_csv(value)? {
        if !pair.contains('=') {
            return Err(format!("{pair} must be formatted as key=value"));
        }
    }
    Ok(())
}

fn address(text: &str) -> Result<(), String> {
    let parsed = text.parse::<std::net::IpAddr>();
    parsed.map(drop).map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

fn host(text: &str) -> Result<(), String> {
    let bad = || format!("bad format for add-host: {text:?}");
    let (name, address) = text.split_once(['=', ':']).ok_or_else(bad)?;
    if name.is_empty() {
        return Err(bad());
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if address == "host-gateway" || bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    Err(format!("invalid IP address in add-host: {address:?}"))
}

fn device_rule(text: &str) -> Result<(), String> {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let good = match words[..] {
        [kind, numbers, access] => {
            matches!(kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&access.len())
                && access.bytes().all(|b| b"rwm".contains(&b))
        }
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

/// Those that belong to a container's namespaces.
fn sysctl(text: &str) -> Result<(), String> {
    const NAMES: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let known = text.split_once('=').is_some_and(|(name, _)| {
        NAMES.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")
    });
    if known { Ok(()) } else { Err(format!("sysctl '{text}' is not allowed")) }
}
