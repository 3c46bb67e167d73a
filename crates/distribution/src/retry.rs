//! Trying again: what is temporary, after a pause that grows; what isn't, not at all.

use std::future::Future;
use std::time::Duration;

use crate::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// However long a registry asks for, a person waits.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// How often something is tried that gets nowhere.
#[derive(Debug, Clone)]
pub struct Attempts {
    left: u32,
    all: u32,
    pause: Duration,
}

impl Attempts {
    /// So many, the first one included.
    pub fn new(all: u32) -> Self {
        Self { left: all.max(1), all: all.max(1), pause: FIRST_PAUSE }
    }

    /// Something was achieved: an interrupted download that gets further may be interrupted for ever.
    pub(crate) fn refill(&mut self) {
        self.left = self.all;
        self.pause = FIRST_PAUSE;
    }

    /// Waits before the next attempt, or gives the error back.
    pub(crate) async fn after(&mut self, error: Error) -> Result<(), Error> {
        self.left -= 1;
        if self.left == 0 || !error.is_temporary() {
            return Err(error);
        }
        let asked = error.retry_after().map(|asked| asked.min(LONGEST_ASKED));
        let pause = asked.unwrap_or(self.pause);
        tracing::debug!(error = diag::chain(&error), ?pause, "trying again");
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Runs `work` until it succeeds, fails for good, or was tried often enough.
pub(crate) async fn retrying<T, F>(mut attempts: Attempts, work: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        match work().await {
            Ok(value) => return Ok(value),
            Err(error) => attempts.after(error).await?,
        }
    }
}
