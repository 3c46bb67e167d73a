//! What a command of `ketch runtime` can fail with. Texts that containerd and podman look for are runc's.

use std::io;
use std::path::{Path, PathBuf};

use diag::{Class, Explain};

use crate::container::Status;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    #[error("container with given ID already exists: {0}")]
    Exists(String),
    #[error("container does not exist: {0}")]
    NotFound(String),
    #[error("invalid container ID {0:?}: letters, digits and `_+-.` make one")]
    InvalidId(String),
    #[error("container not running")]
    NotRunning,
    #[error("cannot {doing} container {id} that is {status}")]
    Status { doing: &'static str, id: String, status: Status },
    #[error("{0} is not supported")]
    Unsupported(String),
    #[error("{0}")]
    Invalid(String),
    #[error("cannot read {}", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("cannot {doing}")]
    Io { doing: String, source: io::Error },
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Runtime(error) => error.class(),
            Self::NotFound(_) => Class::NotFound,
            Self::Exists(_) | Self::NotRunning | Self::Status { .. } => Class::Conflict,
            Self::Unsupported(_) => Class::NotImplemented,
            Self::InvalidId(_) | Self::Invalid(_) | Self::Parse { .. } => Class::Invalid,
            Self::Io { .. } => Class::Internal,
        }
    }
}

/// What was being done when the kernel refused.
pub(crate) trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, Error>;
    fn at(self, what: &str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Result<T, Error> {
        self.map_err(|e| Error::Io { doing: what.to_owned(), source: e.into() })
    }

    fn at(self, what: &str, path: &Path) -> Result<T, Error> {
        self.map_err(|e| Error::Io { doing: format!("{what} {}", path.display()), source: e.into() })
    }
}
