use std::io;
use std::path::PathBuf;
use std::time::Duration;

use diag::{Class, Explain, printable};
use oci::Digest;

/// Why a registry did not give or take what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot reach registry {host}")]
    Unreachable { host: String, source: io::Error },
    #[error("cannot reach {host} through the proxy {proxy}: it answered {}", printable(.said))]
    Proxy { host: String, proxy: String, said: String },
    #[error("cannot agree on TLS with registry {host}")]
    Tls { host: String, source: io::Error },
    #[error("registry {host} did not answer within {} seconds", .after.as_secs())]
    Silent { host: String, after: Duration },
    #[error("the connection to registry {host} broke")]
    Http { host: String, source: hyper::Error },
    #[error("registry {host} sent {received} of {expected} bytes")]
    Short { host: String, received: u64, expected: u64 },
    #[error("registry {host} answered {status}{}", said(.message))]
    Status { host: String, status: u16, message: String, retry_after: Option<Duration> },
    /// dockerd's sentence.
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker login': denied: {}",
        printable(.message)
    )]
    Denied { repository: String, message: String },
    /// The registry's own words, as dockerd repeats them.
    #[error("{}", printable(.0))]
    PushDenied(String),
    /// dockerd's sentence.
    #[error("no basic auth credentials")]
    NoPassword,
    #[error("failed to GET {url} with status {status}: {}", printable(.said))]
    Download { url: String, status: u16, said: String },
    /// The end is dockerd's sentence.
    #[error("registry {host} does not search: Unexpected status code {status}")]
    Search { host: String, status: u16 },
    #[error("the token for registry {host} is no longer accepted")]
    Expired { host: String },
    /// dockerd's sentence.
    #[error("manifest for {0} not found: manifest unknown: manifest unknown")]
    NoManifest(String),
    /// The beginning is dockerd's sentence.
    #[error("no matching manifest for {wanted} in the manifest list entries: it has {available}")]
    NoPlatform { wanted: String, available: String },
    #[error("{what} from registry {host} is not what it should be: {}", printable(.why))]
    Malformed { host: String, what: String, why: String },
    #[error("{what} is {kind}, which is not supported")]
    Unsupported { what: String, kind: String },
    #[error("{what} from registry {host} is larger than {limit} bytes")]
    TooLarge { host: String, what: String, limit: u64 },
    #[error("{what} from registry {host} should be {expected} and is {found}")]
    Mismatch { host: String, what: String, expected: Digest, found: Digest },
    #[error("registry {host} redirects {why}")]
    Redirect { host: String, why: &'static str },
    #[error("{what} is not valid: {}", printable(.value))]
    Address { what: &'static str, value: String },
    /// containerd's sentence for what is no platform.
    #[error("{}", printable(.0))]
    Platform(String),
    /// dockerd's sentence.
    #[error("unauthorized: {}", printable(.0))]
    Unauthorized(String),
    /// The beginning is BuildKit's.
    #[error("failed to authorize at registry {host}")]
    Keeper { host: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("registry {host} asks for {}, which is no way to log in that is known here", printable(.scheme))]
    Challenge { host: String, scheme: String },
    #[error("cannot use {}: {why}", path.display())]
    Certificate { path: PathBuf, why: String },
    #[error("there are no certificate authorities on this host to check registry {host} with")]
    NoAuthorities { host: String },
    #[error("cannot read {digest} to send it")]
    Send { digest: Digest, source: io::Error },
    #[error("cannot pack what is to be sent")]
    Make { source: io::Error },
    #[error(transparent)]
    Content(#[from] content::Error),
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {}", printable(message)) }
}

impl Error {
    /// Whether the same request may go well in a moment.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => source.kind() != io::ErrorKind::NotFound,
            Self::Silent { .. } | Self::Http { .. } | Self::Short { .. } | Self::Expired { .. } => true,
            Self::Tls { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// A login that was refused, in the registry's words where it has some; its code is the sentence's own beginning.
    pub(crate) fn wrong_login(message: &str) -> Self {
        let detail = message.strip_prefix("unauthorized: ").unwrap_or(message);
        Self::Unauthorized(
            if detail.is_empty() { "incorrect username or password" } else { detail }.to_owned(),
        )
    }

    /// How long the registry wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether nobody speaks this scheme there, as when a registry without TLS is asked with it.
    pub(crate) fn is_wrong_scheme(&self) -> bool {
        // Many a proxy connects to port 443 alone, and fetches for us from any.
        matches!(self, Self::Unreachable { .. } | Self::Tls { .. } | Self::Proxy { .. })
    }
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::NoManifest(_)
            | Self::NoPlatform { .. }
            | Self::Denied { .. }
            | Self::Download { status: 404, .. } => Class::NotFound,
            Self::PushDenied(_) => Class::Forbidden,
            Self::Unauthorized(_) | Self::NoPassword => Class::Unauthorized,
            Self::Unsupported { .. } => Class::NotImplemented,
            Self::Status { status: 429, .. } => Class::Unavailable,
            Self::Address { .. } | Self::Platform(_) => Class::Invalid,
            Self::Content(error) => error.class(),
            _ => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Tls { host, .. } => Some(format!(
                "put its authority into /etc/docker/certs.d/{host}/ca.crt, or name it in insecure-registries"
            )),
            Self::Status { status: 429, .. } => {
                Some("this registry limits how much may be pulled: log in, or try again later".into())
            }
            Self::NoPassword => Some("log in to the registry first".into()),
            Self::NoAuthorities { .. } => Some("install the package ca-certificates".into()),
            Self::Content(error) => error.hint(),
            _ => None,
        }
    }
}
