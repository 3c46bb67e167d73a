//! Webhooks: what was pushed, pulled, mounted and deleted, in the words of docker's registry.
//!
//! Each endpoint has a queue of its own, bounded: an endpoint that is away delays nobody, and loses the events that don't
//! fit, which is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use oci::Digest;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::{Endpoint, EventAction, Notifications};
use crate::metrics::Metrics;
use crate::route::Name;

const CONTENT_TYPE: &str = "application/vnd.docker.distribution.events.v1+json";
/// Events that wait for one endpoint.
const QUEUE: usize = 1000;
/// How many events go in one request.
const BATCH: usize = 50;
/// How long an end waits for what is still queued.
const LAST: Duration = Duration::from_secs(5);

/// What an event is about.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a Name,
    pub(crate) digest: Option<&'a Digest>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) media_type: &'a str,
    pub(crate) size: u64,
    pub(crate) from: Option<&'a Name>,
    /// What a manifest names; sent only where that is wished.
    pub(crate) references: Vec<Value>,
}

impl<'a> Subject<'a> {
    pub(crate) fn blob(name: &'a Name, digest: &'a Digest, size: u64) -> Self {
        let media_type = "application/octet-stream";
        Self { digest: Some(digest), media_type, size, ..Self::gone(name, None, None) }
    }

    /// Of what isn't there any more nothing but its name is known.
    pub(crate) fn gone(name: &'a Name, digest: Option<&'a Digest>, tag: Option<&'a str>) -> Self {
        Self { name, digest, tag, media_type: "", size: 0, from: None, references: Vec::new() }
    }
}

/// Who did it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    pub(crate) user: Option<String>,
    pub(crate) address: String,
    pub(crate) host: String,
    pub(crate) agent: String,
    pub(crate) method: String,
}

/// The endpoints of a registry.
pub(crate) struct Notifier {
    queues: Vec<(Filter, mpsc::Sender<Value>)>,
    references: bool,
    metrics: Arc<Metrics>,
}

struct Filter {
    types: Vec<String>,
    actions: Vec<EventAction>,
}

impl Notifier {
    /// With a task for each endpoint.
    pub(crate) fn start(config: Notifications, metrics: &Arc<Metrics>) -> (Self, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let queue = |endpoint: Endpoint| {
            let (sender, receiver) = mpsc::channel(QUEUE);
            let filter =
                Filter { types: endpoint.ignored_types.clone(), actions: endpoint.ignored_actions.clone() };
            tasks.spawn(deliver(endpoint, receiver, metrics.clone()));
            (filter, sender)
        };
        let queues = config.endpoints.into_iter().map(queue).collect();
        (Self { queues, references: config.references, metrics: metrics.clone() }, tasks)
    }

    pub(crate) fn send(&self, action: EventAction, subject: &Subject<'_>, origin: &Origin) {
        if self.queues.is_empty() {
            return;
        }
        let event = self.event(action, subject, origin);
        for (filter, queue) in &self.queues {
            let ignored = filter.actions.contains(&action)
                || filter.types.iter().any(|kind| kind == subject.media_type);
            if !ignored && queue.try_send(event.clone()).is_err() {
                self.metrics.unnotified.fetch_add(1, Relaxed);
            }
        }
    }

    fn event(&self, action: EventAction, subject: &Subject<'_>, origin: &Origin) -> Value {
        let mut target = json!({ "repository": subject.name.as_str() });
        if let Some(digest) = subject.digest {
            target["digest"] = digest.as_str().into();
        }
        if !subject.media_type.is_empty() {
            target["mediaType"] = subject.media_type.into();
            target["size"] = subject.size.into();
            target["length"] = subject.size.into();
        }
        if let Some(tag) = subject.tag {
            target["tag"] = tag.into();
        }
        if let Some(from) = subject.from {
            target["fromRepository"] = from.as_str().into();
        }
        if self.references && !subject.references.is_empty() {
            target["references"] = subject.references.clone().into();
        }
        let id = crate::random::<16>().map(|random| content::Session::new(random).as_str().to_owned());
        json!({
            "id": id.unwrap_or_default(),
            "timestamp": jiff::Timestamp::now().to_string(),
            "action": action,
            "target": target,
            "request": {
                "addr": origin.address,
                "host": origin.host,
                "method": origin.method,
                "useragent": origin.agent,
            },
            "actor": origin.user.as_ref().map_or_else(|| json!({}), |name| json!({ "name": name })),
        })
    }
}

/// Waits for what is still queued, but not for ever.
pub(crate) async fn finish(mut tasks: JoinSet<()>) {
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST, all).await;
}

async fn deliver(endpoint: Endpoint, mut queue: mpsc::Receiver<Value>, metrics: Arc<Metrics>) {
    let client = crate::outgoing::client(&endpoint.url, endpoint.timeout);
    let mut headers = HeaderMap::new();
    for (name, value) in &endpoint.headers {
        headers.append(name.clone(), value.clone());
    }
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    let mut events = Vec::new();
    while queue.recv_many(&mut events, BATCH).await > 0 {
        let body = bytes::Bytes::from(json!({ "events": events }).to_string());
        let mut failures = 0;
        loop {
            let why = match client.post(&endpoint.url, headers.clone(), body.clone()).await {
                Ok(200..=399) => break,
                Ok(status) => format!("it answered {status}"),
                Err(error) => diag::chain(&error),
            };
            failures += 1;
            // An endpoint that is down is left alone for a while, and tried again with the same events.
            if failures % endpoint.threshold == 0 {
                tracing::warn!(endpoint = endpoint.name, why, "a webhook does not take its events");
                tokio::time::sleep(endpoint.backoff).await;
            } else {
                tokio::time::sleep(endpoint.backoff.min(Duration::from_millis(100))).await;
            }
        }
        metrics.notified.fetch_add(events.len() as u64, Relaxed);
        events.clear();
    }
}
