//! What `mount_setattr` does, on kernels that lack it (before 5.12): by the flags of `mount`, one mount after another.
//!
//! `mount` changes only what is attached in the caller's mount namespace. A mount that is attached nowhere is attached in a
//! namespace of a thread's own, changed there, and copied from there; the copy takes the place of its descriptor.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatVfsMountFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount_change, mount_remount,
    move_mount, open_tree,
};

use super::{MountAttributes, Propagation, in_own_mounts};

/// Which attribute is which flag, and how a mount says that it has it.
const FLAGS: [(u64, MountFlags, StatVfsMountFlags); 5] = [
    (libc::MOUNT_ATTR_RDONLY, MountFlags::RDONLY, StatVfsMountFlags::RDONLY),
    (libc::MOUNT_ATTR_NOSUID, MountFlags::NOSUID, StatVfsMountFlags::NOSUID),
    (libc::MOUNT_ATTR_NODEV, MountFlags::NODEV, StatVfsMountFlags::NODEV),
    (libc::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC, StatVfsMountFlags::NOEXEC),
    (libc::MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME, StatVfsMountFlags::NODIRATIME),
];
/// Where a detached mount is attached for a moment: in a namespace that nobody else is in.
const FOLDER: &str = "/sys";
const FILE: &str = "/dev/null";

pub(super) fn change(mount: BorrowedFd<'_>, change: MountAttributes) -> io::Result<()> {
    match at_its_place(mount, change) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => elsewhere(mount, change),
        done => done,
    }
}

