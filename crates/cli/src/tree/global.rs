//! `docker global …`, as a table.

use flags::Args;

use crate::commands::help;
use crate::completion;

use super::{Action, Command, LEAF};

pub(crate) static COMPLETION: Command = Command {
    name: "completion",
    usage: "COMMAND",
    short: "Generate the autocompletion script for the specified shell (bash, zsh, fish, powershell)",
    long: "Generate the autocompletion script for docker for the specified shell.
See each sub-command's help for details on how to use the generated script.",
    args: Args::Exact(1),
    action: Action::Run(completion::print),
    ..LEAF
};

pub(crate) static HELP: Command = Command {
    name: "help",
    usage: "[command]",
    short: "Help about the command",
    action: Action::Run(help::help),
    ..LEAF
};
