//! What a build tells, shown as BuildKit's own clients show it.

mod explain;
mod json;
mod plain;
mod terminal;
mod trace;

use std::time::Duration;

use buildkit::proto::control::{StatusResponse, VertexWarning};
use tokio::time::Instant;

use crate::error::Error;
use crate::ui::Sink;
use explain::Explanation;
use plain::Plain;
use terminal::Terminal;
use trace::Trace;

/// How often people want to see something new.
const PAUSE: Duration = Duration::from_millis(100);

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Mode {
    Plain,
    Terminal,
    Json,
    Quiet,
}

impl Mode {
    /// What `--progress` means where our error stream leads.
    pub(in crate::commands) fn parse(word: &str) -> Result<Self, Error> {
        let terminal = Sink::Errors.is_terminal();
        match word {
            "auto" | "" if terminal => Ok(Self::Terminal),
            "auto" | "" | "plain" => Ok(Self::Plain),
            "tty" if terminal => Ok(Self::Terminal),
            "tty" => Err(Error::Usage("failed to get console: provided file is not a console".into())),
            "rawjson" => Ok(Self::Json),
            "quiet" | "none" => Ok(Self::Quiet),
            other => Err(Error::Usage(format!("invalid progress mode {other}"))),
        }
    }
}

/// Shows one build.
pub(in crate::commands) struct Display {
    trace: Trace,
    face: Face,
    shown: Option<Instant>,
    warnings: Vec<VertexWarning>,
    explanation: Explanation,
}

enum Face {
    Plain(Plain),
    Terminal(Terminal),
    Json,
    Quiet,
}

impl Display {
    /// `builder` and `driver` are told at the beginning.
    pub(in crate::commands) fn new(mode: Mode, builder: &str) -> Result<Self, Error> {
        let face = match mode {
            Mode::Plain => {
                Sink::Errors
                    .write(&format!("#0 building with \"{builder}\" instance using docker driver\n"))?;
                Face::Plain(Plain::default())
            }
            Mode::Terminal => Face::Terminal(Terminal::new(format!("docker:{builder}"))),
            Mode::Json => Face::Json,
            Mode::Quiet => Face::Quiet,
        };
        let keeps_logs = mode == Mode::Terminal;
        Ok(Self {
            trace: Trace::new(keeps_logs),
            face,
            shown: None,
            warnings: Vec::new(),
            explanation: Explanation::default(),
        })
    }

    /// For a build that ended long ago: nobody builds.
    pub(in crate::commands) fn again(mode: Mode, builder: &str) -> Result<Self, Error> {
        let mut display = Self::new(if mode == Mode::Plain { Mode::Quiet } else { mode }, builder)?;
        if mode == Mode::Plain {
            display.face = Face::Plain(Plain::default());
        }
        Ok(display)
    }

    /// Takes news, and shows them if the last were shown long enough ago.
    pub(in crate::commands) fn take(&mut self, news: StatusResponse) -> Result<(), Error> {
        self.explanation.update(&news);
        match self.face {
            Face::Json => return Sink::Errors.write(&format!("{}\n", json::line(&news))),
            Face::Quiet => {}
            Face::Plain(_) | Face::Terminal(_) => self.trace.update(&news),
        }
        self.warnings.extend(news.warnings);
        if self.shown.is_none_or(|shown| shown.elapsed() >= PAUSE) {
            self.show()?;
        }
        Ok(())
    }

    /// Shows what there is.
    pub(in crate::commands) fn show(&mut self) -> Result<(), Error> {
        self.shown = Some(Instant::now());
        let text = match &mut self.face {
            Face::Plain(plain) => plain.print(&mut self.trace),
            Face::Terminal(terminal) => terminal.draw(&mut self.trace, false),
            Face::Json | Face::Quiet => return Ok(()),
        };
        Sink::Errors.write(&text)
    }

    /// When there is something to show without news.
    pub(in crate::commands) fn tick(&self) -> Option<Duration> {
        matches!(self.face, Face::Plain(_) | Face::Terminal(_)).then_some(PAUSE + PAUSE / 2)
    }

    /// Shows the end: the last state, and the logs of what failed.
    pub(in crate::commands) fn finish(&mut self) -> Result<(), Error> {
        let text = match &mut self.face {
            Face::Plain(plain) => plain.print(&mut self.trace),
            Face::Terminal(terminal) => terminal.draw(&mut self.trace, true),
            Face::Json | Face::Quiet => return Ok(()),
        };
        Sink::Errors.write(&format!("{text}{}", self.trace.failures()))
    }

    /// For each step whether it came from the cache, and if not, why. Nothing for programs: their news have it.
    pub(in crate::commands) fn explanation(&self) -> String {
        if matches!(self.face, Face::Json) { String::new() } else { self.explanation.render() }
    }

    /// What should be changed, as buildx lists it at the end.
    pub(in crate::commands) fn warnings(&self, debug: bool) -> String {
        if self.warnings.is_empty() || matches!(self.face, Face::Json | Face::Quiet) {
            return String::new();
        }
        let count = match self.warnings.len() {
            1 => "1 warning found".to_owned(),
            count => format!("{count} warnings found"),
        };
        let hint = if debug { "" } else { " (use docker --debug to expand)" };
        let mut text = format!("\n \x1b[33m{count}{hint}:\n\x1b[0m");
        for warning in &self.warnings {
            text.push_str(&format!(" - {}\n", String::from_utf8_lossy(&warning.short)));
            if debug {
                for detail in &warning.detail {
                    text.push_str(&format!("{}\n", String::from_utf8_lossy(detail)));
                }
                if !warning.url.is_empty() {
                    text.push_str(&format!("More info: {}\n", warning.url));
                }
                if let Some(info) = &warning.info {
                    text.push_str(&super::excerpt::of(&info.filename, &info.data, &warning.ranges));
                }
                text.push('\n');
            }
        }
        text
    }
}

/// A size as BuildKit writes it: `187B`, `1.05MB`.
fn size(bytes: i64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    while value.abs() >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{value:.2}{}", UNITS[unit]) }
}

/// Seconds of a protobuf's time.
fn seconds(time: &buildkit::proto::Timestamp) -> f64 {
    time.seconds as f64 + f64::from(time.nanos) / 1e9
}
