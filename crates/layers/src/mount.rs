//! A root file system: an overlay that is attached nowhere.
//!
//! From Linux 6.15 overlayfs takes its layers as descriptors ([`Strategy::Descriptors`]). Before, it takes paths, and the
//! layers' open directories have short ones below `/proc/self/fd` ([`Strategy::Paths`]). It is the same to the caller, and
//! both run through the same tests. Nothing ever appears in the host's mount table.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::Error;

/// How overlayfs is told its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By descriptors, detached mounts included: Linux 6.15 and later.
    Descriptors,
    /// By `/proc/self/fd` paths of directories that are attached somewhere: Linux 6.5 and later, which has `lowerdir+`.
    Paths,
}

impl Strategy {
    /// What this kernel can do, by its release: probing costs a mount.
    pub fn detect() -> Self {
        let uname = rustix::system::uname();
        match release(&uname.release().to_string_lossy()) {
            Some(release) if release >= (6, 15) => Self::Descriptors,
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
                Strategy::Paths => fsconfig_set_string(fs, key, format!("/proc/self/fd/{}", fd.as_raw_fd())),
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
        // Stated, because kernels are built with different defaults: a layer must not depend on others for a
        // directory's or a file's content, since layers are shared between images and exported one by one.
        option("redirect_dir", "nofollow")?;
        option("metacopy", "off")?;
        option("index", "off")?;
        option("xino", "off")?;
        option("source", "overlay")
    }
}

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
