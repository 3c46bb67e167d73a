//! What of the kernel's files a container must not see or must not change.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, OFlags, fstat, makedev};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::MountAttributes;

use crate::Error;
use crate::error::Doing;
use crate::mounts::small_tmpfs;
use crate::root::{Root, attach};

/// Covers files with the host's null device and directories with an empty read-only file system. Runs before the
/// pivot: the null device is the host's, verified, never one that the image brought.
pub(crate) fn mask(root: &Root<'_>, paths: &[String]) -> Result<(), Error> {
    let mut empty: Option<OwnedFd> = None;
    for path in paths.iter().map(Path::new) {
        let Some(target) = open(root, path)? else { continue };
        if kind(&target, path)? != FileType::Directory {
            attach(null_device()?.as_fd(), target.as_fd(), path)?;
            continue;
        }
        let cover = match &empty {
            None => small_tmpfs(sys::READ_ONLY | sys::NO_SUID | sys::NO_DEVICES | sys::NO_EXEC)?,
            Some(first) => copy(first, OpenTreeFlags::empty()).doing(&format!("mask {}", path.display()))?,
        };
        attach(cover.as_fd(), target.as_fd(), path)?;
        empty.get_or_insert(cover);
    }
    Ok(())
}

/// Binds each path onto itself, read-only.
pub(crate) fn make_read_only(root: &Root<'_>, paths: &[String]) -> Result<(), Error> {
    for path in paths.iter().map(Path::new) {
        let Some(target) = open(root, path)? else { continue };
        let doing = format!("make {} read-only", path.display());
        let tree = copy(&target, OpenTreeFlags::AT_RECURSIVE).doing(&doing)?;
        let change = MountAttributes { set: sys::READ_ONLY, recursive: true, ..MountAttributes::default() };
        attach(tree.as_fd(), target.as_fd(), path)?;
        sys::set_mount_attributes(tree.as_fd(), change).doing(&doing)?;
    }
    Ok(())
}

/// Opens a path of procfs or sysfs; neither has symlinks where masks go, so one there is somebody's trick.
fn open(root: &Root<'_>, path: &Path) -> Result<Option<OwnedFd>, Error> {
    match root.open_strictly(path, OFlags::PATH) {
        Ok(fd) => Ok(Some(fd)),
        // This kernel has no such file.
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(e).doing(&format!("open {} to protect it", path.display())),
    }
}

fn kind(fd: &OwnedFd, path: &Path) -> Result<FileType, Error> {
    let stat = fstat(fd).doing(&format!("look at {}", path.display()))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn copy(fd: &OwnedFd, extra: OpenTreeFlags) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(fd, "", flags | extra)
}

fn null_device() -> Result<OwnedFd, Error> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let null = open_tree(CWD, "/dev/null", flags).doing("open /dev/null")?;
    let stat = fstat(&null).doing("look at /dev/null")?;
    let is_null =
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3);
    if !is_null {
        return Err(Error::Unsupported("a host whose /dev/null is no null device".into()));
    }
    Ok(null)
}
