//! Progress as lines. Steps take turns: one that is shown goes on being shown for a while, so that its lines stay
//! together, and what has ended comes first.

use std::collections::HashMap;
use std::fmt::Write as _;

use buildkit::proto::control::VertexStatus;

use super::trace::{Step, Trace};
use super::{seconds, size};

/// How long a step may speak before others get their turn, in seconds.
const TURN: f64 = 5.0;
/// A step that waited this long gets its turn.
const PATIENCE: f64 = 10.0;
/// A status is shown again when it made this much of its way, or after this many seconds.
const STRIDE: f64 = 0.05;
const PAUSE: f64 = 5.0;

#[derive(Default)]
pub(super) struct Plain {
    out: String,
    current: Option<usize>,
    numbers: usize,
    /// What was last shown of a status: how far, and when.
    shown: HashMap<(usize, String), (i64, f64)>,
}

impl Plain {
    /// The lines for what is new.
    pub(super) fn print(&mut self, trace: &mut Trace) -> String {
        let news: Vec<usize> = trace.news.iter().copied().filter(|at| !trace.steps[*at].hidden).collect();
        let (mut ended, open): (Vec<usize>, Vec<usize>) =
            news.into_iter().partition(|at| trace.steps[*at].completed.is_some());
        let current = self.current;
        ended.sort_by(|left, right| {
            let key = |at: &usize| (Some(*at) != current, trace.steps[*at].completed);
            key(left).partial_cmp(&key(right)).unwrap_or(std::cmp::Ordering::Equal)
        });
        for at in ended {
            self.step(trace, at);
        }
        if let Some(next) = self.next(trace, current, open) {
            self.step(trace, next);
        }
        std::mem::take(&mut self.out)
    }

    /// Whose turn it is.
    fn next(&mut self, trace: &mut Trace, current: Option<usize>, mut open: Vec<usize>) -> Option<usize> {
        if open.is_empty() {
            let runs = |step: &Step| step.started.is_some() && step.completed.is_none() && !step.hidden;
            if self.current.is_some_and(|at| runs(&trace.steps[at])) {
                return None;
            }
            return trace.begun.iter().copied().find(|at| runs(&trace.steps[*at]));
        }
        if let Some(at) = current.filter(|at| open.contains(at)) {
            self.step(trace, at);
        }
        open.extend(self.current.filter(|at| !open.contains(at)));
        open.sort_unstable();
        let waited = |at: usize| trace.steps[at].since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let speed = |at: usize| trace.steps[at].count as f64 / waited(at).max(1e-6);
        let busiest = open.iter().copied().max_by(|a, b| speed(*a).total_cmp(&speed(*b)));
        let Some(current) = self.current else { return busiest };
        if let Some(late) = open.iter().copied().find(|at| *at != current && waited(*at) > PATIENCE) {
            return Some(late);
        }
        let all: f64 = open.iter().map(|at| speed(*at)).sum();
        let share = speed(current) / all;
        let over = TURN / (1.0 - share).max(1e-9) < waited(current);
        busiest.filter(|at| over && *at != current)
    }

    fn step(&mut self, trace: &mut Trace, at: usize) {
        if self.current != Some(at) {
            if let Some(old) = self.current {
                let old = &mut trace.steps[old];
                if old.partial && !old.lines.is_empty() {
                    self.out.push('\n');
                }
                (old.offset, old.count) = (0, 0);
                let _ = writeln!(self.out, "#{} ...", old.number);
            }
            let step = &mut trace.steps[at];
            if step.number == 0 {
                self.numbers += 1;
                step.number = self.numbers;
            }
            let _ = writeln!(self.out, "\n#{} {}", step.number, step.name);
        }
        self.current = Some(at);
        let step = &mut trace.steps[at];
        for warning in &step.warnings[step.warned.min(step.warnings.len())..] {
            let _ = writeln!(self.out, "#{} {warning}", step.number);
        }
        step.warned = step.warnings.len();
        self.statuses(at, step);
        self.lines(step);
        if step.completed.is_some() {
            self.current = None;
            step.count = 0;
            self.end(step);
        }
        trace.news.remove(&at);
    }

    fn statuses(&mut self, at: usize, step: &mut Step) {
        let changed = std::mem::take(&mut step.changed_statuses);
        for status in step.statuses.iter().filter(|status| changed.contains(&status.id)) {
            let key = (at, status.id.clone());
            let now = status.timestamp.as_ref().map_or(0.0, seconds);
            let far = |before: i64| match status.total {
                1.. => (status.current - before) as f64 / status.total as f64,
                _ => 0.0,
            };
            let known = self.shown.get(&key).filter(|_| status.completed.is_none());
            if known.is_some_and(|(before, then)| far(*before) < STRIDE && now - then < PAUSE) {
                continue;
            }
            self.shown.insert(key, (status.current, now));
            let _ = writeln!(self.out, "#{} {}", step.number, told(status, now));
        }
    }

    fn lines(&mut self, step: &mut Step) {
        let count = step.lines.len();
        for (index, line) in step.lines.iter().enumerate() {
            let line = if index == 0 { line.get(step.offset..).unwrap_or_default() } else { line };
            let goes_on = index == 0 && step.offset > 0;
            if !goes_on {
                let _ = write!(self.out, "#{} ", step.number);
            }
            self.out.push_str(line);
            if index + 1 < count || !step.partial {
                self.out.push('\n');
            }
        }
        if step.partial
            && let Some(last) = step.lines.pop()
        {
            step.offset = last.len();
            step.lines = vec![last];
        } else {
            step.lines.clear();
            step.offset = 0;
        }
    }

    fn end(&mut self, step: &Step) {
        if step.partial && step.offset > 0 {
            self.out.push('\n');
        }
        let number = step.number;
        let _ = match (step.error.as_str(), step.cached) {
            _ if step.is_cancelled() => writeln!(self.out, "#{number} CANCELED"),
            ("", true) => writeln!(self.out, "#{number} CACHED"),
            ("", false) => {
                let took = step.completed.zip(step.started).map_or(0.0, |(end, start)| end - start);
                writeln!(self.out, "#{number} DONE {took:.1}s")
            }
            (error, _) => writeln!(self.out, "#{number} ERROR: {error}"),
        };
    }
}

fn told(status: &VertexStatus, now: f64) -> String {
    let mut text = status.id.clone();
    match (status.current, status.total) {
        (current, total) if total != 0 => {
            let _ = write!(text, " {} / {}", size(current), size(total));
        }
        (0, _) => {}
        (current, _) => {
            let _ = write!(text, " {}", size(current));
        }
    }
    if let Some(started) = &status.started {
        let took = status.completed.as_ref().map_or(now, seconds) - seconds(started);
        if took > 0.01 {
            let _ = write!(text, " {took:.1}s");
        }
    }
    if status.completed.is_some() {
        text.push_str(" done");
    }
    text
}
