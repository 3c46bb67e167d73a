//! Builds that go on, and those that have just ended: their stories are still asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use build::progress::Progress;
use grpc::{Code, Status};
use tokio::sync::watch;

use super::bridge::Bridge;

/// Who asks for a build may be earlier than who starts it.
const PATIENCE: Duration = Duration::from_secs(15);
/// Ended builds that are still known. Each may have megabytes of logs.
const ENDED: usize = 8;
const MAX_BUILDS: usize = 1000;

/// A build.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) progress: Progress,
    /// For a frontend outside, as soon as the build has begun.
    pub(super) bridge: watch::Sender<Option<Arc<Bridge>>>,
}

/// All builds by the names that their clients gave them.
#[derive(Debug, Default)]
pub(super) struct Builds {
    table: Mutex<Table>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Table {
    known: HashMap<String, Arc<Live>>,
    ended: VecDeque<String>,
}

impl Builds {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A build begins. It is known until some others have ended after it.
    pub(super) fn begin(self: &Arc<Self>, id: &str, progress: Progress) -> Result<Begun, Status> {
        let live = Arc::new(Live { progress, bridge: watch::Sender::new(None) });
        {
            let mut table = self.table();
            if table.known.contains_key(id) && !table.ended.iter().any(|ended| ended == id) {
                return Err(Status::new(Code::AlreadyExists, format!("job ID {id} exists")));
            }
            // One that has ended makes way.
            table.ended.retain(|ended| ended != id);
            if table.known.len() - table.ended.len() >= MAX_BUILDS {
                return Err(Status::new(Code::ResourceExhausted, "too many builds at once"));
            }
            table.known.insert(id.to_owned(), live.clone());
        }
        self.changed.send_modify(|count| *count += 1);
        Ok(Begun { builds: self.clone(), id: id.to_owned(), live })
    }

    /// Whether the build of this name goes on, or has just ended.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.table().known.contains_key(id)
    }

    /// The build of this name, as soon as it is there.
    pub(super) async fn get(&self, id: &str) -> Result<Arc<Live>, Status> {
        let mut changed = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(live) = self.table().known.get(id) {
                    return live.clone();
                }
                // The sender is ours: it can't be gone.
                let _ = changed.changed().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.map_err(|_| Status::new(Code::NotFound, format!("no such job {id}")))
    }

    fn end(&self, id: &str) {
        let mut table = self.table();
        table.ended.push_back(id.to_owned());
        while table.ended.len() > ENDED {
            if let Some(id) = table.ended.pop_front() {
                table.known.remove(&id);
            }
        }
    }
}

/// A build's place among the others.
pub(super) struct Begun {
    builds: Arc<Builds>,
    id: String,
    pub(super) live: Arc<Live>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Whoever is told of it comes to an end, also when the build was given up.
        self.live.progress.end();
        self.live.bridge.send_replace(None);
        self.builds.end(&self.id);
    }
}
