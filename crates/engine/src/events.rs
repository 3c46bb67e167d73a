//! What happened, for those who watch: a bounded memory of the last events and a live stream.
//!
//! A watcher that reads too slowly loses events rather than growing the engine; dockerd does the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast;

use crate::filters::{self, Filters};

/// How many past events `since` can reach. dockerd keeps as many.
const REMEMBERED: usize = 256;
/// How far a watcher may lag behind before it loses events.
const LAG: usize = 1024;

/// The filter keys of `GET /events`.
pub const FILTER_KEYS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// What kind of thing an event is about, as the API spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Container,
    Image,
    Network,
    Volume,
    Builder,
    Daemon,
}

impl Kind {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Builder => "builder",
            Self::Daemon => "daemon",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: Kind,
    /// `create`, `start`, `die`, `exec_create: ls` …
    pub action: String,
    /// The full id, or the name where things have no id.
    pub id: String,
    /// Sorted, as dockerd's are when encoded.
    pub attributes: BTreeMap<String, String>,
    pub at: SystemTime,
}

impl Event {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// Whether `filters` of the events route let this through.
    pub fn matches(&self, filters: &Filters) -> bool {
        // `exec_create: ls` is asked for as `exec_create`.
        let action = self.action.split_once(':').map_or(self.action.as_str(), |(verb, _)| verb);
        filters.admits("event", &[action, &self.action])
            && filters.admits("type", &[self.kind.as_str()])
            && filters.admits("scope", &["local"])
            && self.matches_actor(filters)
            && filters.admits_labels("label", |name| self.attribute(name))
    }

    fn matches_actor(&self, filters: &Filters) -> bool {
        let name = self.attribute("name").unwrap_or_default();
        let is = |key, kind| {
            !filters.has(key)
                || (self.kind == kind
                    && filters.admits_by(key, |wanted| {
                        !wanted.is_empty() && (self.id.starts_with(wanted) || name == wanted)
                    }))
        };
        let image = || {
            let of_container = self.attribute("image").unwrap_or_default();
            let named = |text: &str| [text.to_owned(), format!("{text}:latest")];
            filters.admits_by("image", |wanted| {
                named(wanted)
                    .iter()
                    .any(|wanted| *wanted == self.id || wanted == name || wanted == of_container)
                    || strip_tag(&self.id) == wanted
                    || strip_tag(name) == wanted
                    || strip_tag(of_container) == wanted
            })
        };
        is("container", Kind::Container)
            && is("network", Kind::Network)
            && is("volume", Kind::Volume)
            && is("daemon", Kind::Daemon)
            && image()
            // Nothing of these kinds exists here, so asking for one of them matches nothing.
            && !["config", "node", "plugin", "secret", "service"].iter().any(|key| filters.has(key))
    }
}

fn strip_tag(reference: &str) -> &str {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => reference,
    }
}

/// The engine's one place to say and hear what happens.
#[derive(Debug)]
pub struct Events {
    past: Mutex<VecDeque<Event>>,
    live: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { past: Mutex::new(VecDeque::with_capacity(REMEMBERED)), live: broadcast::channel(LAG).0 }
    }
}

impl Events {
    /// Tells everybody who watches.
    pub fn emit(
        &self,
        kind: Kind,
        action: impl Into<String>,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let event =
            Event { kind, action: action.into(), id: id.to_owned(), attributes, at: SystemTime::now() };
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == REMEMBERED {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Sent under the lock, so that a watcher that takes the past and then the live stream misses and doubles
        // nothing. Nobody listening is no error.
        let _ = self.live.send(event);
    }

    /// How many watch now; `info` tells.
    pub fn watchers(&self) -> usize {
        self.live.receiver_count()
    }

    /// Starts watching: what is remembered since `since` (nothing without it), then what comes.
    pub fn watch(&self, since: Option<SystemTime>, until: Option<SystemTime>, filters: Filters) -> Watch {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.subscribe();
        let earlier = past
            .iter()
            .filter(|event| since.is_some_and(|since| event.at >= since))
            .filter(|event| until.is_none_or(|until| event.at <= until))
            .filter(|event| event.matches(&filters))
            .cloned()
            .collect();
        Watch { earlier, live, until, filters }
    }
}

/// One watcher's view. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    earlier: VecDeque<Event>,
    live: broadcast::Receiver<Event>,
    until: Option<SystemTime>,
    filters: Filters,
}

