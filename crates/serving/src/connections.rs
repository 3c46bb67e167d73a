//! How many connections there are, which of them are idle, and which one makes room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A connection this young has sent its first request, or is about to: it is answered before the engine goes.
const FRESH: Duration = Duration::from_millis(250);

/// All present connections.
#[derive(Debug)]
pub(crate) struct Connections {
    limit: usize,
    table: Mutex<Table>,
    /// Told whenever a request or a connection ends.
    settled: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    members: BTreeMap<u64, Entry>,
    busy: usize,
    /// Requests that have begun so far.
    served: u64,
}

#[derive(Debug)]
struct Entry {
    requests: usize,
    idle_since: Instant,
    /// No request has come yet.
    unused: bool,
    evict: Arc<Notify>,
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, table: Mutex::default(), settled: Notify::new() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection in. When there are too many, the longest idle one goes; when none is idle, nobody gets in.
    pub(crate) fn join(self: &Arc<Self>) -> Option<Member> {
        let mut table = self.table();
        if table.members.len() >= self.limit {
            let idle = table.members.iter().filter(|(_, entry)| entry.requests == 0);
            let oldest = idle.min_by_key(|(_, entry)| entry.idle_since).map(|(id, _)| *id)?;
            if let Some(entry) = table.members.remove(&oldest) {
                entry.evict.notify_one();
            }
        }
        let id = table.next;
        table.next += 1;
        let evict = Arc::new(Notify::new());
        let entry = Entry { requests: 0, idle_since: Instant::now(), unused: true, evict: evict.clone() };
        table.members.insert(id, entry);
        Some(Member(Arc::new(Membership { id, evict, connections: self.clone() })))
    }

    pub(crate) fn busy(&self) -> usize {
        self.table().busy
    }

    pub(crate) fn served(&self) -> u64 {
        self.table().served
    }

    /// Waits until no request is under way and none is to be expected on a connection that was just made.
    pub(crate) async fn quiet(&self) {
        loop {
            let settled = self.settled.notified();
            match (self.busy(), self.youngest_unused()) {
                (0, None) => return,
                (0, Some(age)) => drop(tokio::time::timeout(FRESH.saturating_sub(age), settled).await),
                _ => settled.await,
            }
        }
    }

    /// Waits until every connection has ended.
    pub(crate) async fn empty(&self) {
        loop {
            let settled = self.settled.notified();
            if self.table().members.is_empty() {
                return;
            }
            settled.await;
        }
    }

    /// The age of the youngest connection without a request, if it is fresh.
    fn youngest_unused(&self) -> Option<Duration> {
        let table = self.table();
        let ages =
            table.members.values().filter(|entry| entry.unused).map(|entry| entry.idle_since.elapsed());
        ages.min().filter(|age| *age < FRESH)
    }

    fn change(&self, id: u64, begins: bool) {
        let mut table = self.table();
        table.busy = if begins { table.busy + 1 } else { table.busy.saturating_sub(1) };
        table.served += u64::from(begins);
        if let Some(entry) = table.members.get_mut(&id) {
            entry.requests = if begins { entry.requests + 1 } else { entry.requests.saturating_sub(1) };
            entry.idle_since = Instant::now();
            entry.unused = false;
        }
        drop(table);
        self.settled.notify_waiters();
    }
}

/// One connection's place; it is left when the last clone goes.
#[derive(Debug, Clone)]
pub(crate) struct Member(Arc<Membership>);

#[derive(Debug)]
struct Membership {
    id: u64,
    evict: Arc<Notify>,
    connections: Arc<Connections>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.connections.table().members.remove(&self.id);
        self.connections.settled.notify_waiters();
    }
}

impl Member {
    /// Waits until another connection needs the place.
    pub(crate) async fn evicted(&self) {
        self.0.evict.notified().await;
    }

    /// A request begins; it ends with the guard.
    pub(crate) fn busy(&self) -> Busy {
        self.0.connections.change(self.0.id, true);
        Busy(self.clone())
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Busy(Member);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.connections.change(self.0.0.id, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_idle_connection_makes_room_and_a_busy_one_never_does() {
        let connections = Arc::new(Connections::new(2));
        let busy = connections.join().unwrap();
        let _request = busy.busy();
        let idle = connections.join().unwrap();
        let newcomer = connections.join().unwrap();
        idle.evicted().await;
        let _request = newcomer.busy();
        assert!(connections.join().is_none(), "nobody is idle");
        assert_eq!(connections.busy(), 2);
    }

    #[tokio::test]
    async fn quiet_comes_with_the_end_of_the_last_request() {
        let connections = Arc::new(Connections::new(2));
        let member = connections.join().unwrap();
        let request = member.busy();
        let waiting = tokio::spawn({
            let connections = connections.clone();
            async move { connections.quiet().await }
        });
        drop(request);
        waiting.await.unwrap();
    }
}
