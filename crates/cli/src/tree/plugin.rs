//! `docker plugin …`, as a table.

use flags::{Args, Flag, Kind};

use super::{Action, Command, GROUP, LEAF, NO_PLUGINS, kinds};

pub(crate) static PLUGIN: Command = Command {
    name: "plugin",
    hidden: true,
    short: "Manage plugins",
    subcommands: &[
        &PLUGIN_CREATE,
        &PLUGIN_DISABLE,
        &PLUGIN_ENABLE,
        &PLUGIN_INSPECT,
        &PLUGIN_INSTALL,
        &PLUGIN_LS,
        &PLUGIN_PUSH,
        &PLUGIN_RM,
        &PLUGIN_SET,
        &PLUGIN_UPGRADE,
    ],
    ..GROUP
};

const PLUGIN_CREATE_FLAGS: &[Flag] = &[Flag::new("compress", Kind::Bool, "Compress the context using gzip")];

pub(crate) static PLUGIN_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] PLUGIN PLUGIN-DATA-DIR",
    short: "Create a plugin from a rootfs and configuration. Plugin data directory must contain config.json and rootfs directory.",
    flags: &[PLUGIN_CREATE_FLAGS],
    args: Args::AtLeast(2),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

const PLUGIN_DISABLE_FLAGS: &[Flag] =
    &[Flag::new("force", Kind::Bool, "Force the disable of an active plugin").short('f')];

pub(crate) static PLUGIN_DISABLE: Command = Command {
    name: "disable",
    usage: "[OPTIONS] PLUGIN",
    short: "Disable a plugin",
    flags: &[PLUGIN_DISABLE_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

const PLUGIN_ENABLE_FLAGS: &[Flag] =
    &[Flag::new("timeout", Kind::Int, "HTTP client timeout (in seconds)").default("30")];

pub(crate) static PLUGIN_ENABLE: Command = Command {
    name: "enable",
    usage: "[OPTIONS] PLUGIN",
    short: "Enable a plugin",
    flags: &[PLUGIN_ENABLE_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

const PLUGIN_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
];

pub(crate) static PLUGIN_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] PLUGIN [PLUGIN...]",
    short: "Display detailed information on one or more plugins",
    flags: &[PLUGIN_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

const PLUGIN_INSTALL_FLAGS: &[Flag] = &[
    Flag::new("alias", Kind::String, "Local name for plugin"),
    Flag::new("disable", Kind::Bool, "Do not enable the plugin on install"),
    Flag::new("disable-content-trust", Kind::Bool, "Skip image verification").default("true"),
    Flag::new("grant-all-permissions", Kind::Bool, "Grant all permissions necessary to run the plugin"),
];

pub(crate) static PLUGIN_INSTALL: Command = Command {
    name: "install",
    usage: "[OPTIONS] PLUGIN [KEY=VALUE...]",
    short: "Install a plugin",
    flags: &[PLUGIN_INSTALL_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

const PLUGIN_LS_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. \"enabled=true\")").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::new("quiet", Kind::Bool, "Only display plugin IDs").short('q'),
];

pub(crate) static PLUGIN_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List plugins",
    also: "plugin ls, plugin list",
    flags: &[PLUGIN_LS_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

const PLUGIN_PUSH_FLAGS: &[Flag] =
    &[Flag::new("disable-content-trust", Kind::Bool, "Skip image signing").default("true")];

pub(crate) static PLUGIN_PUSH: Command = Command {
    name: "push",
    usage: "[OPTIONS] PLUGIN[:TAG]",
    short: "Push a plugin to a registry",
    flags: &[PLUGIN_PUSH_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

const PLUGIN_RM_FLAGS: &[Flag] =
    &[Flag::new("force", Kind::Bool, "Force the removal of an active plugin").short('f')];

pub(crate) static PLUGIN_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] PLUGIN [PLUGIN...]",
    short: "Remove one or more plugins",
    also: "plugin rm, plugin remove",
    flags: &[PLUGIN_RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

pub(crate) static PLUGIN_SET: Command = Command {
    name: "set",
    usage: "PLUGIN KEY=VALUE [KEY=VALUE...]",
    short: "Change settings for a plugin",
    args: Args::AtLeast(2),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};

const PLUGIN_UPGRADE_FLAGS: &[Flag] = &[
    Flag::new("disable-content-trust", Kind::Bool, "Skip image verification").default("true"),
    Flag::new("grant-all-permissions", Kind::Bool, "Grant all permissions necessary to run the plugin"),
    Flag::new(
        "skip-remote-check",
        Kind::Bool,
        "Do not check if specified remote plugin matches existing plugin image",
    ),
];

pub(crate) static PLUGIN_UPGRADE: Command = Command {
    name: "upgrade",
    usage: "[OPTIONS] PLUGIN [REMOTE]",
    short: "Upgrade an existing plugin",
    flags: &[PLUGIN_UPGRADE_FLAGS],
    args: Args::Range(1, 2),
    action: Action::Refused(NO_PLUGINS),
    ..LEAF
};
