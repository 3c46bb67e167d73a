//! Names of what is there: arguments by what a command's usage line calls them, and the engine asked for those.

use std::time::Duration;

use client::Engine;
use client::resolve::process_env;
use flags::{Outcome, Place};
use serde_json::Value;

use super::{Answer, Candidate, Directive};
use crate::call::{Call, block_on};
use crate::commands::compose;
use crate::tree::{Action, ROOT};

/// A shell waits for us: an engine that doesn't answer has no names.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) enum Which {
    /// Those in a state that the command is for.
    Containers(fn(&str) -> bool),
    Images,
    Networks,
    Volumes,
    Contexts,
    Services,
    Profiles,
}

pub(super) fn any(_: &str) -> bool {
    true
}

fn running(state: &str) -> bool {
    matches!(state, "running" | "restarting" | "paused")
}

fn paused(state: &str) -> bool {
    state == "paused"
}

fn unpaused(state: &str) -> bool {
    state == "running"
}

fn ended(state: &str) -> bool {
    !running(state)
}

/// What the next argument may be.
pub(super) fn of_argument(place: &Place<Action>, begun: &str) -> Answer {
    let command = place.command();
    let Some(meant) = placeholder(command.usage, place.args.len()) else {
        return (Vec::new(), Directive::NoFiles);
    };
    let is_below = |name: &str| place.levels.iter().any(|(one, _)| one.name == name);
    let which = match meant {
        "CONTAINER" | "CONTAINER..." => Which::Containers(states(command.name)),
        "CONTAINER:SRC_PATH" | "DEST_PATH|-" => return inside(place, begun, Which::Containers(any)),
        "VOLUME:SRC_PATH" | "VOLUME:DEST_PATH|DEST_PATH|-" => return inside(place, begun, Which::Volumes),
        "IMAGE" | "SOURCE_IMAGE[:TAG]" => Which::Images,
        "NAME[:TAG]" if command.name == "push" => Which::Images,
        "NETWORK" if command.name != "create" => Which::Networks,
        "VOLUME" if command.name != "create" => Which::Volumes,
        "CONTEXT" if command.name != "create" && is_below("context") => Which::Contexts,
        "SERVICE" | "SERVICE..." if is_below("compose") => Which::Services,
        "NAME|ID" => {
            let mut all = ask(place, Which::Containers(any));
            for which in [Which::Images, Which::Networks, Which::Volumes] {
                all.extend(ask(place, which));
            }
            return (all, Directive::NoFiles);
        }
        "NETWORK" | "VOLUME" | "NEW_VOLUME" | "CONTEXT" | "NEW_NAME" | "REPOSITORY[:TAG]" => {
            return (Vec::new(), Directive::NoFiles);
        }
        _ => return (Vec::new(), Directive::Files),
    };
    let written = |candidate: &Candidate| !place.args.contains(&candidate.word);
    (ask(place, which).into_iter().filter(written).collect(), Directive::NoFiles)
}

/// The word of the usage line that stands for the argument at `index`; the last one repeats where it says so.
fn placeholder(usage: &'static str, index: usize) -> Option<&'static str> {
    let words: Vec<&str> = usage.split_whitespace().filter(|word| *word != "[OPTIONS]").collect();
    let bare = |word: &'static str| {
        let inner = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
        inner.strip_suffix("...").unwrap_or(inner).trim_start_matches('[')
    };
    match words.get(index) {
        Some(word) => Some(bare(word)),
        None => words.last().filter(|word| word.contains("...")).map(|word| bare(word)),
    }
}

/// The states in which a container is of use to a command.
fn states(command: &str) -> fn(&str) -> bool {
    match command {
        "start" => ended,
        "unpause" => paused,
        "attach" | "exec" | "pause" => unpaused,
        "kill" | "port" | "stats" | "stop" | "top" | "wait" => running,
        _ => any,
    }
}

