//! What can be wrong with a command line, in docker's words.

use diag::Class;

/// The command that a line was meant for, as far as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `docker container ls`.
    pub path: String,
    /// The line after `Usage:`.
    pub line: String,
}

/// A command line that can't be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that is not text.
    #[error("argument {} is not valid UTF-8", argument.escape_debug())]
    NotText {
        /// The argument, as far as it can be shown.
        argument: String,
        /// The command.
        usage: Usage,
    },
    /// A flag that doesn't exist, lacks its value or has one that it doesn't take.
    #[error("{message}")]
    Flag {
        /// pflag's sentence.
        message: String,
        /// The flag that was probably meant.
        nearest: Option<&'static str>,
        /// The command.
        usage: Usage,
    },
    /// A flag that docker has and this program doesn't act on.
    #[error("{}: {flag}: {reason}", usage.path)]
    Unsupported {
        /// Its name with dashes.
        flag: String,
        /// Why.
        reason: String,
        /// The command.
        usage: Usage,
    },
    /// Too many or too few positional arguments.
    #[error("'{}' {complaint}", usage.path)]
    Args {
        /// `requires 2 arguments`.
        complaint: String,
        /// The verb that docker's text uses for this complaint.
        advice: &'static str,
        /// The command.
        usage: Usage,
    },
    /// A word that calls no command.
    #[error("unknown command: {} {word}", usage.path)]
    UnknownCommand {
        /// The word.
        word: String,
        /// The command that was probably meant.
        nearest: Option<&'static str>,
        /// The group in which it was looked for.
        usage: Usage,
    },
}

impl Error {
    fn usage(&self) -> &Usage {
        match self {
            Self::NotText { usage, .. }
            | Self::Flag { usage, .. }
            | Self::Unsupported { usage, .. }
            | Self::Args { usage, .. }
            | Self::UnknownCommand { usage, .. } => usage,
        }
    }

    /// The exit code that docker ends with.
    pub fn exit_code(&self) -> i32 {
        match self {
            // docker compose is a program of its own, with its own mind.
            Self::Flag { usage, .. } if usage.path.split(' ').nth(1) == Some("compose") => 1,
            Self::Flag { .. } | Self::NotText { .. } | Self::Unsupported { .. } => 125,
            Self::Args { .. } | Self::UnknownCommand { .. } => 1,
        }
    }

    /// The text in docker's layout, usage line and advice included, without a last newline.
    pub fn render(&self) -> String {
        let usage = self.usage();
        let program = usage.path.split(' ').next().unwrap_or_default();
        let line = &usage.line;
        let more = |verb: &str| format!("{verb} '{} --help' for more information", usage.path);
        let text = match self {
            Self::NotText { .. } => format!("{program}: {self}\n\n{}", more("Run")),
            Self::Flag { nearest, .. } => {
                let hint = nearest.map(|flag| format!("\nDid you mean --{flag}?")).unwrap_or_default();
                format!("{self}{hint}\n\nUsage:  {line}\n\n{}", more("Run"))
            }
            Self::Unsupported { .. } => self.to_string(),
            Self::Args { advice, .. } => format!("{program}: {self}\n\nUsage:  {line}\n\n{}", more(advice)),
            Self::UnknownCommand { nearest, .. } => {
                let hint = nearest.map(|word| format!("\nDid you mean '{} {word}'?", usage.path));
                let hint = hint.unwrap_or_default();
                let group = usage.path.contains(' ').then(|| format!("\n\nUsage:  {}", usage.path));
                format!("{program}: {self}{hint}{}\n\n{}", group.unwrap_or_default(), more("Run"))
            }
        };
        diag::printable(&text)
    }
}

impl diag::Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Unsupported { .. } => Class::NotImplemented,
            _ => Class::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(format!("run '{} --help' for what there is", self.usage().path))
    }
}
