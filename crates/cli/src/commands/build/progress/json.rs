//! Progress for programs: each piece of news as a line of JSON, as buildx writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buildkit::proto::Timestamp;
use buildkit::proto::control::StatusResponse;
use buildkit::proto::pb::{ProgressGroup, Range, SourceInfo};
use serde_json::{Map, Value, json};

/// One line.
pub(super) fn line(news: &StatusResponse) -> Value {
    let mut line = Map::new();
    let vertexes = news.vertexes.iter().map(|vertex| {
        object([
            ("digest", json!(vertex.digest)),
            ("inputs", json!(vertex.inputs)),
            ("name", json!(vertex.name)),
            ("started", time(vertex.started.as_ref())),
            ("completed", time(vertex.completed.as_ref())),
            ("cached", json!(vertex.cached)),
            ("error", json!(vertex.error)),
            ("progressGroup", vertex.progress_group.as_ref().map_or(Value::Null, group)),
        ])
    });
    put(&mut line, "vertexes", vertexes.collect());
    // These three have their numbers also where they are nothing.
    let statuses = news.statuses.iter().map(|status| {
        let mut value = object([("id", json!(status.id)), ("vertex", json!(status.vertex))]);
        value["name"] = json!(status.name);
        if status.total != 0 {
            value["total"] = json!(status.total);
        }
        value["current"] = json!(status.current);
        value["timestamp"] = time(status.timestamp.as_ref());
        add(&mut value, "started", time(status.started.as_ref()));
        add(&mut value, "completed", time(status.completed.as_ref()));
        value
    });
    put(&mut line, "statuses", statuses.collect());
    let logs = news.logs.iter().map(|log| {
        let mut value = json!({ "vertex": log.vertex });
        add(&mut value, "stream", json!(log.stream));
        value["data"] = json!(STANDARD.encode(&log.msg));
        value["timestamp"] = time(log.timestamp.as_ref());
        value
    });
    put(&mut line, "logs", logs.collect());
    let warnings = news.warnings.iter().map(|warning| {
        let detail = warning.detail.iter().map(|detail| json!(STANDARD.encode(detail)));
        object([
            ("vertex", json!(warning.vertex)),
            ("level", json!(warning.level)),
            ("short", json!(STANDARD.encode(&warning.short))),
            ("detail", detail.collect()),
            ("url", json!(warning.url)),
            ("sourceInfo", warning.info.as_ref().map_or(Value::Null, source)),
            ("range", warning.ranges.iter().map(range).collect()),
        ])
    });
    put(&mut line, "warnings", warnings.collect());
    Value::Object(line)
}

fn put(line: &mut Map<String, Value>, key: &str, values: Vec<Value>) {
    if !values.is_empty() {
        line.insert(key.to_owned(), values.into());
    }
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let mut value = json!({});
    for (key, field) in fields {
        add(&mut value, key, field);
    }
    value
}

/// As Go's `omitempty`.
fn add(value: &mut Value, key: &str, field: Value) {
    let empty = match &field {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Object(_) => false,
    };
    if !empty {
        value[key] = field;
    }
}

fn time(time: Option<&Timestamp>) -> Value {
    let time = time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
    time.map_or(Value::Null, |time| json!(time.to_string()))
}

fn group(group: &ProgressGroup) -> Value {
    object([("id", json!(group.id)), ("name", json!(group.name)), ("weak", json!(group.weak))])
}

fn source(info: &SourceInfo) -> Value {
    let data = json!(STANDARD.encode(&info.data));
    object([("filename", json!(info.filename)), ("data", data), ("language", json!(info.language))])
}

fn range(range: &Range) -> Value {
    let position = |at: Option<&buildkit::proto::pb::Position>| {
        at.map_or(Value::Null, |at| object([("line", json!(at.line)), ("character", json!(at.character))]))
    };
    object([("start", position(range.start.as_ref())), ("end", position(range.end.as_ref()))])
}
