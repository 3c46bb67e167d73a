//! Our command line against dockerd, without a dockerd: its recorded answers, and what the real command line printed.

use std::process::Command;

use testkit::command::ketch_binary;
use testkit::replay::{Answers, COMMANDS, Replay, outputs};

#[test]
fn dockerds_answers_are_shown_as_docker_shows_them() {
    let replay = Replay::start(Answers::committed().unwrap()).unwrap();
    let recorded = outputs().unwrap();
    let mut different = Vec::new();
    for words in COMMANDS {
        let line = words.join(" ");
        let wanted = recorded.get(&line).unwrap_or_else(|| panic!("`docker {line}` isn't recorded"));
        let found = replay.run(Command::new(ketch_binary()), words);
        if found != *wanted {
            different.push(format!("── ketch {line}\n{found}── docker {line}\n{wanted}"));
        }
    }
    assert!(different.is_empty(), "{} of {}:\n{}", different.len(), COMMANDS.len(), different.join("\n"));
}
