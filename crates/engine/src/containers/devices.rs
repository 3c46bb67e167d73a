//! Devices of the host in a container: those that were asked for with their cgroup rules, and for privileged containers
//! all nodes below `/dev` but those that every container has of its own.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use oci_spec::runtime as rt;

use super::config::{Device, HostConfig};
use crate::Error;

/// Folders with file systems of their own, which a container has itself.
const OWN: &[&str] = &["pts", "shm", "mqueue", "fd", "console"];
/// No machine has more; a folder full of nodes must not become a container's start-up time.
const MOST: usize = 4096;

/// Every character and block device of this host.
pub(super) fn of_host() -> Vec<rt::LinuxDevice> {
    let mut devices = Vec::new();
    collect(Path::new("/dev"), &mut devices);
    devices
}

fn collect(folder: &Path, devices: &mut Vec<rt::LinuxDevice>) {
    // What can't be listed isn't there for the container either.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let own = folder == Path::new("/dev") && OWN.iter().any(|name| entry.file_name() == *name);
        let Ok(meta) = entry.metadata() else { continue };
        if own || devices.len() >= MOST {
            continue;
        }
        if meta.is_dir() {
            collect(&entry.path(), devices);
        } else {
            devices.extend(device(&entry.path(), &meta));
        }
    }
}

/// The device at a path of the host.
pub(super) fn at(path: &Path) -> Option<rt::LinuxDevice> {
    device(path, &fs::metadata(path).ok()?)
}

/// The rule by which a device may be used.
pub(super) fn allow(node: &rt::LinuxDevice, access: &str) -> rt::LinuxDeviceCgroup {
    let mut rule = rt::LinuxDeviceCgroup::default();
    rule.set_allow(true)
        .set_typ(Some(node.typ()))
        .set_major(Some(node.major()))
        .set_minor(Some(node.minor()))
        .set_access(Some(access.to_owned()));
    rule
}

fn device(path: &Path, meta: &fs::Metadata) -> Option<rt::LinuxDevice> {
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => rt::LinuxDeviceType::C,
        kind if kind.is_block_device() => rt::LinuxDeviceType::B,
        _ => return None,
    };
    let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    let mut device = rt::LinuxDevice::default();
    device
        .set_path(path.to_owned())
        .set_typ(kind)
        .set_major(major.into())
        .set_minor(minor.into())
        .set_file_mode(Some(meta.mode() & 0o7777))
        .set_uid(Some(meta.uid()))
        .set_gid(Some(meta.gid()));
    Some(device)
}

/// Refuses what no device or rule can be.
pub(super) fn check(host: &HostConfig) -> Result<(), Error> {
    for device in host.devices.iter().flatten() {
        let path = Path::new(&device.path_in_container);
        if !path.is_absolute() || !permissions(device).bytes().all(|b| b"rwm".contains(&b)) {
            return Err(Error::Invalid(format!(
                "invalid device: {} {}",
                path.display(),
                permissions(device)
            )));
        }
    }
    host.device_cgroup_rules.iter().flatten().try_for_each(|text| rule(text).map(drop))
}

fn permissions(device: &Device) -> &str {
    if device.cgroup_permissions.is_empty() { "rwm" } else { &device.cgroup_permissions }
}

/// The nodes that were asked for and what may be done with them. A folder stands for all nodes in it.
pub(super) fn requested(
    host: &HostConfig,
) -> Result<(Vec<rt::LinuxDevice>, Vec<rt::LinuxDeviceCgroup>), Error> {
    let (mut nodes, mut rules) = (Vec::new(), Vec::new());
    // A privileged container has them all already.
    for asked in host.devices.iter().flatten().filter(|_| !host.privileged) {
        for (_, node) in found(asked)? {
            rules.push(allow(&node, permissions(asked)));
            nodes.push(node);
        }
    }
    for text in host.device_cgroup_rules.iter().flatten() {
        rules.push(rule(text)?);
    }
    Ok((nodes, rules))
}

/// Where they are on the host and in the container: no device is made where the users are the container's own, so the host's
/// are bound.
pub(super) fn to_bind(host: &HostConfig) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let mut pairs = Vec::new();
    for asked in host.devices.iter().flatten() {
        pairs.extend(found(asked)?.into_iter().map(|(path, node)| (path, node.path().clone())));
    }
    Ok(pairs)
}

fn found(asked: &Device) -> Result<Vec<(PathBuf, rt::LinuxDevice)>, Error> {
    let failed = |why: &str| {
        let path = &asked.path_on_host;
        Error::Device(format!(
            "error gathering device information while adding custom device \"{path}\": {why}"
        ))
    };
    let path = fs::canonicalize(&asked.path_on_host).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed("no such file or directory"),
        _ => failed(&error.to_string()),
    })?;
    let meta = fs::metadata(&path).map_err(|error| failed(&error.to_string()))?;
    let mut nodes = Vec::new();
    match meta.is_dir() {
        true => collect(&path, &mut nodes),
        false => nodes.extend(device(&path, &meta)),
    }
    if nodes.is_empty() {
        return Err(failed("not a device node"));
    }
    let placed = nodes.into_iter().map(|mut node| {
        let below = node.path().strip_prefix(&path).map(Path::to_path_buf).unwrap_or_default();
        let inside = Path::new(&asked.path_in_container);
        let inside = if below.as_os_str().is_empty() { inside.to_owned() } else { inside.join(below) };
        let place = node.path().clone();
        node.set_path(inside);
        (place, node)
    });
    Ok(placed.collect())
}

/// `c 1:3 rwm`, with `*` for any number and `a` for any kind.
fn rule(text: &str) -> Result<rt::LinuxDeviceCgroup, Error> {
    let invalid = || Error::Invalid(format!("invalid device cgroup rule format: '{text}'"));
    let words: Vec<&str> = text.split(' ').collect();
    let [kind, numbers, access] = words[..] else { return Err(invalid()) };
    let kind = match kind {
        "a" => rt::LinuxDeviceType::A,
        "b" => rt::LinuxDeviceType::B,
        "c" => rt::LinuxDeviceType::C,
        _ => return Err(invalid()),
    };
    let number = |text: &str| match text {
        "*" => Ok(-1),
        digits => digits.parse::<u32>().map(i64::from).map_err(|_| invalid()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let (major, minor) = (number(major)?, number(minor)?);
    if access.is_empty() || access.len() > 3 || !access.bytes().all(|b| b"rwm".contains(&b)) {
        return Err(invalid());
    }
    let mut rule = rt::LinuxDeviceCgroup::default();
    rule.set_allow(true)
        .set_typ(Some(kind))
        .set_major(Some(major))
        .set_minor(Some(minor))
        .set_access(Some(access.to_owned()));
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_the_kernel_writes_them() {
        let read = rule("c *:5 rw").unwrap();
        assert_eq!((read.major(), read.minor(), read.access().as_deref()), (Some(-1), Some(5), Some("rw")));
        for bad in ["", "foo", "x 1:3 r", "c 1 r", "c 1:3 x", "c 1:3", "c -1:3 r", "c 1:3 rwmr"] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_hosts_null_device_is_among_them_and_no_terminal_is() {
        let devices = of_host();
        let null = devices.iter().find(|device| device.path() == Path::new("/dev/null")).expect("/dev/null");
        assert_eq!((null.major(), null.minor(), null.typ()), (1, 3, rt::LinuxDeviceType::C));
        assert!(devices.iter().all(|device| !device.path().starts_with("/dev/pts")));
    }
}
