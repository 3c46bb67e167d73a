//! What is being done, a line for each thing.

use std::time::Instant;

use client::resolve::process_env;

use crate::call::Call;
use crate::error::Error;
use crate::ui::{self, Sink};

/// Whether nothing may steer the terminal.
pub(super) fn is_plain(call: &Call) -> Result<bool, Error> {
    let group = call.group();
    match group.text("ansi") {
        _ if group.bool("no-ansi") => Ok(true),
        "never" => Ok(true),
        "auto" | "always" | "" => Ok(false),
        other => {
            Err(Error::Usage(format!("unknown --ansi value {other:?}: there are never, always and auto")))
        }
    }
}

/// Tells of each thing's progress: plain lines as docker's client writes them, and on a terminal one line when it is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    style: Style,
    dry: bool,
    begun: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Terminal,
    Quiet,
}

impl Report {
    /// As `--progress` and `--ansi` say, or as the terminal is.
    pub(super) fn new(call: &Call, quiet: bool) -> Result<Self, Error> {
        let group = call.group();
        let wanted = match group.find("progress") {
            Some(wanted) => wanted.to_owned(),
            None => process_env("COMPOSE_PROGRESS").unwrap_or_default(),
        };
        let style = match wanted.as_str() {
            _ if quiet => Style::Quiet,
            "quiet" => Style::Quiet,
            "plain" => Style::Plain,
            "tty" => Style::Terminal,
            "" | "auto" if Sink::Errors.is_terminal() && !is_plain(call)? => Style::Terminal,
            "" | "auto" => Style::Plain,
            other => {
                return Err(Error::Usage(format!(
                    "unsupported --progress value {other:?}: there are auto, tty, plain and quiet"
                )));
            }
        };
        Ok(Self { style, dry: call.is_dry(), begun: Instant::now() })
    }

    /// It begins: `Container x  Creating`.
    pub(super) fn begins(&self, kind: &str, name: &str, what: &str) {
        if self.style == Style::Plain {
            self.line(kind, name, what);
        }
    }

    fn line(&self, kind: &str, name: &str, what: &str) {
        let mode = if self.dry { " DRY-RUN MODE - " } else { "" };
        ui::err(&format!("{mode} {kind} {name}  {what}"));
    }

    /// It is done: `Container x  Created`.
    pub(super) fn done(&self, kind: &str, name: &str, what: &str) {
        match self.style {
            Style::Plain => self.line(kind, name, what),
            Style::Terminal if self.dry => self.line(kind, name, what),
            Style::Terminal => {
                let seconds = self.begun.elapsed().as_secs_f64();
                let (green, off) =
                    if Sink::Errors.is_coloured() { ("\u{1b}[32m", "\u{1b}[0m") } else { ("", "") };
                ui::err(&format!(" {green}✔{off} {kind} {name}  {what}  {seconds:.1}s"));
            }
            Style::Quiet => {}
        }
    }
}
