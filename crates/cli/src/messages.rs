//! The engine's streams of messages (`pull`, `push`, `load`, `import`), shown as docker shows them: lines, and on a
//! terminal one line for each layer that is redrawn where it stands.

use std::collections::VecDeque;
use std::fmt::Write as _;

use client::Body;
use serde_json::Value;

use crate::commands::units;
use crate::error::Error;
use crate::interrupt;
use crate::ui::Sink;

/// No message is longer: an engine that sends one is broken.
const LIMIT: usize = 16 << 20;
/// The characters between the brackets of a bar.
const BAR: usize = 50;

/// Reads the messages of a stream one by one; an error among them is the command's error. Ctrl-C ends the reading, and
/// with it the request.
pub(crate) async fn each(body: Body, each: impl FnMut(&Value) -> Result<(), Error>) -> Result<(), Error> {
    interrupt::unless(read(body, each)).await
}

async fn read(body: Body, mut each: impl FnMut(&Value) -> Result<(), Error>) -> Result<(), Error> {
    let mut messages = Messages::new(body);
    while let Some(message) = messages.next().await? {
        each(&message)?;
    }
    Ok(())
}

/// A stream's messages, one by one.
pub(crate) struct Messages {
    body: Body,
    /// What hasn't come to the end of its message.
    rest: Vec<u8>,
    read: VecDeque<Value>,
}

impl Messages {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, rest: Vec::new(), read: VecDeque::new() }
    }

    /// The next one; an error among them is the command's error. Nothing is lost when nobody waits for it any more.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, Error> {
        loop {
            if let Some(message) = self.read.pop_front() {
                let detail = message["errorDetail"]["message"].as_str();
                return match detail.or(message["error"].as_str()) {
                    Some(error) => Err(Error::Usage(error.to_owned())),
                    None => Ok(Some(message)),
                };
            }
            let Some(piece) = self.body.next().await? else { return Ok(None) };
            self.take(&piece)?;
        }
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Error> {
        const STREAM: &str = "a stream of messages";
        self.rest.extend_from_slice(piece);
        let mut used = 0;
        let mut values = serde_json::Deserializer::from_slice(&self.rest).into_iter::<Value>();
        while let Some(value) = values.next() {
            match value {
                Ok(message) => self.read.push_back(message),
                Err(error) if error.is_eof() => break,
                Err(source) => return Err(client::Error::Json { path: STREAM.into(), source }.into()),
            }
            used = values.byte_offset();
        }
        self.rest.drain(..used);
        if self.rest.len() > LIMIT {
            return Err(client::Error::TooLarge { path: STREAM.into(), limit: LIMIT }.into());
        }
        Ok(())
    }
}

/// Shows a whole stream.
pub(crate) async fn show(body: Body, sink: Sink) -> Result<(), Error> {
    let mut display = Display::new(sink.is_terminal(), sink.columns());
    each(body, |message| sink.write(&display.next(message))).await
}

/// Which layers have lines on the terminal, and in which order.
pub(crate) struct Display {
    terminal: bool,
    columns: usize,
    lines: Vec<String>,
}

impl Display {
    pub(crate) fn new(terminal: bool, columns: Option<usize>) -> Self {
        Self { terminal, columns: columns.unwrap_or(200), lines: Vec::new() }
    }

    /// What is to be written for a message: in one piece, so that the cursor is at the end between two of them.
    pub(crate) fn next(&mut self, message: &Value) -> String {
        let mut text = String::new();
        if message.get("aux").is_some_and(|aux| !aux.is_null()) {
            return text;
        }
        let id = message["id"].as_str().unwrap_or_default();
        let moves = has_progress(message) || !message["progress"].as_str().unwrap_or_default().is_empty();
        let mut up = 0;
        if !id.is_empty() && moves {
            let known = self.lines.iter().position(|line| line == id);
            let line = known.unwrap_or_else(|| {
                self.lines.push(id.to_owned());
                if self.terminal {
                    text.push('\n');
                }
                self.lines.len() - 1
            });
            up = self.lines.len() - line;
        } else {
            // Lines above this one belong to something that is over: `pull -a` has the same layers again.
            self.lines.clear();
        }
        if self.terminal && up > 0 {
            let _ = write!(text, "\u{1b}[{up}A");
        }
        text.push_str(&self.line(message, id));
        if self.terminal && up > 0 {
            let _ = write!(text, "\u{1b}[{up}B");
        }
        text
    }

