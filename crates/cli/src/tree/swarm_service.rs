//! `docker service …`, as a table.

use flags::{Args, Flag, Kind};

use super::{Action, Command, GROUP, LEAF, NO_SWARM, WINDOWS, kinds};

pub(crate) static SERVICE: Command = Command {
    name: "service",
    hidden: true,
    short: "Manage Swarm services",
    subcommands: &[
        &SERVICE_CREATE,
        &SERVICE_INSPECT,
        &SERVICE_LOGS,
        &SERVICE_LS,
        &SERVICE_PS,
        &SERVICE_RM,
        &SERVICE_ROLLBACK,
        &SERVICE_SCALE,
        &SERVICE_UPDATE,
    ],
    ..GROUP
};

const SERVICE_CREATE_FLAGS: &[Flag] = &[
    Flag::new("cap-add", Kind::List, "Add Linux capabilities"),
    Flag::new("cap-drop", Kind::List, "Drop Linux capabilities"),
    Flag::new("config", kinds::other("config"), "Specify configurations to expose to the service"),
    Flag::new("constraint", Kind::List, "Placement constraints"),
    Flag::new("container-label", Kind::List, "Container labels"),
    Flag::new(
        "credential-spec",
        kinds::other("credential-spec"),
        "Credential spec for managed service account (Windows only)",
    )
    .refused(WINDOWS),
    Flag::new("detach", Kind::Bool, "Exit immediately instead of waiting for the service to converge")
        .short('d'),
    Flag::new("dns", Kind::List, "Set custom DNS servers"),
    Flag::new("dns-option", Kind::List, "Set DNS options"),
    Flag::new("dns-search", Kind::List, "Set custom DNS search domains"),
    Flag::new("endpoint-mode", Kind::String, "Endpoint mode (vip or dnsrr)").default("vip"),
    Flag::new("entrypoint", kinds::other("command"), "Overwrite the default ENTRYPOINT of the image"),
    Flag::new("env", Kind::List, "Set environment variables").short('e'),
    Flag::new("env-file", Kind::List, "Read in a file of environment variables"),
    Flag::new("generic-resource", Kind::List, "User defined resources"),
    Flag::new("group", Kind::List, "Set one or more supplementary user groups for the container"),
    Flag::new("health-cmd", Kind::String, "Command to run to check health"),
    Flag::new("health-interval", Kind::Duration, "Time between running the check (ms|s|m|h)"),
    Flag::new("health-retries", Kind::Int, "Consecutive failures needed to report unhealthy"),
    Flag::new(
        "health-start-interval",
        Kind::Duration,
        "Time between running the check during the start period (ms|s|m|h)",
    ),
    Flag::new(
        "health-start-period",
        Kind::Duration,
        "Start period for the container to initialize before counting retries towards unstable (ms|s|m|h)",
    ),
    Flag::new("health-timeout", Kind::Duration, "Maximum time to allow one check to run (ms|s|m|h)"),
    Flag::new("host", Kind::List, "Set one or more custom host-to-IP mappings (host:ip)"),
    Flag::new("hostname", Kind::String, "Container hostname"),
    Flag::new(
        "init",
        Kind::Bool,
        "Use an init inside each service container to forward signals and reap processes",
    ),
    Flag::new("isolation", Kind::String, "Service container isolation mode").refused(WINDOWS),
    Flag::new("label", Kind::List, "Service labels").short('l'),
    Flag::new("limit-cpu", kinds::DECIMAL, "Limit CPUs"),
    Flag::new("limit-memory", Kind::Bytes, "Limit Memory"),
    Flag::new("limit-pids", Kind::Int64, "Limit maximum number of processes").default("0 = unlimited"),
    Flag::new("log-driver", Kind::String, "Logging driver for service"),
    Flag::new("log-opt", Kind::List, "Logging driver options"),
    Flag::new("max-concurrent", Kind::Uint(64), "Number of job tasks to run concurrently")
        .default("equal to --replicas"),
    Flag::new("memory-swap", kinds::MEMORY_SWAP, "Swap Bytes (-1 for unlimited)").hidden(),
    Flag::new("memory-swappiness", Kind::Int64, "Tune memory swappiness (0-100), -1 to reset to default")
        .default("-1")
        .hidden(),
    Flag::new(
        "mode",
        Kind::String,
        "Service mode (\"replicated\", \"global\", \"replicated-job\", \"global-job\")",
    )
    .default("replicated"),
    Flag::new("mount", kinds::MOUNT, "Attach a filesystem mount to the service"),
    Flag::new("name", Kind::String, "Service name"),
    Flag::new("network", kinds::NETWORK, "Network attachments"),
    Flag::new("no-healthcheck", Kind::Bool, "Disable any container-specified HEALTHCHECK"),
    Flag::new(
        "no-resolve-image",
        Kind::Bool,
        "Do not query the registry to resolve image digest and supported platforms",
    ),
    Flag::new("oom-score-adj", Kind::Int64, "Tune host's OOM preferences (-1000 to 1000) "),
    Flag::new("placement-pref", kinds::other("pref"), "Add a placement preference"),
    Flag::new("publish", kinds::other("port"), "Publish a port as a node port").short('p'),
    Flag::new("quiet", Kind::Bool, "Suppress progress output").short('q'),
    Flag::new("read-only", Kind::Bool, "Mount the container's root filesystem as read only"),
    Flag::new("replicas", Kind::Uint(64), "Number of tasks"),
    Flag::new("replicas-max-per-node", Kind::Uint(64), "Maximum number of tasks per node")
        .default("0 = unlimited"),
    Flag::new("reserve-cpu", kinds::DECIMAL, "Reserve CPUs"),
    Flag::new("reserve-memory", Kind::Bytes, "Reserve Memory"),
    Flag::new(
        "restart-condition",
        Kind::String,
        "Restart when condition is met (\"none\", \"on-failure\", \"any\")",
    )
    .default("any"),
    Flag::new("restart-delay", Kind::Duration, "Delay between restart attempts (ns|us|ms|s|m|h)")
        .default("5s"),
    Flag::new("restart-max-attempts", Kind::Uint(64), "Maximum number of restarts before giving up"),
    Flag::new(
        "restart-window",
        Kind::Duration,
        "Window used to evaluate the restart policy (ns|us|ms|s|m|h)",
    ),
    Flag::new("rollback-delay", Kind::Duration, "Delay between task rollbacks (ns|us|ms|s|m|h) (default 0s)"),
    Flag::new(
        "rollback-failure-action",
        Kind::String,
        "Action on rollback failure (\"pause\", \"continue\")",
    )
    .default("pause"),
    Flag::new(
        "rollback-max-failure-ratio",
        Kind::Float,
        "Failure rate to tolerate during a rollback (default 0)",
    ),
    Flag::new(
        "rollback-monitor",
        Kind::Duration,
        "Duration after each task rollback to monitor for failure (ns|us|ms|s|m|h)",
    )
    .default("5s"),
    Flag::new("rollback-order", Kind::String, "Rollback order (\"start-first\", \"stop-first\")")
        .default("stop-first"),
    Flag::new(
        "rollback-parallelism",
        Kind::Uint(64),
        "Maximum number of tasks rolled back simultaneously (0 to roll back all at once)",
    )
    .default("1"),
    Flag::new("secret", kinds::other("secret"), "Specify secrets to expose to the service"),
    Flag::new(
        "stop-grace-period",
        Kind::Duration,
        "Time to wait before force killing a container (ns|us|ms|s|m|h)",
    )
    .default("10s"),
    Flag::new("stop-signal", Kind::String, "Signal to stop the container"),
    Flag::new("sysctl", Kind::List, "Sysctl options"),
    Flag::new("tty", Kind::Bool, "Allocate a pseudo-TTY").short('t'),
    Flag::new("ulimit", kinds::ULIMIT, "Ulimit options"),
    Flag::new("update-delay", Kind::Duration, "Delay between updates (ns|us|ms|s|m|h) (default 0s)"),
    Flag::new(
        "update-failure-action",
        Kind::String,
        "Action on update failure (\"pause\", \"continue\", \"rollback\")",
    )
    .default("pause"),
    Flag::new(
        "update-max-failure-ratio",
        Kind::Float,
        "Failure rate to tolerate during an update (default 0)",
    ),
    Flag::new(
        "update-monitor",
        Kind::Duration,
        "Duration after each task update to monitor for failure (ns|us|ms|s|m|h)",
    )
    .default("5s"),
    Flag::new("update-order", Kind::String, "Update order (\"start-first\", \"stop-first\")")
        .default("stop-first"),
    Flag::new(
        "update-parallelism",
        Kind::Uint(64),
        "Maximum number of tasks updated simultaneously (0 to update all at once)",
    )
    .default("1"),
    Flag::new("user", Kind::String, "Username or UID (format: <name|uid>[:<group|gid>])").short('u'),
    Flag::new("with-registry-auth", Kind::Bool, "Send registry authentication details to swarm agents"),
    Flag::new("workdir", Kind::String, "Working directory inside the container").short('w'),
];

