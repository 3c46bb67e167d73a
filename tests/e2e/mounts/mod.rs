//! What is mounted into containers: every key of `--mount`, images, and what plugins keep.

mod images;
mod keys;
mod plugins;

use testkit::{Engine, command};

/// What both clients make of the same words: their exit codes are the same, and what they say.
fn run(engine: &Engine, ours: bool, words: &[&str]) -> command::Output {
    let mut client = if ours { engine.ketch_command() } else { engine.docker_command() };
    command::run(client.args(words))
}
