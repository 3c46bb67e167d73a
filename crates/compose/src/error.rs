//! What can be wrong with a project.

use std::io;
use std::path::PathBuf;

use diag::{Class, Explain};

use crate::source::{Place, Sources};
use yaml::At;

/// A mistake in a file: what, where, and what would be right.
#[derive(Debug, Clone)]
pub struct Mistake {
    /// Where; nowhere for what nobody wrote.
    pub at: At,
    /// What is wrong, in docker's words where there are some.
    pub what: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Mistake {
    pub(crate) fn new(at: At, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the line that it stands in.
    pub(crate) fn in_files(self, sources: &Sources) -> Error {
        Error::Wrong { place: sources.place(self.at), what: self.what, hint: self.hint }
    }
}

/// Why a project can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A mistake in a file.
    #[error("{}{what}{}", place.as_ref().map(|p| format!("{p}: ")).unwrap_or_default(), place.as_ref().map(|p| format!("\n{}", p.shown())).unwrap_or_default())]
    Wrong {
        /// Where.
        place: Option<Place>,
        /// What is wrong.
        what: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// There is no project here.
    #[error("no configuration file provided: not found")]
    NoFile {
        /// Where was looked, upwards.
        below: PathBuf,
    },
    /// A file that was named isn't there.
    #[error("open {}: no such file or directory", path.display())]
    NoSuchFile {
        /// The file.
        path: PathBuf,
        /// Who named it.
        by: &'static str,
        /// Files beside it that could be meant, the likeliest first.
        near: Vec<String>,
    },
    /// A file can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file is too large to be one.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// A name that no service has.
    #[error("no such service: {name}")]
    NoSuchService {
        /// The name.
        name: String,
        /// One that is like it.
        near: Option<String>,
    },
    /// What the project as a whole may not be.
    #[error("{0}")]
    Project(String),
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::NoFile { .. } | Self::NoSuchFile { .. } | Self::NoSuchService { .. } => Class::NotFound,
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Class::NotFound,
            Self::Read { .. } => Class::Internal,
            Self::TooLarge { .. } => Class::TooLarge,
            Self::Wrong { .. } | Self::Project(_) => Class::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Wrong { hint, .. } => hint.clone(),
            Self::NoFile { below } => Some(format!(
                "write a compose.yaml in {} or a folder above it, or name one with --file",
                below.display()
            )),
            Self::NoSuchFile { by, near, .. } => Some(match near.as_slice() {
                [] => format!("{by} names it; there is no file of YAML beside it"),
                near => format!("{by} names it; there is {}", near.join(", ")),
            }),
            Self::NoSuchService { near: Some(near), .. } => Some(format!("did you mean {near}?")),
            _ => None,
        }
    }
}
