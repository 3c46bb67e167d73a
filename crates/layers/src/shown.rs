//! Directories with other owners than on disk: how a container with users of its own sees its layers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, mkdirat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsmount,
    fsopen, move_mount, open_tree,
};

use crate::mount::failed;
use crate::{Error, Strategy};

/// What older kernels and some file systems refuse.
pub(crate) const OWNERS: &str = "map the owners of a layer";

/// Copies the mounts that these directories are in, from there on, maps their owners by a user namespace, and does `work` with
/// the copies.
///
/// An overlay takes them by path only where they are attached: then that is at `place`, in a mount namespace that ends with
/// `work`. The overlay keeps what it needs of them.
pub(crate) fn shown_to<T: Send>(
    users: BorrowedFd<'_>,
    folders: &[Arc<OwnedFd>],
    strategy: Strategy,
    place: &Path,
    work: impl FnOnce(&[Arc<OwnedFd>]) -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let copies = folders.iter().map(|folder| copy(folder.as_fd(), users).map(Arc::new));
    let copies = copies.collect::<Result<Vec<_>, _>>()?;
    match strategy {
        Strategy::Descriptors => work(&copies),
        Strategy::Paths | Strategy::Page => {
            let attached = sys::in_own_mounts(|| {
                attach(&copies, place)?;
                work(&copies)
            });
            attached.map_err(|e| failed("enter a mount namespace", e))?
        }
    }
}

fn copy(folder: BorrowedFd<'_>, users: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let copy = open_tree(folder, c"", flags).map_err(|e| failed("copy a layer's mount", e))?;
    sys::map_ids(copy.as_fd(), users, false).map_err(|e| failed(OWNERS, e))?;
    Ok(copy)
}

fn attach(copies: &[Arc<OwnedFd>], place: &Path) -> Result<(), Error> {
    let step = |e| failed("attach a layer's mount", e);
    let fs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(step)?;
    fsconfig_create(&fs).map_err(step)?;
    let points = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(step)?;
    let from = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&points, c"", CWD, place, from).map_err(step)?;
    for (number, copy) in copies.iter().enumerate() {
        let name = number.to_string();
        mkdirat(&points, &name, Mode::from_raw_mode(0o700)).map_err(step)?;
        move_mount(copy, c"", &points, &name, from).map_err(step)?;
    }
    Ok(())
}
