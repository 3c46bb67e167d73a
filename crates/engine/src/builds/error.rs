//! The engine's failures in the words of builds.

use std::error::Error as StdError;

use build::Error;
use diag::{Class, Explain};

/// Something of ours, the disk's or the kernel's.
pub(crate) fn work(doing: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::Work { doing: doing.into(), class: Class::Internal, source: source.into() }
}

/// An error of the engine's, with its class.
pub(crate) fn engine(doing: impl Into<String>, source: crate::Error) -> Error {
    Error::Work { doing: doing.into(), class: source.class(), source: Box::new(source) }
}

/// Runs `work` on a thread that may wait for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let joined = tasks::blocking(work).await;
    joined.map_err(|error| self::work("work on a build", error))?
}
