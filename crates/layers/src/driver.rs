//! What a way of keeping layers has to be able to do.

use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::Error;

/// How a layer is kept on disk and becomes a lower directory of an overlay.
///
/// A driver works in one directory for each layer, given by the store as a descriptor: a fresh empty one for
/// [`Driver::unpack`], the finished one for [`Driver::lower`]. It must not reach outside of it, whatever the tar says.
pub trait Driver: Send + Sync {
    /// The name in `info` and on the command line.
    fn name(&self) -> &'static str;

    /// Reads a layer's uncompressed tar to its very last byte and keeps its content in `folder`.
    fn unpack(&self, tar: &mut dyn Read, folder: BorrowedFd<'_>, limits: &Limits) -> Result<(), Error>;

    /// Puts what [`Driver::unpack`] wrote on disk.
    fn sync(&self, folder: BorrowedFd<'_>) -> io::Result<()>;

    /// Whether the tar itself stays in the folder, to be read again.
    fn keeps_tars(&self) -> bool;

    /// A directory or a detached mount that overlayfs takes as a lower layer.
    fn lower(&self, folder: BorrowedFd<'_>) -> Result<OwnedFd, Error>;
}

/// Which driver a store keeps its new layers with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// The best that the kernel can do.
    #[default]
    Automatic,
    /// Indexed tars, or an error.
    Erofs,
    /// Unpacked directories.
    Overlay,
}

/// What a stranger's layer may ask of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries in one layer.
    pub entries: u64,
    /// Bytes of file content in one layer.
    pub bytes: u64,
    /// Components of one path.
    pub depth: usize,
    /// Bytes of one path or link target.
    pub path: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 4_000_000, bytes: 1 << 40, depth: 512, path: 4096 }
    }
}
