//! Work beside the one that asks for it, boxed. What tokio has around a task is compiled for each future and each closure,
//! two kilobytes every time, and there are hundreds of them: boxed, it is compiled once for each kind of result. What runs
//! for every packet goes to tokio itself.

use std::pin::Pin;

use tokio::task::JoinHandle;

/// Runs `work` as a task of its own.
#[track_caller]
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
    tokio::spawn(work)
}

/// Runs `work` on a thread that may wait for the disk.
#[track_caller]
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let work: Box<dyn FnOnce() -> T + Send> = Box::new(work);
    tokio::task::spawn_blocking(work)
}
