//! `docker checkpoint …`, as a table.

use flags::{Args, Flag, Kind};

use super::{Action, Command, GROUP, LEAF, NO_CHECKPOINTS};

pub(crate) static CHECKPOINT: Command = Command {
    name: "checkpoint",
    hidden: true,
    short: "Manage checkpoints",
    subcommands: &[&CHECKPOINT_CREATE, &CHECKPOINT_LS, &CHECKPOINT_RM],
    ..GROUP
};

const CHECKPOINT_CREATE_FLAGS: &[Flag] = &[
    Flag::new("checkpoint-dir", Kind::String, "Use a custom checkpoint storage directory"),
    Flag::new("leave-running", Kind::Bool, "Leave the container running after checkpoint"),
];

pub(crate) static CHECKPOINT_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] CONTAINER CHECKPOINT",
    short: "Create a checkpoint from a running container",
    flags: &[CHECKPOINT_CREATE_FLAGS],
    args: Args::Exact(2),
    hidden: true,
    action: Action::Refused(NO_CHECKPOINTS),
    ..LEAF
};

const CHECKPOINT_LS_FLAGS: &[Flag] =
    &[Flag::new("checkpoint-dir", Kind::String, "Use a custom checkpoint storage directory")];

pub(crate) static CHECKPOINT_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS] CONTAINER",
    short: "List checkpoints for a container",
    flags: &[CHECKPOINT_LS_FLAGS],
    args: Args::Exact(1),
    hidden: true,
    action: Action::Refused(NO_CHECKPOINTS),
    ..LEAF
};

pub(crate) static CHECKPOINT_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] CONTAINER CHECKPOINT",
    short: "Remove a checkpoint",
    flags: &[CHECKPOINT_LS_FLAGS],
    args: Args::Exact(2),
    hidden: true,
    action: Action::Refused(NO_CHECKPOINTS),
    ..LEAF
};
