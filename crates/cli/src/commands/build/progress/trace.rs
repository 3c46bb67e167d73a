//! The state of a build, put together from its news.

use std::collections::{HashMap, HashSet, VecDeque};

use buildkit::proto::control::{StatusResponse, Vertex, VertexLog, VertexStatus};
use buildkit::proto::pb::ProgressGroup;
use tokio::time::Instant;

use super::seconds;

/// The lines of a failed step that are repeated at the end.
const LAST_LINES: usize = 20;
/// A step's lines that a terminal keeps: as many bytes as BuildKit passes on.
const KEPT: usize = 2 << 20;

/// All steps so far.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) steps: Vec<Step>,
    by_digest: HashMap<String, usize>,
    groups: HashMap<String, Group>,
    /// Steps that changed since they were shown.
    pub(super) news: HashSet<usize>,
    /// In the order in which they began.
    pub(super) begun: Vec<usize>,
    pub(super) started: Option<Instant>,
    keeps_logs: bool,
}

/// Steps that are shown as one.
struct Group {
    step: usize,
    members: HashMap<String, Vertex>,
}

/// One step.
#[derive(Default)]
pub(super) struct Step {
    pub(super) name: String,
    /// The number it is shown under; 0 before it is.
    pub(super) number: usize,
    pub(super) started: Option<f64>,
    pub(super) completed: Option<f64>,
    pub(super) cached: bool,
    pub(super) error: String,
    /// Shown only when a member that stands for itself began.
    pub(super) hidden: bool,
    pub(super) statuses: Vec<VertexStatus>,
    pub(super) changed_statuses: HashSet<String>,
    /// Lines that weren't shown yet.
    pub(super) lines: Vec<String>,
    /// The last of `lines`, or of what was shown, goes on.
    pub(super) partial: bool,
    /// How much of the first line was shown before it went on.
    pub(super) offset: usize,
    pub(super) last_lines: VecDeque<String>,
    last_bytes: usize,
    pub(super) warnings: Vec<String>,
    /// How many of them were shown as lines.
    pub(super) warned: usize,
    /// How many news it made since it was last shown, and since when.
    pub(super) count: usize,
    pub(super) since: Option<Instant>,
    /// When it began by our clock.
    pub(super) began_here: Option<Instant>,
}

impl Step {
    fn touch(&mut self) {
        if self.count == 0 {
            self.since = Some(Instant::now());
        }
        self.count += 1;
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.error.ends_with("context canceled")
    }

    fn become_like(&mut self, vertex: &Vertex) -> bool {
        let before = (self.started, self.completed, self.cached, self.error.clone());
        // A step that begins again hasn't ended; a word about one that hasn't begun says nothing new.
        if vertex.started.is_some() || self.started.is_none() {
            self.name.clone_from(&vertex.name);
            self.completed = vertex.completed.as_ref().map(seconds);
            self.started = vertex.started.as_ref().map(seconds);
            self.cached = vertex.cached;
            self.error.clone_from(&vertex.error);
        }
        if self.started.is_some() && self.began_here.is_none() {
            self.began_here = Some(Instant::now());
        }
        vertex.started.is_some() && before != (self.started, self.completed, self.cached, self.error.clone())
    }
}

impl Trace {
    pub(super) fn new(keeps_logs: bool) -> Self {
        Self { keeps_logs, ..Self::default() }
    }

    pub(super) fn update(&mut self, news: &StatusResponse) {
        for vertex in &news.vertexes {
            match &vertex.progress_group {
                Some(group) => self.member(group, vertex),
                None => self.vertex(vertex),
            }
        }
        for status in &news.statuses {
            self.status(status);
        }
        for warning in &news.warnings {
            if let Some(at) = self.by_digest.get(&warning.vertex).copied() {
                let text = format!("WARN: {}", String::from_utf8_lossy(&warning.short));
                self.steps[at].warnings.push(text);
                self.changed(at);
            }
        }
        for log in &news.logs {
            self.log(log);
        }
    }

    fn add(&mut self, digest: &str) -> usize {
        self.steps.push(Step::default());
        let at = self.steps.len() - 1;
        self.by_digest.insert(digest.to_owned(), at);
        at
    }

    fn vertex(&mut self, vertex: &Vertex) {
        let known = self.by_digest.get(&vertex.digest).copied();
        let at = known.unwrap_or_else(|| self.add(&vertex.digest));
        let begins = self.steps[at].started.is_none() && vertex.started.is_some();
        if self.steps[at].become_like(vertex) {
            self.changed(at);
        }
        if begins {
            self.begin(at);
        }
    }

