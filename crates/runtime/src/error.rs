//! What can go wrong, on either side of the `clone3`.

use std::io;

use diag::{Class, Explain};
use serde::{Deserialize, Serialize};

/// Why a container could not be created or started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is not supported")]
    Unsupported(String),
    #[error("the specification's {field} {why}")]
    Invalid { field: &'static str, why: String },
    #[error("cannot {doing}")]
    Setup { doing: String, source: io::Error },
    /// The program isn't there; docker's exit code 127. The text is Docker's.
    #[error("{0}")]
    NotFound(String),
    /// The program is there and can't be run; docker's exit code 126. The text is Docker's.
    #[error("{0}")]
    NotExecutable(String),
    #[error("the container's first process ended while it was being set up")]
    InitLost,
    #[error(transparent)]
    Systemd(#[from] systemd::Error),
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unsupported(_) => Class::NotImplemented,
            Self::Invalid { .. } | Self::NotFound(_) | Self::NotExecutable(_) => Class::Invalid,
            Self::Systemd(systemd::Error::Absent) => Class::NotImplemented,
            Self::Setup { .. } | Self::InitLost | Self::Systemd(_) => Class::Internal,
        }
    }
}

/// `rustix`'s and `io`'s errors with what was being done, as everything in init reports them.
pub(crate) trait Doing<T> {
    fn doing(self, what: &str) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Result<T, Error> {
        self.map_err(|e| Error::Setup { doing: what.to_owned(), source: e.into() })
    }
}

/// An [`Error`] on its way from init.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Fault {
    Unsupported(String),
    Setup { doing: String, errno: Option<i32>, text: String },
    NotFound(String),
    NotExecutable(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Unsupported(what) => Self::Unsupported(what),
            Error::NotFound(text) => Self::NotFound(text),
            Error::NotExecutable(text) => Self::NotExecutable(text),
            Error::Setup { doing, source } => {
                Self::Setup { doing, errno: source.raw_os_error(), text: source.to_string() }
            }
            other => {
                Self::Setup { doing: "set the container up".into(), errno: None, text: other.to_string() }
            }
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unsupported(what) => Self::Unsupported(what),
            Fault::NotFound(text) => Self::NotFound(text),
            Fault::NotExecutable(text) => Self::NotExecutable(text),
            Fault::Setup { doing, errno: Some(errno), .. } => {
                Self::Setup { doing, source: io::Error::from_raw_os_error(errno) }
            }
            Fault::Setup { doing, errno: None, text } => {
                Self::Setup { doing, source: io::Error::other(text) }
            }
        }
    }
}
