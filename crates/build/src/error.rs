use diag::{Class, Explain};

use crate::graph::Position;

/// What can go wrong with a build.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Who asks for it is wrong: a graph, an attribute, a Dockerfile.
    #[error("{0}")]
    Invalid(String),
    /// A file, image, secret or stage that isn't there.
    #[error("{0}")]
    NotFound(String),
    /// Something that we know and don't do.
    #[error("{what} is not supported")]
    Unsupported { what: String },
    /// A step needs what the client or the engine doesn't allow.
    #[error("{0} is not allowed")]
    NotAllowed(String),
    /// A step asks for the host's devices, and the client doesn't allow them.
    #[error("{0} requested by the build but not allowed")]
    DeviceNotAllowed(String),
    /// A client's source policy is against it, or can't be followed.
    #[error("{0}")]
    Denied(String),
    /// The client would allow it, and this engine doesn't.
    #[error("granting entitlement {0} is not allowed by build daemon configuration")]
    Withheld(&'static str),
    /// A program ended otherwise than it should, in BuildKit's words, which clients match on.
    #[error("process \"{command}\" did not complete successfully: exit code: {code}")]
    Exit { command: String, code: i32 },
    /// The client is gone or asked for it.
    #[error("context canceled")]
    Cancelled,
    /// The client's side of the session.
    #[error("cannot {doing} the client")]
    Session { doing: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    /// Our side: disk, kernel, database, registry.
    #[error("cannot {doing}")]
    Work { doing: String, class: Class, source: Box<dyn std::error::Error + Send + Sync> },
    /// What a person wrote in a language can't be built.
    #[error("{message}")]
    Language {
        message: String,
        class: Class,
        hint: Option<String>,
        /// Where it was written.
        positions: Vec<Position>,
    },
    /// A step failed. Several builds may hear of the same failure.
    #[error("failed to solve: {0}")]
    Step(Box<Failed>),
}

/// Which step failed, and where it was written. It says why with all causes, in one line as BuildKit's.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", diag::chain(&**cause))]
pub struct Failed {
    /// The vertex' digest, by which progress knows it.
    pub vertex: oci::Digest,
    /// Its shown name.
    pub name: String,
    /// Where it was written, outermost first.
    pub positions: Vec<Position>,
    pub cause: std::sync::Arc<Error>,
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Invalid(_) => Class::Invalid,
            Self::NotFound(_) => Class::NotFound,
            Self::Unsupported { .. } => Class::NotImplemented,
            Self::NotAllowed(_) | Self::DeviceNotAllowed(_) | Self::Denied(_) | Self::Withheld(_) => {
                Class::Forbidden
            }
            Self::Exit { .. } | Self::Cancelled | Self::Session { .. } => Class::Internal,
            Self::Work { class, .. } | Self::Language { class, .. } => *class,
            Self::Step(failed) => failed.cause.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Step(failed) => failed.cause.hint(),
            Self::Language { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}

impl Error {
    /// Where the cause was written, outermost first; nothing if no text is to blame.
    pub fn positions(&self) -> &[Position] {
        match self {
            Self::Step(failed) => &failed.positions,
            Self::Language { positions, .. } => positions,
            _ => &[],
        }
    }
}
