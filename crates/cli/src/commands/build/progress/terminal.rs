//! Progress on a terminal: a line for each step, redrawn where it stands, and under those that run their last words.

use std::fmt::Write as _;

use tokio::time::Instant;

use super::trace::{Step, Trace};
use super::{seconds, size};
use crate::ui::{self, Sink};

/// The last lines of a step that runs.
const WORDS: usize = 6;

pub(super) struct Terminal {
    /// What is told at the right: the builder.
    builder: String,
    drawn: usize,
    colours: bool,
}

struct Line {
    text: String,
    status: String,
    took: f64,
    done: bool,
    colour: &'static str,
    words: Vec<String>,
}

impl Terminal {
    pub(super) fn new(builder: String) -> Self {
        Self { builder, drawn: 0, colours: Sink::Errors.is_coloured() }
    }

    /// The picture, over the one before. At the end all of it, else what fits the screen.
    pub(super) fn draw(&mut self, trace: &mut Trace, all: bool) -> String {
        trace.news.clear();
        let (width, height) = ui::error_screen();
        let lines: Vec<Line> = trace.begun.iter().flat_map(|at| step(&mut trace.steps[*at])).collect();
        let mut out = String::from("\x1b[?25l");
        if self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A", self.drawn);
        }
        let _ = writeln!(out, "\r{}\x1b[K", self.head(trace, width, all));
        let mut drawn = 1;
        for line in fitting(&lines, if all { usize::MAX } else { height.saturating_sub(2) }) {
            drawn += self.line(&mut out, line, width, !all);
        }
        // What is left of a taller picture.
        out.push_str("\x1b[J\x1b[?25h");
        self.drawn = drawn;
        out
    }

    fn head(&self, trace: &Trace, width: usize, all: bool) -> String {
        let visible = || trace.steps.iter().filter(|step| !step.hidden);
        let (total, ended) = (visible().count(), visible().filter(|step| step.completed.is_some()).count());
        let took = trace.started.map_or(0.0, |at: Instant| at.elapsed().as_secs_f64());
        let word = if all && ended == total && ended > 0 { "FINISHED" } else { "" };
        let left = format!("[+] Building {took:.1}s ({ended}/{total}) {word}");
        cut(&spread(&left, &self.builder, width.saturating_sub(1)), width)
    }

    fn line(&self, out: &mut String, line: &Line, width: usize, words: bool) -> usize {
        let timer = format!("{:.1}s", if line.took < 0.05 { 0.0 } else { line.took });
        let mut room = width.saturating_sub(" => ".len() + timer.len() + 2);
        let mut status = String::new();
        if !line.status.is_empty() && room > line.status.len() + 20 {
            status = format!(" {}", line.status);
            room -= status.len();
        }
        if room < 12 {
            return 0;
        }
        let text = spread(&format!(" => {}{status}", cut(&line.text, room)), &timer, width.saturating_sub(1));
        match line.done && self.colours {
            true => {
                let _ = writeln!(out, "{}{text}\x1b[0m\x1b[K", line.colour);
            }
            false => {
                let _ = writeln!(out, "{text}\x1b[K");
            }
        }
        let shown: &[String] = if words { &line.words } else { &[] };
        for word in shown {
            let text = cut(&format!(" => => # {word}"), width.saturating_sub(1));
            let _ = match self.colours {
                true => writeln!(out, "\x1b[2m{text}\x1b[0m\x1b[K"),
                false => writeln!(out, "{text}\x1b[K"),
            };
        }
        1 + shown.len()
    }
}

/// The lines of one step: itself, what it does, what it warns of.
fn step(step: &mut Step) -> Vec<Line> {
    let (prefix, colour) = match step.error.as_str() {
        "" if step.cached => ("CACHED ", "\x1b[34m"),
        "" => ("", "\x1b[34m"),
        _ if step.is_cancelled() => ("CANCELED ", "\x1b[33m"),
        _ => ("ERROR ", "\x1b[31m"),
    };
    let running = || step.began_here.map_or(0.0, |at| at.elapsed().as_secs_f64());
    let took = step.completed.zip(step.started).map_or_else(running, |(end, start)| end - start);
    let done = step.completed.is_some();
    let words = match done {
        true => Vec::new(),
        false => {
            let skipped = step.last_lines.len().saturating_sub(WORDS);
            step.last_lines.iter().skip(skipped).map(|line| bare(line)).collect()
        }
    };
    // Lines that were remembered aren't printed.
    let keep = usize::from(step.partial);
    step.lines.drain(..step.lines.len().saturating_sub(keep));
    let text = format!("{prefix}{}", step.name.replace('\t', " "));
    let mut lines = vec![Line { text, status: String::new(), took, done, colour, words }];
    for status in &step.statuses {
        let Some(started) = &status.started else { continue };
        let now = status.completed.as_ref().or(status.timestamp.as_ref()).map_or(0.0, seconds);
        let shown = match (status.current, status.total) {
            (0, 0) => String::new(),
            (current, 0) => size(current),
            (current, total) => format!("{} / {}", size(current), size(total)),
        };
        lines.push(Line {
            text: format!("=> {}", status.id),
            status: shown,
            took: now - seconds(started),
            done: status.completed.is_some(),
            colour: "\x1b[34m",
            words: Vec::new(),
        });
    }
    let warning = |text: &String| Line {
        text: text.clone(),
        status: String::new(),
        took,
        done: true,
        colour: "\x1b[33m",
        words: Vec::new(),
    };
    lines.extend(step.warnings.iter().map(warning));
    lines
}

/// The last lines that fit, and before them those that still run.
fn fitting(lines: &[Line], height: usize) -> Vec<&Line> {
    let tall = |lines: &[&Line]| lines.iter().map(|line| 1 + line.words.len()).sum::<usize>();
    let mut shown: Vec<&Line> = lines.iter().collect();
    while tall(&shown) > height && !shown.is_empty() {
        let at = shown.iter().position(|line| line.done).unwrap_or(0);
        shown.remove(at);
    }
    shown
}

/// A program's line without what would move the cursor or change colours.
fn bare(line: &str) -> String {
    let mut out = String::new();
    // Only what came after the last return to the line's beginning is seen.
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                if chars.next() == Some('[') {
                    let _ = chars.by_ref().find(|c| ('@'..='~').contains(c));
                }
            }
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn spread(left: &str, right: &str, width: usize) -> String {
    let used = left.chars().count() + right.chars().count();
    format!("{left}{}{right}", " ".repeat(width.saturating_sub(used).max(1)))
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}
