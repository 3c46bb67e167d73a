//! The container's root directory: everything in it is reached beneath its descriptor.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstatfs, mkdirat, openat2};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
use rustix::process::{fchdir, pivot_root};

use crate::Error;
use crate::error::Doing;

const BENEATH: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
const PROC_MAGIC: u64 = 0x9fa0;

pub(crate) struct Root<'a>(BorrowedFd<'a>);

impl<'a> Root<'a> {
    /// Attaches a detached root over `/` of init's own mount namespace. The caller's root stays beneath it and reachable
    /// by absolute paths until [`Root::pivot`].
    pub(crate) fn attach(fd: BorrowedFd<'a>) -> Result<Self, Error> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(fd, "", CWD, "/", flags).doing("attach the root file system")?;
        Ok(Self(fd))
    }

    /// The root of a container that we are in already.
    pub(crate) fn entered(fd: BorrowedFd<'a>) -> Self {
        Self(fd)
    }

    /// Makes it `/` and takes everything else out of sight.
    pub(crate) fn pivot(&self) -> Result<(), Error> {
        fchdir(self.0).doing("enter the root file system")?;
        // The old root is stacked onto the new one, so no directory for it is needed in the container.
        pivot_root(".", ".").doing("pivot into the root file system")?;
        unmount(".", UnmountFlags::DETACH).doing("detach the host's root file system")?;
        rustix::process::chdir("/").doing("enter the root file system")
    }

    /// Makes it `/` where the host's root can't be left behind; what joins later finds it on top of that.
    pub(crate) fn chroot(&self) -> Result<(), Error> {
        fchdir(self.0).doing("enter the root file system")?;
        rustix::process::chroot(".").doing("change into the root file system")?;
        rustix::process::chdir("/").doing("enter the root file system")
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'a> {
        self.0
    }

    /// Opens what is there, without following magic links or leaving the root.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        openat2(self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), BENEATH)
    }

    /// The same for a path that must not have a symlink anywhere: where a file system of the kernel's is to be mounted.
    pub(crate) fn open_strictly(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        openat2(self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), BENEATH | ResolveFlags::NO_SYMLINKS)
    }

    /// Opens a directory, making what is missing, each component in the descriptor of the one before.
    pub(crate) fn ensure_directory(&self, path: &Path) -> Result<OwnedFd, Error> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => {}
            other => return other.doing(&format!("open {} in the container", path.display())),
        }
        let mut reached = std::path::PathBuf::new();
        let mut folder = self.0.try_clone_to_owned().doing("duplicate the root's descriptor")?;
        for component in path.components() {
            let Component::Normal(name) = component else {
                check_component(component, path)?;
                continue;
            };
            reached.push(name);
            folder = match self.open(&reached, OFlags::PATH | OFlags::DIRECTORY) {
                Err(Errno::NOENT) => {
                    make_directory(folder.as_fd(), name, path)?;
                    self.open(&reached, OFlags::PATH | OFlags::DIRECTORY)
                }
                other => other,
            }
            .doing(&format!("open {} in the container", reached.display()))?;
        }
        Ok(folder)
    }

    /// Opens a file, making it and the directories to it where they are missing.
    pub(crate) fn ensure_file(&self, path: &Path) -> Result<OwnedFd, Error> {
        match self.open(path, OFlags::PATH) {
            Err(Errno::NOENT) => {}
            other => return other.doing(&format!("open {} in the container", path.display())),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::Invalid {
                field: "mounts",
                why: format!("have a file at {}", path.display()),
            });
        };
        let folder = self.ensure_directory(parent)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o644))
            .doing(&format!("create {} in the container", path.display()))?;
        self.open(path, OFlags::PATH).doing(&format!("open {} in the container", path.display()))
    }
}

fn make_directory(folder: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), Error> {
    match mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(e).doing(&format!("create {} in the container", path.display())),
    }
}

fn check_component(component: Component<'_>, path: &Path) -> Result<(), Error> {
    if component == Component::ParentDir {
        return Err(Error::Invalid { field: "mounts", why: format!("have `..` in {}", path.display()) });
    }
    Ok(())
}

/// Attaches a detached mount to what a descriptor refers to.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags).doing(&format!("mount {} in the container", path.display()))
}

pub(crate) fn is_procfs(fd: BorrowedFd<'_>) -> bool {
    fstatfs(fd).is_ok_and(|fs| fs.f_type as u64 == PROC_MAGIC)
}
