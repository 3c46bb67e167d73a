//! Bake files: what they mean is what the real buildx says they mean, and what is built is what they say.

mod files;
mod functions;
mod targets;
mod words;

use std::path::Path;

use serde_json::Value;
use testkit::Engine;
use testkit::command::{Output, run};

const REAL: [bool; 2] = [false, true];

fn command(engine: &Engine, real: bool, folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> Output {
    let mut command = if real { engine.docker_command() } else { engine.ketch_command() };
    command.current_dir(folder).envs(variables.iter().copied());
    run(command.args(["buildx", "bake"]).args(words))
}

/// What a file means to one of the two.
fn printed(engine: &Engine, real: bool, folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> Value {
    let said = command(engine, real, folder, variables, &[&["--print"], words].concat()).ok();
    let mut said: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    // The real one goes through a matrix in another order each time.
    for (name, group) in said["group"].as_object_mut().into_iter().flatten() {
        if let Some(members) = group["targets"].as_array_mut().filter(|_| name == "mat") {
            members.sort_by_key(ToString::to_string);
        }
    }
    said
}

/// Both say the same, which is returned.
#[track_caller]
fn alike(engine: &Engine, folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> Value {
    let [ours, theirs] = REAL.map(|real| printed(engine, real, folder, variables, words));
    for (name, target) in theirs["target"].as_object().into_iter().flatten() {
        for (key, value) in target.as_object().into_iter().flatten() {
            assert_eq!(ours["target"][name][key], *value, "{name}.{key} {words:?} {variables:?}");
        }
    }
    assert_eq!(ours, theirs, "{words:?} {variables:?}");
    ours
}
