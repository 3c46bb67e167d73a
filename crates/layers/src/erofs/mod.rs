//! The `erofs` driver: a layer is its tar, kept as it came, and an index that points into it.
//!
//! ```text
//! layers/<diff id hex>/layer.tar     the uncompressed tar, byte for byte
//! layers/<diff id hex>/layer.erofs   names, attributes, and where in the tar each file's content is
//! layers/<diff id hex>/side          content that isn't in one piece in the tar: sparse files
//! ```
//!
//! Nothing is unpacked: writing the index costs a small part of what thousands of files would, a layer is removed by
//! three unlinks, and the diff id can be checked again at any time. The kernel mounts the index straight from the file
//! (Linux 6.12 and later) and overlayfs takes the mount as a descriptor (6.15 and later); where it can't, the `overlay`
//! driver keeps layers as directories.

mod format;
mod side;
mod tree;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

use crate::mount::{complaint, failed};
use crate::unpack::Unpacker;
use crate::{Driver, Error, Limits};
use side::Side;
use sys::Writeback;
use tree::Tree;

/// Of tars, and so of ours.
const BLOCK: u64 = 512;
const TAR: &str = "layer.tar";
const INDEX: &str = "layer.erofs";
const SIDE: &str = "side";

/// Layers as indexed tars.
pub struct IndexedTars;

impl IndexedTars {
    /// Whether this kernel mounts such a layer: asked by mounting an empty one in `folder`, which must be empty.
    pub(crate) fn work_in(folder: BorrowedFd<'_>) -> bool {
        // Two blocks of zeros end a tar.
        let mut empty: &[u8] = &[0; 2 * BLOCK as usize];
        Self.unpack(&mut empty, folder, &Limits::default()).and_then(|()| Self.lower(folder)).is_ok()
    }
}

impl Driver for IndexedTars {
    fn name(&self) -> &'static str {
        "erofs"
    }

    fn unpack(&self, tar: &mut dyn Read, folder: BorrowedFd<'_>, limits: &Limits) -> Result<(), Error> {
        let write = |source| Error::Store { doing: "write", path: TAR.into(), source };
        let file = create(folder, TAR).map_err(write)?;
        let copy =
            BufWriter::with_capacity(1 << 20, Written { file, size: 0, writeback: Writeback::default() });
        let mut tee = Tee { inner: tar, copy, position: 0 };
        let side = Side::new(folder).map_err(write)?;
        let tree = Unpacker::new(Tree::new(side), limits).unpack(&mut tee)?;
        // The diff id is of all bytes, so all are kept: also what comes behind the end-of-archive mark.
        io::copy(&mut tee, &mut io::sink()).map_err(|source| Error::ReadTar { source })?;
        let blocks = tee.finish().map_err(write)?;
        let index = format::image(&tree, blocks)?;
        create(folder, INDEX).and_then(|mut file| file.write_all(&index)).map_err(write)
    }

    fn sync(&self, folder: BorrowedFd<'_>) -> io::Result<()> {
        for name in [TAR, SIDE, INDEX] {
            match open(folder, name) {
                Ok(file) => File::from(file).sync_all()?,
                // Most layers have nothing beside their tar.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rustix::fs::fsync(openat(
            folder,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?)?)
    }

    fn keeps_tars(&self) -> bool {
        true
    }

    fn lower(&self, folder: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
        let find = |name| open(folder, name).map_err(|e| failed(&format!("open {name}"), e));
        let (index, tar) = (find(INDEX)?, find(TAR)?);
        let side = match open(folder, SIDE) {
            Err(Errno::NOENT) => None,
            other => Some(other.map_err(|e| failed("open side", e))?),
        };
        let fs = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|e| failed("fsopen erofs", e))?;
        let set = |key: &str, file: &OwnedFd| {
            fsconfig_set_string(&fs, key, format!("/proc/self/fd/{}", file.as_raw_fd()))
                .map_err(|e| failed(&format!("set {key}"), e))
        };
        set("source", &index)?;
        // What has no byte has no slot in the index either.
        let size = rustix::fs::fstat(&tar).map_err(|e| failed("look at tar", e))?.st_size;
        for device in [(size > 0).then_some(&tar), side.as_ref()].into_iter().flatten() {
            set("device", device)?;
        }
        fsconfig_create(&fs).map_err(|e| failed(&complaint(fs.as_fd(), "mount the index"), e))?;
        fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
            .map_err(|e| failed("fsmount", e))
    }
}

/// Whether a layer's folder was made by this driver.
pub(crate) fn is_index(folder: BorrowedFd<'_>) -> bool {
    open(folder, INDEX).is_ok()
}

/// The layer's tar, if its folder was made by this driver. It may have zeros up to the end of its last block.
pub(crate) fn tar(folder: BorrowedFd<'_>) -> io::Result<Option<File>> {
    match open(folder, TAR) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn open(folder: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
}

fn create(folder: BorrowedFd<'_>, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat(folder, name, flags, Mode::from_raw_mode(0o600))?.into())
}

/// Keeps a copy of everything that is read.
struct Tee<'a> {
    inner: &'a mut dyn Read,
    copy: BufWriter<Written>,
    position: u64,
}

/// A file that is on its way to the disk while it is written.
struct Written {
    file: File,
    size: u64,
    writeback: Writeback,
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.size += count as u64;
        self.writeback.grown(self.file.as_fd(), self.size);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tee<'_> {
    /// Ends the copy and returns how many blocks it has.
    fn finish(self) -> io::Result<u64> {
        let Written { file, .. } = self.copy.into_inner().map_err(io::IntoInnerError::into_error)?;
        let blocks = self.position.div_ceil(BLOCK);
        // A tar that ends in the middle of a block is rare and allowed; the kernel reads whole blocks.
        if self.position != blocks * BLOCK {
            file.set_len(blocks * BLOCK)?;
        }
        Ok(blocks)
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.copy.write_all(&buffer[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}
