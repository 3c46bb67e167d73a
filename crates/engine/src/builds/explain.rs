//! Why the cache didn't answer: what a step is made of now, against what it was made of the last time.
//!
//! Every step that ran leaves what it was made of beside its record in the cache, as names with short digests. A build
//! that knows its client's directory leaves a list of its steps with their keys, the [`Past`]. The next build from there
//! finds in it the step that stood for the same, and compares. Nothing here decides what is built.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use build::graph::{Bind, Exec, File, MountKind, Place, Vertex};
use build::progress::{Event, Progress, Status};
use oci::Digest;
use serde::{Deserialize, Serialize};
use state::{Durability, Record};

use super::Parts;
use super::files::{Last, Performed, Root, resolve};
use super::tree::Tree;

/// So many of a step's files are known by name.
const MAX_FILES: usize = 10_000;
/// So many names are told.
const TOLD: usize = 5;
/// So many lists of steps are kept.
const MAX_PASTS: usize = 200;
/// Before the reason, in the status that tells it.
pub(super) const MARK: &str = "not cached: ";

/// What a step is made of: names, and what tells one state of each from another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ingredients {
    /// The step's own words and settings.
    own: BTreeMap<String, String>,
    inputs: BTreeMap<String, String>,
    /// The client's files.
    files: BTreeMap<String, String>,
}

/// The steps of the last build from a client's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Past {
    key: String,
    steps: Vec<PastStep>,
    used: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PastStep {
    name: String,
    definition: String,
    key: String,
}

impl Record for Past {
    const KIND: &'static str = "built-before";
    fn key(&self) -> &str {
        &self.key
    }
}

/// One build's steps, and why they ran.
pub(super) struct Account {
    parts: Arc<Parts>,
    progress: Progress,
    told: bool,
    /// What builds from the same place have in common; nothing for a client that says nothing of itself.
    line: Option<String>,
    before: Vec<PastStep>,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    steps: Vec<PastStep>,
    /// Which step made a tree.
    makers: HashMap<Digest, String>,
}

