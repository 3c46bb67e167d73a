use std::io;
use std::path::PathBuf;

use diag::{Class, Explain};

/// Why the engine doesn't start, or doesn't reload. The sentences about the configuration are dockerd's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{}:{line}:{column}: {what}", path.display())]
    Syntax { path: PathBuf, line: usize, column: usize, what: String },
    #[error("the configuration file {} is longer than {limit} bytes", path.display())]
    FileTooLong { path: PathBuf, limit: u64 },
    #[error("the following directives don't match any configuration option: {names}")]
    UnknownKeys { names: String, nearest: Option<&'static str> },
    #[error(
        "the following directives are specified both as a flag and in the configuration file: {conflicts}"
    )]
    Conflicts { conflicts: String },
    #[error("invalid value for {key}: {why}")]
    Value { key: String, why: String },
    #[error("{name} is not supported: {reason}")]
    Unsupported { name: String, reason: &'static str },
    #[error("cannot read the seccomp profile {}", path.display())]
    SeccompFile { path: PathBuf, source: io::Error },
    #[error("the seccomp profile {} can't be used", path.display())]
    SeccompProfile { path: PathBuf, source: Box<engine::Error> },
    #[error("cannot unmarshal {key}: expected {expected}")]
    WrongType { key: String, expected: &'static str },

    #[error("cannot listen on {host}")]
    Listen { host: String, source: io::Error },
    #[error("unable to parse docker host (`{0}`)")]
    BadHost(String),
    #[error("no sockets found via socket activation: make sure the service was started by systemd")]
    NoActivation,
    #[error("{host} would let everybody who reaches it be root on this machine")]
    Plaintext { host: String },
    #[error(transparent)]
    Tls(#[from] serving::TlsError),
    #[error("group {0} not found")]
    NoGroup(String),
    #[error("process with PID {pid} is still running")]
    StillRunning { pid: u32, pidfile: PathBuf },
    #[error("ketch needs root to run the engine")]
    NotRoot,
    #[error("cannot {doing}")]
    System { doing: &'static str, source: io::Error },
    #[error("the new executable {} refuses this configuration: {message}", path.display())]
    Replacement { path: PathBuf, message: String },
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    State(#[from] state::Error),
    #[error("cannot serve the registry")]
    Registry(#[from] registry::Error),
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Engine(error) => error.class(),
            Self::State(error) => error.class(),
            Self::Registry(error) => error.class(),
            _ => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::UnknownKeys { nearest: Some(nearest), .. } => Some(format!("did you mean {nearest}?")),
            Self::Conflicts { .. } => Some("say it in one of the two places".into()),
            Self::Plaintext { .. } => {
                Some("use --tlsverify with --tlscacert, --tlscert and --tlskey, or say --tls=false if that is meant".into())
            }
            Self::NotRoot => Some("start it with sudo; to reach one that runs elsewhere, set DOCKER_HOST".into()),
            Self::StillRunning { pid, pidfile } => {
                Some(format!("stop it (`kill {pid}`), or give this one a --pidfile besides {}", pidfile.display()))
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("another engine listens there: stop it, or choose another --host".into())
            }
            _ => None,
        }
    }
}
