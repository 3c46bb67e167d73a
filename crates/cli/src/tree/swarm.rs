//! `docker swarm …`, as a table.

use flags::{Args, Flag, Kind};

use super::{Action, Command, GROUP, LEAF, NO_SWARM, kinds};

pub(crate) static CONFIG: Command = Command {
    name: "config",
    hidden: true,
    short: "Manage Swarm configs",
    subcommands: &[&CONFIG_CREATE, &CONFIG_INSPECT, &CONFIG_LS, &CONFIG_RM],
    ..GROUP
};

const CONFIG_CREATE_FLAGS: &[Flag] = &[
    Flag::new("label", Kind::List, "Config labels").short('l'),
    Flag::new("template-driver", Kind::String, "Template driver"),
];

pub(crate) static CONFIG_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] CONFIG file|-",
    short: "Create a config from a file or STDIN",
    flags: &[CONFIG_CREATE_FLAGS],
    args: Args::Exact(2),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const CONFIG_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::new("pretty", Kind::Bool, "Print the information in a human friendly format"),
];

pub(crate) static CONFIG_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] CONFIG [CONFIG...]",
    short: "Display detailed information on one or more configs",
    flags: &[CONFIG_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const CONFIG_LS_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("quiet", Kind::Bool, "Only display IDs").short('q'),
];

