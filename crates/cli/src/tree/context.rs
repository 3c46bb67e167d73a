//! `docker context …`, as a table.

use flags::{Args, Flag, Kind};

use crate::commands::context;

use super::{Action, Command, GROUP, LEAF, kinds};

pub(crate) static CONTEXT: Command = Command {
    name: "context",
    short: "Manage contexts",
    subcommands: &[
        &CONTEXT_CREATE,
        &CONTEXT_EXPORT,
        &CONTEXT_IMPORT,
        &CONTEXT_INSPECT,
        &CONTEXT_LS,
        &CONTEXT_RM,
        &CONTEXT_SHOW,
        &CONTEXT_UPDATE,
        &CONTEXT_USE,
    ],
    ..GROUP
};

const CONTEXT_CREATE_FLAGS: &[Flag] = &[
    Flag::new("description", Kind::String, "Description of the context"),
    Flag::new("docker", kinds::STRING_TO_STRING, "set the docker endpoint").default("[]"),
    Flag::new("from", Kind::String, "create context from a named context"),
];

pub(crate) static CONTEXT_CREATE: Command = Command { name: "create", usage: "[OPTIONS] CONTEXT", short: "Create a context", long: "Create a context

Docker endpoint config:

NAME                DESCRIPTION
from                Copy named context's Docker endpoint configuration
host                Docker endpoint on which to connect
ca                  Trust certs signed only by this CA
cert                Path to TLS certificate file
key                 Path to TLS key file
skip-tls-verify     Skip TLS certificate validation

Example:

$ docker context create my-context --description \"some description\" --docker \"host=tcp://myserver:2376,ca=~/ca-file,cert=~/cert-file,key=~/key-file\"", flags: &[CONTEXT_CREATE_FLAGS], args: Args::Exact(1), action: Action::Run(context::create), ..LEAF };

pub(crate) static CONTEXT_EXPORT: Command = Command {
    name: "export",
    usage: "[OPTIONS] CONTEXT [FILE|-]",
    short: "Export a context to a tar archive FILE or a tar stream on STDOUT.",
    args: Args::Range(1, 2),
    action: Action::Run(context::export),
    ..LEAF
};

pub(crate) static CONTEXT_IMPORT: Command = Command {
    name: "import",
    usage: "CONTEXT FILE|-",
    short: "Import a context from a tar or zip file",
    args: Args::Exact(2),
    action: Action::Run(context::import),
    ..LEAF
};

const CONTEXT_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
];

pub(crate) static CONTEXT_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
    short: "Display detailed information on one or more contexts",
    flags: &[CONTEXT_INSPECT_FLAGS],
    action: Action::Run(context::describe),
    ..LEAF
};

const CONTEXT_LS_FLAGS: &[Flag] = &[
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("quiet", Kind::Bool, "Only show context names").short('q'),
];

pub(crate) static CONTEXT_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List contexts",
    also: "context ls, context list",
    flags: &[CONTEXT_LS_FLAGS],
    args: Args::None,
    action: Action::Run(context::list),
    ..LEAF
};

const CONTEXT_RM_FLAGS: &[Flag] =
    &[Flag::new("force", Kind::Bool, "Force the removal of a context in use").short('f')];

pub(crate) static CONTEXT_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "CONTEXT [CONTEXT...]",
    short: "Remove one or more contexts",
    also: "context rm, context remove",
    flags: &[CONTEXT_RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(context::remove),
    ..LEAF
};

pub(crate) static CONTEXT_SHOW: Command = Command {
    name: "show",
    short: "Print the name of the current context",
    args: Args::None,
    action: Action::Run(context::show),
    ..LEAF
};

const CONTEXT_UPDATE_FLAGS: &[Flag] = &[
    Flag::new("description", Kind::String, "Description of the context"),
    Flag::new("docker", kinds::STRING_TO_STRING, "set the docker endpoint").default("[]"),
];

pub(crate) static CONTEXT_UPDATE: Command = Command { name: "update", usage: "[OPTIONS] CONTEXT", short: "Update a context", long: "Update a context

Docker endpoint config:

NAME                DESCRIPTION
from                Copy named context's Docker endpoint configuration
host                Docker endpoint on which to connect
ca                  Trust certs signed only by this CA
cert                Path to TLS certificate file
key                 Path to TLS key file
skip-tls-verify     Skip TLS certificate validation

Example:

$ docker context update my-context --description \"some description\" --docker \"host=tcp://myserver:2376,ca=~/ca-file,cert=~/cert-file,key=~/key-file\"", flags: &[CONTEXT_UPDATE_FLAGS], args: Args::Exact(1), action: Action::Run(context::update), ..LEAF };

pub(crate) static CONTEXT_USE: Command = Command {
    name: "use",
    example: "server",
    usage: "CONTEXT",
    short: "Set the current docker context",
    action: Action::Run(context::choose),
    ..LEAF
};
