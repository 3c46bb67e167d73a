//! `docker system …`, as a table.

use flags::{Args, Flag, Kind};

use crate::commands::{df, dial_stdio, doctor, events, info, inspect, service, system_prune, version, view};

use super::{Action, Command, GROUP, LEAF, kinds};

const INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::new("size", Kind::Bool, "Display total file sizes if the type is container").short('s'),
    Flag::new("type", Kind::String, "Only inspect objects of the given type"),
];

pub(crate) static INSPECT: Command = Command {
    name: "inspect",
    example: "web\n\
              -f '{{.State.Status}} {{.NetworkSettings.Networks}}' web\n\
              --type image nginx",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    short: "Return low-level information on Docker objects",
    flags: &[INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(inspect::any),
    ..LEAF
};

pub(crate) static SYSTEM: Command = Command {
    name: "system",
    short: "Manage Docker",
    subcommands: &[
        &SYSTEM_DF,
        &SYSTEM_DIAL_STDIO,
        &DOCTOR,
        &SYSTEM_EVENTS,
        &SYSTEM_INFO,
        &PORTS,
        &SYSTEM_PRUNE,
        &SERVICE,
    ],
    ..GROUP
};

const SYSTEM_DF_FLAGS: &[Flag] = &[
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("verbose", Kind::Bool, "Show detailed information on space usage").short('v'),
];

pub(crate) static SYSTEM_DF: Command = Command {
    name: "df",
    example: "\n\
              -v",
    usage: "[OPTIONS]",
    short: "Show docker disk usage",
    flags: &[SYSTEM_DF_FLAGS],
    args: Args::None,
    action: Action::Run(df::df),
    ..LEAF
};

pub(crate) static SYSTEM_DIAL_STDIO: Command = Command {
    name: "dial-stdio",
    short: "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
    args: Args::None,
    hidden: true,
    action: Action::Run(dial_stdio::dial_stdio),
    ..LEAF
};

const SYSTEM_EVENTS_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("since", Kind::String, "Show all events created since timestamp"),
    Flag::new("until", Kind::String, "Stream events until this timestamp"),
];

pub(crate) static SYSTEM_EVENTS: Command = Command {
    name: "events",
    example: "--since 10m --until 0s\n\
              --filter container=web --format json",
    usage: "[OPTIONS]",
    short: "Get real time events from the server",
    also: "system events, events",
    flags: &[SYSTEM_EVENTS_FLAGS],
    args: Args::None,
    action: Action::Run(events::events),
    ..LEAF
};

const SYSTEM_INFO_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
];

pub(crate) static SYSTEM_INFO: Command = Command {
    name: "info",
    usage: "[OPTIONS]",
    short: "Display system-wide information",
    also: "system info, info",
    flags: &[SYSTEM_INFO_FLAGS],
    args: Args::None,
    common: 13,
    action: Action::Run(info::info),
    ..LEAF
};

const SYSTEM_PRUNE_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Remove all unused images not just dangling ones").short('a'),
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. \"label=<key>=<value>\")"),
    Flag::new("force", Kind::Bool, "Do not prompt for confirmation").short('f'),
    Flag::new("volumes", Kind::Bool, "Prune anonymous volumes"),
];

pub(crate) static SYSTEM_PRUNE: Command = Command {
    name: "prune",
    example: "\n\
              --all --volumes --filter until=24h",
    usage: "[OPTIONS]",
    short: "Remove unused data",
    flags: &[SYSTEM_PRUNE_FLAGS],
    args: Args::None,
    action: Action::Run(system_prune::prune),
    ..LEAF
};

pub(crate) static VERSION: Command = Command {
    name: "version",
    usage: "[OPTIONS]",
    short: "Show the Docker version information",
    flags: &[SYSTEM_INFO_FLAGS],
    args: Args::None,
    common: 12,
    action: Action::Run(version::version),
    ..LEAF
};

const DOCTOR_FLAGS: &[Flag] =
    &[Flag::new("format", Kind::String, "Format output ('json': Print in JSON format)").short('f')];

/// Ketch's own, like the next.
static DOCTOR: Command = Command {
    name: "doctor",
    example: "\n\
              --format json",
    usage: "[OPTIONS]",
    short: "Show what the engine needs of this machine, and what helps where it is missing",
    flags: &[DOCTOR_FLAGS],
    args: Args::None,
    action: Action::Run(doctor::doctor),
    ..LEAF
};

/// Ketch's own.
pub(crate) static VIEW: Command = Command {
    name: "view",
    short: "Watch and manage containers, images, networks and volumes on one screen",
    long: "Watch and manage containers, images, networks and volumes on one screen

What each container uses is drawn as it changes: processors, memory, network and disks.
Keys follow a container's log, open a shell in it, and start, stop, restart, pause and remove it.
'?' lists them; 'q' leaves.",
    args: Args::None,
    action: Action::Run(view::view),
    ..LEAF
};

const PORTS_FLAGS: &[Flag] = &[Flag::new(
    "format",
    Kind::String,
    "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
)];

static PORTS: Command = Command {
    name: "ports",
    example: "\n\
              --format json",
    usage: "[OPTIONS]",
    short: "Show each published port, who reaches it and which rule decides",
    flags: &[PORTS_FLAGS],
    args: Args::None,
    action: Action::Run(doctor::ports),
    ..LEAF
};

/// Ketch's own: docker leaves its engine to the machine's service manager.
static SERVICE: Command = Command {
    name: "service",
    short: "Manage the engine of this machine",
    subcommands: &[&SERVICE_STATUS, &SERVICE_STOP],
    ..GROUP
};

static SERVICE_STATUS: Command = Command {
    name: "status",
    short: "Show whether the engine runs",
    args: Args::None,
    action: Action::Run(service::status),
    ..LEAF
};

static SERVICE_STOP: Command = Command {
    name: "stop",
    short: "Stop the engine; containers run on",
    args: Args::None,
    action: Action::Run(service::stop),
    ..LEAF
};
