use std::io;
use std::path::PathBuf;

use diag::{Class, Explain, printable};
use oci::Digest;

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
    #[error("the layer has more than {limit} {of}")]
    Limit { of: &'static str, limit: u64 },
    #[error("cannot {doing} {}", path.display())]
    Store { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot mount a root file system: {step}")]
    Mount { step: String, source: io::Error },
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::NotFound(_) => Class::NotFound,
            Self::Mismatch { .. } | Self::ReadTar { .. } | Self::Entry { .. } => Class::Invalid,
            Self::Limit { .. } => Class::TooLarge,
            Self::Unpack { .. } | Self::Store { .. } | Self::Mount { .. } => Class::Internal,
        }
    }
}