impl Account {
    /// `told` is whether somebody wants to hear. Blocking, for microseconds.
    pub(super) fn open(
        parts: Arc<Parts>,
        progress: Progress,
        shared_key: &str,
        asked: &BTreeMap<String, String>,
        told: bool,
    ) -> Self {
        let line = line(shared_key, asked);
        let past = line.as_ref().and_then(|line| {
            let found = parts.shared.db.read(|tx| tx.find::<Past>(line));
            found.unwrap_or_else(|error| {
                tracing::warn!(error = diag::chain(&error), "cannot read what was built before");
                None
            })
        });
        let before = past.map(|past| past.steps).unwrap_or_default();
        Self { parts, progress, told, line, before, now: Mutex::default() }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source gave this.
    pub(super) fn given(&self, vertex: &Vertex, trees: &[Tree]) {
        let mut now = self.now();
        for tree in trees {
            now.makers.insert(tree.id(), vertex.shown.name.clone());
        }
    }

    /// A step made this, now or when it was found in the cache.
    pub(super) fn made(&self, vertex: &Vertex, key: &Digest, trees: &[Tree]) {
        self.given(vertex, trees);
        let step = PastStep {
            name: vertex.shown.name.clone(),
            definition: vertex.digest().to_string(),
            key: key.to_string(),
        };
        self.now().steps.push(step);
    }

    /// A step runs: tells why.
    pub(super) fn runs(&self, vertex: &Vertex, key: &Digest, made_of: &Ingredients) {
        if !self.told {
            return;
        }
        let now = SystemTime::now();
        self.progress.tell(Event::Status(Status {
            vertex: vertex.digest().clone(),
            id: format!("{MARK}{}", self.why(vertex, key, made_of)),
            name: String::new(),
            current: 0,
            total: 0,
            at: now,
            started: Some(now),
            completed: Some(now),
        }));
    }

    fn why(&self, vertex: &Vertex, key: &Digest, made_of: &Ingredients) -> String {
        if vertex.shown.ignore_cache {
            return "the cache was not to be asked".into();
        }
        let Some(before) = self.counterpart(vertex) else {
            let first = self.before.is_empty();
            return if first { "nothing was built from here before" } else { "the step is new" }.into();
        };
        if before.key == key.as_str() {
            return "what it made is no longer in the cache".into();
        }
        let Some(known) = before.key.parse().ok().and_then(|key| self.parts.cache.made_of(&key)) else {
            return "what it made the last time is no longer in the cache, or came from elsewhere".into();
        };
        let mut reasons = files(&known.files, &made_of.files);
        let (was, is) = (words(&before.name), words(&vertex.shown.name));
        if was != is {
            reasons.push(format!("it was {was:?}"));
        }
        reasons.extend(settings(&known.own, &made_of.own, was != is));
        let now = self.now();
        for (label, id) in &made_of.inputs {
            if known.inputs.get(label) != Some(id) {
                let maker = id.parse().ok().and_then(|id: Digest| now.makers.get(&id).cloned());
                reasons.push(format!("{} is not what it was", maker.as_ref().unwrap_or(label)));
            }
        }
        match reasons.is_empty() {
            true => {
                "what it copies differs in what has no name here: directories, or files of other steps".into()
            }
            false => reasons.join("; "),
        }
    }

    /// What stood for the same the last time: the same definition, the same words, or what was at its place.
    fn counterpart(&self, vertex: &Vertex) -> Option<&PastStep> {
        let (name, definition) = (&vertex.shown.name, vertex.digest().as_str());
        let find = |same: &dyn Fn(&PastStep) -> bool| self.before.iter().find(|step| same(step));
        find(&|step| step.definition == definition)
            .or_else(|| find(&|step| step.name == *name))
            .or_else(|| find(&|step| words(&step.name) == words(name)))
            .or_else(|| find(&|step| place(name).is_some() && place(&step.name) == place(name)))
    }

    /// Leaves the list for the next build, if it says anything else. Blocking.
    pub(super) fn close(&self) -> Result<(), state::Error> {
        let Some(line) = &self.line else { return Ok(()) };
        let mut steps = std::mem::take(&mut self.now().steps);
        if steps.is_empty() {
            return Ok(());
        }
        // A build that failed came to no end: what would have come is still compared with what was there before.
        let reached: BTreeSet<String> =
            steps.iter().filter_map(|step| place(&step.name).map(str::to_owned)).collect();
        let left =
            self.before.iter().filter(|step| place(&step.name).is_some_and(|place| !reached.contains(place)));
        steps.extend(left.cloned());
        if same(&steps, &self.before) {
            return Ok(());
        }
        let past = Past { key: line.clone(), steps, used: SystemTime::now() };
        self.parts.shared.db.write(Durability::Process, |tx| {
            tx.put(&past)?;
            let all: Vec<Past> = tx.list()?;
            let oldest = all.iter().filter(|_| all.len() > MAX_PASTS).min_by_key(|past| past.used);
            oldest.map_or(Ok(()), |oldest| tx.delete::<Past>(&oldest.key))
        })
    }
}

/// Steps end in another order each time.
fn same(steps: &[PastStep], others: &[PastStep]) -> bool {
    steps.len() == others.len() && steps.iter().all(|step| others.contains(step))
}

fn line(shared_key: &str, asked: &BTreeMap<String, String>) -> Option<String> {
    let said = |key: &str| asked.get(key).map(String::as_str).unwrap_or_default();
    if shared_key.is_empty() && said("context").is_empty() {
        return None;
    }
    let parts = [shared_key, said("context"), said("filename"), said("target"), said("platform")];
    Some(Digest::sha256(parts.join("\0").as_bytes()).to_string())
}

// ── names of steps ──

/// `RUN make` of `[stage 2/5] RUN make`.
fn words(name: &str) -> &str {
    name.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(name, |(_, words)| words)
}

/// `stage 2` of `[stage 2/5] RUN make`.
fn place(name: &str) -> Option<&str> {
    let inside = name.strip_prefix('[')?.split_once("] ")?.0;
    Some(inside.rsplit_once('/')?.0)
}

// ── differences ──

fn files(known: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let changed = now.iter().filter(|(name, state)| known.get(*name).is_some_and(|known| known != *state));
    let changed: Vec<&String> = changed.map(|(name, _)| name).collect();
    let new: Vec<&String> = now.keys().filter(|name| !known.contains_key(*name)).collect();
    let gone: Vec<&String> = known.keys().filter(|name| !now.contains_key(*name)).collect();
    let tell = |names: &[&String], one: &str, many: &str| -> Option<String> {
        let shown: Vec<String> = names.iter().take(TOLD).map(|name| shown(name)).collect();
        let more = names.len().saturating_sub(TOLD);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let verb = if names.len() == 1 { one } else { many };
        (!names.is_empty()).then(|| format!("{}{more} {verb}", shown.join(", ")))
    };
    let told = [
        tell(&changed, "changed", "changed"),
        tell(&new, "is new", "are new"),
        tell(&gone, "is gone", "are gone"),
    ];
    told.into_iter().flatten().collect()
}

/// A name as it can be shown in a line.
fn shown(name: &str) -> String {
    if name.chars().any(char::is_control) { format!("{name:?}") } else { name.to_owned() }
}

/// `reworded`: that the words differ was said already.
fn settings(known: &BTreeMap<String, String>, now: &BTreeMap<String, String>, reworded: bool) -> Vec<String> {
    let names: BTreeSet<&String> = known.keys().chain(now.keys()).collect();
    let mut told = Vec::new();
    for name in names {
        let what = match (known.get(name), now.get(name)) {
            (Some(known), Some(now)) if known == now => continue,
            (Some(_), Some(_)) if name.starts_with("variable ") => "has another value",
            (Some(_), Some(_)) => "changed",
            (None, _) => "is new",
            (_, None) => "is gone",
        };
        if !(reworded && name == WORDS) {
            told.push(format!("the {name} {what}"));
        }
    }
    told
}

// ── what steps are made of ──

const WORDS: &str = "instruction";

fn short(bytes: &[u8]) -> String {
    Digest::sha256(bytes).hex()[..16].to_owned()
}

impl Ingredients {
    /// Of a program in a container. Blocking.
    pub(super) fn of_exec(exec: &Exec, vertex: &Vertex, inputs: &[Tree]) -> Self {
        let mut made_of = Self::default();
        if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(exec) {
            for (field, value) in fields {
                let name = match field.as_str() {
                    "env" => continue,
                    "args" => WORDS.to_owned(),
                    "cwd" => "working directory".to_owned(),
                    other => other.replace('_', " "),
                };
                made_of.own.insert(name, short(value.to_string().as_bytes()));
            }
        }
        for variable in &exec.env {
            let name = variable.split_once('=').map_or(&variable[..], |(name, _)| name);
            made_of.own.insert(format!("variable {name}"), short(variable.as_bytes()));
        }
        made_of.own.insert("platform".into(), short(format!("{:?}", vertex.platform).as_bytes()));
        for mount in &exec.mounts {
            if let MountKind::Bind(Bind { from: Some(from), selector }) = &mount.kind
                && let Some(tree) = inputs.get(from.0 as usize)
            {
                made_of.mount(&mount.target, tree, selector);
            }
        }
        made_of
    }

