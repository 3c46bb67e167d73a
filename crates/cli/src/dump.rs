//! The tree as JSON, for the check of what is built against what users may expect.

use flags::{Flag, Support};
use serde_json::{Value, json};

use crate::tree::{Action, Command, ROOT};

/// Every command and flag with its state: `done`, `refused` with the reason, or `missing`.
pub fn tree_json() -> Value {
    let mut rows = Vec::new();
    add(&ROOT, "docker", &mut rows);
    Value::Array(rows)
}

fn add(command: &Command, path: &str, rows: &mut Vec<Value>) {
    let (state, reason) = state_of(command);
    let flags: Vec<Value> = command.sorted_flags().iter().map(|flag| flag_row(flag, state, reason)).collect();
    rows.push(json!({
        "command": path,
        "aliases": command.aliases,
        "hidden": command.hidden,
        "state": state,
        "reason": reason,
        "flags": flags,
    }));
    for subcommand in command.subcommands {
        add(subcommand, &format!("{path} {}", subcommand.name), rows);
    }
}

/// A group is what its commands are: done where any is done, refused where all are.
fn state_of(command: &Command) -> (&'static str, &'static str) {
    match command.action {
        Action::Run(_) => ("done", ""),
        Action::Refused(reason) => ("refused", reason),
        Action::NotYet => ("missing", ""),
        Action::Group => {
            let states: Vec<_> = command.subcommands.iter().map(|c| state_of(c)).collect();
            let refused = states.iter().find(|(state, _)| *state == "refused");
            if states.iter().any(|(state, _)| *state == "done") {
                ("done", "")
            } else if states.iter().all(|(state, _)| *state == "refused") {
                refused.copied().unwrap_or(("missing", ""))
            } else {
                ("missing", "")
            }
        }
    }
}

fn flag_row(flag: &Flag, command: &str, reason: &str) -> Value {
    let (state, reason) = match (command, flag.support) {
        (_, Support::Refused(reason)) => ("refused", reason),
        ("done", Support::Done) => ("done", ""),
        ("done", Support::Missing) => ("missing", ""),
        _ => (command, reason),
    };
    let short = flag.short.map(|letter| format!("-{letter}"));
    json!({ "flag": format!("--{}", flag.long), "short": short, "state": state, "reason": reason })
}