/// `cp`: a container or volume and a colon, or a file.
fn inside(place: &Place<Action>, begun: &str, which: Which) -> Answer {
    if begun.contains([':', '/']) {
        return (Vec::new(), Directive::Files);
    }
    let names = ask(place, which).into_iter();
    (names.map(|one| Candidate { word: one.word + ":", ..one }).collect(), Directive::NoSpace)
}

/// The names of what is there; none where nobody can be asked.
pub(super) fn ask(place: &Place<Action>, which: Which) -> Vec<Candidate> {
    let Some(call) = beside(place) else { return Vec::new() };
    let of_project = |names: fn(&::compose::Project) -> Vec<String>| {
        let project = compose::load_project(&call, &[]);
        project.map(|project| names(&project).into_iter().map(Candidate::bare).collect()).unwrap_or_default()
    };
    match which {
        Which::Contexts => contexts(&call),
        Which::Services => {
            of_project(|project| project.names("services").into_iter().map(str::to_owned).collect())
        }
        Which::Profiles => of_project(::compose::Project::profiles),
        Which::Containers(fits) => {
            let rows = list(&call, "/containers/json?all=1");
            let fits = |row: &&Value| fits(row["State"].as_str().unwrap_or_default());
            let with_ids = process_env("DOCKER_COMPLETION_SHOW_CONTAINER_IDS").as_deref() == Some("yes");
            let words = rows.iter().filter(fits).flat_map(|row| {
                let id = row["Id"].as_str().filter(|_| with_ids);
                let names = row["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
                id.into_iter().chain(names).map(|name| name.trim_start_matches('/'))
            });
            // With a slash: a name that a link gave it.
            words.filter(|name| !name.contains('/')).map(Candidate::bare).collect()
        }
        Which::Images => {
            let rows = list(&call, "/images/json");
            let tags = rows.iter().flat_map(|row| row["RepoTags"].as_array().cloned().unwrap_or_default());
            let tags = tags.filter_map(|tag| tag.as_str().map(str::to_owned));
            tags.filter(|tag| !tag.starts_with("<none>")).map(Candidate::bare).collect()
        }
        Which::Networks => named(&list(&call, "/networks")),
        Which::Volumes => match list(&call, "/volumes").first() {
            Some(Value::Array(volumes)) => named(volumes),
            _ => Vec::new(),
        },
    }
}

fn named(rows: &[Value]) -> Vec<Candidate> {
    rows.iter().filter_map(|row| row["Name"].as_str()).map(Candidate::bare).collect()
}

/// A call for the same engine and project as the unfinished one: its global flags, and those of `compose`.
fn beside(place: &Place<Action>) -> Option<Call> {
    let mut line = place.levels[0].1.clone();
    match place.levels.get(1) {
        Some((group, flags)) if group.name == "compose" => {
            line.push("compose".to_owned());
            line.extend(flags.iter().cloned());
            line.push("config".to_owned());
        }
        _ => line.push("ps".to_owned()),
    }
    let line: Vec<_> = line.into_iter().map(Into::into).collect();
    match flags::parse("ketch", &ROOT, &line) {
        Ok(Outcome::Run(invocation)) => Some(Call::new("ketch", invocation)),
        _ => None,
    }
}

/// A list of the engine's: the array that it answers, or the values of the object.
fn list(call: &Call, path: &str) -> Vec<Value> {
    let Ok(mut endpoint) = call.endpoint() else { return Vec::new() };
    // Nobody who presses a key wants an engine started for it.
    endpoint.builtin = false;
    let engine = Engine::new(endpoint);
    let asked = block_on(async {
        let answer = tokio::time::timeout(PATIENCE, engine.get(path)).await;
        Ok(answer.ok().and_then(Result::ok))
    });
    match asked.ok().flatten() {
        Some(Value::Array(rows)) => rows,
        Some(Value::Object(parts)) => parts.into_iter().map(|(_, part)| part).collect(),
        _ => Vec::new(),
    }
}

fn contexts(call: &Call) -> Vec<Candidate> {
    let mut all = vec![Candidate::bare("default")];
    let known = call.contexts().list().unwrap_or_default();
    all.extend(known.into_iter().map(|context| Candidate::new(context.name.clone(), context.description())));
    all
}
