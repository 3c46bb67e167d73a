//! `--call=outline` and `--call=targets`: what a Dockerfile takes and what it can make.

use std::collections::{BTreeMap, BTreeSet};

use dockerfile::Lines;
use dockerfile::check::location;
use serde_json::{Value, json};

use super::stages::Lowering;

/// An argument of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) value: String,
    pub(super) lines: Lines,
    /// The arguments in its default.
    pub(super) uses: BTreeSet<String>,
}

/// By name.
pub(super) type Arguments = BTreeMap<String, Argument>;

impl Argument {
    pub(super) fn new(argument: &dockerfile::Argument, lines: Lines) -> Self {
        Self {
            name: argument.name.clone(),
            description: argument.description.clone(),
            value: String::new(),
            lines,
            uses: BTreeSet::new(),
        }
    }
}

/// A secret or an agent that a step wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) lines: Lines,
}

/// What a target takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) secrets: Vec<Wanted>,
    pub(super) agents: Vec<Wanted>,
}

impl Outline {
    /// BuildKit's JSON. `source` is the Dockerfile in base64.
    pub fn json(&self, source: &str) -> Value {
        let mut outline = serde_json::Map::new();
        let mut put = |key: &str, value: Value| {
            let empty = value.as_array().is_some_and(Vec::is_empty) || value == json!("");
            if !empty {
                outline.insert(key.to_owned(), value);
            }
        };
        put("name", json!(self.name));
        put("description", json!(self.description));
        put("args", self.arguments.iter().map(argument).collect());
        put("secrets", self.secrets.iter().map(wanted).collect());
        put("ssh", self.agents.iter().map(wanted).collect());
        put("sources", json!([source]));
        Value::Object(outline)
    }
}

fn argument(argument: &Argument) -> Value {
    let mut value = json!({ "name": argument.name });
    if !argument.description.is_empty() {
        value["description"] = json!(argument.description);
    }
    if !argument.value.is_empty() {
        value["value"] = json!(argument.value);
    }
    value["location"] = location(argument.lines);
    value
}

fn wanted(wanted: &Wanted) -> Value {
    let mut value = json!({ "name": wanted.name });
    if wanted.required {
        value["required"] = json!(true);
    }
    value["location"] = location(wanted.lines);
    value
}

/// The stages, as `--call=targets` lists them.
pub fn targets(file: &dockerfile::Dockerfile, source: &str) -> Value {
    let last = file.stages.len().saturating_sub(1);
    let target = |(at, stage): (usize, &dockerfile::Stage)| {
        let mut value = serde_json::Map::new();
        let texts = [("name", &stage.name), ("description", &stage.description), ("base", &stage.base)];
        for (key, text) in texts.into_iter().chain([("platform", &stage.platform)]) {
            if !text.is_empty() {
                value.insert(key.to_owned(), json!(text));
            }
            if key == "name" && at == last {
                value.insert("default".to_owned(), json!(true));
            }
        }
        value.insert("location".to_owned(), location(stage.lines));
        Value::Object(value)
    };
    json!({ "targets": file.stages.iter().enumerate().map(target).collect::<Value>(), "sources": [source] })
}

impl Lowering<'_> {
    /// What a stage and those that it needs take.
    pub(super) fn outline(&self, target: usize) -> Outline {
        let (mut arguments, mut secrets, mut agents) = (Arguments::new(), BTreeMap::new(), BTreeMap::new());
        let (mut waiting, mut seen) = (vec![target], BTreeSet::new());
        while let Some(at) = waiting.pop() {
            if !seen.insert(at) {
                continue;
            }
            let stage = &self.stages[at];
            for name in used(&stage.used_arguments, &stage.known_arguments) {
                if let Some(argument) = stage.known_arguments.get(&name) {
                    arguments.entry(name).or_insert_with(|| argument.clone());
                }
            }
            for (all, own) in [(&mut secrets, &stage.secrets), (&mut agents, &stage.agents)] {
                own.iter().for_each(|(name, wanted)| {
                    all.entry(name.clone()).or_insert_with(|| wanted.clone());
                });
            }
            waiting.extend(stage.base.into_iter().chain(stage.needs.iter().map(|(need, _)| *need)));
        }
        let stage = &self.stages[target];
        let name = if stage.alias.is_empty() { String::new() } else { stage.alias.clone() };
        let mut arguments: Vec<Argument> = arguments.into_values().collect();
        arguments.sort_by_key(|argument| argument.lines.first);
        let sorted = |wanted: BTreeMap<String, Wanted>| {
            let mut wanted: Vec<Wanted> = wanted.into_values().collect();
            wanted.sort_by_key(|wanted| wanted.lines.first);
            wanted
        };
        Outline {
            name,
            description: stage.description.clone(),
            arguments,
            secrets: sorted(secrets),
            agents: sorted(agents),
        }
    }
}

/// Names, and those in their defaults.
fn used(names: &BTreeSet<String>, known: &Arguments) -> BTreeSet<String> {
    let (mut all, mut waiting) = (BTreeSet::new(), names.iter().cloned().collect::<Vec<_>>());
    while let Some(name) = waiting.pop() {
        if all.insert(name.clone()) {
            waiting.extend(known.get(&name).into_iter().flat_map(|argument| argument.uses.iter().cloned()));
        }
    }
    all
}
