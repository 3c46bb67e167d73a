//! The `overlay` driver: a layer is a directory, unpacked. Works on every kernel and file system that overlayfs does.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, mkdirat};

use crate::store::open_child;
use crate::unpack::{Disk, Unpacker};
use crate::{Driver, Error, Limits};

const CONTENT: &str = "fs";

/// Layers as plain directories.
pub struct Directories;

impl Driver for Directories {
    fn name(&self) -> &'static str {
        "overlay"
    }

    fn unpack(&self, tar: &mut dyn Read, folder: BorrowedFd<'_>, limits: &Limits) -> Result<(), Error> {
        mkdirat(folder, CONTENT, Mode::from_raw_mode(0o755)).map_err(|e| Error::Store {
            doing: "create",
            path: CONTENT.into(),
            source: e.into(),
        })?;
        let root = open_child(folder, CONTENT)?;
        Unpacker::new(Disk::new(root.as_fd(), limits), limits).unpack(tar)?.finish()
    }

    /// One sync for a layer's thousands of files. It waits for everything that others have yet to write, too.
    fn sync(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        Ok(rustix::fs::syncfs(folder)?)
    }

    fn keeps_tars(&self) -> bool {
        false
    }

    fn lower(&self, folder: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
        open_child(folder, CONTENT)
    }
}
