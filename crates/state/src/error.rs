use std::io;
use std::path::PathBuf;

use diag::{Class, Explain};

/// Why the state could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("data root {} is already used by another engine (pid {pid})", root.display())]
    Locked { root: PathBuf, pid: String },
    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("data root {} was written by a newer Ketch (format {found}; this one knows up to {known})", root.display())]
    TooNew { root: PathBuf, found: i64, known: i64 },
    #[error("cannot {doing} the state database")]
    Database { doing: &'static str, source: rusqlite::Error },
    #[error("the record {kind} {key} cannot be {doing}")]
    Record { doing: &'static str, kind: &'static str, key: String, source: serde_json::Error },
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Locked { .. } => Class::Conflict,
            Self::TooNew { .. } => Class::Unavailable,
            Self::File { .. } | Self::Database { .. } | Self::Record { .. } => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Locked { pid, .. } => Some(format!(
                "stop that engine first (`kill {pid}`), or give this one a --data-root of its own"
            )),
            Self::TooNew { .. } => Some("start the newer Ketch again, or use another --data-root".into()),
            Self::File { source, .. } => match source.raw_os_error() {
                Some(28) => Some("the disk is full: make room and try again".into()),
                Some(30) => {
                    Some("the file system is read-only: remount it, or use another --data-root".into())
                }
                Some(13) => Some("the engine needs root: start it with sudo".into()),
                _ => None,
            },
            Self::Database { .. } | Self::Record { .. } => None,
        }
    }
}
