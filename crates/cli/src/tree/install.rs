//! `ketch install` and `ketch uninstall`, as tables: docker's packages do this for docker.

use flags::{Args, Flag, Kind};

use super::{Action, Command, LEAF};
use crate::commands::install;

const FLAGS: &[Flag] = &[
    Flag::new("docker", Kind::Bool, "Also be there as docker and docker-compose, at docker's socket"),
    Flag::new("no-start", Kind::Bool, "Leave systemd alone"),
    Flag::new("prefix", Kind::String, "`Folder` of bin and share").default("/usr/local"),
    Flag::new("root", Kind::String, "`Folder` that stands for the machine, for packages and images"),
];

pub(crate) static INSTALL: Command = Command {
    name: "install",
    usage: "[OPTIONS]",
    short: "Install the program, its units, completions and man pages",
    long: "Install the program, systemd's units of its engine, completions and man pages.

The engine is started by systemd when somebody first asks it, and at the machine's start.
'ketch uninstall' takes all of it away again, and leaves images, containers and volumes.",
    flags: &[FLAGS],
    args: Args::None,
    action: Action::Run(install::install),
    ..LEAF
};

pub(crate) static UNINSTALL: Command = Command {
    name: "uninstall",
    usage: "[OPTIONS]",
    short: "Take away what install has put in place",
    flags: &[FLAGS],
    args: Args::None,
    action: Action::Run(install::uninstall),
    ..LEAF
};
