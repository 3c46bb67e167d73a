//! `docker global …`, as a table.

use crate::commands::help;

use super::{Action, Command, LEAF};

pub(crate) static COMPLETION: Command = Command {
    name: "completion",
    usage: "COMMAND",
    short: "Generate the autocompletion script for the specified shell (bash, zsh, fish, powershell)",
    long: "Generate the autocompletion script for docker for the specified shell.
See each sub-command's help for details on how to use the generated script.",
    action: Action::NotYet,
    ..LEAF
};

pub(crate) static HELP: Command = Command {
    name: "help",
    usage: "[command]",
    short: "Help about the command",
    action: Action::Run(help::help),
    ..LEAF
};
