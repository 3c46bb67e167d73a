//! What can go wrong between a command and an engine.

use std::io;
use std::path::PathBuf;

use diag::Class;

/// Why an engine could not be asked, or what it answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What would change something, in a dry run.
    #[error("{path} has no dry run")]
    Dry {
        /// What was asked for.
        path: String,
    },
    /// The engine answered with an error.
    #[error("Error response from daemon: {message}")]
    Response {
        /// The HTTP status.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// Nothing listens there.
    #[error("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")]
    Unreachable {
        /// The address as it was given.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The way to the engine leads through a proxy, and ends there.
    #[error("cannot reach {host} through the proxy {proxy}: {reason}")]
    Proxy {
        /// The address as it was given.
        host: String,
        /// The proxy's.
        proxy: String,
        /// The first line of its answer, or what is wrong with it.
        reason: String,
    },
    /// The socket may not be opened.
    #[error("permission denied while trying to connect to the Docker daemon socket at {host}")]
    Denied {
        /// The address.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No engine runs, and only root can start one.
    #[error("the engine is not running, and starting it needs root")]
    NeedsRoot {
        /// The socket that was tried.
        host: String,
    },
    /// The engine was started and did not come up.
    #[error("the engine did not start{}", said.as_deref().map(|s| format!(": {s}")).unwrap_or_default())]
    NotStarted {
        /// The last line of its log.
        said: Option<String>,
        /// Where its log is.
        log: PathBuf,
    },
    /// An address that can't be read.
    #[error("unable to parse docker host `{0}`")]
    Host(String),
    /// An address of a kind that this client doesn't reach.
    #[error("{host}: {reason}")]
    HostUnsupported {
        /// The address.
        host: String,
        /// Why not.
        reason: &'static str,
    },
    /// Two ways to name an engine at once.
    #[error("conflicting options: cannot specify both --host and --context")]
    HostAndContext,
    /// No such context.
    #[error("context {0:?}: context not found")]
    NoContext(String),
    /// The current context, named by the configuration or the environment, does not exist.
    #[error("current context {0:?} is not found on the file system, please check your config file at {path}", path = .1.display())]
    NoCurrentContext(String, PathBuf),
    /// A context's name that docker would not take.
    #[error(
        "context name {0:?} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
    )]
    ContextName(String),
    /// A file that can't be read or written.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// What was being done.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A JSON file with a mistake.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// A certificate or key that can't be used.
    #[error("cannot use {}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS was not agreed on.
    #[error("cannot set up TLS with {host}")]
    Tls {
        /// The address.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The `ssh` program failed.
    #[error("cannot reach {host} over ssh")]
    Ssh {
        /// The address.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The engine's bytes are not HTTP as it should be, or ended early.
    #[error("error during connect to {host}")]
    Http {
        /// The address.
        host: String,
        /// Why.
        source: hyper::Error,
    },
    /// A request that can't be expressed.
    #[error("cannot make the request {0}")]
    Request(String),
    /// An answer above its limit.
    #[error("the engine's answer to {path} is larger than {limit} bytes")]
    TooLarge {
        /// The request.
        path: String,
        /// The limit.
        limit: usize,
    },
    /// An answer that isn't the JSON it should be.
    #[error("the engine's answer to {path} is not valid JSON")]
    Json {
        /// The request.
        path: String,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// An upgrade that was not agreed to.
    #[error("unable to upgrade to {protocol}, received {status}")]
    NotUpgraded {
        /// What was asked for.
        protocol: &'static str,
        /// What came.
        status: u16,
    },
    /// A credential helper that failed, in docker's words.
    #[error("error {doing} credentials - err: {reason}, out: `{said}`")]
    Helper {
        /// `getting`, `storing` or `erasing`.
        doing: &'static str,
        /// How it ended.
        reason: String,
        /// What it said; helpers say what is wrong there, and no secret.
        said: String,
    },
    /// An entry of `auths` that holds no name and password.
    #[error("invalid auth configuration for {0}: it is not base64 of name:password")]
    AuthEntry(String),
    /// A `DOCKER_AUTH_CONFIG` that isn't JSON.
    #[error("cannot read DOCKER_AUTH_CONFIG: {0}")]
    AuthVariable(String),
    /// A version that is none, in `DOCKER_API_VERSION`.
    #[error("invalid API version {0:?} in DOCKER_API_VERSION")]
    ApiVersion(String),
}

impl Error {
    /// Whether the engine answered with this status.
    pub fn is_status(&self, wanted: u16) -> bool {
        matches!(self, Self::Response { status, .. } if *status == wanted)
    }
}

impl diag::Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Response { status, .. } => class_of(*status),
            Self::NoContext(_) | Self::NoCurrentContext(..) => Class::NotFound,
            Self::Denied { .. } | Self::NeedsRoot { .. } => Class::Forbidden,
            Self::Unreachable { .. } | Self::NotStarted { .. } | Self::Ssh { .. } | Self::Tls { .. } => {
                Class::Unavailable
            }
            Self::TooLarge { .. } => Class::TooLarge,
            Self::File { .. } | Self::Http { .. } | Self::Json { .. } | Self::NotUpgraded { .. } => {
                Class::Internal
            }
            _ => Class::Invalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NeedsRoot { .. } => Some(
                "run the command with sudo, or reach a running engine with -H, DOCKER_HOST or a context"
                    .into(),
            ),
            Self::Denied { .. } => {
                Some("run the command with sudo, or join the group that the socket belongs to".into())
            }
            Self::NotStarted { log, .. } => Some(format!("its log is {}", log.display())),
            Self::NoContext(_) | Self::NoCurrentContext(..) => {
                Some("`context ls` lists those there are".into())
            }
            Self::Proxy { .. } => Some("NO_PROXY names the hosts that are reached directly".into()),
            _ => None,
        }
    }
}

fn class_of(status: u16) -> Class {
    match status {
        304 => Class::NotModified,
        401 => Class::Unauthorized,
        403 => Class::Forbidden,
        404 => Class::NotFound,
        409 => Class::Conflict,
        413 => Class::TooLarge,
        501 => Class::NotImplemented,
        503 => Class::Unavailable,
        400..=499 => Class::Invalid,
        _ => Class::Internal,
    }
}
