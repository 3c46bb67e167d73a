//! CPU, memory, devices, ulimits.

use flags::{Matches, go};
use serde_json::{Value, json};

use super::{Object, requests, wrong};
use crate::error::Error;

/// Those that can change while a container runs.
pub(super) fn put_changeable(flags: &Matches, host: &mut Object) -> Result<(), Error> {
    for (flag, key) in [
        ("cpu-shares", "CpuShares"),
        ("cpu-period", "CpuPeriod"),
        ("cpu-quota", "CpuQuota"),
        ("cpu-rt-period", "CpuRealtimePeriod"),
        ("cpu-rt-runtime", "CpuRealtimeRuntime"),
        ("blkio-weight", "BlkioWeight"),
        ("pids-limit", "PidsLimit"),
    ] {
        host.int(flags, flag, key);
    }
    for (flag, key) in
        [("memory", "Memory"), ("memory-reservation", "MemoryReservation"), ("memory-swap", "MemorySwap")]
    {
        host.bytes(flags, flag, key);
    }
    host.text(flags, "cpuset-cpus", "CpusetCpus");
    host.text(flags, "cpuset-mems", "CpusetMems");
    if flags.changed("cpus") {
        host.put("NanoCpus", nano_cpus(flags.text("cpus")).map_err(wrong)?);
    }
    Ok(())
}

pub(super) fn put(flags: &Matches, host: &mut Object) -> Result<(), Error> {
    put_changeable(flags, host)?;
    host.int(flags, "memory-swappiness", "MemorySwappiness");
    host.int(flags, "oom-score-adj", "OomScoreAdj");
    host.bytes(flags, "shm-size", "ShmSize");
    let limits: Result<Vec<Value>, String> = flags.list("ulimit").iter().map(|text| ulimit(text)).collect();
    let mut limits = limits.map_err(wrong)?;
    limits.sort_unstable_by_key(|limit| limit["Name"].to_string());
    if !limits.is_empty() {
        host.put("Ulimits", limits);
    }
    put_block_io(flags, host)?;
    let (named, paths): (Vec<_>, Vec<_>) =
        flags.list("device").into_iter().partition(|text| requests::is_named(text));
    let mut wanted: Vec<Value> = flags
        .list("gpus")
        .iter()
        .map(|text| requests::gpus(text))
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    wanted.extend(requests::named(&named));
    if !wanted.is_empty() {
        host.put("DeviceRequests", wanted);
    }
    let devices: Result<Vec<Value>, Error> = paths.iter().map(|text| device(text)).collect();
    let devices = devices?;
    if !devices.is_empty() {
        host.put("Devices", devices);
    }
    Ok(())
}

/// Weights and rates of block devices.
fn put_block_io(flags: &Matches, host: &mut Object) -> Result<(), Error> {
    let put = |host: &mut Object, flag: &str, key: &str, read: fn(&str) -> Result<Value, String>| {
        let list = flags.list(flag).iter().map(|text| read(text)).collect::<Result<Vec<_>, _>>();
        list.map_err(wrong).map(|list| {
            if !list.is_empty() {
                host.put(key, list);
            }
        })
    };
    put(host, "blkio-weight-device", "BlkioWeightDevice", requests::weight)?;
    put(host, "device-read-bps", "BlkioDeviceReadBps", requests::bytes)?;
    put(host, "device-write-bps", "BlkioDeviceWriteBps", requests::bytes)?;
    put(host, "device-read-iops", "BlkioDeviceReadIOps", requests::operations)?;
    put(host, "device-write-iops", "BlkioDeviceWriteIOps", requests::operations)
}

/// `--cpus 1.5` in billionths, exactly.
pub(crate) fn nano_cpus(text: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {text} as a rational number");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".into());
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    let billionths: i64 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
    whole.checked_mul(1_000_000_000).and_then(|n| n.checked_add(billionths)).ok_or_else(invalid)
}

/// `nofile=1024:2048`.
pub(crate) fn ulimit(text: &str) -> Result<Value, String> {
    const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let number = |text: &str| go::parse_int(text);
    let (soft, hard) = match limits.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(limits)?, number(limits)?),
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(json!({ "Name": name, "Soft": soft, "Hard": hard }))
}

/// `/dev/x[:/dev/y][:rwm]`.
fn device(text: &str) -> Result<Value, Error> {
    let is_mode = |word: &str| !word.is_empty() && word.bytes().all(|b| b"rwm".contains(&b));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, mode) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, mode] if is_mode(mode) => (host, host, mode),
        [host, container] => (host, container, "rwm"),
        [host, container, mode] if is_mode(mode) => (host, container, mode),
        [_, _, mode] => return Err(wrong(format!("bad mode specified: {mode}"))),
        _ => return Err(wrong(format!("invalid device specification: {text}"))),
    };
    Ok(json!({ "PathOnHost": host, "PathInContainer": container, "CgroupPermissions": mode }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_exact() {
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(nano_cpus(".25"), Ok(250_000_000));
        assert_eq!(nano_cpus("x"), Err("failed to parse x as a rational number".into()));
        assert_eq!(nano_cpus("0.0000000001"), Err("value is too precise".into()));
        assert!(nano_cpus("99999999999999").is_err());
    }

    #[test]
    fn ulimits_are_dockers() {
        assert_eq!(ulimit("nofile=1:2").unwrap()["Hard"], 2);
        assert_eq!(ulimit("x").unwrap_err(), "invalid ulimit argument: x");
        assert_eq!(ulimit("nofile=x").unwrap_err(), "strconv.ParseInt: parsing \"x\": invalid syntax");
        assert!(ulimit("nofile=3:2").is_err());
        assert!(ulimit("files=3").is_err());
    }
}
