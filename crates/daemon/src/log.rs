//! The engine's own log, in dockerd's format: `time="…" level=info msg="…" key=value`, or JSON.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use crate::config::LogConfig;

/// Changes the level while the engine runs.
pub(crate) type LevelHandle = reload::Handle<LevelFilter, Registry>;

/// Starts logging to the error stream. Frames of HTTP/2, of which a build has thousands, are no news of the engine.
pub(crate) fn start(config: &LogConfig) -> LevelHandle {
    let (filter, handle) = reload::Layer::new(level(&config.level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(Lines { json: config.json })
        .with_filter(filter_fn(|metadata| !metadata.target().starts_with("h2")));
    // A second subscriber in one process only exists in tests; the first goes on.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(filter).with(lines));
    handle
}

/// The filter for dockerd's word.
pub(crate) fn level(word: &str) -> LevelFilter {
    match word {
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    }
}

struct Lines {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = jiff::Timestamp::now();
        let level = word(*event.metadata().level());
        writeln!(out, "{}", if self.json { json(&fields, time, level) } else { text(&fields, time, level) })
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

fn text(fields: &Fields, time: jiff::Timestamp, level: &str) -> String {
    let mut line = format!("time=\"{time:.9}\" level={level} msg={}", quoted(&fields.message));
    for (key, value) in &fields.others {
        let _ = write!(line, " {key}={}", if needs_quotes(value) { quoted(value) } else { value.clone() });
    }
    line
}

fn json(fields: &Fields, time: jiff::Timestamp, level: &str) -> String {
    let mut object = serde_json::Map::new();
    object.extend(fields.others.iter().map(|(key, value)| (key.clone(), value.clone().into())));
    object.insert("level".into(), level.into());
    object.insert("msg".into(), fields.message.clone().into());
    object.insert("time".into(), format!("{time:.9}").into());
    serde_json::Value::Object(object).to_string()
}

/// Names come from clients and images: no control character of theirs reaches a terminal that shows this log.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn needs_quotes(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    text.is_empty() || !text.chars().all(plain)
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_dockerds() {
        let fields = Fields {
            message: "API listen on /run/docker.sock".into(),
            others: vec![("path".into(), "/x".into()), ("why".into(), "a b\u{1b}".into())],
        };
        let time: jiff::Timestamp = "2026-01-02T03:04:05.6Z".parse().unwrap();
        assert_eq!(
            text(&fields, time, "info"),
            "time=\"2026-01-02T03:04:05.600000000Z\" level=info msg=\"API listen on /run/docker.sock\" path=/x \
             why=\"a b\\u{1b}\""
        );
    }
}
