//! Files that others gave us or wait for: bounded reading, writing in one step.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, open};
use rustix::mount::{OpenTreeFlags, open_tree};
use serde::de::DeserializeOwned;
use sys::{MountAttributes, Propagation};

use crate::error::{Doing, Error};

/// A specification is no larger than this.
const MAX_JSON: u64 = 16 << 20;
/// Most fit into this: one call reads them, where a growing buffer would be filled 32 bytes first.
const USUAL: usize = 16 << 10;

/// A document of somebody's.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = read(path)?;
    serde_json::from_slice(&text).map_err(|source| Error::Parse { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    // A FIFO must not hold us up.
    let file = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path);
    let file = file.at("open", path)?;
    let mut text = Vec::with_capacity(USUAL);
    file.take(MAX_JSON + 1).read_to_end(&mut text).at("read", path)?;
    if text.len() as u64 > MAX_JSON {
        return Err(Error::Invalid(format!("{} is larger than {} MB", path.display(), MAX_JSON >> 20)));
    }
    Ok(text)
}

/// Whoever waits for the file never sees half of it.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut file =
        File::options().write(true).create_new(true).mode(0o644).open(&temporary).at("create", &temporary)?;
    let written = file.write_all(text).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.at("write", path)
}

/// A folder with a `config.json` and usually the root file system.
pub(crate) struct Bundle {
    pub(crate) path: PathBuf,
    pub(crate) spec: Spec,
}

impl Bundle {
    pub(crate) fn open(path: Option<&str>) -> Result<Self, Error> {
        let path = Path::new(path.unwrap_or("."));
        let path = fs::canonicalize(path).at("find the bundle", path)?;
        let spec = read_json(&path.join("config.json"))?;
        Ok(Self { path, spec })
    }

    pub(crate) fn rootfs(&self) -> Result<PathBuf, Error> {
        let root =
            self.spec.root().as_ref().ok_or_else(|| Error::Invalid("config.json has no root".into()))?;
        Ok(self.path.join(root.path()))
    }

    /// A copy of the root file system's mounts that is attached nowhere.
    pub(crate) fn mount_root(&self) -> Result<OwnedFd, Error> {
        let path = self.rootfs()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(&path, flags, Mode::empty()).at("open the root file system", &path)?;
        if FileType::from_raw_mode(fstat(&folder).at("look at", &path)?.st_mode) != FileType::Directory {
            return Err(Error::Invalid(format!("the root file system {} is no directory", path.display())));
        }
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH;
        let tree = open_tree(&folder, "", flags).at("mount the root file system", &path)?;
        let private = MountAttributes {
            propagation: Some(Propagation::Private),
            recursive: true,
            ..MountAttributes::default()
        };
        sys::set_mount_attributes(tree.as_fd(), private).at("mount the root file system", &path)?;
        Ok(tree)
    }
}

/// `/dev/null`, or whatever we have as a standard stream.
pub(crate) fn duplicate_stream(stream: impl AsFd) -> Result<OwnedFd, Error> {
    match stream.as_fd().try_clone_to_owned() {
        Ok(copy) => Ok(copy),
        Err(_) => Ok(rustix::fs::openat(CWD, "/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .doing("open /dev/null")?),
    }
}
