use std::io;
use std::path::PathBuf;

use diag::{Class, Explain};
use oci::Digest;

/// What can go wrong with blobs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such blob: {0}")]
    NotFound(Digest),
    #[error("blob {0} is being received already")]
    Busy(String),
    #[error("the content of {expected} arrived as {found}")]
    Mismatch { expected: Digest, found: Digest },
    #[error("content is larger than the {limit} bytes that were announced or are accepted")]
    TooLarge { limit: u64 },
    #[error("cannot create {}", path.display())]
    MakeFolder { path: PathBuf, source: io::Error },
    #[error("cannot list {}", path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("cannot remove the half-written {}", path.display())]
    Sweep { path: PathBuf, source: io::Error },
    #[error("cannot write a blob in {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read blob {digest}")]
    Read { digest: Digest, source: io::Error },
    #[error("cannot remove blob {digest}")]
    Remove { digest: Digest, source: io::Error },
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::NotFound(_) => Class::NotFound,
            Self::Busy(_) => Class::Conflict,
            Self::TooLarge { .. } => Class::TooLarge,
            Self::Mismatch { .. } => Class::Invalid,
            _ => Class::Internal,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Mismatch { .. } => {
                Some("try again; if it stays so, the source of this content is damaged".into())
            }
            _ => None,
        }
    }
}
