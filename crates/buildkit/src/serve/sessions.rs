//! The sessions that clients hold open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grpc::{Code, Status};
use tokio::sync::watch;

use super::caller::Caller;

/// The most sessions at once.
const MAX_SESSIONS: usize = 1000;
/// A client opens its session and asks for a build at once: either may be here first.
const PATIENCE: Duration = Duration::from_secs(5);

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<String, Arc<Caller>>>,
    joined: watch::Sender<u64>,
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Caller>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a session until its client is gone. An id that is there already stays its owner's.
    pub async fn hold(&self, caller: Caller) -> Result<(), Status> {
        let caller = Arc::new(caller);
        let id = build::session::Session::id(&*caller).to_owned();
        {
            let mut table = self.table();
            if table.len() >= MAX_SESSIONS {
                return Err(Status::new(Code::ResourceExhausted, "too many sessions"));
            }
            if table.contains_key(&id) {
                return Err(Status::new(Code::AlreadyExists, format!("session {id} is open already")));
            }
            table.insert(id.clone(), caller.clone());
        }
        self.joined.send_modify(|count| *count += 1);
        let _leave = Leave { sessions: self, id };
        caller.ended().await;
        Ok(())
    }

    /// The session of this id, if it is there.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Caller>> {
        self.table().get(id).cloned()
    }

    /// The session of this id, as soon as it is there.
    pub async fn get(&self, id: &str) -> Result<Arc<Caller>, Status> {
        let mut joined = self.joined.subscribe();
        let found = async {
            loop {
                if let Some(caller) = self.table().get(id) {
                    return caller.clone();
                }
                // The sender is ours: it can't be gone.
                let _ = joined.changed().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.map_err(|_| {
            Status::new(Code::Unknown, format!("no active session for {id}: context deadline exceeded"))
        })
    }
}

struct Leave<'a> {
    sessions: &'a Sessions,
    id: String,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.sessions.table().remove(&self.id);
    }
}
