//! What goes wrong: for clients, in the specification's codes; for people, as everywhere.

use std::io;
use std::path::PathBuf;

use diag::{Class, Explain};
use http::StatusCode;
use oci::Digest;
use serde_json::{Value, json};

use crate::route::shorten;

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) detail: Box<Value>,
    /// Headers that say what to do.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: Box::default(), headers: Vec::new() }
    }

    fn with(mut self, detail: Value) -> Self {
        *self.detail = detail;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn name_invalid(name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "NAME_INVALID", "invalid repository name")
            .with(json!({ "name": shorten(name) }))
    }

    pub(crate) fn name_unknown(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository name not known to registry")
            .with(json!({ "name": name }))
    }

    pub(crate) fn tag_invalid(tag: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "TAG_INVALID", "manifest tag did not match the grammar of tags")
            .with(json!({ "tag": shorten(tag) }))
    }

    pub(crate) fn digest_invalid(why: &str) -> Self {
        let message = "provided digest did not match uploaded content";
        Self::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message).with(json!({ "reason": why }))
    }

    pub(crate) fn blob_unknown(digest: &Digest) -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry")
            .with(json!({ "digest": digest }))
    }

    pub(crate) fn manifest_unknown(target: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown")
            .with(json!({ "Tag": shorten(target) }))
    }

    pub(crate) fn manifest_invalid(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "manifest invalid")
            .with(json!({ "reason": why.into() }))
    }

    pub(crate) fn manifest_blob_unknown(digest: &Digest) -> Self {
        let message = "manifest references a manifest or blob unknown to registry";
        Self::new(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", message).with(json!({ "digest": digest }))
    }

    pub(crate) fn upload_unknown(session: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
            .with(json!({ "session": shorten(session) }))
    }

    pub(crate) fn upload_invalid(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", "blob upload invalid")
            .with(json!({ "reason": why.into() }))
    }

    pub(crate) fn size_invalid(why: impl Into<String>) -> Self {
        let message = "provided length did not match content length";
        Self::new(StatusCode::BAD_REQUEST, "SIZE_INVALID", message).with(json!({ "reason": why.into() }))
    }

    pub(crate) fn too_large(code: &'static str, limit: u64) -> Self {
        let message = format!("it is larger than the {limit} bytes that are accepted");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    pub(crate) fn unsupported(why: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "the operation is unsupported")
            .with(json!({ "reason": why }))
    }

    pub(crate) fn pagination() -> Self {
        let message = "invalid number of results requested";
        Self::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", message)
    }

    pub(crate) fn denied(why: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", "requested access to the resource is denied")
            .with(json!({ "reason": why }))
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "this registry has no such page")
    }

    /// The document of the specification.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if !self.detail.is_null() {
            error["detail"] = (*self.detail).clone();
        }
        json!({ "errors": [error] })
    }
}

impl From<serving::query::QueryError> for Problem {
    fn from(error: serving::query::QueryError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", error.to_string())
    }
}

impl From<content::Error> for Problem {
    fn from(error: content::Error) -> Self {
        match &error {
            content::Error::Mismatch { .. } => Self::digest_invalid(&error.to_string()),
            content::Error::TooLarge { limit } => Self::too_large("SIZE_INVALID", *limit),
            content::Error::Busy(_) => Self::new(
                StatusCode::CONFLICT,
                "BLOB_UPLOAD_INVALID",
                "another request of this upload is under way",
            ),
            content::Error::NotFound(digest) => Self::blob_unknown(digest),
            content::Error::Write { source, .. } => Self::storage(source, &diag::chain(&error)),
            _ => Self::internal(&diag::chain(&error)),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::Store { source, .. } => Self::storage(source, &diag::chain(&error)),
            _ => Self::internal(&diag::chain(&error)),
        }
    }
}

impl Problem {
    /// What the disk said: the client hears that it is full, the log hears where.
    fn storage(source: &io::Error, chain: &str) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            tracing::error!(error = chain, "the storage is full");
            let message = "the registry's storage is full";
            return Self::new(StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN", message);
        }
        Self::internal(chain)
    }

    pub(crate) fn internal(chain: &str) -> Self {
        tracing::error!(error = chain, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry failed; its log says why")
    }
}

/// What a person hears of.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing} {}", path.display())]
    Store { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error(transparent)]
    Content(#[from] content::Error),
    #[error("cannot {doing} {key} in the object store")]
    Reach { doing: &'static str, key: String, source: Box<distribution::Error> },
    #[error("cannot {doing} {key} in the object store: {host} answered {said}")]
    Answered { doing: &'static str, key: String, host: String, said: String },
    #[error("cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error(transparent)]
    Tls(#[from] serving::TlsError),
    #[error("invalid value for {key}: {why}")]
    Setting { key: String, why: String },
    #[error("{key} is not supported: {why}")]
    NotSupported { key: &'static str, why: &'static str },
    #[error("there is no registry in {}", .0.display())]
    NoRegistry(PathBuf),
    #[error("no such repository: {0}")]
    Unknown(String),
    #[error("{what}: {why}")]
    Refused { what: String, why: String },
    #[error("cannot {doing}")]
    System { doing: &'static str, source: io::Error },
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Content(error) => error.class(),
            Self::NoRegistry(_) | Self::Unknown(_) => Class::NotFound,
            Self::Setting { .. } | Self::NotSupported { .. } | Self::Refused { .. } => Class::Invalid,
            _ => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("another program listens there: stop it, or choose another --addr".into())
            }
            Self::Store { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("choose a folder that this user may write with --root".into())
            }
            Self::Answered { said, .. } if said.starts_with("403") => Some(
                "look at the keys, the region and the bucket's policy: storage.s3 in the configuration"
                    .into(),
            ),
            Self::NoRegistry(_) => Some("say where it is with --root or --config".into()),
            Self::Content(error) => error.hint(),
            _ => None,
        }
    }
}
