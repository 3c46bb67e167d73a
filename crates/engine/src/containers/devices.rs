//! The host's devices, for privileged containers: all nodes below `/dev` but those that every container has of its own.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use oci_spec::runtime as rt;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_null_device_is_among_them_and_no_terminal_is() {
        let devices = of_host();
        let null = devices.iter().find(|device| device.path() == Path::new("/dev/null")).expect("/dev/null");
        assert_eq!((null.major(), null.minor(), null.typ()), (1, 3, rt::LinuxDeviceType::C));
        assert!(devices.iter().all(|device| !device.path().starts_with("/dev/pts")));
    }
}