fn elsewhere(mount: BorrowedFd<'_>, change: MountAttributes) -> io::Result<()> {
    let is_folder = FileType::from_raw_mode(rustix::fs::fstat(mount)?.st_mode) == FileType::Directory;
    let copy = in_own_mounts(|| -> io::Result<OwnedFd> {
        let place = if is_folder { FOLDER } else { FILE };
        move_mount(mount, c"", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        at_its_place(mount, change)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH;
        Ok(open_tree(mount, c"", flags)?)
    })??;
    // SAFETY: both descriptors are open, and the number stays open all the while: whoever holds it has the copy next.
    match unsafe { libc::dup3(copy.as_raw_fd(), mount.as_raw_fd(), libc::O_CLOEXEC) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn at_its_place(mount: BorrowedFd<'_>, change: MountAttributes) -> io::Result<()> {
    on_path(mount, |path| {
        if let Some(propagation) = change.propagation {
            mount_change(path, propagation_flags(propagation, change.recursive))?;
        }
        if change.set | change.clear == 0 {
            return Ok(());
        }
        remount(path, change)?;
        match change.recursive {
            true => below(mount)?.iter().try_for_each(|path| remount(path, change)),
            false => Ok(()),
        }
    })
}

/// Has `work` done with a path of the mount: its descriptor's, or, where there is no procfs, the working directory's, by whoever
/// has but one thread.
fn on_path(mount: BorrowedFd<'_>, work: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
    if fs::symlink_metadata(&path).is_ok() {
        return work(&path);
    }
    crate::clone::refuse_threads()?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let back = rustix::fs::open(".", flags, Mode::empty())?;
    rustix::process::fchdir(mount)?;
    let done = work(Path::new("."));
    rustix::process::fchdir(&back)?;
    done
}

fn propagation_flags(propagation: Propagation, recursive: bool) -> MountPropagationFlags {
    let flags = match propagation {
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        Propagation::Shared => MountPropagationFlags::SHARED,
        Propagation::Unbindable => MountPropagationFlags::UNBINDABLE,
    };
    if recursive { flags | MountPropagationFlags::REC } else { flags }
}

/// `mount` takes all flags at once: those that a mount has and nobody speaks of are said again.
fn remount(path: &Path, change: MountAttributes) -> io::Result<()> {
    let has = rustix::fs::statvfs(path)?.f_flag;
    let mut flags = MountFlags::BIND;
    for (attribute, flag, seen) in FLAGS {
        let kept = has.contains(seen) && change.clear & attribute == 0;
        if kept || change.set & attribute != 0 {
            flags |= flag;
        }
    }
    Ok(mount_remount(path, flags | access_times(has, change), "")?)
}

/// One of three ways, of which `mount` wants to hear the one that stays, too.
fn access_times(has: StatVfsMountFlags, change: MountAttributes) -> MountFlags {
    let way = change.set & libc::MOUNT_ATTR__ATIME;
    let spoken_of = way != 0 || change.clear & libc::MOUNT_ATTR__ATIME != 0;
    match way {
        libc::MOUNT_ATTR_NOATIME => MountFlags::NOATIME,
        libc::MOUNT_ATTR_STRICTATIME => MountFlags::STRICTATIME,
        _ if spoken_of || has.contains(StatVfsMountFlags::RELATIME) => MountFlags::RELATIME,
        _ if has.contains(StatVfsMountFlags::NOATIME) => MountFlags::NOATIME,
        _ => MountFlags::STRICTATIME,
    }
}

/// Where the mounts below a mount are, in this thread's namespace.
fn below(mount: BorrowedFd<'_>) -> io::Result<Vec<PathBuf>> {
    let about = rustix::fs::statx(mount, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    find_below(&fs::read("/proc/thread-self/mountinfo")?, about.stx_mnt_id)
}

fn find_below(table: &[u8], top: u64) -> io::Result<Vec<PathBuf>> {
    let number = |word: &[u8]| std::str::from_utf8(word).ok().and_then(|text| text.parse::<u64>().ok());
    let (mut inside, mut paths) = (HashSet::from([top]), Vec::new());
    // A mount comes after the one that it is in.
    for line in table.split(|byte| *byte == b'\n') {
        let mut words = line.split(|byte| *byte == b' ');
        let (id, parent) = (words.next().and_then(number), words.next().and_then(number));
        let (Some(id), Some(parent), Some(path)) = (id, parent, words.nth(2)) else { continue };
        if !inside.contains(&parent) {
            continue;
        }
        inside.insert(id);
        let path = unescape(path);
        if paths.contains(&path) {
            let why = format!("{} is mounted on twice: only one of them can be changed", path.display());
            return Err(io::Error::other(why));
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Spaces and the like are written as `\040`.
fn unescape(word: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, more)) = rest.split_first() {
        let digits =
            more.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                path.push(byte);
                rest = &more[3..];
            }
            None => {
                path.push(*first);
                rest = more;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountFlags, mount};

    use super::super::set_at_once;
    use super::*;

    const READ_ONLY: MountAttributes =
        MountAttributes { set: super::super::READ_ONLY, clear: 0, propagation: None, recursive: false };

    /// What `/sys` and what is mounted on it say of themselves after a change by `way`: of a detached copy, attached there.
    fn changed(
        way: fn(BorrowedFd<'_>, MountAttributes) -> io::Result<()>,
        change: MountAttributes,
    ) -> Vec<u64> {
        in_own_mounts(move || {
            let upper = MountFlags::NOSUID | MountFlags::NOATIME;
            mount("one", "/sys", "tmpfs", upper, None).unwrap();
            fs::create_dir("/sys/a b").unwrap();
            mount("two", "/sys/a b", "tmpfs", MountFlags::NODEV, None).unwrap();
            let copy = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = open_tree(CWD, "/sys", copy | OpenTreeFlags::AT_RECURSIVE).unwrap();
            way(std::os::fd::AsFd::as_fd(&tree), change).unwrap();
            move_mount(&tree, c"", CWD, "/sys", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
            ["/sys", "/sys/a b"].map(|path| rustix::fs::statvfs(path).unwrap().f_flag.bits()).to_vec()
        })
        .unwrap()
    }

    #[test]
    fn flags_say_what_the_one_call_says() {
        let plain = MountAttributes::default();
        let changes = [
            READ_ONLY,
            MountAttributes { recursive: true, ..READ_ONLY },
            MountAttributes { set: libc::MOUNT_ATTR_NOEXEC, clear: libc::MOUNT_ATTR_NOSUID, ..plain },
            MountAttributes { set: libc::MOUNT_ATTR_STRICTATIME, recursive: true, ..plain },
            MountAttributes { clear: libc::MOUNT_ATTR_NODEV, recursive: true, ..plain },
            MountAttributes { propagation: Some(Propagation::Private), recursive: true, ..READ_ONLY },
        ];
        for change in changes {
            assert_eq!(changed(super::change, change), changed(set_at_once, change), "{change:?}");
        }
    }

    #[test]
    fn a_file_is_changed_too() {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let file = open_tree(CWD, "/proc/self/exe", flags).unwrap();
        super::change(std::os::fd::AsFd::as_fd(&file), READ_ONLY).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert!(rustix::fs::statvfs(path).unwrap().f_flag.contains(StatVfsMountFlags::RDONLY));
    }

    #[test]
    fn what_is_below_is_found_by_its_parents() {
        let table = b"1 0 0:1 / / rw - x x rw\n7 1 0:2 / /a rw - x x rw\n8 7 0:3 / /a/b\\040c rw - x x rw\n9 1 0:4 / /d rw - x x rw\n";
        assert_eq!(find_below(table, 7).unwrap(), [PathBuf::from("/a/b c")]);
        let twice = b"8 7 0:3 / /a/b rw - x x rw\n9 8 0:3 / /a/b rw - x x rw\n";
        assert!(find_below(twice, 7).is_err());
    }
}