pub(crate) static SERVICE_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    short: "Create a new service",
    flags: &[SERVICE_CREATE_FLAGS],
    args: Args::AtLeast(1),
    stop_at_positional: true,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SERVICE_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::new("pretty", Kind::Bool, "Print the information in a human friendly format"),
];

pub(crate) static SERVICE_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] SERVICE [SERVICE...]",
    short: "Display detailed information on one or more services",
    flags: &[SERVICE_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SERVICE_LOGS_FLAGS: &[Flag] = &[
    Flag::new("details", Kind::Bool, "Show extra details provided to logs"),
    Flag::new("follow", Kind::Bool, "Follow log output").short('f'),
    Flag::new("no-resolve", Kind::Bool, "Do not map IDs to Names in output"),
    Flag::new("no-task-ids", Kind::Bool, "Do not include task IDs in output"),
    Flag::new("no-trunc", Kind::Bool, "Do not truncate output"),
    Flag::new("raw", Kind::Bool, "Do not neatly format logs"),
    Flag::new(
        "since",
        Kind::String,
        "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
    Flag::new("tail", Kind::String, "Number of lines to show from the end of the logs")
        .short('n')
        .default("all"),
    Flag::new("timestamps", Kind::Bool, "Show timestamps").short('t'),
];

pub(crate) static SERVICE_LOGS: Command = Command {
    name: "logs",
    usage: "[OPTIONS] SERVICE|TASK",
    short: "Fetch the logs of a service or task",
    flags: &[SERVICE_LOGS_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SERVICE_LS_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("quiet", Kind::Bool, "Only display IDs").short('q'),
];

pub(crate) static SERVICE_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List services",
    also: "service ls, service list",
    flags: &[SERVICE_LS_FLAGS],
    args: Args::None,
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SERVICE_PS_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new("format", Kind::String, "Pretty-print tasks using a Go template"),
    Flag::new("no-resolve", Kind::Bool, "Do not map IDs to Names"),
    Flag::new("no-trunc", Kind::Bool, "Do not truncate output"),
    Flag::new("quiet", Kind::Bool, "Only display task IDs").short('q'),
];

pub(crate) static SERVICE_PS: Command = Command {
    name: "ps",
    usage: "[OPTIONS] SERVICE [SERVICE...]",
    short: "List the tasks of one or more services",
    flags: &[SERVICE_PS_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

pub(crate) static SERVICE_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "SERVICE [SERVICE...]",
    short: "Remove one or more services",
    also: "service rm, service remove",
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SERVICE_ROLLBACK_FLAGS: &[Flag] = &[
    Flag::new("detach", Kind::Bool, "Exit immediately instead of waiting for the service to converge")
        .short('d'),
    Flag::new("quiet", Kind::Bool, "Suppress progress output").short('q'),
];

pub(crate) static SERVICE_ROLLBACK: Command = Command {
    name: "rollback",
    usage: "[OPTIONS] SERVICE",
    short: "Revert changes to a service's configuration",
    flags: &[SERVICE_ROLLBACK_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SERVICE_SCALE_FLAGS: &[Flag] =
    &[Flag::new("detach", Kind::Bool, "Exit immediately instead of waiting for the service to converge")
        .short('d')];

pub(crate) static SERVICE_SCALE: Command = Command {
    name: "scale",
    usage: "SERVICE=REPLICAS [SERVICE=REPLICAS...]",
    short: "Scale one or multiple replicated services",
    flags: &[SERVICE_SCALE_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};

const SERVICE_UPDATE_FLAGS: &[Flag] = &[
    Flag::new("args", kinds::other("command"), "Service command args"),
    Flag::new("cap-add", Kind::List, "Add Linux capabilities"),
    Flag::new("cap-drop", Kind::List, "Drop Linux capabilities"),
    Flag::new("config-add", kinds::other("config"), "Add or update a config file on a service"),
    Flag::new("config-rm", Kind::List, "Remove a configuration file"),
    Flag::new("constraint-add", Kind::List, "Add or update a placement constraint"),
    Flag::new("constraint-rm", Kind::List, "Remove a constraint"),
    Flag::new("container-label-add", Kind::List, "Add or update a container label"),
    Flag::new("container-label-rm", Kind::List, "Remove a container label by its key"),
    Flag::new(
        "credential-spec",
        kinds::other("credential-spec"),
        "Credential spec for managed service account (Windows only)",
    )
    .refused(WINDOWS),
    Flag::new("detach", Kind::Bool, "Exit immediately instead of waiting for the service to converge")
        .short('d'),
    Flag::new("dns-add", Kind::List, "Add or update a custom DNS server"),
    Flag::new("dns-option-add", Kind::List, "Add or update a DNS option"),
    Flag::new("dns-option-rm", Kind::List, "Remove a DNS option"),
    Flag::new("dns-rm", Kind::List, "Remove a custom DNS server"),
    Flag::new("dns-search-add", Kind::List, "Add or update a custom DNS search domain"),
    Flag::new("dns-search-rm", Kind::List, "Remove a DNS search domain"),
    Flag::new("endpoint-mode", Kind::String, "Endpoint mode (vip or dnsrr)"),
    Flag::new("entrypoint", kinds::other("command"), "Overwrite the default ENTRYPOINT of the image"),
    Flag::new("env-add", Kind::List, "Add or update an environment variable"),
    Flag::new("env-rm", Kind::List, "Remove an environment variable"),
    Flag::new("force", Kind::Bool, "Force update even if no changes require it"),
    Flag::new("generic-resource-add", Kind::List, "Add a Generic resource"),
    Flag::new("generic-resource-rm", Kind::List, "Remove a Generic resource"),
    Flag::new("group-add", Kind::List, "Add an additional supplementary user group to the container"),
    Flag::new(
        "group-rm",
        Kind::List,
        "Remove a previously added supplementary user group from the container",
    ),
    Flag::new("health-cmd", Kind::String, "Command to run to check health"),
    Flag::new("health-interval", Kind::Duration, "Time between running the check (ms|s|m|h)"),
    Flag::new("health-retries", Kind::Int, "Consecutive failures needed to report unhealthy"),
    Flag::new(
        "health-start-interval",
        Kind::Duration,
        "Time between running the check during the start period (ms|s|m|h)",
    ),
    Flag::new(
        "health-start-period",
        Kind::Duration,
        "Start period for the container to initialize before counting retries towards unstable (ms|s|m|h)",
    ),
    Flag::new("health-timeout", Kind::Duration, "Maximum time to allow one check to run (ms|s|m|h)"),
    Flag::new("host-add", Kind::List, "Add a custom host-to-IP mapping (\"host:ip\")"),
    Flag::new("host-rm", Kind::List, "Remove a custom host-to-IP mapping (\"host:ip\")"),
    Flag::new("hostname", Kind::String, "Container hostname"),
    Flag::new("image", Kind::String, "Service image tag"),
    Flag::new(
        "init",
        Kind::Bool,
        "Use an init inside each service container to forward signals and reap processes",
    ),
    Flag::new("isolation", Kind::String, "Service container isolation mode").refused(WINDOWS),
    Flag::new("label-add", Kind::List, "Add or update a service label"),
    Flag::new("label-rm", Kind::List, "Remove a label by its key"),
    Flag::new("limit-cpu", kinds::DECIMAL, "Limit CPUs"),
    Flag::new("limit-memory", Kind::Bytes, "Limit Memory"),
    Flag::new("limit-pids", Kind::Int64, "Limit maximum number of processes").default("0 = unlimited"),
    Flag::new("log-driver", Kind::String, "Logging driver for service"),
    Flag::new("log-opt", Kind::List, "Logging driver options"),
    Flag::new("max-concurrent", Kind::Uint(64), "Number of job tasks to run concurrently")
        .default("equal to --replicas"),
    Flag::new("memory-swap", kinds::MEMORY_SWAP, "Swap Bytes (-1 for unlimited)").hidden(),
    Flag::new("memory-swappiness", Kind::Int64, "Tune memory swappiness (0-100), -1 to reset to default")
        .default("-1")
        .hidden(),
    Flag::new("mount-add", kinds::MOUNT, "Add or update a mount on a service"),
    Flag::new("mount-rm", Kind::List, "Remove a mount by its target path"),
    Flag::new("network-add", kinds::NETWORK, "Add a network"),
    Flag::new("network-rm", Kind::List, "Remove a network"),
    Flag::new("no-healthcheck", Kind::Bool, "Disable any container-specified HEALTHCHECK"),
    Flag::new(
        "no-resolve-image",
        Kind::Bool,
        "Do not query the registry to resolve image digest and supported platforms",
    ),
    Flag::new("oom-score-adj", Kind::Int64, "Tune host's OOM preferences (-1000 to 1000) "),
    Flag::new("placement-pref-add", kinds::other("pref"), "Add a placement preference"),
    Flag::new("placement-pref-rm", kinds::other("pref"), "Remove a placement preference"),
    Flag::new("publish-add", kinds::other("port"), "Add or update a published port"),
    Flag::new("publish-rm", kinds::other("port"), "Remove a published port by its target port"),
    Flag::new("quiet", Kind::Bool, "Suppress progress output").short('q'),
    Flag::new("read-only", Kind::Bool, "Mount the container's root filesystem as read only"),
    Flag::new("replicas", Kind::Uint(64), "Number of tasks"),
    Flag::new("replicas-max-per-node", Kind::Uint(64), "Maximum number of tasks per node")
        .default("0 = unlimited"),
    Flag::new("reserve-cpu", kinds::DECIMAL, "Reserve CPUs"),
    Flag::new("reserve-memory", Kind::Bytes, "Reserve Memory"),
    Flag::new(
        "restart-condition",
        Kind::String,
        "Restart when condition is met (\"none\", \"on-failure\", \"any\")",
    ),
    Flag::new("restart-delay", Kind::Duration, "Delay between restart attempts (ns|us|ms|s|m|h)"),
    Flag::new("restart-max-attempts", Kind::Uint(64), "Maximum number of restarts before giving up"),
    Flag::new(
        "restart-window",
        Kind::Duration,
        "Window used to evaluate the restart policy (ns|us|ms|s|m|h)",
    ),
    Flag::new("rollback", Kind::Bool, "Rollback to previous specification"),
    Flag::new("rollback-delay", Kind::Duration, "Delay between task rollbacks (ns|us|ms|s|m|h)"),
    Flag::new(
        "rollback-failure-action",
        Kind::String,
        "Action on rollback failure (\"pause\", \"continue\")",
    ),
    Flag::new("rollback-max-failure-ratio", Kind::Float, "Failure rate to tolerate during a rollback"),
    Flag::new(
        "rollback-monitor",
        Kind::Duration,
        "Duration after each task rollback to monitor for failure (ns|us|ms|s|m|h)",
    ),
    Flag::new("rollback-order", Kind::String, "Rollback order (\"start-first\", \"stop-first\")"),
    Flag::new(
        "rollback-parallelism",
        Kind::Uint(64),
        "Maximum number of tasks rolled back simultaneously (0 to roll back all at once)",
    ),
    Flag::new("secret-add", kinds::other("secret"), "Add or update a secret on a service"),
    Flag::new("secret-rm", Kind::List, "Remove a secret"),
    Flag::new(
        "stop-grace-period",
        Kind::Duration,
        "Time to wait before force killing a container (ns|us|ms|s|m|h)",
    ),
    Flag::new("stop-signal", Kind::String, "Signal to stop the container"),
    Flag::new("sysctl-add", Kind::List, "Add or update a Sysctl option"),
    Flag::new("sysctl-rm", Kind::List, "Remove a Sysctl option"),
    Flag::new("tty", Kind::Bool, "Allocate a pseudo-TTY").short('t'),
    Flag::new("ulimit-add", kinds::ULIMIT, "Add or update a ulimit option").default("[]"),
    Flag::new("ulimit-rm", Kind::List, "Remove a ulimit option"),
    Flag::new("update-delay", Kind::Duration, "Delay between updates (ns|us|ms|s|m|h)"),
    Flag::new(
        "update-failure-action",
        Kind::String,
        "Action on update failure (\"pause\", \"continue\", \"rollback\")",
    ),
    Flag::new("update-max-failure-ratio", Kind::Float, "Failure rate to tolerate during an update"),
    Flag::new(
        "update-monitor",
        Kind::Duration,
        "Duration after each task update to monitor for failure (ns|us|ms|s|m|h)",
    ),
    Flag::new("update-order", Kind::String, "Update order (\"start-first\", \"stop-first\")"),
    Flag::new(
        "update-parallelism",
        Kind::Uint(64),
        "Maximum number of tasks updated simultaneously (0 to update all at once)",
    ),
    Flag::new("user", Kind::String, "Username or UID (format: <name|uid>[:<group|gid>])").short('u'),
    Flag::new("with-registry-auth", Kind::Bool, "Send registry authentication details to swarm agents"),
    Flag::new("workdir", Kind::String, "Working directory inside the container").short('w'),
];

pub(crate) static SERVICE_UPDATE: Command = Command {
    name: "update",
    usage: "[OPTIONS] SERVICE",
    short: "Update a service",
    flags: &[SERVICE_UPDATE_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(NO_SWARM),
    ..LEAF
};
