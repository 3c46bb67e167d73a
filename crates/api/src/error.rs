//! From an error to `{"message": …}` with dockerd's status.

use diag::{Class, Explain};
use http::StatusCode;

use crate::reply::{self, Reply};

/// A reply that is not a success.
#[derive(Debug)]
pub(crate) struct Error {
    status: StatusCode,
    message: String,
}

impl Error {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }

    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too large")
    }

    pub(crate) fn refused(what: &str, reason: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("{what}: {reason}"))
    }

    /// The same with what was being done in front, where dockerd says it.
    pub(crate) fn under(mut self, doing: &str) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    pub(crate) fn reply(&self) -> Reply {
        match self.status {
            StatusCode::NOT_MODIFIED => reply::empty(self.status),
            status => reply::json_with(status, &serde_json::json!({ "message": self.message })),
        }
    }

    /// Whether this is ours to log: the client hears of the others.
    pub(crate) fn is_internal(&self) -> bool {
        self.status == StatusCode::INTERNAL_SERVER_ERROR
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<serving::query::QueryError> for Error {
    fn from(error: serving::query::QueryError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Self {
        let mut message = diag::chain(&error);
        if let Some(hint) = error.hint() {
            message = format!("{message} ({hint})");
        }
        Self { status: status(error.class()), message }
    }
}

/// The one place where a class becomes a status.
fn status(class: Class) -> StatusCode {
    match class {
        Class::Invalid => StatusCode::BAD_REQUEST,
        Class::Unauthorized => StatusCode::UNAUTHORIZED,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::NotFound => StatusCode::NOT_FOUND,
        Class::Conflict => StatusCode::CONFLICT,
        Class::NotModified => StatusCode::NOT_MODIFIED,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Class::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
