//! `docker container …` and its short forms.

use flags::{Args, Flag, Kind};

use crate::commands::{
    attach, containers, cp, exec, files, inspect, logs, port, prune, rename, run, start, stats, top, update,
};

use super::{Action, Command, GROUP, LEAF, NO_CHECKPOINTS, WINDOWS, kinds};

/// What a container is to be: the flags that create and run share.
pub(crate) const SHAPE_FLAGS: &[Flag] = &[
    Flag::new("add-host", kinds::HOST, "Add a custom host-to-IP mapping (host:ip)"),
    Flag::new(
        "annotation",
        kinds::MAP,
        "Add an annotation to the container (passed through to the OCI runtime)",
    )
    .default("map[]"),
    Flag::new("attach", Kind::List, "Attach to STDIN, STDOUT or STDERR").short('a'),
    Flag::new(
        "blkio-weight",
        Kind::Uint(16),
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    Flag::new("blkio-weight-device", Kind::List, "Block IO weight (relative device weight)").default("[]"),
    Flag::new("cap-add", Kind::List, "Add Linux capabilities"),
    Flag::new("cap-drop", Kind::List, "Drop Linux capabilities"),
    Flag::new("cgroup-parent", Kind::String, "Optional parent cgroup for the container"),
    Flag::new(
        "cgroupns",
        Kind::String,
        "Cgroup namespace to use (host|private)\n'host':    Run the container in the Docker host's cgroup namespace\n'private': Run the container in its own private cgroup namespace\n'':        Use the cgroup namespace as configured by the\n           default-cgroupns-mode option on the daemon (default)",
    ),
    Flag::new("cidfile", Kind::String, "Write the container ID to the file"),
    Flag::new("cpu-count", Kind::Int64, "CPU count (Windows only)").hidden().refused(WINDOWS),
    Flag::new("cpu-percent", Kind::Int64, "CPU percent (Windows only)").hidden().refused(WINDOWS),
    Flag::new("cpu-period", Kind::Int64, "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag::new("cpu-quota", Kind::Int64, "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag::new("cpu-rt-period", Kind::Int64, "Limit CPU real-time period in microseconds"),
    Flag::new("cpu-rt-runtime", Kind::Int64, "Limit CPU real-time runtime in microseconds"),
    Flag::new("cpu-shares", Kind::Int64, "CPU shares (relative weight)").short('c'),
    Flag::new("cpus", kinds::DECIMAL, "Number of CPUs"),
    Flag::new("cpuset-cpus", Kind::String, "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::new("cpuset-mems", Kind::String, "MEMs in which to allow execution (0-3, 0,1)"),
    Flag::new("device", Kind::List, "Add a host device to the container"),
    Flag::new("device-cgroup-rule", kinds::DEVICE_RULE, "Add a rule to the cgroup allowed devices list"),
    Flag::new("device-read-bps", Kind::List, "Limit read rate (bytes per second) from a device")
        .default("[]"),
    Flag::new("device-read-iops", Kind::List, "Limit read rate (IO per second) from a device").default("[]"),
    Flag::new("device-write-bps", Kind::List, "Limit write rate (bytes per second) to a device")
        .default("[]"),
    Flag::new("device-write-iops", Kind::List, "Limit write rate (IO per second) to a device").default("[]"),
    Flag::new("disable-content-trust", Kind::Bool, "Skip image verification").default("true"),
    Flag::new("dns", kinds::DNS, "Set custom DNS servers"),
    Flag::new("dns-opt", Kind::List, "Set DNS options").hidden(),
    Flag::new("dns-option", Kind::List, "Set DNS options"),
    Flag::new("dns-search", Kind::List, "Set custom DNS search domains"),
    Flag::new("domainname", Kind::String, "Container NIS domain name"),
    Flag::new("entrypoint", Kind::String, "Overwrite the default ENTRYPOINT of the image"),
    Flag::new("env", Kind::List, "Set environment variables").short('e'),
    Flag::new("env-file", Kind::List, "Read in a file of environment variables"),
    Flag::new("expose", Kind::List, "Expose a port or a range of ports"),
    Flag::new("gpus", kinds::GPUS, "GPU devices to add to the container ('all' to pass all GPUs)"),
    Flag::new("group-add", Kind::List, "Add additional groups to join"),
    Flag::new("health-cmd", Kind::String, "Command to run to check health"),
    Flag::new("health-interval", Kind::Duration, "Time between running the check (ms|s|m|h) (default 0s)"),
    Flag::new("health-retries", Kind::Int, "Consecutive failures needed to report unhealthy"),
    Flag::new(
        "health-start-interval",
        Kind::Duration,
        "Time between running the check during the start period (ms|s|m|h) (default 0s)",
    ),
    Flag::new(
        "health-start-period",
        Kind::Duration,
        "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
    ),
    Flag::new(
        "health-timeout",
        Kind::Duration,
        "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
    ),
    Flag::new("help", Kind::Bool, "Print usage"),
    Flag::new("hostname", Kind::String, "Container host name").short('h'),
    Flag::new(
        "init",
        Kind::Bool,
        "Run an init inside the container that forwards signals and reaps processes",
    ),
    Flag::new("interactive", Kind::Bool, "Keep STDIN open even if not attached").short('i'),
    Flag::new(
        "io-maxbandwidth",
        Kind::Bytes,
        "Maximum IO bandwidth limit for the system drive (Windows only)",
    )
    .hidden()
    .refused(WINDOWS),
    Flag::new("io-maxiops", Kind::Uint(64), "Maximum IOps limit for the system drive (Windows only)")
        .hidden()
        .refused(WINDOWS),
    Flag::new("ip", Kind::String, "IPv4 address (e.g., 172.30.100.104)"),
    Flag::new("ip6", Kind::String, "IPv6 address (e.g., 2001:db8::33)"),
    Flag::new("ipc", Kind::String, "IPC mode to use"),
    Flag::new("isolation", Kind::String, "Container isolation technology").refused(WINDOWS),
    Flag::new("kernel-memory", Kind::Bytes, "Kernel memory limit")
        .refused("the kernel has no such limit any more"),
    Flag::new("label", Kind::List, "Set meta data on a container").short('l'),
    Flag::new("label-file", Kind::List, "Read in a line delimited file of labels"),
    Flag::new("link", kinds::LINK, "Add link to another container"),
    Flag::new("link-local-ip", Kind::List, "Container IPv4/IPv6 link-local addresses"),
    Flag::new("log-driver", Kind::String, "Logging driver for the container"),
    Flag::new("log-opt", Kind::List, "Log driver options"),
    Flag::new("mac-address", Kind::String, "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    Flag::new("memory", Kind::Bytes, "Memory limit").short('m'),
    Flag::new("memory-reservation", Kind::Bytes, "Memory soft limit"),
    Flag::new(
        "memory-swap",
        kinds::MEMORY_SWAP,
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
    ),
    Flag::new("memory-swappiness", Kind::Int64, "Tune container memory swappiness (0 to 100)").default("-1"),
    Flag::new("mount", kinds::MOUNT, "Attach a filesystem mount to the container"),
    Flag::new("name", Kind::String, "Assign a name to the container"),
    Flag::new("net", kinds::NETWORK, "Connect a container to a network").hidden(),
    Flag::new("net-alias", Kind::List, "Add network-scoped alias for the container").hidden(),
    Flag::new("network", kinds::NETWORK, "Connect a container to a network"),
    Flag::new("network-alias", Kind::List, "Add network-scoped alias for the container"),
    Flag::new("no-healthcheck", Kind::Bool, "Disable any container-specified HEALTHCHECK"),
    Flag::new("oom-kill-disable", Kind::Bool, "Disable OOM Killer"),
    Flag::new("oom-score-adj", Kind::Int, "Tune host's OOM preferences (-1000 to 1000)"),
    Flag::new("pid", Kind::String, "PID namespace to use"),
    Flag::new("pids-limit", Kind::Int64, "Tune container pids limit (set -1 for unlimited)"),
    Flag::new("platform", Kind::String, "Set platform if server is multi-platform capable"),
    Flag::new("privileged", Kind::Bool, "Give extended privileges to this container"),
    Flag::new("publish", Kind::List, "Publish a container's port(s) to the host").short('p'),
    Flag::new("publish-all", Kind::Bool, "Publish all exposed ports to random ports").short('P'),
    Flag::new("quiet", Kind::Bool, "Suppress the pull output").short('q'),
    Flag::new("read-only", Kind::Bool, "Mount the container's root filesystem as read only"),
    Flag::new("restart", Kind::String, "Restart policy to apply when a container exits").default("no"),
    Flag::new(
        "rm",
        Kind::Bool,
        "Automatically remove the container and its associated anonymous volumes when it exits",
    ),
    Flag::new("runtime", Kind::String, "Runtime to use for this container"),
    Flag::new("security-opt", Kind::List, "Security Options"),
    Flag::new("shm-size", Kind::Bytes, "Size of /dev/shm"),
    Flag::new("stop-signal", Kind::String, "Signal to stop the container"),
    Flag::new("stop-timeout", Kind::Int, "Timeout (in seconds) to stop a container"),
    Flag::new("storage-opt", Kind::List, "Storage driver options for the container"),
    Flag::new("sysctl", kinds::SYSCTL, "Sysctl options").default("map[]"),
    Flag::new("tmpfs", Kind::List, "Mount a tmpfs directory"),
    Flag::new("tty", Kind::Bool, "Allocate a pseudo-TTY").short('t'),
    Flag::new("ulimit", kinds::ULIMIT, "Ulimit options").default("[]"),
    Flag::new("use-api-socket", Kind::Bool, "Bind mount Docker API socket and required auth"),
    Flag::new("user", Kind::String, "Username or UID (format: <name|uid>[:<group|gid>])").short('u'),
    Flag::new("userns", Kind::String, "User namespace to use"),
    Flag::new("uts", Kind::String, "UTS namespace to use"),
    Flag::new("volume", Kind::List, "Bind mount a volume").short('v'),
    Flag::new("volume-driver", Kind::String, "Optional volume driver for the container"),
    Flag::new("volumes-from", Kind::List, "Mount volumes from the specified container(s)"),
    Flag::new("workdir", Kind::String, "Working directory inside the container").short('w'),
];

pub(crate) static CONTAINER: Command = Command {
    name: "container",
    short: "Manage containers",
    subcommands: &[
        &CONTAINER_ATTACH,
        &CONTAINER_COMMIT,
        &CONTAINER_CP,
        &CONTAINER_CREATE,
        &CONTAINER_DIFF,
        &CONTAINER_EXEC,
        &CONTAINER_EXPORT,
        &CONTAINER_INSPECT,
        &CONTAINER_KILL,
        &CONTAINER_LOGS,
        &CONTAINER_LS,
        &CONTAINER_PAUSE,
        &CONTAINER_PORT,
        &CONTAINER_PRUNE,
        &CONTAINER_RENAME,
        &CONTAINER_RESTART,
        &CONTAINER_RM,
        &CONTAINER_RUN,
        &CONTAINER_START,
        &CONTAINER_STATS,
        &CONTAINER_STOP,
        &CONTAINER_TOP,
        &CONTAINER_UNPAUSE,
        &CONTAINER_UPDATE,
        &CONTAINER_WAIT,
    ],
    ..GROUP
};

const CONTAINER_ATTACH_FLAGS: &[Flag] = &[
    Flag::new("detach-keys", Kind::String, "Override the key sequence for detaching a container"),
    Flag::new("no-stdin", Kind::Bool, "Do not attach STDIN"),
    Flag::new("sig-proxy", Kind::Bool, "Proxy all received signals to the process").default("true"),
];

pub(crate) static CONTAINER_ATTACH: Command = Command {
    name: "attach",
    usage: "[OPTIONS] CONTAINER",
    short: "Attach local standard input, output, and error streams to a running container",
    also: "container attach, attach",
    flags: &[CONTAINER_ATTACH_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(attach::attach),
    ..LEAF
};

const CONTAINER_COMMIT_FLAGS: &[Flag] = &[
    Flag::new("author", Kind::String, "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")")
        .short('a'),
    Flag::new("change", Kind::List, "Apply Dockerfile instruction to the created image").short('c'),
    Flag::new("message", Kind::String, "Commit message").short('m'),
    Flag::new("no-pause", Kind::Bool, "Disable pausing container during commit").hidden(),
    Flag::new("pause", Kind::Bool, "Pause container during commit").short('p').default("true"),
];

pub(crate) static CONTAINER_COMMIT: Command = Command {
    name: "commit",
    example: "-m 'with tools' -c 'CMD [\"sh\"]' web web:tools",
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    short: "Create a new image from a container's changes",
    also: "container commit, commit",
    flags: &[CONTAINER_COMMIT_FLAGS],
    args: Args::Range(1, 2),
    action: Action::Run(files::commit),
    ..LEAF
};

const CONTAINER_CP_FLAGS: &[Flag] = &[
    Flag::new("archive", Kind::Bool, "Archive mode (copy all uid/gid information)").short('a'),
    Flag::new("follow-link", Kind::Bool, "Always follow symbol link in SRC_PATH").short('L'),
    Flag::new("quiet", Kind::Bool, "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached").short('q'),
];

pub(crate) static CONTAINER_CP: Command = Command {
    name: "cp",
    example: "web:/etc/nginx/nginx.conf .\n\
              page.html web:/usr/share/nginx/html/\n\
              web:/var/log - > log.tar",
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    short: "Copy files/folders between a container and the local filesystem",
    long: "Copy files/folders between a container and the local filesystem

Use '-' as the source to read a tar archive from stdin
and extract it to a directory destination in a container.
Use '-' as the destination to stream a tar archive of a
container source to stdout.",
    also: "container cp, cp",
    flags: &[CONTAINER_CP_FLAGS],
    args: Args::Exact(2),
    action: Action::Run(cp::cp),
    ..LEAF
};

const CONTAINER_CREATE_FLAGS: &[Flag] =
    &[Flag::new("pull", Kind::String, "Pull image before creating (\"always\", \"|missing\", \"never\")")
        .default("missing")];

pub(crate) static CONTAINER_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    short: "Create a new container",
    also: "container create, create",
    flags: &[SHAPE_FLAGS, CONTAINER_CREATE_FLAGS],
    args: Args::AtLeast(1),
    stop_at_positional: true,
    action: Action::Run(run::create),
    ..LEAF
};

pub(crate) static CONTAINER_DIFF: Command = Command {
    name: "diff",
    usage: "CONTAINER",
    short: "Inspect changes to files or directories on a container's filesystem",
    also: "container diff, diff",
    args: Args::Exact(1),
    action: Action::Run(files::diff),
    ..LEAF
};

const CONTAINER_EXEC_FLAGS: &[Flag] = &[
    Flag::new("detach", Kind::Bool, "Detached mode: run command in the background").short('d'),
    Flag::new("detach-keys", Kind::String, "Override the key sequence for detaching a container"),
    Flag::new("env", Kind::List, "Set environment variables").short('e'),
    Flag::new("env-file", Kind::List, "Read in a file of environment variables"),
    Flag::new("interactive", Kind::Bool, "Keep STDIN open even if not attached").short('i'),
    Flag::new("privileged", Kind::Bool, "Give extended privileges to the command"),
    Flag::new("tty", Kind::Bool, "Allocate a pseudo-TTY").short('t'),
    Flag::new("user", Kind::String, "Username or UID (format: \"<name|uid>[:<group|gid>]\")").short('u'),
    Flag::new("workdir", Kind::String, "Working directory inside the container").short('w'),
];

pub(crate) static CONTAINER_EXEC: Command = Command {
    name: "exec",
    example: "-it web sh\n\
              web cat /etc/hosts\n\
              -u root -e MODE=test -w /srv web ./check",
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    short: "Execute a command in a running container",
    also: "container exec, exec",
    flags: &[CONTAINER_EXEC_FLAGS],
    args: Args::AtLeast(2),
    stop_at_positional: true,
    common: 2,
    action: Action::Run(exec::exec),
    ..LEAF
};

const CONTAINER_EXPORT_FLAGS: &[Flag] =
    &[Flag::new("output", Kind::String, "Write to a file, instead of STDOUT").short('o')];

pub(crate) static CONTAINER_EXPORT: Command = Command {
    name: "export",
    usage: "[OPTIONS] CONTAINER",
    short: "Export a container's filesystem as a tar archive",
    also: "container export, export",
    flags: &[CONTAINER_EXPORT_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(files::export),
    ..LEAF
};

const CONTAINER_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::new("size", Kind::Bool, "Display total file sizes").short('s'),
];

pub(crate) static CONTAINER_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    short: "Display detailed information on one or more containers",
    flags: &[CONTAINER_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(inspect::container),
    ..LEAF
};

const CONTAINER_KILL_FLAGS: &[Flag] =
    &[Flag::new("signal", Kind::String, "Signal to send to the container").short('s')];

pub(crate) static CONTAINER_KILL: Command = Command {
    name: "kill",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    short: "Kill one or more running containers",
    also: "container kill, kill",
    flags: &[CONTAINER_KILL_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(containers::kill),
    ..LEAF
};

const CONTAINER_LOGS_FLAGS: &[Flag] = &[
    Flag::new("details", Kind::Bool, "Show extra details provided to logs"),
    Flag::new("follow", Kind::Bool, "Follow log output").short('f'),
    Flag::new(
        "since",
        Kind::String,
        "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
    Flag::new("tail", Kind::String, "Number of lines to show from the end of the logs")
        .short('n')
        .default("all"),
    Flag::new("timestamps", Kind::Bool, "Show timestamps").short('t'),
    Flag::new(
        "until",
        Kind::String,
        "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
    ),
];

pub(crate) static CONTAINER_LOGS: Command = Command {
    name: "logs",
    example: "-f --tail 100 web\n\
              --since 10m -t web",
    usage: "[OPTIONS] CONTAINER",
    short: "Fetch the logs of a container",
    also: "container logs, logs",
    flags: &[CONTAINER_LOGS_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(logs::logs),
    ..LEAF
};

const CONTAINER_LS_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Show all containers").short('a').default("shows just running"),
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("last", Kind::Int, "Show n last created containers (includes all states)")
        .short('n')
        .default("-1"),
    Flag::new("latest", Kind::Bool, "Show the latest created container (includes all states)").short('l'),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::new("quiet", Kind::Bool, "Only display container IDs").short('q'),
    Flag::new("size", Kind::Bool, "Display total file sizes").short('s'),
];

pub(crate) static CONTAINER_LS: Command = Command {
    name: "ls",
    aliases: &["ps", "list"],
    usage: "[OPTIONS]",
    short: "List containers",
    also: "container ls, container list, container ps, ps",
    flags: &[CONTAINER_LS_FLAGS],
    args: Args::None,
    action: Action::Run(containers::list),
    ..LEAF
};

pub(crate) static CONTAINER_PAUSE: Command = Command {
    name: "pause",
    usage: "CONTAINER [CONTAINER...]",
    short: "Pause all processes within one or more containers",
    also: "container pause, pause",
    args: Args::AtLeast(1),
    action: Action::Run(containers::pause),
    ..LEAF
};

pub(crate) static CONTAINER_PORT: Command = Command {
    name: "port",
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    short: "List port mappings or a specific mapping for the container",
    also: "container port, port",
    args: Args::Range(1, 2),
    action: Action::Run(port::port),
    ..LEAF
};

const CONTAINER_PRUNE_FLAGS: &[Flag] = &[
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::new("force", Kind::Bool, "Do not prompt for confirmation").short('f'),
];

pub(crate) static CONTAINER_PRUNE: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    short: "Remove all stopped containers",
    flags: &[CONTAINER_PRUNE_FLAGS],
    args: Args::None,
    action: Action::Run(prune::containers),
    ..LEAF
};

pub(crate) static CONTAINER_RENAME: Command = Command {
    name: "rename",
    usage: "CONTAINER NEW_NAME",
    short: "Rename a container",
    also: "container rename, rename",
    args: Args::Exact(2),
    action: Action::Run(rename::rename),
    ..LEAF
};

const CONTAINER_RESTART_FLAGS: &[Flag] = &[
    Flag::new("signal", Kind::String, "Signal to send to the container").short('s'),
    Flag::new("time", Kind::Int, "Seconds to wait before killing the container (deprecated: use --timeout)")
        .hidden(),
    Flag::new("timeout", Kind::Int, "Seconds to wait before killing the container").short('t'),
];

pub(crate) static CONTAINER_RESTART: Command = Command {
    name: "restart",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    short: "Restart one or more containers",
    also: "container restart, restart",
    flags: &[CONTAINER_RESTART_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(containers::restart),
    ..LEAF
};

const CONTAINER_RUN_FLAGS: &[Flag] = &[
    Flag::new("detach", Kind::Bool, "Run container in background and print container ID").short('d'),
    Flag::new("detach-keys", Kind::String, "Override the key sequence for detaching a container"),
    Flag::new("pull", Kind::String, "Pull image before running (\"always\", \"missing\", \"never\")")
        .default("missing"),
    Flag::new("sig-proxy", Kind::Bool, "Proxy received signals to the process").default("true"),
];

pub(crate) static CONTAINER_RUN: Command = Command {
    name: "run",
    example: "--rm -it debian bash\n\
              -d --name web -p 8080:80 -v data:/var/lib/data nginx\n\
              --rm -v .:/src -w /src node npm test\n\
              -d --restart unless-stopped --memory 512m --cpus 1.5 app:1",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    short: "Create and run a new container from an image",
    also: "container run, run",
    flags: &[SHAPE_FLAGS, CONTAINER_RUN_FLAGS],
    args: Args::AtLeast(1),
    stop_at_positional: true,
    common: 1,
    action: Action::Run(run::run),
    ..LEAF
};

const CONTAINER_START_FLAGS: &[Flag] = &[
    Flag::new("attach", Kind::Bool, "Attach STDOUT/STDERR and forward signals").short('a'),
    Flag::new("checkpoint", Kind::String, "Restore from this checkpoint").hidden().refused(NO_CHECKPOINTS),
    Flag::new("checkpoint-dir", Kind::String, "Use a custom checkpoint storage directory")
        .hidden()
        .refused(NO_CHECKPOINTS),
    Flag::new("detach-keys", Kind::String, "Override the key sequence for detaching a container"),
    Flag::new("interactive", Kind::Bool, "Attach container's STDIN").short('i'),
];

pub(crate) static CONTAINER_START: Command = Command {
    name: "start",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    short: "Start one or more stopped containers",
    also: "container start, start",
    flags: &[CONTAINER_START_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(start::start),
    ..LEAF
};

const CONTAINER_STATS_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Show all containers").short('a').default("shows just running"),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("no-stream", Kind::Bool, "Disable streaming stats and only pull the first result"),
    Flag::new("no-trunc", Kind::Bool, "Do not truncate output"),
];

pub(crate) static CONTAINER_STATS: Command = Command {
    name: "stats",
    example: "\n\
              --no-stream --format json",
    usage: "[OPTIONS] [CONTAINER...]",
    short: "Display a live stream of container(s) resource usage statistics",
    also: "container stats, stats",
    flags: &[CONTAINER_STATS_FLAGS],
    action: Action::Run(stats::stats),
    ..LEAF
};

pub(crate) static CONTAINER_STOP: Command = Command {
    name: "stop",
    example: "web db\n\
              --time 30 db",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    short: "Stop one or more running containers",
    also: "container stop, stop",
    flags: &[CONTAINER_RESTART_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(containers::stop),
    ..LEAF
};

pub(crate) static CONTAINER_TOP: Command = Command {
    name: "top",
    usage: "CONTAINER [ps OPTIONS]",
    short: "Display the running processes of a container",
    also: "container top, top",
    args: Args::AtLeast(1),
    stop_at_positional: true,
    action: Action::Run(top::top),
    ..LEAF
};

pub(crate) static CONTAINER_UNPAUSE: Command = Command {
    name: "unpause",
    usage: "CONTAINER [CONTAINER...]",
    short: "Unpause all processes within one or more containers",
    also: "container unpause, unpause",
    args: Args::AtLeast(1),
    action: Action::Run(containers::unpause),
    ..LEAF
};

const CONTAINER_UPDATE_FLAGS: &[Flag] = &[
    Flag::new(
        "blkio-weight",
        Kind::Uint(16),
        "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
    ),
    Flag::new("cpu-period", Kind::Int64, "Limit CPU CFS (Completely Fair Scheduler) period"),
    Flag::new("cpu-quota", Kind::Int64, "Limit CPU CFS (Completely Fair Scheduler) quota"),
    Flag::new("cpu-rt-period", Kind::Int64, "Limit the CPU real-time period in microseconds"),
    Flag::new("cpu-rt-runtime", Kind::Int64, "Limit the CPU real-time runtime in microseconds"),
    Flag::new("cpu-shares", Kind::Int64, "CPU shares (relative weight)").short('c'),
    Flag::new("cpus", kinds::DECIMAL, "Number of CPUs"),
    Flag::new("cpuset-cpus", Kind::String, "CPUs in which to allow execution (0-3, 0,1)"),
    Flag::new("cpuset-mems", Kind::String, "MEMs in which to allow execution (0-3, 0,1)"),
    Flag::new("kernel-memory", Kind::Bytes, "Kernel memory limit (deprecated)")
        .hidden()
        .refused("the kernel has no such limit any more"),
    Flag::new("memory", Kind::Bytes, "Memory limit").short('m'),
    Flag::new("memory-reservation", Kind::Bytes, "Memory soft limit"),
    Flag::new(
        "memory-swap",
        kinds::MEMORY_SWAP,
        "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    ),
    Flag::new("pids-limit", Kind::Int64, "Tune container pids limit (set -1 for unlimited)"),
    Flag::new("restart", Kind::String, "Restart policy to apply when a container exits"),
];

pub(crate) static CONTAINER_UPDATE: Command = Command {
    name: "update",
    example: "--memory 1g --cpus 2 web\n\
              --restart on-failure:3 web",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    short: "Update configuration of one or more containers",
    also: "container update, update",
    flags: &[CONTAINER_UPDATE_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(update::update),
    ..LEAF
};

pub(crate) static CONTAINER_WAIT: Command = Command {
    name: "wait",
    usage: "CONTAINER [CONTAINER...]",
    short: "Block until one or more containers stop, then print their exit codes",
    also: "container wait, wait",
    args: Args::AtLeast(1),
    action: Action::Run(containers::wait),
    ..LEAF
};

pub(crate) static PS: Command = Command {
    name: "ps",
    example: "-a\n\
              --filter status=exited --filter label=app=shop\n\
              --format '{{.Names}}: {{.Status}}'\n\
              -aq",
    usage: "[OPTIONS]",
    short: "List containers",
    also: "container ls, container list, container ps, ps",
    flags: &[CONTAINER_LS_FLAGS],
    args: Args::None,
    common: 3,
    action: Action::Run(containers::list),
    ..LEAF
};

const RM_FLAGS: &[Flag] = &[
    Flag::new("force", Kind::Bool, "Force the removal of a running container (uses SIGKILL)").short('f'),
    Flag::new("link", Kind::Bool, "Remove the specified link").short('l'),
    Flag::new("volumes", Kind::Bool, "Remove anonymous volumes associated with the container").short('v'),
];

pub(crate) static RM: Command = Command {
    name: "rm",
    example: "web\n\
              -f -v web",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    short: "Remove one or more containers",
    also: "container rm, container remove, rm",
    flags: &[RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(containers::remove),
    ..LEAF
};

pub(crate) static CONTAINER_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    short: "Remove one or more containers",
    also: "container rm, container remove, rm",
    flags: &[RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(containers::remove),
    ..LEAF
};
