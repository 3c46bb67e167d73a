//! What a build tells while it goes on.
//!
//! A [`Progress`] is a build's story: whoever subscribes, now or later, hears it from its beginning. It is bounded: a
//! step's log is clipped at 2 MiB as BuildKit's, and of a status that goes on only the last word is kept for those who
//! come late. BuildKit's `StatusResponse` is these events in lists: [`VertexState`] is `Vertex`, [`Status`] is
//! `VertexStatus`, [`Log`] `VertexLog`, [`Warning`] `VertexWarning`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use oci::Digest;
use tokio::sync::watch;

use crate::graph::{Group, Position};

/// Bytes of one step's log that are kept and passed on.
const LOG_LIMIT: usize = 2 << 20;
/// Bytes of all logs of a build.
const LOGS_LIMIT: usize = 64 << 20;
/// Events of any kind in one build.
const EVENTS_LIMIT: usize = 1_000_000;

/// One thing that is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A vertex as it is now; replaces what was told of it before.
    Vertex(VertexState),
    /// Work inside a vertex; replaces what was told under the same id.
    Status(Status),
    Log(Log),
    Warning(Warning),
}

/// A vertex as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct VertexState {
    pub digest: Digest,
    pub inputs: Vec<Digest>,
    pub name: String,
    pub group: Option<Group>,
    pub started: Option<SystemTime>,
    pub completed: Option<SystemTime>,
    pub cached: bool,
    /// Why it failed, one line. `context canceled` where it was another's fault.
    pub error: Option<String>,
}

/// A part of a vertex' work: a layer's download, a context's transfer.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub vertex: Digest,
    /// Unique within the vertex, and what is shown: `transferring context:`.
    pub id: String,
    /// What is going on, if not in the id: `extracting`.
    pub name: String,
    pub current: u64,
    /// 0 if unknown.
    pub total: u64,
    pub at: SystemTime,
    pub started: Option<SystemTime>,
    pub completed: Option<SystemTime>,
}

/// Output.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    pub vertex: Digest,
    pub stream: Stream,
    /// Not lines: what was written, as it came.
    pub data: Vec<u8>,
    pub at: SystemTime,
}

/// Which output; as a number, as BuildKit's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out = 1,
    Error = 2,
}

/// Something that a person should change. A build check's, as a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// The vertex that it belongs to; the frontend's own digest where there is none.
    pub vertex: Digest,
    pub level: u32,
    /// `FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)`.
    pub short: String,
    pub detail: Vec<String>,
    pub url: String,
    pub position: Option<Position>,
}

/// A build's story. Clones tell the same one.
#[derive(Debug, Clone)]
pub struct Progress {
    story: Arc<Mutex<Story>>,
    grown: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct Story {
    events: Vec<Arc<Event>>,
    /// Where an event that may be replaced stands.
    places: HashMap<(Digest, Option<String>), usize>,
    logged: HashMap<Digest, usize>,
    all_logged: usize,
    ended: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self { story: Arc::default(), grown: Arc::new(watch::Sender::new(0)) }
    }
}

impl Progress {
    /// Tells something.
    pub fn tell(&self, event: Event) {
        let told = self.story().tell(event);
        if told {
            self.grown.send_modify(|count| *count += 1);
        }
    }

    /// Nothing more will be told; subscribers come to an end.
    pub fn end(&self) {
        self.story().ended = true;
        self.grown.send_modify(|count| *count += 1);
    }

    /// All that was told and will be.
    pub fn subscribe(&self) -> Subscriber {
        Subscriber { story: self.story.clone(), grown: self.grown.subscribe(), next: 0 }
    }

