use std::io;
use std::path::PathBuf;

use diag::{Class, Explain, printable};
use oci::Digest;
use rustix::io::Errno;

use crate::shown::OWNERS;

/// What can go wrong with layers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such layer: {0}")]
    NotFound(Digest),
    #[error("the layer {expected} unpacked as {found}")]
    Mismatch { expected: Digest, found: Digest },
    #[error("cannot read the layer's tar")]
    ReadTar { source: io::Error },
    #[error("entry {} of the layer's tar {why}", printable(.name))]
    Entry { name: String, why: &'static str },
    #[error("cannot {doing} {} from the layer's tar", printable(.name))]
    Unpack { doing: &'static str, name: String, source: io::Error },
    #[error("cannot {doing} {}", printable(.name))]
    Pack { doing: &'static str, name: String, source: io::Error },
    #[error("cannot overwrite {found} {name:?} with {by} {into:?}")]
    Overwrite { found: &'static str, name: String, by: &'static str, into: String },
    #[error("cannot write a tar")]
    WriteTar { source: io::Error },
    #[error("the layer has more than {limit} {of}")]
    Limit { of: &'static str, limit: u64 },
    #[error("the layer cannot be indexed: {what}")]
    Index { what: &'static str },
    #[error("this kernel cannot mount a layer from a file, which the erofs driver needs")]
    NoErofs,
    #[error("cannot {doing} {}", path.display())]
    Store { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("nobody waits for it any more")]
    Unwanted,
    #[error("cannot mount a root file system: {step}")]
    Mount { step: String, source: io::Error },
}

impl Error {
    pub(crate) fn pack(doing: &'static str, name: &[u8], source: impl Into<io::Error>) -> Self {
        Self::Pack { doing, name: String::from_utf8_lossy(name).into_owned(), source: source.into() }
    }
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::NotFound(_) => Class::NotFound,
            Self::Mismatch { .. } | Self::ReadTar { .. } | Self::Entry { .. } | Self::Index { .. } => {
                Class::Invalid
            }
            Self::NoErofs => Class::Unavailable,
            Self::Limit { .. } => Class::TooLarge,
            Self::Pack { .. } | Self::Overwrite { .. } | Self::WriteTar { .. } | Self::Unwanted => {
                Class::Internal
            }
            Self::Unpack { .. } | Self::Store { .. } | Self::Mount { .. } => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoErofs => Some("use --storage-driver overlay; erofs needs Linux 6.15 or later".into()),
            Self::Mount { step, source }
                if step == OWNERS && source.raw_os_error() == Some(Errno::INVAL.raw_os_error()) =>
            {
                Some(
                "the kernel maps owners below an overlay from Linux 5.19 on, on ext4, xfs and btrfs, and in memory from 6.3 on: \
                 the data root has to be on such a file system, or the container without users of its own"
                    .into(),
                )
            }
            _ => None,
        }
    }
}
