use diag::{Class, Explain};

/// What is wrong with a bake file, or with what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somewhere in a file.
    #[error("{file}:{line}: {message}")]
    At { file: String, line: usize, message: String },
    /// Nowhere in particular.
    #[error("{0}")]
    Wrong(String),
    #[error("cannot read {}", path.display())]
    Read { path: std::path::PathBuf, source: std::io::Error },
    #[error("cannot read the compose file")]
    Compose(#[from] compose::Error),
}

impl Error {
    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self::Wrong(message.into())
    }

    /// The same, with the place where it was found, unless it has one.
    pub(crate) fn at(self, file: &str, line: usize) -> Self {
        match self {
            Self::Wrong(message) => Self::At { file: file.to_owned(), line, message },
            other => other,
        }
    }
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::At { .. } | Self::Wrong(_) => Class::Invalid,
            Self::Read { .. } => Class::NotFound,
            Self::Compose(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        None
    }
}
