//! The client's terminal: raw while a container's terminal is shown in it, and its size carried over.

use std::io;

use client::Engine;
use http::Method;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// The input terminal in raw mode; as it was when this is dropped.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Makes the input raw, where it is a terminal.
    pub(crate) fn enter() -> Result<Option<Self>, Error> {
        let Ok(before) = tcgetattr(io::stdin()) else { return Ok(None) };
        let mut raw = before.clone();
        raw.make_raw();
        let set = tcsetattr(io::stdin(), OptionalActions::Now, &raw);
        set.map_err(|e| Error::Terminal("switch", e.into()))?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Rows and columns of the terminal that we write to.
pub(crate) fn size() -> Option<[u16; 2]> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some([size.ws_row, size.ws_col])
}

/// Gives the container the size of this terminal, now and whenever it changes; ends with the connection.
pub(crate) async fn follow_size(engine: &Engine, what: &str) -> Result<(), Error> {
    let mut changes = signal(SignalKind::window_change()).map_err(|e| Error::Io("watch the terminal", e))?;
    loop {
        if let Some([rows, columns]) = size() {
            let path = format!("{what}/resize?h={rows}&w={columns}");
            // A container that is just ending can't be resized, which is no reason to stop showing it.
            let _ = engine.call(Method::POST, &path, None).await;
        }
        if changes.recv().await.is_none() {
            return Ok(());
        }
    }
}
