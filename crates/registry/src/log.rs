//! The log, on the error stream: a line of `key=value` or of JSON for each event.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Log;

/// Starts logging. A second start in one process only happens in tests; the first goes on.
pub(crate) fn start(config: &Log) {
    let level = match config.level.as_str() {
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let lines = Lines { json: config.json, fields: config.fields.clone() };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).event_format(lines);
    let _ = tracing::subscriber::set_global_default(
        tracing_subscriber::Registry::default().with(level).with(layer),
    );
}

struct Lines {
    json: bool,
    fields: Vec<(String, String)>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut found = Found(Vec::new());
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        };
        found.0.push(("time".into(), format!("{:.3}", jiff::Timestamp::now())));
        found.0.push(("level".into(), level.into()));
        event.record(&mut found);
        found.0.extend(self.fields.iter().cloned());
        writeln!(out, "{}", if self.json { json(&found.0) } else { text(&found.0) })
    }
}

/// What clients sent is quoted: no control character of theirs reaches a terminal that shows this log.
fn text(fields: &[(String, String)]) -> String {
    let mut line = String::new();
    for (key, value) in fields {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@:+".contains(c);
        let separator = if line.is_empty() { "" } else { " " };
        let _ = match !value.is_empty() && value.chars().all(plain) {
            true => write!(line, "{separator}{key}={value}"),
            false => write!(line, "{separator}{key}={value:?}"),
        };
    }
    line
}

fn json(fields: &[(String, String)]) -> String {
    let object: serde_json::Map<String, serde_json::Value> =
        fields.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
    serde_json::Value::Object(object).to_string()
}

struct Found(Vec<(String, String)>);

impl Found {
    fn put(&mut self, field: &Field, value: String) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.0.push((name.to_owned(), value));
    }
}

impl Visit for Found {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }
}
