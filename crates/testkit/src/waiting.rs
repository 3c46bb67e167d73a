//! Waiting for a condition instead of sleeping and hoping.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a test waits for something that should take milliseconds; generous, because machines stall.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks `probe` until it says `Ok`, and panics with its last `Err` when the deadline passes.
#[track_caller]
pub fn eventually<T, E: Debug>(deadline: Duration, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + deadline;
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if Instant::now() > end => panic!("not within {deadline:?}; last seen: {last:?}"),
            Err(_) => pause(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that polls; every caller has a condition and a deadline"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}
