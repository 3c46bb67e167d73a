//! Signals of the client's, passed to the container (`--sig-proxy`).

use client::Engine;
use http::Method;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// All that end a process by default and aren't faults, with the names that the API takes.
const PASSED: [(i32, &str); 6] =
    [(1, "HUP"), (2, "INT"), (3, "QUIT"), (10, "USR1"), (12, "USR2"), (15, "TERM")];

/// Signals that are caught from now on.
pub(crate) struct Caught(Vec<(Signal, &'static str)>);

/// Catches them; to be called before the container starts, or an early Ctrl-C would end the client alone.
pub(crate) fn catch() -> Result<Caught, Error> {
    let caught = PASSED.iter().map(|(number, name)| Ok((signal(SignalKind::from_raw(*number))?, *name)));
    let caught: Result<Vec<_>, std::io::Error> = caught.collect();
    Ok(Caught(caught.map_err(|e| Error::Io("catch signals", e))?))
}

/// Passes them on, without end.
pub(crate) async fn pass(mut caught: Caught, engine: &Engine, what: &str) {
    loop {
        let name = next(&mut caught).await;
        let path = format!("{what}/kill?signal={name}");
        // The container may be gone already: then its exit is about to be seen.
        let _ = engine.call(Method::POST, &path, None).await;
    }
}

async fn next(caught: &mut Caught) -> &'static str {
    std::future::poll_fn(|cx| {
        for (signal, name) in &mut caught.0 {
            if signal.poll_recv(cx).is_ready() {
                return std::task::Poll::Ready(*name);
            }
        }
        std::task::Poll::Pending
    })
    .await
}
