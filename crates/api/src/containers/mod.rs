//! `/containers/*`: one endpoint, one file.

pub(crate) mod archive;
pub(crate) mod attach;
pub(crate) mod create;
pub(crate) mod exec;
pub(crate) mod files;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod logs;
mod network;
pub(crate) mod pause;
pub(crate) mod prune;
pub(crate) mod remove;
pub(crate) mod rename;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod update;
pub(crate) mod wait;

use http::StatusCode;

use crate::error::Error;

/// Runs `work` on a thread that may wait for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, engine::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tasks::blocking(work).await;
    let failed =
        |error| Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot finish a task: {error}"));
    Ok(done.map_err(failed)??)
}
