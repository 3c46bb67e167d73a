//! What can go wrong in a command.

use std::io;

use diag::{Class, Explain};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Will never be.
    #[error("{path}: {reason}")]
    Refused {
        /// The command.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// Is not yet.
    #[error("{path}: Ketch cannot do this yet")]
    NotYet {
        /// The command.
        path: String,
    },
    /// The engine could not be asked, or refused.
    #[error(transparent)]
    Engine(#[from] client::Error),
    /// A registry that was asked without an engine.
    #[error(transparent)]
    Registry(#[from] distribution::Error),
    /// The private registry.
    #[error(transparent)]
    PrivateRegistry(#[from] registry::Error),
    /// A project's file.
    #[error(transparent)]
    Compose(#[from] compose::Error),
    /// docker's sentence for something that this command can't do.
    #[error("{0}")]
    Usage(String),
    /// A flag's value, or flags that contradict each other, found after parsing.
    #[error("{message}")]
    Flags {
        /// docker's sentence.
        message: String,
    },
    /// A template with a mistake.
    #[error("{stage}: {reason}")]
    Template {
        /// What was being done.
        stage: &'static str,
        /// Where it went wrong.
        reason: String,
    },
    /// Several things failed; each was already reported where docker reports it.
    #[error("{0}")]
    Several(String),
    /// A container could not be run; docker's own exit code goes with it.
    #[error("{message}")]
    Run {
        /// docker's sentence.
        message: String,
        /// What helps.
        hint: Option<String>,
        /// 125, 126 or 127.
        code: i32,
        /// The command whose help is advertised.
        path: String,
    },
    /// Ctrl-C, which says enough.
    #[error("interrupted")]
    Interrupted,
    /// Our own output or input.
    #[error("cannot {0}")]
    Io(&'static str, #[source] io::Error),
    /// The terminal.
    #[error("cannot {0} the terminal")]
    Terminal(&'static str, #[source] io::Error),
}

impl Error {
    /// The exit code that docker ends with.
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Self::Run { code, .. } => *code,
            Self::Flags { .. } => 125,
            // 128 + SIGINT.
            Self::Interrupted => 130,
            // 128 + SIGPIPE, which is what a reader that went away leaves behind.
            Self::Io(_, source) if source.kind() == io::ErrorKind::BrokenPipe => 141,
            _ => 1,
        }
    }
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Engine(error) => error.class(),
            Self::Registry(error) => error.class(),
            Self::Compose(error) => error.class(),
            Self::Refused { .. } | Self::NotYet { .. } => Class::NotImplemented,
            Self::Usage(_) | Self::Flags { .. } | Self::Template { .. } => Class::Invalid,
            _ => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Compose(error) => error.hint(),
            Self::Run { hint, .. } => hint.clone(),
            Self::Template { reason, .. } if reason.contains("no entry for key") => {
                Some("--format '{{json .}}' shows the fields there are".into())
            }
            _ => None,
        }
    }
}

/// The result of a command: its exit code.
pub(crate) type Outcome = Result<i32, Error>;
