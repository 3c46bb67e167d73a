//! What a build's log says of its times, as a trace: a span for the build, and one below it for each step.
//!
//! BuildKit keeps its own trace as one JSON object after the other, each a span of OpenTelemetry's SDK as Go writes it. Ours
//! is made of the log when somebody wants it, in the same form.

use std::collections::HashMap;

use oci::Digest;
use serde_json::{Value, json};

use super::files::Story;
use crate::proto::Timestamp;
use crate::proto::control::{BuildHistoryRecord, Vertex};

pub(super) const MEDIA_TYPE: &str = "application/vnd.buildkit.otlp.json.v0";
/// Go's name for what happens within a process.
const INTERNAL: u8 = 1;
const FAILED: u8 = 1;

/// The trace of a build that has ended. Blocking.
pub(super) fn of(record: &BuildHistoryRecord, mut story: Story) -> std::io::Result<Vec<u8>> {
    let mut steps: HashMap<String, Vertex> = HashMap::new();
    let mut order = Vec::new();
    while let Some(told) = story.next()? {
        for step in told.vertexes {
            let digest = step.digest.clone();
            if steps.insert(digest.clone(), step).is_none() {
                order.push(digest);
            }
        }
    }
    let ran = order.iter().filter_map(|digest| steps.get(digest)).filter(|step| step.completed.is_some());
    let ids = Ids::of(&record.r#ref);
    let below: Vec<Value> = ran.map(|step| ids.step(step)).collect();
    let mut text = pretty(&ids.build(record, below.len()));
    below.iter().for_each(|span| text.push_str(&pretty(span)));
    Ok(text.into_bytes())
}

/// The names of one trace: the same build's are always the same.
struct Ids {
    trace: String,
    build: String,
}

impl Ids {
    fn of(id: &str) -> Self {
        let digest = Digest::sha256(id.as_bytes());
        let (trace, rest) = digest.hex().split_at(32);
        Self { trace: trace.to_owned(), build: rest[..16].to_owned() }
    }

    fn context(&self, span: &str) -> Value {
        json!({
            "TraceID": self.trace, "SpanID": span, "TraceFlags": "01", "TraceState": "", "Remote": false
        })
    }

    fn build(&self, record: &BuildHistoryRecord, below: usize) -> Value {
        let parent = json!({
            "TraceID": "0".repeat(32), "SpanID": "0".repeat(16), "TraceFlags": "00", "TraceState": "",
            "Remote": false
        });
        let span = Span {
            name: "build",
            times: (record.created_at.as_ref(), record.completed_at.as_ref()),
            error: record.error.as_ref().map_or("", |error| &error.message),
            said: json!([text("ref", &record.r#ref)]),
            below,
        };
        span.shown(&self.context(&self.build), &parent)
    }

    fn step(&self, step: &Vertex) -> Value {
        let id = Digest::sha256(format!("{} {}", self.trace, step.digest).as_bytes());
        let said = match step.cached {
            true => json!([text("vertex", &step.digest), truth("cached")]),
            false => json!([text("vertex", &step.digest)]),
        };
        let (started, ended) = (step.started.as_ref(), step.completed.as_ref());
        let span =
            Span { name: &step.name, times: (started.or(ended), ended), error: &step.error, said, below: 0 };
        span.shown(&self.context(&id.hex()[..16]), &self.context(&self.build))
    }
}

struct Span<'a> {
    name: &'a str,
    times: (Option<&'a Timestamp>, Option<&'a Timestamp>),
    error: &'a str,
    said: Value,
    below: usize,
}

impl Span<'_> {
    /// In Go's order.
    fn shown(self, context: &Value, parent: &Value) -> Value {
        let code = if self.error.is_empty() { 0 } else { FAILED };
        json!({
            "Name": self.name,
            "SpanContext": context,
            "Parent": parent,
            "SpanKind": INTERNAL,
            "StartTime": time(self.times.0),
            "EndTime": time(self.times.1),
            "Attributes": self.said,
            "Events": null,
            "Links": null,
            "Status": { "Code": code, "Description": self.error },
            "DroppedAttributes": 0,
            "DroppedEvents": 0,
            "DroppedLinks": 0,
            "ChildSpanCount": self.below,
            "Resource": [text("service.name", "ketch")],
            "InstrumentationLibrary": { "Name": "ketch", "Version": "", "SchemaURL": "", "Attributes": {} }
        })
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "Key": key, "Value": { "Type": "STRING", "Value": value } })
}

fn truth(key: &str) -> Value {
    json!({ "Key": key, "Value": { "Type": "BOOL", "Value": true } })
}

fn time(at: Option<&Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

fn pretty(span: &Value) -> String {
    format!("{span:#}\n")
}
