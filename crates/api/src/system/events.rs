//! `GET /events`: a stream of JSON documents.

use std::collections::BTreeMap;

use bytes::Bytes;
use engine::events::{self, Event, FILTER_KEYS, Kind, Watch};
use engine::filters::Filters;
use http::{StatusCode, header};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time;

#[derive(Serialize)]
struct Message<'a> {
    /// The three oldest fields: gone from 1.52 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'static str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i64,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, String>,
}

/// How the documents are told apart.
#[derive(Clone, Copy)]
struct Format {
    content_type: &'static str,
    /// RFC 7464 puts a record separator before each.
    before: &'static str,
}

const JSON: Format = Format { content_type: "application/json", before: "" };
const NDJSON: Format = Format { content_type: "application/x-ndjson", before: "" };
const JSONL: Format = Format { content_type: "application/jsonl", before: "" };
const JSON_SEQ: Format = Format { content_type: "application/json-seq", before: "\x1e" };

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let time = |key| {
        let text = call.query.get(key);
        // dockerd's own parser fails with this text and this status.
        events::parse_time(text).map_err(|_| {
            let message = format!("strconv.ParseInt: parsing \"{text}\": invalid syntax");
            Error::new(StatusCode::INTERNAL_SERVER_ERROR, message)
        })
    };
    let (since, until) = (time("since")?, time("until")?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        let (since, until) = (time::seconds(since), time::seconds(until));
        return Err(Error::invalid(format!("`since` time ({since}) must be before `until` time ({until})")));
    }
    let filters = Filters::parse(call.query.get("filters"), FILTER_KEYS).map_err(engine::Error::from)?;
    let watch = call.engine.events.watch(since, until, filters);
    let format = negotiate(&call);
    let legacy = call.before(52);
    let (sender, body) = body::streamed();
    tasks::spawn(stream(watch, sender, call.closing, format, legacy));
    Ok(reply::with_type(StatusCode::OK, format.content_type, body))
}

async fn stream(
    mut watch: Watch,
    sender: mpsc::Sender<Bytes>,
    mut closing: watch::Receiver<bool>,
    format: Format,
    legacy: bool,
) {
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            () = sender.closed() => return,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Some(event) = event else { return };
        let Ok(text) = serde_json::to_string(&message(&event, legacy)) else { return };
        if sender.send(format!("{}{text}\n", format.before).into()).await.is_err() {
            return;
        }
    }
}

fn message(event: &Event, legacy: bool) -> Message<'_> {
    // Only containers and images had them.
    let legacy = legacy && matches!(event.kind, Kind::Container | Kind::Image);
    let from = (event.kind == Kind::Container).then(|| event.attributes.get("image")).flatten();
    Message {
        status: legacy.then_some(&event.action),
        id: legacy.then_some(&event.id),
        from: from.filter(|_| legacy).map(String::as_str),
        kind: event.kind.as_str(),
        action: &event.action,
        actor: Actor { id: &event.id, attributes: &event.attributes },
        scope: "local",
        time: time::seconds(event.at),
        time_nano: time::nanoseconds(event.at),
    }
}

/// Before 1.52 there was only `application/json`; later the client's `Accept` chooses.
fn negotiate(call: &Call) -> Format {
    let accept = call.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let offered: &[Format] = match (call.since(53), call.since(52)) {
        (true, _) => &[JSONL, NDJSON, JSON_SEQ],
        (_, true) => &[NDJSON, JSON_SEQ],
        _ => &[],
    };
    let wanted = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
    wanted
        .filter_map(|wanted| offered.iter().find(|format| format.content_type == wanted))
        .copied()
        .next()
        .unwrap_or(JSON)
}
