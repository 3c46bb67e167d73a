//! Flag values with a grammar of docker's own: how help calls them, and what isn't one.

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
pub(super) const MOUNT: Kind = Kind::Custom { name: "mount", repeats: true, check: accept };
/// A network's name, or `name=…,ip=…`.
pub(super) const NETWORK: Kind = Kind::Custom { name: "network", repeats: true, check: accept };
/// `all`, a count, or `device=…,driver=…`.
pub(super) const GPUS: Kind = Kind::Custom { name: "gpu-request", repeats: true, check: accept };
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
