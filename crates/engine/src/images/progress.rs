//! What a pull or a push tells while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;

/// Bars are redrawn no more often than this.
const INTERVAL: u64 = 100;

/// One message of docker's progress stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The layer's short id, or the tag; empty where the message is about everything.
    pub id: String,
    pub status: String,
    pub bar: Bar,
}

/// What is behind the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bar {
    /// A sentence of its own.
    None,
    /// A layer's milestone.
    Milestone,
    /// Bytes of so many.
    Bytes { current: u64, total: u64 },
    /// For programs: what a tag was pushed as.
    Pushed { tag: String, digest: String, size: u64 },
}

/// Where updates go. Milestones wait for a slow reader; bars are dropped.
#[derive(Debug, Clone)]
pub struct Progress(mpsc::Sender<Update>);

impl Progress {
    /// A stream with room for some updates.
    pub fn channel() -> (Self, mpsc::Receiver<Update>) {
        let (sender, receiver) = mpsc::channel(64);
        (Self(sender), receiver)
    }

    /// A sentence.
    pub async fn say(&self, id: &str, status: impl Into<String>) {
        self.send(id, status.into(), Bar::None).await;
    }

    /// A layer's next step.
    pub async fn milestone(&self, id: &str, status: &str) {
        self.send(id, status.to_owned(), Bar::Milestone).await;
    }

    /// For programs: what a tag was pushed as.
    pub async fn pushed(&self, tag: &str, digest: &str, size: u64) {
        let bar = Bar::Pushed { tag: tag.to_owned(), digest: digest.to_owned(), size };
        self.send("", String::new(), bar).await;
    }

    async fn send(&self, id: &str, status: String, bar: Bar) {
        // Whoever listened has gone; the work ends elsewhere.
        let _ = self.0.send(Update { id: id.to_owned(), status, bar }).await;
    }

    /// A bar for one step of one layer.
    pub fn meter(&self, id: &str, status: &'static str, total: u64) -> Meter {
        let (progress, id) = (self.clone(), id.to_owned());
        Meter {
            progress,
            id,
            status,
            total,
            begun: Instant::now(),
            shown: Arc::default(),
            muted: Arc::default(),
        }
    }
}

/// Shows bytes, rarely enough.
#[derive(Debug, Clone)]
pub struct Meter {
    progress: Progress,
    id: String,
    status: &'static str,
    total: u64,
    begun: Instant,
    /// The interval in which something was shown last.
    shown: Arc<AtomicU64>,
    muted: Arc<AtomicBool>,
}

impl Meter {
    /// So many bytes now.
    pub fn at(&self, current: u64) {
        if self.muted.load(Ordering::Relaxed) {
            return;
        }
        let now = self.begun.elapsed().as_millis() as u64 / INTERVAL + 1;
        if self.shown.swap(now, Ordering::Relaxed) == now {
            return;
        }
        let bar = Bar::Bytes { current, total: self.total };
        let _ = self.progress.0.try_send(Update { id: self.id.clone(), status: self.status.to_owned(), bar });
    }

    /// Whether somebody still listens.
    pub fn is_watched(&self) -> bool {
        !self.progress.0.is_closed()
    }

    /// Shows nothing: another step of the same layer is shown that goes on at the same time.
    pub(super) fn mute(&self) {
        self.muted.store(true, Ordering::Relaxed);
    }

    /// Shows again what comes.
    pub(super) fn unmute(&self) {
        self.muted.store(false, Ordering::Relaxed);
    }
}