    /// All that was told until now, as those hear it who come late.
    pub fn told(&self) -> Vec<Arc<Event>> {
        let mut late = self.subscribe();
        late.take(EVENTS_LIMIT).0
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Story {
    fn tell(&mut self, event: Event) -> bool {
        if self.ended || self.events.len() >= EVENTS_LIMIT {
            return false;
        }
        let event = match event {
            Event::Log(log) => match self.clip(log) {
                Some(log) => Event::Log(log),
                None => return false,
            },
            Event::Status(status) => {
                self.replace((status.vertex.clone(), Some(status.id.clone())));
                Event::Status(status)
            }
            other => other,
        };
        self.events.push(Arc::new(event));
        true
    }

    /// An earlier word about the same thing is nothing to those who come late. Its place stays: others count.
    fn replace(&mut self, key: (Digest, Option<String>)) {
        let place = self.events.len();
        if let Some(earlier) = self.places.insert(key, place)
            && let Some(Event::Status(status)) = self.events.get(earlier).map(|event| &**event)
            && status.completed.is_none()
        {
            self.events[earlier] = Arc::new(Event::Status(Status { id: String::new(), ..status.clone() }));
        }
    }

    fn clip(&mut self, mut log: Log) -> Option<Log> {
        let logged = self.logged.entry(log.vertex.clone()).or_default();
        if *logged > LOG_LIMIT || log.data.is_empty() {
            return None;
        }
        let room = LOG_LIMIT.saturating_sub(*logged).min(LOGS_LIMIT.saturating_sub(self.all_logged));
        if log.data.len() > room {
            log.data.truncate(room);
            log.data.extend_from_slice(b"\n[output clipped, log limit 2MiB reached]\n");
            *logged = LOG_LIMIT + 1;
        } else {
            *logged += log.data.len();
        }
        self.all_logged += log.data.len();
        Some(log)
    }
}

/// One who listens.
#[derive(Debug)]
pub struct Subscriber {
    story: Arc<Mutex<Story>>,
    grown: watch::Receiver<u64>,
    next: usize,
}

impl Subscriber {
    /// What was told since the last call, at least one event and at most `limit`; nothing when the build has ended and
    /// everything was heard. Safe to drop and call again.
    pub async fn next(&mut self, limit: usize) -> Option<Vec<Arc<Event>>> {
        loop {
            // Marked as seen before looking, so that what comes meanwhile wakes the wait below.
            self.grown.borrow_and_update();
            let (events, ended) = self.take(limit);
            if !events.is_empty() {
                return Some(events);
            }
            if ended || self.grown.changed().await.is_err() {
                return None;
            }
        }
    }

    fn take(&mut self, limit: usize) -> (Vec<Arc<Event>>, bool) {
        let story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Vec::new();
        while events.len() < limit.max(1)
            && let Some(event) = story.events.get(self.next)
        {
            self.next += 1;
            let replaced = matches!(&**event, Event::Status(status) if status.id.is_empty());
            if !replaced {
                events.push(event.clone());
            }
        }
        (events, story.ended && self.next >= story.events.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(data: &[u8]) -> Event {
        let vertex = Digest::sha256(b"v");
        Event::Log(Log { vertex, stream: Stream::Out, data: data.to_vec(), at: SystemTime::UNIX_EPOCH })
    }

    fn status(current: u64) -> Event {
        Event::Status(Status {
            vertex: Digest::sha256(b"v"),
            id: "layer".into(),
            name: String::new(),
            current,
            total: 3,
            at: SystemTime::UNIX_EPOCH,
            started: None,
            completed: None,
        })
    }

    #[tokio::test]
    async fn who_comes_late_hears_everything_but_only_the_last_of_each_status() {
        let progress = Progress::default();
        let mut early = progress.subscribe();
        for event in [status(1), log(b"a"), status(2)] {
            progress.tell(event);
        }
        assert_eq!(early.next(10).await.unwrap().len(), 2);
        progress.tell(status(3));
        progress.end();
        let mut late = progress.subscribe();
        let heard = late.next(10).await.unwrap();
        assert_eq!(heard.iter().map(|event| (**event).clone()).collect::<Vec<_>>(), [log(b"a"), status(3)]);
        assert!(late.next(10).await.is_none());
        assert_eq!(early.next(10).await.unwrap().len(), 1);
        assert!(early.next(10).await.is_none());
    }

    #[tokio::test]
    async fn a_log_is_clipped_once() {
        let progress = Progress::default();
        for _ in 0..4 {
            progress.tell(log(&vec![b'x'; 1 << 20]));
        }
        progress.end();
        let heard = progress.subscribe().next(10).await.unwrap();
        assert_eq!(heard.len(), 3);
        let Event::Log(last) = &*heard[2] else { panic!("no log") };
        assert_eq!(last.data, b"\n[output clipped, log limit 2MiB reached]\n");
    }
}
