//! Errors between the two worlds: a build's, and a call's.

use build::Error;
use diag::{Class, Explain as _};
use grpc::{Code, Status};

/// The client's side failed while we were at this.
pub(crate) fn failed(
    doing: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Session { doing, source: source.into() }
}

/// A call that ended so, while we were at this.
pub(crate) fn called(doing: &'static str, status: Status) -> Error {
    match status.code {
        Code::NotFound => Error::NotFound(status.message),
        _ => failed(doing, status),
    }
}

/// The status that a client gets for an error.
pub(crate) fn status(error: &Error) -> Status {
    let code = match error.class() {
        Class::Invalid => Code::InvalidArgument,
        Class::NotFound => Code::NotFound,
        Class::Forbidden => Code::PermissionDenied,
        Class::NotImplemented => Code::Unimplemented,
        _ if matches!(error, Error::Cancelled) => Code::Cancelled,
        _ => Code::Unknown,
    };
    Status::new(code, diag::chain(error))
}
