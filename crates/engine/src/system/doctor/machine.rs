//! What the engine shares with others: a disk, numbers of users, and the machine itself.

use std::path::Path;

use rustix::fs::{statfs, statvfs};

use super::{Files, Finding};
use crate::containers;

/// Below this part of the disk, or this much of it, builds and pulls soon fail.
const LEAST_PART: u64 = 20;
const LEAST: u64 = 2 << 30;
/// File systems by their magic numbers, as far as something is to be said of them.
const KINDS: &[(u64, &str)] = &[
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (OVERLAY, "overlay"),
    (TMPFS, "tmpfs"),
];
const OVERLAY: u64 = 0x794c_7630;
const TMPFS: u64 = 0x0102_1994;
/// Other engines, by what they have in `/run` while they run.
const OTHERS: &[(&str, &str)] = &[
    ("dockerd", "run/docker.pid"),
    ("containerd", "run/containerd/containerd.sock"),
    ("podman", "run/podman/podman.sock"),
    ("CRI-O", "run/crio/crio.sock"),
];

pub(super) fn examine(files: &Files, data_root: &Path) -> Vec<Finding> {
    vec![disk(data_root), subordinate(), others(files)]
}

fn disk(data_root: &Path) -> Finding {
    let (Ok(room), Ok(kind)) = (statvfs(data_root), statfs(data_root)) else {
        let why = format!("{} can't be looked at", data_root.display());
        return Finding::failed("disk", why, "start the engine with another --data-root");
    };
    let (free, all) =
        (room.f_bavail.saturating_mul(room.f_frsize), room.f_blocks.saturating_mul(room.f_frsize));
    room_of(kind.f_type as u64, free, all)
}

fn room_of(kind: u64, free: u64, all: u64) -> Finding {
    let name =
        KINDS.iter().find(|(magic, _)| *magic == kind).map_or("another file system", |(_, name)| *name);
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let said = format!("{name}, {} of {} free", gigabytes(free), gigabytes(all));
    match kind {
        OVERLAY => Finding::failed(
            "disk",
            format!("{said}: containers' own layers can't lie on an overlay"),
            "a --data-root on a disk or a volume",
        ),
        TMPFS => {
            Finding::warning("disk", format!("{said}: everything is gone with it"), "a --data-root on a disk")
        }
        _ if free < LEAST || free < all / LEAST_PART => {
            Finding::warning("disk", said, "`system df` says what takes the room, `system prune` makes some")
        }
        _ => Finding::fine("disk", said),
    }
}

fn subordinate() -> Finding {
    let subject = "subordinate ids";
    match containers::free_identities() {
        Ok(first) => {
            Finding::fine(subject, format!("containers with users of their own get theirs from {first} on"))
        }
        Err(why) => {
            Finding::warning(subject, why.to_string(), "take ranges out of /etc/subuid and /etc/subgid")
        }
    }
}

/// They go on beside this one: networks, firewall tables and folders are each engine's own.
fn others(files: &Files) -> Finding {
    let there = OTHERS.iter().filter(|(_, path)| files.root.join(path).exists());
    let there: Vec<String> = there.map(|(name, path)| format!("{name} (/{path})")).collect();
    match there.is_empty() {
        true => Finding::fine("other engines", "none runs"),
        false => Finding::fine(
            "other engines",
            format!("{}: they and this one have nothing in common", there.join(", ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::doctor::Health;

    #[test]
    fn a_full_disk_and_one_that_can_t_hold_containers_are_told() {
        let gigabytes = |count: u64| count * 1_000_000_000;
        assert_eq!(room_of(0xef53, gigabytes(45), gigabytes(250)).said, "ext4, 45.0 GB of 250.0 GB free");
        assert_eq!(room_of(0xef53, gigabytes(45), gigabytes(250)).health, Health::Fine);
        assert_eq!(room_of(0x5846_5342, gigabytes(10), gigabytes(250)).health, Health::Warning);
        assert_eq!(room_of(1, gigabytes(1), gigabytes(4)).health, Health::Warning);
        assert_eq!(room_of(OVERLAY, gigabytes(45), gigabytes(250)).health, Health::Failed);
        assert_eq!(disk(Path::new("/nowhere")).health, Health::Failed);
    }

    #[test]
    fn engines_beside_ours_are_named() {
        let root = tempfile::tempdir().unwrap();
        let files = Files { root: root.path().to_owned() };
        assert_eq!(others(&files).said, "none runs");
        std::fs::create_dir_all(root.path().join("run/containerd")).unwrap();
        std::fs::write(root.path().join("run/docker.pid"), "7").unwrap();
        std::fs::write(root.path().join("run/containerd/containerd.sock"), "").unwrap();
        assert!(
            others(&files)
                .said
                .starts_with("dockerd (/run/docker.pid), containerd (/run/containerd/containerd.sock):")
        );
    }
}
