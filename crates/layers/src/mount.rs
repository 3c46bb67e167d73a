//! A root file system: an overlay that is attached nowhere.
//!
//! From Linux 6.15 overlayfs takes its layers as descriptors ([`Strategy::Descriptors`]). Before, it takes paths, and the
//! layers' open directories have short ones below `/proc/self/fd` ([`Strategy::Paths`]). Before 6.5 it takes all paths of
//! layers in one option, and options in one page ([`Strategy::Page`]). It is the same to the caller, and all run through
//! the same tests. Nothing ever appears in the host's mount table.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, fstat, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_fd,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, open_tree,
};

use crate::Error;

/// How overlayfs is told its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By descriptors, detached mounts included: Linux 6.15 and later.
    Descriptors,
    /// By `/proc/self/fd` paths of directories that are attached somewhere: Linux 6.5 and later, which has `lowerdir+`.
    Paths,
    /// By numbers below `/proc/self/fd`, all in one page of options, for a mount that is attached for a moment in a mount
    /// namespace of its own: whatever Linux.
    Page,
}

impl Strategy {
    /// What this kernel can do, by its release: probing costs a mount.
    pub fn detect() -> Self {
        let uname = rustix::system::uname();
        match release(&uname.release().to_string_lossy()) {
            Some(release) if release >= (6, 15) => Self::Descriptors,
            Some(release) if release < (6, 5) => Self::Page,
            _ => Self::Paths,
        }
    }
}

fn release(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Layers, lowest first, and where changes go.
pub(crate) struct Overlay<'a> {
    pub(crate) lowers: &'a [Arc<OwnedFd>],
    /// Upper and work directory.
    pub(crate) writable: Option<(BorrowedFd<'a>, BorrowedFd<'a>)>,
    pub(crate) keeping: Keeping,
}

/// How long what is written is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// Until somebody removes it, also through a power cut.
    Lasting,
    /// Until it is read once more. Nothing is synced: not what a program syncs, and not the whole file system below,
    /// which overlayfs otherwise does when it is unmounted.
    Passing,
}

impl Overlay<'_> {
    pub(crate) fn mount(&self, strategy: Strategy) -> Result<OwnedFd, Error> {
        if strategy == Strategy::Page {
            return self.mount_by_page();
        }
        let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|e| failed("fsopen overlay", e))?;
        self.configure(fs.as_fd(), strategy)?;
        fsconfig_create(&fs).map_err(|e| failed(&complaint(fs.as_fd(), "create the overlay"), e))?;
        fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(|e| failed("fsmount", e))
    }

    fn configure(&self, fs: BorrowedFd<'_>, strategy: Strategy) -> Result<(), Error> {
        let set = |key: &str, fd: BorrowedFd<'_>| {
            match strategy {
                Strategy::Descriptors => fsconfig_set_fd(fs, key, fd),
                // `fsconfig` strings end at 255 bytes, so real paths are no use here.
                _ => fsconfig_set_string(fs, key, format!("/proc/self/fd/{}", fd.as_raw_fd())),
            }
            .map_err(|e| failed(&format!("set {key}"), e))
        };
        let option = |key: &str, value: &str| {
            fsconfig_set_string(fs, key, value).map_err(|e| failed(&format!("set {key}={value}"), e))
        };
        // overlayfs wants the uppermost layer first.
        for lower in self.lowers.iter().rev() {
            set("lowerdir+", lower.as_fd())?;
        }
        if let Some((upper, work)) = self.writable {
            set("upperdir", upper)?;
            set("workdir", work)?;
            if self.keeping == Keeping::Passing {
                fsconfig_set_flag(fs, "volatile").map_err(|e| failed("set volatile", e))?;
            }
        }
        for (key, value) in STATED {
            option(key, value)?;
        }
        option("source", "overlay")
    }

    /// Paths are looked up from the working directory, which is the thread's own there: a number is a path.
    fn mount_by_page(&self) -> Result<OwnedFd, Error> {
        let lowers =
            self.lowers.iter().rev().map(|lower| Place::of(lower.as_fd())).collect::<Result<Vec<_>, _>>()?;
        let writable = match self.writable {
            Some((upper, work)) => Some((Place::of(upper)?, Place::of(work)?)),
            None => None,
        };
        let mounted = sys::in_own_mounts(|| {
            let lowers = lowers.iter().map(Place::reopened).collect::<Result<Vec<_>, _>>()?;
            let writable = match &writable {
                Some((upper, work)) => Some((upper.reopened()?, work.reopened()?)),
                None => None,
            };
            let options = self.page(&lowers, writable.as_ref())?;
            rustix::process::chdir("/proc/self/fd").map_err(|e| failed("enter /proc/self/fd", e))?;
            // Over whatever is there in any case. A mount has to be attached to be copied, and the copy is not.
            let place = "/proc";
            mount("overlay", place, "overlay", MountFlags::empty(), Some(options.as_c_str()))
                .map_err(|e| failed("mount the overlay", e))?;
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            open_tree(CWD, place, flags).map_err(|e| failed("detach the overlay", e))
        });
        mounted.map_err(|e| failed("enter a mount namespace", e))?
    }

    fn page(&self, lowers: &[OwnedFd], writable: Option<&(OwnedFd, OwnedFd)>) -> Result<CString, Error> {
        let lowers: Vec<String> = lowers.iter().map(|lower| lower.as_raw_fd().to_string()).collect();
        let mut options = vec![format!("lowerdir={}", lowers.join(":"))];
        if let Some((upper, work)) = writable {
            options.push(format!("upperdir={},workdir={}", upper.as_raw_fd(), work.as_raw_fd()));
            if self.keeping == Keeping::Passing {
                options.push("volatile".to_owned());
            }
        }
        options.extend(STATED.iter().map(|(key, value)| format!("{key}={value}")));
        let options = options.join(",");
        // The kernel takes a page and leaves out the rest without a word: that would be another root.
        if options.len() >= rustix::param::page_size() {
            let many = format!("{} layers are more than this kernel takes", lowers.len());
            return Err(failed("mount the overlay", io::Error::other(many)));
        }
        CString::new(options).map_err(|e| failed("mount the overlay", e))
    }
}

