//! What is seen of a project that runs, and done in one of its containers.

use flags::{Flag, Kind};

use super::DRY_RUN;
use crate::commands::compose;
use crate::tree::{Action, Command, LEAF};

const COMPOSE_ATTACH_FLAGS: &[Flag] = &[
    Flag::new("detach-keys", Kind::String, "Override the key sequence for detaching from a container."),
    Flag::new("index", Kind::Int, "index of the container if service has multiple replicas."),
    Flag::new("no-stdin", Kind::Bool, "Do not attach STDIN"),
    Flag::new("sig-proxy", Kind::Bool, "Proxy all received signals to the process").default("true"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_ATTACH: Command = Command {
    name: "attach",
    usage: "[OPTIONS] SERVICE",
    short: "Attach local standard input, output, and error streams to a service's running container",
    flags: &[COMPOSE_ATTACH_FLAGS],
    action: Action::Run(compose::attach),
    ..LEAF
};

const COMPOSE_CP_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Include containers created by the run command"),
    Flag::new("archive", Kind::Bool, "Archive mode (copy all uid/gid information)").short('a'),
    Flag::new("follow-link", Kind::Bool, "Always follow symbol link in SRC_PATH").short('L'),
    Flag::new("index", Kind::Int, "Index of the container if service has multiple replicas"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_CP: Command = Command {
    name: "cp",
    usage: "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n\tdocker compose cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
    short: "Copy files/folders between a service container and the local filesystem",
    long: "Copy files/folders between a service container and the local filesystem",
    flags: &[COMPOSE_CP_FLAGS],
    action: Action::Run(compose::cp),
    ..LEAF
};

const COMPOSE_EVENTS_FLAGS: &[Flag] = &[
    Flag::new("json", Kind::Bool, "Output events as a stream of json objects"),
    Flag::new("since", Kind::String, "Show all events created since timestamp"),
    Flag::new("until", Kind::String, "Stream events until this timestamp"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_EVENTS: Command = Command {
    name: "events",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Receive real time events from containers",
    flags: &[COMPOSE_EVENTS_FLAGS],
    action: Action::Run(compose::events),
    ..LEAF
};

const COMPOSE_EXEC_FLAGS: &[Flag] = &[
    Flag::new("detach", Kind::Bool, "Detached mode: Run command in the background").short('d'),
    Flag::new("env", Kind::StringArray, "Set environment variables").short('e'),
    Flag::new("index", Kind::Int, "Index of the container if service has multiple replicas"),
    Flag::new("interactive", Kind::Bool, "Keep STDIN open even if not attached")
        .short('i')
        .default("true")
        .hidden(),
    Flag::new(
        "no-tty",
        Kind::Bool,
        "Disable pseudo-TTY allocation. By default 'docker compose exec' allocates a TTY.",
    )
    .short('T')
    .default("true"),
    Flag::new("privileged", Kind::Bool, "Give extended privileges to the process"),
    Flag::new("tty", Kind::Bool, "Allocate a pseudo-TTY").short('t').default("true").hidden(),
    Flag::new("user", Kind::String, "Run the command as this user").short('u'),
    Flag::new("workdir", Kind::String, "Path to workdir directory for this command").short('w'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_EXEC: Command = Command {
    name: "exec",
    example: "web sh\n\
              -T db psql -U postgres < dump.sql",
    usage: "[OPTIONS] SERVICE COMMAND [ARGS...]",
    short: "Execute a command in a running container",
    flags: &[COMPOSE_EXEC_FLAGS],
    stop_at_positional: true,
    action: Action::Run(compose::exec),
    ..LEAF
};

const COMPOSE_EXPORT_FLAGS: &[Flag] = &[
    Flag::new("index", Kind::Int, "index of the container if service has multiple replicas."),
    Flag::new("output", Kind::String, "Write to a file, instead of STDOUT").short('o'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_EXPORT: Command = Command {
    name: "export",
    usage: "[OPTIONS] SERVICE",
    short: "Export a service container's filesystem as a tar archive",
    flags: &[COMPOSE_EXPORT_FLAGS],
    action: Action::Run(compose::export),
    ..LEAF
};

const COMPOSE_LOGS_FLAGS: &[Flag] = &[
    Flag::new("follow", Kind::Bool, "Follow log output").short('f'),
    Flag::new("index", Kind::Int, "index of the container if service has multiple replicas"),
    Flag::new("no-color", Kind::Bool, "Produce monochrome output"),
    Flag::new("no-log-prefix", Kind::Bool, "Don't print prefix in logs"),
    Flag::new(
        "since",
        Kind::String,
        "Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)",
    ),
    Flag::new("tail", Kind::String, "Number of lines to show from the end of the logs for each container")
        .short('n')
        .default("all"),
    Flag::new("timestamps", Kind::Bool, "Show timestamps").short('t'),
    Flag::new(
        "until",
        Kind::String,
        "Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)",
    ),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_LOGS: Command = Command {
    name: "logs",
    example: "-f --tail 50 web",
    usage: "[OPTIONS] [SERVICE...]",
    short: "View output from containers",
    flags: &[COMPOSE_LOGS_FLAGS],
    action: Action::Run(compose::logs),
    ..LEAF
};

const COMPOSE_PORT_FLAGS: &[Flag] = &[
    Flag::new("index", Kind::Int, "Index of the container if service has multiple replicas"),
    Flag::new("protocol", Kind::String, "tcp or udp").default("tcp"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_PORT: Command = Command {
    name: "port",
    usage: "[OPTIONS] SERVICE PRIVATE_PORT",
    short: "Print the public port for a port binding",
    flags: &[COMPOSE_PORT_FLAGS],
    action: Action::Run(compose::port),
    ..LEAF
};

const COMPOSE_PS_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Show all stopped containers (including those created by the run command)").short('a'),
    Flag::new("filter", Kind::String, "Filter services by a property (supported filters: status)"),
    Flag::new("format", Kind::String, "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").default("table"),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::new("orphans", Kind::Bool, "Include orphaned services (not declared by project)").default("true"),
    Flag::new("quiet", Kind::Bool, "Only display IDs").short('q'),
    Flag::new("services", Kind::Bool, "Display services"),
    Flag::new("status", Kind::StringArray, "Filter services by status. Values: [paused | restarting | removing | running | dead | created | exited]"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_PS: Command = Command {
    name: "ps",
    example: "\n\
              -a --format json",
    usage: "[OPTIONS] [SERVICE...]",
    short: "List containers",
    flags: &[COMPOSE_PS_FLAGS],
    action: Action::Run(compose::ps),
    ..LEAF
};

const COMPOSE_STATS_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Show all containers").short('a').default("shows just running"),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/engine/cli/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("no-stream", Kind::Bool, "Disable streaming stats and only pull the first result"),
    Flag::new("no-trunc", Kind::Bool, "Do not truncate output"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_STATS: Command = Command {
    name: "stats",
    usage: "[OPTIONS] [SERVICE]",
    short: "Display a live stream of container(s) resource usage statistics",
    flags: &[COMPOSE_STATS_FLAGS],
    action: Action::Run(compose::stats),
    ..LEAF
};

pub(crate) static COMPOSE_TOP: Command = Command {
    name: "top",
    usage: "[SERVICES...]",
    short: "Display the running processes",
    flags: &[DRY_RUN],
    action: Action::Run(compose::top),
    ..LEAF
};

const COMPOSE_VOLUMES_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").default("table"),
    Flag::new("quiet", Kind::Bool, "Only display volume names").short('q'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_VOLUMES: Command = Command {
    name: "volumes",
    usage: "[OPTIONS] [SERVICE...]",
    short: "List volumes",
    flags: &[COMPOSE_VOLUMES_FLAGS],
    action: Action::Run(compose::volumes),
    ..LEAF
};
