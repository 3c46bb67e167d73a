//! `buildx history trace`: where a build's time went, in the form that Jaeger's page opens.

use std::sync::LazyLock;

use client::files::{go_escape, indented};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::bundle::finalize;
use super::{completed, failed, usage};
use crate::call::Call;
use crate::commands::builder;
use crate::error::{Error, Outcome};
use crate::ui;

/// What a client's command line may have had in it.
static SECRETS: LazyLock<Option<[(Regex, &str); 2]>> = LazyLock::new(|| {
    let keys = "(?i)(ghtoken|token|access_key_id|secret_access_key|session_token)=[^ ,]+";
    Some([(Regex::new(keys).ok()?, "${1}=xxxxx"), (Regex::new("ghs_[A-Za-z0-9]{36}").ok()?, "xxxxx")])
});

/// `buildx history trace`.
pub(crate) fn trace(call: &Call) -> Outcome {
    builder::name(call, &call.endpoint()?.context)?;
    call.with_engine(|engine| async move {
        let builder = builder::reach(&engine).await?;
        let mut found = completed(&builder, call.args(), false).await?;
        if let Some(record) = found.first().filter(|record| record.trace.is_none()) {
            let id = record.r#ref.clone();
            finalize(&builder, &id).await?;
            found = completed(&builder, &[id], false).await?;
        }
        let Some(blob) = found.first().and_then(|record| record.trace.as_ref()) else {
            return Err(usage("the engine has no trace of this build"));
        };
        let bytes = builder.content(&blob.digest).await.map_err(|status| failed(&status))?;
        let told = for_jaeger(&spans(&bytes)?);
        ui::out(&format!("{}\n", diag::printable(&go_escape(&indented(&told, "  ")))))?;
        Ok(0)
    })
}

/// A trace is one JSON object after the other.
fn spans(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let read: Result<_, _> = serde_json::Deserializer::from_slice(bytes).into_iter().collect();
    read.map_err(|e| usage(format!("the trace can't be read: {e}")))
}

/// The same trace for other eyes.
pub(super) fn without_secrets(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut spans = spans(bytes)?;
    let secrets = SECRETS.as_ref().ok_or_else(|| usage("secrets can't be told"))?;
    let said = spans.iter_mut().filter_map(|span| span["Attributes"].as_array_mut()).flatten();
    for value in said.map(|attribute| &mut attribute["Value"]).filter(|value| value["Type"] == "STRING") {
        let Some(text) = value["Value"].as_str() else { continue };
        let clean =
            secrets.iter().fold(text.to_owned(), |text, (what, by)| what.replace_all(&text, by).into_owned());
        value["Value"] = clean.into();
    }
    let text: String = spans.iter().map(|span| format!("{}\n", go_escape(&indented(span, "  ")))).collect();
    Ok(text.into_bytes())
}

/// In Jaeger's words, as buildx says them.
fn for_jaeger(spans: &[Value]) -> Value {
    let mut processes = Map::new();
    let mut shown = Vec::new();
    for (number, span) in spans.iter().enumerate() {
        let process = format!("p{number}");
        let service = |tag: &&Value| tag["Key"] == "service.name";
        let resource = || span["Resource"].as_array().into_iter().flatten();
        let tags: Vec<Value> = resource().filter(|tag| !service(tag)).map(tag).collect();
        let name = resource().find(service).map(|tag| tag["Value"]["Value"].clone());
        processes.insert(process.clone(), json!({ "serviceName": name, "tags": tags }));
        shown.push(jaeger_span(span, &process));
    }
    let trace = spans.first().map(|span| span["SpanContext"]["TraceID"].clone());
    json!({ "data": [{ "traceID": trace, "spans": shown, "processes": processes, "warnings": null }] })
}

