//! `mount_setattr`, which `rustix` lacks: attributes of a mount or of a whole tree in one step.

mod by_flags;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// How mounts below a mount are shared with its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Private,
    Slave,
    Shared,
    Unbindable,
}

/// What to change: bits of `MOUNT_ATTR_*` to set and to clear, and the propagation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttributes {
    pub set: u64,
    pub clear: u64,
    pub propagation: Option<Propagation>,
    pub recursive: bool,
}

/// Changes the mount that a descriptor refers to. With `recursive`, all mounts below it in the same step, so that none
/// is in the old state while another is in the new; before Linux 5.12, one after the other.
pub fn set_mount_attributes(mount: BorrowedFd<'_>, change: MountAttributes) -> io::Result<()> {
    match set_at_once(mount, change) {
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => by_flags::change(mount, change),
        done => done,
    }
}

fn set_at_once(mount: BorrowedFd<'_>, change: MountAttributes) -> io::Result<()> {
    let propagation = match change.propagation {
        None => 0,
        Some(Propagation::Private) => libc::MS_PRIVATE,
        Some(Propagation::Slave) => libc::MS_SLAVE,
        Some(Propagation::Shared) => libc::MS_SHARED,
        Some(Propagation::Unbindable) => libc::MS_UNBINDABLE,
    };
    let attributes = libc::mount_attr {
        attr_set: change.set,
        // The access-time modes are one field of several values: to change any, the whole field must be cleared.
        attr_clr: change.clear
            | match (change.set | change.clear) & libc::MOUNT_ATTR__ATIME {
                0 => 0,
                _ => libc::MOUNT_ATTR__ATIME,
            },
        propagation,
        userns_fd: 0,
    };
    change_mount(mount, &attributes, change.recursive)
}

/// Shows the owners of files in a mount that is attached nowhere yet as a user namespace maps them.
pub fn map_ids(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: user_namespace.as_raw_fd() as u64,
    };
    change_mount(mount, &attributes, recursive).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            io::Error::new(io::ErrorKind::Unsupported, "this takes Linux 5.12 or later: the kernel is older")
        }
        _ => error,
    })
}

fn change_mount(mount: BorrowedFd<'_>, attributes: &libc::mount_attr, recursive: bool) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated constant; `attributes` lives across the call and its true size goes with it.
    // The kernel only reads both. `mount` stays open because it is borrowed.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of_val(attributes),
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Nothing can be written through the mount.
pub const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
/// Set-user-id bits and file capabilities mean nothing.
pub const NO_SUID: u64 = libc::MOUNT_ATTR_NOSUID;
/// Device nodes can't be opened.
pub const NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;
/// Nothing can be executed.
pub const NO_EXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// A part of a mount that is attached nowhere, as a mount of its own. The kernel copies only what is attached: so it is, at
/// the directory `at`, in a mount namespace that ends with the thread that made it. The path is resolved beneath the mount's
/// root and its links don't lead out.
pub fn part_of_mount(
    mount: BorrowedFd<'_>,
    at: &std::path::Path,
    path: &std::ffi::OsStr,
) -> io::Result<OwnedFd> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
    in_own_mounts(|| {
        move_mount(mount, c"", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let part = openat2(mount, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        Ok(open_tree(part, c"", flags)?)
    })?
}

/// Does `work` on a thread in a mount namespace that ends with it: nobody else sees what is attached there.
pub fn in_own_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    let enter = || -> io::Result<()> {
        // SAFETY: only `FILES` could take descriptors from other threads; these are the mounts and the working directory,
        // on a thread that ends here.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        Ok(mount_change("/", private)?)
    };
    std::thread::scope(|scope| match scope.spawn(|| enter().map(|()| work())).join() {
        Ok(done) => done,
        Err(_) => Err(io::Error::other("a thread with mounts of its own failed")),
    })
}

/// A mount as it is in the mount namespace of a process, without what is mounted on it: detached, for this process
/// alone. Takes a thread of its own, because only whoever is in a namespace may copy its mounts.
pub fn bare_mount(pidfd: BorrowedFd<'_>, mount: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use rustix::mount::{OpenTreeFlags, open_tree};
    use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces, unshare_unsafe};
    let copy = || {
        // SAFETY: only `FILES` could take descriptors from other threads; this is the working directory, which the
        // kernel wants unshared from those who change namespaces, on a thread that ends here.
        unsafe { unshare_unsafe(UnshareFlags::FS) }?;
        move_into_thread_name_spaces(pidfd, ThreadNameSpaceType::MOUNT)?;
        let flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        Ok(open_tree(mount, c"", flags)?)
    };
    std::thread::scope(|scope| match scope.spawn(copy).join() {
        Ok(copied) => copied,
        Err(_) => Err(io::Error::other("the thread that copies a mount failed")),
    })
}

/// Gives this process a mount namespace of its own, a copy of the one it was in: what is mounted there still comes here, and nothing
/// of ours goes there. Only with one thread, which is all there is of the process then.
pub fn enter_new_mounts() -> io::Result<()> {
    crate::clone::refuse_threads()?;
    // SAFETY: with one thread nobody else's paths change their meaning; descriptors and memory stay.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?;
    let flags = rustix::mount::MountPropagationFlags::DOWNSTREAM | rustix::mount::MountPropagationFlags::REC;
    Ok(rustix::mount::mount_change("/", flags)?)
}
