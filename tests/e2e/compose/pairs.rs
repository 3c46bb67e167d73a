//! Some of the pairs of projects that the planner is tried with (`crates/compose/tests/pairs`), with an engine: what it has is
//! what the planner is told, what is planned is done, and then there is nothing left to do.

#[path = "../../../crates/compose/tests/pairs/read.rs"]
mod read;

use read::{Pair, Side, words};
use testkit::Engine;
use testkit::command::{self, Output};

use super::Project;

impl Project<'_> {
    /// A command with what a side says besides its files.
    fn of_side(&self, side: &Side, verb: &[&str]) -> Output {
        let mut command = self.command();
        let variables = words(side, "$").into_iter().filter_map(|pair| pair.split_once('='));
        // What belongs to the group stands before the command.
        let (mut group, mut own) = (Vec::new(), Vec::new());
        let mut rest = words(side, "!").into_iter();
        while let Some(word) = rest.next() {
            match word {
                "--file" | "--env-file" | "--profile" => group.extend([word].into_iter().chain(rest.next())),
                _ => own.push(word),
            }
        }
        command::run(command.envs(variables).args(group).args(verb).args(own))
    }

    fn planned(&self, side: &Side) -> Vec<String> {
        let text = self.of_side(side, &["plan"]).ok();
        let bare =
            |line: &str| line.replace(&format!("{}-", self.name), "").replace(&format!("{}_", self.name), "");
        text.lines().map(bare).collect()
    }
}

fn differs(engine: &Engine, number: usize, pair: &Pair) -> Option<String> {
    let project = Project::new(engine, &format!("pair{number}"), "");
    let up = |side: &Side| {
        pair.write(side, &project.folder, &project.image);
        project.of_side(side, &["up", "--detach", "--timeout", "0"]).ok();
    };
    up(&pair.before);
    pair.write(&pair.after, &project.folder, &project.image);
    let plan = project.planned(&pair.after);
    if plan != pair.plan {
        return Some(format!("> {}", plan.join("\n> ")));
    }
    up(&pair.after);
    let again = project.planned(&pair.after);
    let undone = again.iter().find(|line| !line.contains(": nothing to do"));
    undone.map(|line| format!("and the next time {line}"))
}

#[test]
fn an_engine_has_what_the_planner_is_told_and_does_what_is_planned() {
    let engine = Engine::isolated();
    let pairs: Vec<_> = read::pairs().into_iter().filter(|pair| pair.is_marked("engine")).collect();
    assert!(pairs.len() >= 12, "{} pairs", pairs.len());
    let told = pairs.iter().enumerate().filter_map(|(number, pair)| {
        differs(&engine, number, pair).map(|what| format!("== {}\n{what}", pair.title))
    });
    let told: Vec<_> = told.collect();
    assert!(told.is_empty(), "{}", told.join("\n\n"));
}