/// A folder by its path, to be opened in another mount namespace: overlayfs takes only what is attached in the one it is
/// mounted from.
struct Place {
    path: PathBuf,
    inode: (u64, u64),
}

impl Place {
    fn of(folder: BorrowedFd<'_>) -> Result<Self, Error> {
        let link = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let path = std::fs::read_link(link).map_err(|e| failed("find a layer's path", e))?;
        Ok(Self { path, inode: inode(folder)? })
    }

    fn reopened(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let step = || format!("open {} once more", self.path.display());
        let folder = open(&self.path, flags, Mode::empty()).map_err(|e| failed(&step(), e))?;
        if inode(folder.as_fd())? != self.inode {
            return Err(failed(&step(), io::Error::other("it is another folder now")));
        }
        Ok(folder)
    }
}

fn inode(folder: BorrowedFd<'_>) -> Result<(u64, u64), Error> {
    let status = fstat(folder).map_err(|e| failed("look at a layer's folder", e))?;
    Ok((status.st_dev, status.st_ino))
}

/// Stated, because kernels are built with different defaults: a layer must not depend on others for a directory's or a
/// file's content, since layers are shared between images and exported one by one.
const STATED: [(&str, &str); 4] =
    [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"), ("xino", "off")];

pub(crate) fn failed(step: &str, source: impl Into<io::Error>) -> Error {
    Error::Mount { step: step.to_owned(), source: source.into() }
}

/// What the kernel itself says about a refused configuration: its messages can be read from the context.
pub(crate) fn complaint(fs: BorrowedFd<'_>, doing: &str) -> String {
    let mut text = doing.to_owned();
    let mut buffer = [0u8; 512];
    // Bounded: the kernel keeps at most eight messages.
    for _ in 0..8 {
        match rustix::io::read(fs, &mut buffer) {
            Ok(count) if count > 0 => {
                let message = String::from_utf8_lossy(&buffer[..count]);
                text.push_str("; ");
                text.push_str(message.trim_start_matches("e ").trim_end());
            }
            _ => break,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        assert_eq!(release("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(release("6.1.0-13-amd64"), Some((6, 1)));
        assert!(release("6.9.1") < release("6.15.0"));
        assert_eq!(release("next"), None);
    }
}