    fn line(&self, message: &Value, id: &str) -> String {
        let word = |key: &str| diag::printable(message[key].as_str().unwrap_or_default());
        let stream = message["stream"].as_str().unwrap_or_default();
        let progress = has_progress(message).then(|| &message["progressDetail"]);
        let bar = progress.map(|progress| bar(progress, self.columns)).unwrap_or_default();
        let redrawn = self.terminal && stream.is_empty() && progress.is_some();
        if !redrawn && !bar.is_empty() {
            // Bars belong to terminals.
            return String::new();
        }
        let end = if redrawn { "\r" } else { "" };
        let mut text = if redrawn { "\u{1b}[2K\r".to_owned() } else { String::new() };
        if !id.is_empty() {
            let _ = write!(text, "{}: ", diag::printable(id));
        }
        if let Some(from) = message["from"].as_str().filter(|from| !from.is_empty()) {
            let _ = write!(text, "(from {}) ", diag::printable(from));
        }
        let status = word("status");
        let _ = match (word("progress"), stream) {
            _ if progress.is_some() && self.terminal => write!(text, "{status} {bar}{end}"),
            (told, _) if !told.is_empty() => write!(text, "{status} {told}{end}"),
            (_, stream) if !stream.is_empty() => write!(text, "{}{end}", diag::printable(stream)),
            _ => writeln!(text, "{status}{end}"),
        };
        text
    }
}

fn has_progress(message: &Value) -> bool {
    message.get("progressDetail").is_some_and(Value::is_object)
}

/// `[=====>    ]  1.2MB/12MB`.
fn bar(progress: &Value, columns: usize) -> String {
    let number = |key: &str| progress[key].as_i64().unwrap_or_default();
    let (current, total, units) = (number("current"), number("total"), progress["units"].as_str());
    let units = units.filter(|units| !units.is_empty()).map(diag::printable);
    let size = |bytes: i64| units::size(bytes as f64, 4);
    if current <= 0 && total <= 0 {
        return String::new();
    }
    if total <= 0 {
        return units.map_or_else(|| format!("{:>8}", size(current)), |units| format!("{current} {units}"));
    }
    let part = current.max(0) as f64 / total as f64 * 100.0;
    let done = (part as usize / 2).min(BAR);
    let mut text = String::new();
    if columns > 110 {
        let _ = write!(text, "[{}>{}] ", "=".repeat(done), " ".repeat(BAR - done));
    }
    let _ = match (progress["hidecounts"] == true, units, current > total) {
        (true, ..) => Ok(()),
        (_, None, false) => write!(text, "{:>8}/{}", size(current), size(total)),
        (_, None, true) => write!(text, "{:>8}", size(current)),
        (_, Some(units), false) => write!(text, "{current}/{total} {units}"),
        (_, Some(units), true) => write!(text, "{current} {units}"),
    };
    let start = number("start");
    if columns > 50 && current > 0 && start > 0 && done < BAR {
        let left = (units::now() - start) as f64 / current as f64 * (total - current) as f64;
        let _ = write!(text, " {}", go_seconds(left.round() as i64));
    }
    text
}

/// Go's notation of whole seconds: `1h2m3s`.
fn go_seconds(seconds: i64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(terminal: bool, columns: usize, messages: &[Value]) -> String {
        let mut display = Display::new(terminal, Some(columns));
        messages.iter().map(|message| display.next(message)).collect()
    }

    fn pull() -> Vec<Value> {
        vec![
            json!({"status": "Pulling from a", "id": "1"}),
            json!({"status": "Pulling fs layer", "progressDetail": {}, "id": "aa"}),
            json!({"status": "Waiting", "progressDetail": {}, "id": "bb"}),
            json!({"status": "Downloading", "progressDetail": {"current": 500, "total": 1000}, "id": "aa"}),
            json!({"aux": {"x": 1}}),
            json!({"status": "Status: done"}),
        ]
    }

    #[test]
    fn a_terminals_lines_are_redrawn_where_they_stand() {
        let half = format!("[{}>{}]     500B/1kB", "=".repeat(25), " ".repeat(25));
        let expected = format!(
            "1: Pulling from a\n\n\x1b[1A\x1b[2K\raa: Pulling fs layer \r\x1b[1B\
             \n\x1b[1A\x1b[2K\rbb: Waiting \r\x1b[1B\x1b[2A\x1b[2K\raa: Downloading {half}\r\x1b[2BStatus: done\n"
        );
        assert_eq!(shown(true, 120, &pull()), expected);
        assert!(shown(true, 80, &pull()).contains("Downloading     500B/1kB\r"));
    }

    #[test]
    fn elsewhere_there_are_lines_and_no_bars() {
        let expected = "1: Pulling from a\naa: Pulling fs layer\nbb: Waiting\nStatus: done\n";
        assert_eq!(shown(false, 120, &pull()), expected);
    }

    #[test]
    fn odd_numbers_are_shown_without_harm() {
        for (progress, expected) in [
            (json!({"current": 2000}), "     2kB"),
            (json!({"current": 3, "units": "layers"}), "3 layers"),
            (json!({"current": 3, "total": 5, "units": "layers", "hidecounts": false}), "3/5 layers"),
            (json!({"current": 7000, "total": 5}), "     7kB"),
            (json!({"current": -1, "total": 5}), "     -1B/5B"),
            (json!({"current": "x"}), ""),
        ] {
            assert_eq!(bar(&progress, 50), expected, "{progress}");
        }
        assert_eq!([59, 60, 3661].map(go_seconds), ["59s", "1m0s", "1h1m1s"]);
    }
}
