//! What goes wrong between a build and its client.

use build::Error;
use grpc::{Code, Status};

/// The client's side failed while we were at this.
pub fn failed(doing: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Session { doing, source: source.into() }
}

/// A call that ended so, while we were at this.
pub fn called(doing: &'static str, status: Status) -> Error {
    match status.code {
        Code::NotFound => Error::NotFound(status.message),
        _ => failed(doing, status),
    }
}
