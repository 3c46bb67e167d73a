//! Ctrl-C. Whoever sees something may press it at once, or while something else is done about what was seen: it is listened
//! to from before the first word on, and not anew each time.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// From here on, Ctrl-C is heard here and doesn't end the process.
pub(crate) fn listen() -> Result<Signal, Error> {
    signal(SignalKind::interrupt()).map_err(|e| Error::Io("listen to Ctrl-C", e))
}

/// Does something until it is done, or somebody presses Ctrl-C.
pub(crate) async fn unless<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut interrupts = listen()?;
    tokio::select! {
        done = work => done,
        _ = interrupts.recv() => Err(Error::Interrupted),
    }
}