fn jaeger_span(span: &Value, process: &str) -> Value {
    let (context, parent) = (&span["SpanContext"], &span["Parent"]);
    let is_below = parent["SpanID"].as_str().is_some_and(|id| id.bytes().any(|digit| digit != b'0'));
    let above = json!({ "refType": "CHILD_OF", "traceID": parent["TraceID"], "spanID": parent["SpanID"] });
    let microseconds = |name: &str| -> i64 {
        let at: Option<jiff::Timestamp> = span[name].as_str().and_then(|at| at.parse().ok());
        at.map_or(0, jiff::Timestamp::as_microsecond)
    };
    let started = microseconds("StartTime");
    json!({
        "traceID": context["TraceID"],
        "spanID": context["SpanID"],
        "flags": u8::from(context["TraceFlags"] == "01"),
        "operationName": span["Name"],
        "references": if is_below { vec![above] } else { Vec::new() },
        "startTime": started,
        "duration": microseconds("EndTime").saturating_sub(started),
        "tags": tags(span),
        "logs": span["Events"].as_array().into_iter().flatten().map(log).collect::<Vec<_>>(),
        "processID": process,
        "warnings": null,
    })
}

/// What is said of a span, what made it, and how it ended.
fn tags(span: &Value) -> Vec<Value> {
    let mut tags: Vec<Value> = span["Attributes"].as_array().into_iter().flatten().map(tag).collect();
    let text = |key: &str, value: &Value| json!({ "key": key, "type": "string", "value": value });
    let scope = &span["InstrumentationLibrary"];
    for (key, value) in [("otel.library.name", &scope["Name"]), ("otel.library.version", &scope["Version"])] {
        if value.as_str().is_some_and(|value| !value.is_empty()) {
            tags.push(text(key, value));
        }
    }
    let kinds = [(2, "server"), (3, "client"), (4, "producer"), (5, "consumer")];
    if let Some((_, kind)) = kinds.iter().find(|(number, _)| span["SpanKind"] == *number) {
        tags.push(text("span.kind", &json!(kind)));
    }
    match span["Status"]["Code"].as_i64() {
        Some(1) => {
            tags.push(json!({ "key": "error", "type": "bool", "value": true }));
            tags.push(text("otel.status_code", &json!("ERROR")));
        }
        Some(2) => tags.push(text("otel.status_code", &json!("OK"))),
        _ => return tags,
    }
    let why = &span["Status"]["Description"];
    if why != "" {
        tags.push(text("otel.status_description", why));
    }
    tags
}

fn tag(said: &Value) -> Value {
    let value = &said["Value"]["Value"];
    let (kind, value) = match said["Value"]["Type"].as_str() {
        Some("BOOL") => ("bool", value.clone()),
        Some("INT64") => ("int64", value.clone()),
        Some("FLOAT64") => ("float64", value.clone()),
        Some("STRING") => ("string", value.clone()),
        // A list is its JSON.
        _ => ("string", value.to_string().into()),
    };
    json!({ "key": said["Key"], "type": kind, "value": value })
}

fn log(event: &Value) -> Value {
    let at: Option<jiff::Timestamp> = event["Time"].as_str().and_then(|at| at.parse().ok());
    let name = json!({ "key": "event", "type": "string", "value": event["Name"] });
    let said = event["Attributes"].as_array().into_iter().flatten().map(tag);
    let fields: Vec<Value> = std::iter::once(name).chain(said).collect();
    json!({ "timestamp": at.map_or(0, jiff::Timestamp::as_microsecond), "fields": fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_hidden_as_buildx_hides_it() {
        let span = |said: &str| {
            let command = json!({ "Key": "command", "Value": { "Type": "STRING", "Value": said } });
            format!("{:#}\n", json!({ "Name": "build", "Attributes": [command] }))
        };
        for (given, hidden) in [
            ("buildx build --cache-to type=gha,ghtoken=abc,scope=a .", "type=gha,ghtoken=xxxxx,scope=a ."),
            ("x SESSION_TOKEN=abc y", "x SESSION_TOKEN=xxxxx y"),
            ("x ghs_abcdefghijklmnopqrstuvwxyz0123456789 y", "x xxxxx y"),
        ] {
            let told = without_secrets(span(given).as_bytes()).unwrap();
            assert!(String::from_utf8(told).unwrap().contains(hidden), "{given}");
        }
        let plain = span("buildx build .");
        assert_eq!(without_secrets(plain.repeat(2).as_bytes()).unwrap(), plain.repeat(2).into_bytes());
    }
}