    fn mount(&mut self, target: &str, tree: &Tree, selector: &str) {
        match tree {
            Tree::Folder(folder) => {
                let root = Root::Folder(folder.clone());
                // One that leads nowhere is the step's failure, not ours.
                let Ok(path) = resolve(&root, selector.as_bytes(), Last::Followed) else { return };
                self.files.extend(folder.states_below(&path, MAX_FILES));
            }
            Tree::Layers(_) => {
                let label = if target == "/" {
                    "what it stands on".into()
                } else {
                    format!("what is mounted at {target}")
                };
                self.inputs.insert(label, tree.id().to_string());
            }
        }
    }

    /// Of changes to files. Blocking.
    pub(super) fn of_files(file: &File, performed: &Performed, inputs: &[Tree]) -> Self {
        let mut made_of = Self::default();
        // What can't be written down has no key either.
        let words = serde_json::to_vec(file).unwrap_or_default();
        made_of.own.insert(WORDS.into(), short(&words));
        let bases: Vec<usize> = file
            .actions
            .iter()
            .filter_map(|action| match action.base {
                Place::Input(input) => Some(input.0 as usize),
                _ => None,
            })
            .collect();
        for (at, tree) in inputs.iter().enumerate() {
            if let Tree::Layers(_) = tree {
                let label = if bases.contains(&at) { "what it stands on" } else { "what it copies from" };
                made_of.inputs.insert(format!("{label} ({at})"), tree.id().to_string());
            }
        }
        for planned in &performed.outputs {
            planned.draft.sources(MAX_FILES, &mut made_of.files);
        }
        made_of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
    }

    #[test]
    fn files_are_named_by_what_became_of_them() {
        let known = map(&[("a", "1"), ("b", "1"), ("c\n", "1")]);
        let now = map(&[("a", "2"), ("b", "1"), ("d", "1")]);
        assert_eq!(files(&known, &now), ["a changed", "d is new", "\"c\\n\" is gone"]);
        let many: Vec<(String, String)> = (0..8).map(|n| (format!("f{n}"), String::new())).collect();
        assert_eq!(
            files(&BTreeMap::new(), &many.into_iter().collect()),
            ["f0, f1, f2, f3, f4 and 3 more are new"]
        );
        assert!(files(&known, &known).is_empty());
    }

    #[test]
    fn a_step_s_name_is_its_place_and_its_words() {
        assert_eq!((words("[a 2/5] RUN x"), place("[a 2/5] RUN x")), ("RUN x", Some("a 2")));
        assert_eq!((words("copy x"), place("copy x")), ("copy x", None));
        assert_eq!(place("[internal] load x"), None);
    }

    #[test]
    fn settings_are_told_but_words_once() {
        let known = map(&[(WORDS, "1"), ("variable A", "1"), ("variable B", "1")]);
        let now = map(&[(WORDS, "2"), ("variable A", "2"), ("user", "1")]);
        let told = ["the user is new", "the variable A has another value", "the variable B is gone"];
        assert_eq!(settings(&known, &now, true), told);
        assert_eq!(settings(&known, &now, false).len(), 4);
    }
}
