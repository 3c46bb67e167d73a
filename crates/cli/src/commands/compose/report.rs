//! What is being done, a line for each thing.

use std::time::Instant;

use client::resolve::process_env;

use super::board;
use crate::call::Call;
use crate::error::Error;
use crate::ui::{self, Sink};

/// Whether a variable says yes.
pub(super) fn says(variable: &str) -> bool {
    process_env(variable).is_some_and(|text| flags::go::parse_bool(&text).unwrap_or(false))
}

/// `--remove-orphans`, or the variable that stands for it.
pub(super) fn removes_orphans(call: &Call) -> Result<bool, Error> {
    let flags = call.flags();
    let wanted = match flags.has("remove-orphans") && flags.changed("remove-orphans") {
        true => flags.bool("remove-orphans"),
        false => says("COMPOSE_REMOVE_ORPHANS"),
    };
    match wanted && says("COMPOSE_IGNORE_ORPHANS") {
        true => Err(Error::Usage("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans".into())),
        false => Ok(wanted),
    }
}

/// Tells of containers of services that the file no longer has, unless nobody wants to know.
pub(super) fn tell_orphans(names: &[String]) {
    if !names.is_empty() && !says("COMPOSE_IGNORE_ORPHANS") {
        ui::err(&format!(
            "WARN[0000] Found orphan containers ([{}]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.",
            names.join(" ")
        ));
    }
}

/// Whether nothing may steer the terminal.
pub(super) fn is_plain(call: &Call) -> Result<bool, Error> {
    let group = call.group();
    let by_variable = process_env("COMPOSE_ANSI").filter(|_| !group.changed("ansi"));
    match by_variable.as_deref().unwrap_or_else(|| group.text("ansi")) {
        _ if group.bool("no-ansi") => Ok(true),
        "never" => Ok(true),
        "auto" | "always" | "" => Ok(false),
        other => {
            Err(Error::Usage(format!("unknown --ansi value {other:?}: there are never, always and auto")))
        }
    }
}

/// Tells of each thing's progress: plain lines or documents as docker's client writes them, and on a terminal a line for each
/// thing that changes in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    style: Style,
    /// `COMPOSE_STATUS_STDOUT`: to the output, where one program reads all.
    to_output: bool,
    dry: bool,
    begun: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Json,
    /// On a terminal that others write to as well: a line for what is done.
    Lines,
    /// On a terminal of its own.
    Board,
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
        let to_output = says("COMPOSE_STATUS_STDOUT");
        let style = match wanted.as_str() {
            _ if quiet => Style::Quiet,
            "quiet" => Style::Quiet,
            "plain" => Style::Plain,
            "json" => Style::Json,
            "tty" => Style::Board,
            "" | "auto" if Sink::Errors.is_terminal() && !to_output && !is_plain(call)? => Style::Board,
            "" | "auto" => Style::Plain,
            other => {
                return Err(Error::Usage(format!(
                    "unsupported --progress value {other:?}: there are auto, tty, plain, json and quiet"
                )));
            }
        };
        Ok(Self { style, to_output, dry: call.is_dry(), begun: Instant::now() })
    }

    /// For a terminal that others write to as well from now on.
    pub(super) fn shared(self) -> Self {
        match self.style {
            Style::Board => Self { style: Style::Lines, ..self },
            _ => self,
        }
    }

    /// It begins: `Container x  Creating`.
    pub(super) fn begins(&self, kind: &str, name: &str, what: &str) {
        match self.style {
            Style::Plain | Style::Json => self.line(kind, name, what),
            Style::Board => board::show(self.mode(), kind, name, what, None),
            Style::Lines | Style::Quiet => {}
        }
    }

    fn mode(&self) -> &'static str {
        if self.dry { "DRY-RUN MODE - " } else { "" }
    }

    fn line(&self, kind: &str, name: &str, what: &str) {
        if self.style == Style::Json {
            let mut document = serde_json::Map::new();
            if self.dry {
                document.insert("dry-run".to_owned(), true.into());
            }
            document.insert("id".to_owned(), format!("{kind} {name}").into());
            document.insert("status".to_owned(), what.into());
            return self.tell(&serde_json::Value::Object(document).to_string());
        }
        let mode = if self.dry { " DRY-RUN MODE - " } else { "" };
        self.tell(&format!("{mode} {kind} {name}  {what}"));
    }

    fn tell(&self, line: &str) {
        if self.to_output {
            // Whoever stopped reading has no use for the rest.
            let _ = ui::out(&format!("{line}\n"));
        } else {
            ui::err(line);
        }
    }

    /// It is done: `Container x  Created`.
    pub(super) fn done(&self, kind: &str, name: &str, what: &str) {
        match self.style {
            Style::Plain | Style::Json => self.line(kind, name, what),
            Style::Board => board::show(self.mode(), kind, name, what, Some(self.begun)),
            Style::Lines if self.dry => self.line(kind, name, what),
            Style::Lines => {
                let seconds = self.begun.elapsed().as_secs_f64();
                let (green, off) =
                    if Sink::Errors.is_coloured() { ("\u{1b}[32m", "\u{1b}[0m") } else { ("", "") };
                ui::err(&format!(" {green}✔{off} {kind} {name}  {what}  {seconds:.1}s"));
            }
            Style::Quiet => {}
        }
    }
}