pub(crate) static CONFIG_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List configs",
    also: "config ls, config list",
    flags: &[CONFIG_LS_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static CONFIG_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "CONFIG [CONFIG...]",
    short: "Remove one or more configs",
    also: "config rm, config remove",
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static NODE: Command = Command {
    name: "node",
    hidden: true,
    short: "Manage Swarm nodes",
    subcommands: &[&NODE_DEMOTE, &NODE_INSPECT, &NODE_LS, &NODE_PROMOTE, &NODE_PS, &NODE_RM, &NODE_UPDATE],
    ..GROUP
};

pub(crate) static NODE_DEMOTE: Command = Command {
    name: "demote",
    usage: "NODE [NODE...]",
    short: "Demote one or more nodes from manager in the swarm",
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static NODE_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] self|NODE [NODE...]",
    short: "Display detailed information on one or more nodes",
    flags: &[CONFIG_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static NODE_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List nodes in the swarm",
    also: "node ls, node list",
    flags: &[CONFIG_LS_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static NODE_PROMOTE: Command = Command {
    name: "promote",
    usage: "NODE [NODE...]",
    short: "Promote one or more nodes to manager in the swarm",
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const NODE_PS_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new("format", Kind::String, "Pretty-print tasks using a Go template"),
    Flag::new("no-resolve", Kind::Bool, "Do not map IDs to Names"),
    Flag::new("no-trunc", Kind::Bool, "Do not truncate output"),
    Flag::new("quiet", Kind::Bool, "Only display task IDs").short('q'),
];

pub(crate) static NODE_PS: Command = Command {
    name: "ps",
    usage: "[OPTIONS] [NODE...]",
    short: "List tasks running on one or more nodes, defaults to current node",
    flags: &[NODE_PS_FLAGS],
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const NODE_RM_FLAGS: &[Flag] =
    &[Flag::new("force", Kind::Bool, "Force remove a node from the swarm").short('f')];

pub(crate) static NODE_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] NODE [NODE...]",
    short: "Remove one or more nodes from the swarm",
    also: "node rm, node remove",
    flags: &[NODE_RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const NODE_UPDATE_FLAGS: &[Flag] = &[
    Flag::new("availability", Kind::String, "Availability of the node (\"active\", \"pause\", \"drain\")"),
    Flag::new("label-add", Kind::List, "Add or update a node label (\"key=value\")"),
    Flag::new("label-rm", Kind::List, "Remove a node label if exists"),
    Flag::new("role", Kind::String, "Role of the node (\"worker\", \"manager\")"),
];

pub(crate) static NODE_UPDATE: Command = Command {
    name: "update",
    usage: "[OPTIONS] NODE",
    short: "Update a node",
    flags: &[NODE_UPDATE_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static SECRET: Command = Command {
    name: "secret",
    hidden: true,
    short: "Manage Swarm secrets",
    subcommands: &[&SECRET_CREATE, &SECRET_INSPECT, &SECRET_LS, &SECRET_RM],
    ..GROUP
};

const SECRET_CREATE_FLAGS: &[Flag] = &[
    Flag::new("driver", Kind::String, "Secret driver").short('d'),
    Flag::new("label", Kind::List, "Secret labels").short('l'),
    Flag::new("template-driver", Kind::String, "Template driver"),
];

pub(crate) static SECRET_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] SECRET [file|-]",
    short: "Create a secret from a file or STDIN as content",
    flags: &[SECRET_CREATE_FLAGS],
    args: Args::Range(1, 2),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static SECRET_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] SECRET [SECRET...]",
    short: "Display detailed information on one or more secrets",
    flags: &[CONFIG_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static SECRET_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List secrets",
    also: "secret ls, secret list",
    flags: &[CONFIG_LS_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static SECRET_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "SECRET [SECRET...]",
    short: "Remove one or more secrets",
    also: "secret rm, secret remove",
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const STACK_FLAGS: &[Flag] =
    &[Flag::new("orchestrator", Kind::String, "Orchestrator to use (swarm|all)").hidden()];

pub(crate) static STACK: Command = Command {
    name: "stack",
    hidden: true,
    short: "Manage Swarm stacks",
    flags: &[STACK_FLAGS],
    subcommands: &[&STACK_CONFIG, &STACK_DEPLOY, &STACK_LS, &STACK_PS, &STACK_RM, &STACK_SERVICES],
    ..GROUP
};

const STACK_CONFIG_FLAGS: &[Flag] = &[
    Flag::new("compose-file", Kind::Strings, "Path to a Compose file, or \"-\" to read from stdin")
        .short('c'),
    Flag::new("skip-interpolation", Kind::Bool, "Skip interpolation and output only merged config"),
];

pub(crate) static STACK_CONFIG: Command = Command {
    name: "config",
    usage: "[OPTIONS]",
    short: "Outputs the final config file, after doing merges and interpolations",
    flags: &[STACK_CONFIG_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const STACK_DEPLOY_FLAGS: &[Flag] = &[
    Flag::new("compose-file", Kind::Strings, "Path to a Compose file, or \"-\" to read from stdin").short('c'),
    Flag::new("detach", Kind::Bool, "Exit immediately instead of waiting for the stack services to converge").short('d').default("true"),
    Flag::new("prune", Kind::Bool, "Prune services that are no longer referenced"),
    Flag::new("quiet", Kind::Bool, "Suppress progress output").short('q'),
    Flag::new("resolve-image", Kind::String, "Query the registry to resolve image digest and supported platforms (\"always\", \"changed\", \"never\")").default("always"),
    Flag::new("with-registry-auth", Kind::Bool, "Send registry authentication details to Swarm agents"),
];

pub(crate) static STACK_DEPLOY: Command = Command {
    name: "deploy",
    aliases: &["up"],
    usage: "[OPTIONS] STACK",
    short: "Deploy a new stack or update an existing stack",
    also: "stack deploy, stack up",
    flags: &[STACK_DEPLOY_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const STACK_LS_FLAGS: &[Flag] = &[Flag::new(
    "format",
    Kind::String,
    "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
)];

pub(crate) static STACK_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List stacks",
    also: "stack ls, stack list",
    flags: &[STACK_LS_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const STACK_PS_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("no-resolve", Kind::Bool, "Do not map IDs to Names"),
    Flag::new("no-trunc", Kind::Bool, "Do not truncate output"),
    Flag::new("quiet", Kind::Bool, "Only display task IDs").short('q'),
];

pub(crate) static STACK_PS: Command = Command {
    name: "ps",
    usage: "[OPTIONS] STACK",
    short: "List the tasks in the stack",
    flags: &[STACK_PS_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const STACK_RM_FLAGS: &[Flag] =
    &[Flag::new("detach", Kind::Bool, "Do not wait for stack removal").short('d').default("true")];

pub(crate) static STACK_RM: Command = Command {
    name: "rm",
    aliases: &["remove", "down"],
    usage: "[OPTIONS] STACK [STACK...]",
    short: "Remove one or more stacks",
    also: "stack rm, stack remove, stack down",
    flags: &[STACK_RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static STACK_SERVICES: Command = Command {
    name: "services",
    usage: "[OPTIONS] STACK",
    short: "List the services in the stack",
    flags: &[CONFIG_LS_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static SWARM: Command = Command {
    name: "swarm",
    hidden: true,
    short: "Manage Swarm",
    subcommands: &[
        &SWARM_CA,
        &SWARM_INIT,
        &SWARM_JOIN,
        &SWARM_JOIN_TOKEN,
        &SWARM_LEAVE,
        &SWARM_UNLOCK,
        &SWARM_UNLOCK_KEY,
        &SWARM_UPDATE,
    ],
    ..GROUP
};

const SWARM_CA_FLAGS: &[Flag] = &[
    Flag::new(
        "ca-cert",
        kinds::other("pem-file"),
        "Path to the PEM-formatted root CA certificate to use for the new cluster",
    ),
    Flag::new(
        "ca-key",
        kinds::other("pem-file"),
        "Path to the PEM-formatted root CA key to use for the new cluster",
    ),
    Flag::new("cert-expiry", Kind::Duration, "Validity period for node certificates (ns|us|ms|s|m|h)")
        .default("2160h0m0s"),
    Flag::new("detach", Kind::Bool, "Exit immediately instead of waiting for the root rotation to converge")
        .short('d'),
    Flag::new(
        "external-ca",
        kinds::other("external-ca"),
        "Specifications of one or more certificate signing endpoints",
    ),
    Flag::new("quiet", Kind::Bool, "Suppress progress output").short('q'),
    Flag::new(
        "rotate",
        Kind::Bool,
        "Rotate the swarm CA - if no certificate or key are provided, new ones will be generated",
    ),
];

pub(crate) static SWARM_CA: Command = Command {
    name: "ca",
    usage: "[OPTIONS]",
    short: "Display and rotate the root CA",
    flags: &[SWARM_CA_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SWARM_INIT_FLAGS: &[Flag] = &[
    Flag::new("advertise-addr", Kind::String, "Advertised address (format: \"<ip|interface>[:port]\")"),
    Flag::new(
        "autolock",
        Kind::Bool,
        "Enable manager autolocking (requiring an unlock key to start a stopped manager)",
    ),
    Flag::new("availability", Kind::String, "Availability of the node (\"active\", \"pause\", \"drain\")")
        .default("active"),
    Flag::new("cert-expiry", Kind::Duration, "Validity period for node certificates (ns|us|ms|s|m|h)")
        .default("2160h0m0s"),
    Flag::new(
        "data-path-addr",
        Kind::String,
        "Address or interface to use for data path traffic (format: \"<ip|interface>\")",
    ),
    Flag::new(
        "data-path-port",
        Kind::Uint(32),
        "Port number to use for data path traffic (1024 - 49151). If no value is set or is set to 0, the default port (4789) is used.",
    ),
    Flag::new("default-addr-pool", kinds::other("ipNetSlice"), "default address pool in CIDR format")
        .default("[]"),
    Flag::new("default-addr-pool-mask-length", Kind::Uint(32), "default address pool subnet mask length")
        .default("24"),
    Flag::new("dispatcher-heartbeat", Kind::Duration, "Dispatcher heartbeat period (ns|us|ms|s|m|h)")
        .default("5s"),
    Flag::new(
        "external-ca",
        kinds::other("external-ca"),
        "Specifications of one or more certificate signing endpoints",
    ),
    Flag::new("force-new-cluster", Kind::Bool, "Force create a new cluster from current state"),
    Flag::new("listen-addr", kinds::other("node-addr"), "Listen address (format: \"<ip|interface>[:port]\")")
        .default("0.0.0.0:2377"),
    Flag::new("max-snapshots", Kind::Uint(64), "Number of additional Raft snapshots to retain"),
    Flag::new("snapshot-interval", Kind::Uint(64), "Number of log entries between Raft snapshots")
        .default("10000"),
    Flag::new("task-history-limit", Kind::Int64, "Task history retention limit").default("5"),
];

pub(crate) static SWARM_INIT: Command = Command {
    name: "init",
    usage: "[OPTIONS]",
    short: "Initialize a swarm",
    flags: &[SWARM_INIT_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SWARM_JOIN_FLAGS: &[Flag] = &[
    Flag::new("advertise-addr", Kind::String, "Advertised address (format: \"<ip|interface>[:port]\")"),
    Flag::new("availability", Kind::String, "Availability of the node (\"active\", \"pause\", \"drain\")")
        .default("active"),
    Flag::new(
        "data-path-addr",
        Kind::String,
        "Address or interface to use for data path traffic (format: \"<ip|interface>\")",
    ),
    Flag::new("listen-addr", kinds::other("node-addr"), "Listen address (format: \"<ip|interface>[:port]\")")
        .default("0.0.0.0:2377"),
    Flag::new("token", Kind::String, "Token for entry into the swarm"),
];

pub(crate) static SWARM_JOIN: Command = Command {
    name: "join",
    usage: "[OPTIONS] HOST:PORT",
    short: "Join a swarm as a node and/or manager",
    flags: &[SWARM_JOIN_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SWARM_JOIN_TOKEN_FLAGS: &[Flag] = &[
    Flag::new("quiet", Kind::Bool, "Only display token").short('q'),
    Flag::new("rotate", Kind::Bool, "Rotate join token"),
];

pub(crate) static SWARM_JOIN_TOKEN: Command = Command {
    name: "join-token",
    usage: "[OPTIONS] (worker|manager)",
    short: "Manage join tokens",
    flags: &[SWARM_JOIN_TOKEN_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SWARM_LEAVE_FLAGS: &[Flag] =
    &[Flag::new("force", Kind::Bool, "Force this node to leave the swarm, ignoring warnings").short('f')];

pub(crate) static SWARM_LEAVE: Command = Command {
    name: "leave",
    usage: "[OPTIONS]",
    short: "Leave the swarm",
    flags: &[SWARM_LEAVE_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static SWARM_UNLOCK: Command = Command {
    name: "unlock",
    short: "Unlock swarm",
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SWARM_UNLOCK_KEY_FLAGS: &[Flag] = &[
    Flag::new("quiet", Kind::Bool, "Only display token").short('q'),
    Flag::new("rotate", Kind::Bool, "Rotate unlock key"),
];

pub(crate) static SWARM_UNLOCK_KEY: Command = Command {
    name: "unlock-key",
    usage: "[OPTIONS]",
    short: "Manage the unlock key",
    flags: &[SWARM_UNLOCK_KEY_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SWARM_UPDATE_FLAGS: &[Flag] = &[
    Flag::new("autolock", Kind::Bool, "Change manager autolocking setting (true|false)"),
    Flag::new("cert-expiry", Kind::Duration, "Validity period for node certificates (ns|us|ms|s|m|h)")
        .default("2160h0m0s"),
    Flag::new("dispatcher-heartbeat", Kind::Duration, "Dispatcher heartbeat period (ns|us|ms|s|m|h)")
        .default("5s"),
    Flag::new(
        "external-ca",
        kinds::other("external-ca"),
        "Specifications of one or more certificate signing endpoints",
    ),
    Flag::new("max-snapshots", Kind::Uint(64), "Number of additional Raft snapshots to retain"),
    Flag::new("snapshot-interval", Kind::Uint(64), "Number of log entries between Raft snapshots")
        .default("10000"),
    Flag::new("task-history-limit", Kind::Int64, "Task history retention limit").default("5"),
];

pub(crate) static SWARM_UPDATE: Command = Command {
    name: "update",
    usage: "[OPTIONS]",
    short: "Update the swarm",
    flags: &[SWARM_UPDATE_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};
