//! docker's command tree as constant tables: every command, alias and flag, also those that are refused.
//!
//! One file per group of commands. A command that runs names its function in `action`; the flags in its table that
//! carry no `.refused()` or `.missing()` are those that the function reads.

mod builder;
mod buildx;
mod checkpoint;
mod compose;
mod container;
mod context;
mod global;
mod image;
mod install;
mod kinds;
mod manifest;
mod network;
mod plugin;
mod private_registry;
mod registry;
mod root;
mod swarm;
mod swarm_service;
mod system;
#[cfg(test)]
mod tests;
mod trust;
mod volume;

use flags::Args;

use crate::call::Handler;

pub(crate) use root::ROOT;

/// A command of this tree.
pub(crate) type Command = flags::Command<Action>;

/// What a command does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// Holds other commands.
    Group,
    /// Runs.
    Run(Handler),
    /// Will never be: the reason.
    Refused(&'static str),
    /// Will be, and is not yet.
    NotYet,
}

const NO_SWARM: &str = "Ketch has no Swarm: it runs containers on one machine";
const NO_PLUGINS: &str = "Ketch has no engine plugins: volumes, networks and logging are built in";
pub(crate) const NO_TRUST: &str =
    "Docker Content Trust was removed from Docker; sign images with a registry-side tool";
const NO_CHECKPOINTS: &str = "Ketch has no checkpoints: they need CRIU, which is not part of it";
const WINDOWS: &str = "it exists for Windows containers only";

/// What a table leaves out, for a command that runs.
const LEAF: Command = Command {
    name: "",
    aliases: &[],
    usage: "",
    short: "",
    long: "",
    also: "",
    example: "",
    flags: &[],
    args: Args::Any,
    stop_at_positional: false,
    subcommands: &[],
    hidden: false,
    common: 0,
    action: Action::NotYet,
};

/// What a table leaves out, for a group.
const GROUP: Command = Command { action: Action::Group, ..LEAF };
