//! `docker registry …`, as a table.

use flags::{Args, Flag, Kind};

use crate::commands::{login, search};

use super::{Action, Command, LEAF, kinds};

const LOGIN_FLAGS: &[Flag] = &[
    Flag::new("password", Kind::String, "Password or Personal Access Token (PAT)").short('p'),
    Flag::new("password-stdin", Kind::Bool, "Take the Password or Personal Access Token (PAT) from stdin"),
    Flag::new("username", Kind::String, "Username").short('u'),
];

pub(crate) static LOGIN: Command = Command {
    name: "login",
    example: "registry.example\n\
              -u ann --password-stdin registry.example < token",
    usage: "[OPTIONS] [SERVER]",
    short: "Authenticate to a registry",
    long: "Authenticate to a registry.
Defaults to Docker Hub if no server is specified.",
    flags: &[LOGIN_FLAGS],
    args: Args::AtMost(1),
    common: 9,
    action: Action::Run(login::login),
    ..LEAF
};

pub(crate) static LOGOUT: Command = Command {
    name: "logout",
    usage: "[SERVER]",
    short: "Log out from a registry",
    long: "Log out from a registry.
If no server is specified, the default is defined by the daemon.",
    args: Args::AtMost(1),
    common: 10,
    action: Action::Run(login::logout),
    ..LEAF
};

const SEARCH_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new("format", Kind::String, "Pretty-print search using a Go template"),
    Flag::new("limit", Kind::Int, "Max number of search results"),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
];

pub(crate) static SEARCH: Command = Command {
    name: "search",
    usage: "[OPTIONS] TERM",
    short: "Search Docker Hub for images",
    flags: &[SEARCH_FLAGS],
    args: Args::Exact(1),
    common: 11,
    action: Action::Run(search::search),
    ..LEAF
};