    fn member(&mut self, group: &ProgressGroup, vertex: &Vertex) {
        if !self.groups.contains_key(&group.id) {
            let step = self.add(&group.id);
            self.steps[step].name.clone_from(&group.name);
            self.steps[step].hidden = true;
            self.groups.insert(group.id.clone(), Group { step, members: HashMap::new() });
        }
        let Some(found) = self.groups.get_mut(&group.id) else { return };
        let at = found.step;
        self.by_digest.insert(vertex.digest.clone(), at);
        found.members.insert(vertex.digest.clone(), vertex.clone());
        let whole = together(found.members.values(), &group.name);
        let reveals = found.members.values().any(|vertex| {
            let stands = vertex.progress_group.as_ref().is_some_and(|group| !group.weak);
            !vertex.error.is_empty() || (stands && vertex.started.is_some())
        });
        let step = &mut self.steps[at];
        let revealed = step.hidden && reveals;
        step.hidden &= !reveals;
        let changed = step.become_like(&whole);
        if !step.hidden && (changed || revealed) {
            self.changed(at);
        }
        if revealed {
            self.begin(at);
        }
    }

    fn begin(&mut self, at: usize) {
        self.started.get_or_insert_with(Instant::now);
        self.begun.push(at);
    }

    fn changed(&mut self, at: usize) {
        self.steps[at].touch();
        self.news.insert(at);
    }

    fn status(&mut self, status: &VertexStatus) {
        let Some(&at) = self.by_digest.get(&status.vertex) else { return };
        let step = &mut self.steps[at];
        match step.statuses.iter_mut().find(|known| known.id == status.id) {
            Some(known) => known.clone_from(status),
            None => step.statuses.push(status.clone()),
        }
        step.changed_statuses.insert(status.id.clone());
        self.changed(at);
    }

    fn log(&mut self, log: &VertexLog) {
        let Some(&at) = self.by_digest.get(&log.vertex) else { return };
        let step = &mut self.steps[at];
        let time = log.timestamp.as_ref().map_or(0.0, seconds) - step.started.unwrap_or_default();
        let text = String::from_utf8_lossy(&log.msg);
        let mut pieces: Vec<&str> = text.split('\n').collect();
        let ends = pieces.last().is_some_and(|last| last.is_empty());
        if ends {
            pieces.pop();
        }
        for (index, piece) in pieces.iter().enumerate() {
            match step.lines.last_mut().filter(|_| index == 0 && step.partial) {
                Some(line) => line.push_str(piece),
                None => step.lines.push(format!("{} {piece}", clock(time))),
            }
            let whole = ends || index + 1 < pieces.len();
            if whole && let Some(line) = step.lines.last().cloned() {
                step.remember(line, self.keeps_logs);
            }
        }
        step.partial = !ends;
        self.changed(at);
    }

    /// The logs of what failed, as they stand at the end of all.
    pub(super) fn failures(&mut self) -> String {
        let mut text = String::new();
        for at in &self.begun {
            let step = &mut self.steps[*at];
            if step.error.is_empty() || step.is_cancelled() {
                continue;
            }
            if step.partial
                && let Some(line) = step.lines.pop()
            {
                step.last_lines.push_back(line);
            }
            text.push_str(&format!("------\n > {}:\n", step.name));
            for line in &step.last_lines {
                text.push_str(line);
                text.push('\n');
            }
            text.push_str("------\n");
        }
        text
    }
}

impl Step {
    fn remember(&mut self, line: String, all: bool) {
        self.last_bytes += line.len();
        self.last_lines.push_back(line);
        while self.last_bytes > KEPT || (!all && self.last_lines.len() > LAST_LINES) {
            let Some(gone) = self.last_lines.pop_front() else { break };
            self.last_bytes -= gone.len();
        }
    }
}

/// A group as one vertex.
fn together<'a>(members: impl Iterator<Item = &'a Vertex>, name: &str) -> Vertex {
    let mut whole = Vertex { name: name.to_owned(), cached: true, ..Vertex::default() };
    let mut all_completed = true;
    for vertex in members {
        whole.cached &= vertex.cached;
        if whole.error.is_empty() {
            whole.error.clone_from(&vertex.error);
        }
        let Some(started) = vertex.started else { continue };
        if whole.started.as_ref().is_none_or(|first| seconds(first) > seconds(&started)) {
            whole.started = Some(started);
        }
        match vertex.completed {
            Some(completed) if whole.completed.as_ref().is_none_or(|l| seconds(l) < seconds(&completed)) => {
                whole.completed = Some(completed);
            }
            Some(_) => {}
            None => all_completed = false,
        }
    }
    whole.completed = whole.completed.filter(|_| all_completed);
    whole
}

/// The time of a line: four digits as long as it goes.
fn clock(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.3}"),
        ..100.0 => format!("{seconds:.2}"),
        _ => format!("{seconds:.1}"),
    }
}