impl Watch {
    /// The next event, or `None` at `until` and when the engine ends.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.earlier.pop_front() {
            return Some(event);
        }
        let left = match self.until {
            // An `until` in the past ends the stream once the remembered events are told.
            Some(until) => until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO),
            None => Duration::MAX,
        };
        tokio::time::timeout(left, self.next_live()).await.ok().flatten()
    }

    async fn next_live(&mut self) -> Option<Event> {
        loop {
            match self.live.recv().await {
                Ok(event) if event.matches(&self.filters) => return Some(event),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "a watcher of events reads too slowly");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// Reads the `since`/`until` parameters: seconds, or seconds and nanoseconds as `1136073600.000000001`.
pub fn parse_time(text: &str) -> Result<Option<SystemTime>, filters::Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = || filters::Error::BadValue { key: "time".into(), value: text.into() };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().map_err(|_| bad())?;
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs()))
    } else {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.unsigned_abs()))
    };
    base.and_then(|base| base.checked_add(Duration::from_nanos(nanos))).map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(json: &str) -> Filters {
        Filters::parse(json, FILTER_KEYS).unwrap()
    }

    fn container_event(events: &Events, action: &str) {
        let attributes = BTreeMap::from([
            ("name".to_owned(), "web".to_owned()),
            ("image".to_owned(), "busybox".to_owned()),
            ("tier".to_owned(), "front".to_owned()),
        ]);
        events.emit(Kind::Container, action, "abcdef", attributes);
    }

    #[tokio::test]
    async fn the_past_comes_first_and_until_ends() {
        let events = Events::default();
        container_event(&events, "create");
        container_event(&events, "start");
        let mut watch =
            events.watch(Some(SystemTime::UNIX_EPOCH), Some(SystemTime::now()), Filters::default());
        assert_eq!(watch.next().await.unwrap().action, "create");
        assert_eq!(watch.next().await.unwrap().action, "start");
        assert_eq!(watch.next().await, None);
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let events = Events::default();
        for n in 0..=REMEMBERED {
            container_event(&events, &n.to_string());
        }
        let mut watch = events.watch(Some(SystemTime::UNIX_EPOCH), None, Filters::default());
        assert_eq!(watch.next().await.unwrap().action, "1");
    }

    #[test]
    fn each_filter_lets_through_what_it_names_and_nothing_else() {
        let events = Events::default();
        container_event(&events, "exec_create: ls");
        let event = events.past.lock().unwrap()[0].clone();
        for admitted in [
            r#"{"container":["web"]}"#,
            r#"{"container":["abc"]}"#,
            r#"{"event":["exec_create"]}"#,
            r#"{"type":["container"]}"#,
            r#"{"image":["busybox"]}"#,
            r#"{"label":["tier=front"]}"#,
            r#"{"scope":["local"]}"#,
        ] {
            assert!(event.matches(&filters(admitted)), "{admitted}");
        }
        for refused in [
            r#"{"container":["we"]}"#,
            r#"{"event":["start"]}"#,
            r#"{"type":["image"]}"#,
            r#"{"image":["other"]}"#,
            r#"{"label":["tier"],"container":["x"]}"#,
            r#"{"scope":["swarm"]}"#,
            r#"{"volume":["web"]}"#,
            r#"{"plugin":["web"]}"#,
        ] {
            assert!(!event.matches(&filters(refused)), "{refused}");
        }
    }

    #[test]
    fn times_are_seconds_with_an_optional_fraction() {
        let at = parse_time("12.5").unwrap().unwrap();
        assert_eq!(at.duration_since(SystemTime::UNIX_EPOCH).unwrap(), Duration::from_millis(12_500));
        assert_eq!(parse_time("").unwrap(), None);
        for wrong in ["abc", "1.x", "1.0000000001", "99999999999999999999", "1.-5"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
