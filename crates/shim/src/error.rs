use std::io;
use std::path::PathBuf;

use diag::{Class, Explain};

/// What can go wrong between an engine and a shim.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot describe container {id} to its shim")]
    Describe { id: String, source: io::Error },
    #[error("cannot protect our own executable")]
    ProtectExecutable { source: io::Error },
    #[error("cannot start a shim for container {id}")]
    Spawn { id: String, source: io::Error },
    #[error("cannot reach the shim at {}", path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("cannot read {}", path.display())]
    ReadExit { path: PathBuf, source: io::Error },
    #[error("cannot remove {}", path.display())]
    ForgetExit { path: PathBuf, source: io::Error },
}

impl Explain for Error {
    fn class(&self) -> Class {
        Class::Internal
    }
}
