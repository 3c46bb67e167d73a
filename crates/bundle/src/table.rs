//! The command line: runc's commands and flags. Those of them that aren't built are refused by name.

use flags::{Args, Command, Flag, Kind};

use crate::{Action, commands};

macro_rules! command {
    ($name:literal, $usage:literal, $args:expr, $flags:expr, $short:literal, $action:expr) => {
        &Command {
            name: $name,
            aliases: &[],
            usage: $usage,
            short: $short,
            long: "",
            also: "",
            example: "",
            flags: $flags,
            args: $args,
            stop_at_positional: false,
            subcommands: &[],
            hidden: false,
            common: 0,
            action: $action,
        }
    };
}

const BUNDLE: Flag =
    Flag::new("bundle", Kind::String, "The folder with config.json (default: the current one)").short('b');
const FORMAT: Flag = Flag::new("format", Kind::String, "`table` or `json`").short('f').default("table");
const CRIU: &str = "containers are not checkpointed";

#[rustfmt::skip]
const MAKING: &[Flag] = &[
    BUNDLE,
    Flag::new("console-socket", Kind::String, "Socket that is sent the master of the container's terminal"),
    Flag::new("pidfd-socket", Kind::String, "Socket that is sent a descriptor of the first process"),
    Flag::new("pid-file", Kind::String, "File to write the first process' number to"),
    Flag::new("no-pivot", Kind::Bool, "Change the root instead of pivoting, for a root file system on the first ramdisk"),
    Flag::new("no-new-keyring", Kind::Bool, "Leave the container the caller's session keyring"),
    Flag::new("preserve-fds", Kind::Uint(32), "So many descriptors after 2 (and those of $LISTEN_FDS) are the container's, too").default("0"),
];
#[rustfmt::skip]
const RUNNING: &[Flag] = &[
    Flag::new("detach", Kind::Bool, "Leave as soon as it runs").short('d'),
    Flag::new("keep", Kind::Bool, "Don't delete it when it has ended"),
    Flag::new("no-subreaper", Kind::Bool, "Accepted: nothing is ever adopted"),
];
#[rustfmt::skip]
const EXEC: &[Flag] = &[
    Flag::new("console-socket", Kind::String, "Socket that is sent the master of the process' terminal"),
    Flag::new("pidfd-socket", Kind::String, "Socket that is sent a descriptor of the process"),
    Flag::new("cwd", Kind::String, "Working directory"),
    Flag::new("env", Kind::StringArray, "Variables, beside the container's").short('e'),
    Flag::new("tty", Kind::Bool, "With a terminal").short('t'),
    Flag::new("user", Kind::String, "User: uid[:gid]").short('u'),
    Flag::new("additional-gids", Kind::StringArray, "Further groups").short('g'),
    Flag::new("process", Kind::String, "File that describes the process").short('p'),
    Flag::new("detach", Kind::Bool, "Leave as soon as it runs").short('d'),
    Flag::new("pid-file", Kind::String, "File to write the process' number to"),
    Flag::new("process-label", Kind::String, "SELinux label"),
    Flag::new("apparmor", Kind::String, "AppArmor profile"),
    Flag::new("no-new-privs", Kind::Bool, "Forbid new privileges"),
    Flag::new("cap", Kind::StringArray, "Capabilities, beside the container's").short('c'),
    Flag::new("preserve-fds", Kind::Uint(32), "So many descriptors after 2 (and those of $LISTEN_FDS) are the process', too").default("0"),
    Flag::new("cgroup", Kind::StringArray, "A cgroup of the container's").refused("a process joins its container's own cgroup"),
    Flag::new("ignore-paused", Kind::Bool, "Also into a container that is paused"),
];
#[rustfmt::skip]
const UPDATE: &[Flag] = &[
    Flag::new("resources", Kind::String, "File with the resources of a config.json, or - for the standard input").short('r'),
    Flag::new("blkio-weight", Kind::Uint(16), "Weight of input and output, 10 to 1000"),
    Flag::new("cpu-period", Kind::Uint(64), "Period of the limit on processor time, in microseconds"),
    Flag::new("cpu-quota", Kind::Int64, "Limit on processor time in each period, in microseconds"),
    Flag::new("cpu-burst", Kind::Uint(64), "What may be saved up of it, in microseconds"),
    Flag::new("cpu-share", Kind::Uint(64), "Share of processor time against others"),
    Flag::new("cpu-rt-period", Kind::Uint(64), "Period of the limit on real-time, in microseconds"),
    Flag::new("cpu-rt-runtime", Kind::Int64, "Limit on real-time in each period, in microseconds"),
    Flag::new("cpuset-cpus", Kind::String, "Processors"),
    Flag::new("cpuset-mems", Kind::String, "Memory nodes"),
    Flag::new("cpu-idle", Kind::Int64, "1: only where nobody else wants to run"),
    Flag::new("memory", Kind::String, "Limit on memory, in bytes"),
    Flag::new("memory-reservation", Kind::String, "What is left to it when memory is short, in bytes"),
    Flag::new("memory-swap", Kind::String, "Limit on memory and swap together, in bytes; -1 for none"),
    Flag::new("pids-limit", Kind::Int64, "Limit on processes"),
    Flag::new("l3-cache-schema", Kind::String, "Cache allocation").refused("intelRdt is not supported"),
    Flag::new("mem-bw-schema", Kind::String, "Memory bandwidth allocation").refused("intelRdt is not supported"),
];

#[rustfmt::skip]
pub(crate) static ROOT: Command<Action> = Command {
    name: "runtime",
    aliases: &[],
    usage: "[OPTIONS] COMMAND",
    short: "An OCI runtime: containers from bundles",
    long: "An OCI runtime: containers from bundles, for containerd, dockerd, podman and by hand.",
    also: "",
    example: "",
    flags: &[&[
        Flag::new("debug", Kind::Bool, "Log what is done, too"),
        Flag::new("log", Kind::String, "File to log to"),
        Flag::new("log-format", Kind::String, "`text` or `json`").default("text"),
        Flag::new("root", Kind::String, "Folder for the state of containers").default(crate::ROOT),
        Flag::new("systemd-cgroup", Kind::Bool, "Let systemd make the cgroups"),
        Flag::new("rootless", Kind::String, "Accepted: auto or false").default("auto"),
        Flag::new("version", Kind::Bool, "Print the version").short('v'),
    ]],
    args: Args::Any,
    stop_at_positional: true,
    subcommands: &[
        command!("checkpoint", "CONTAINER", Args::Any, &[], "Refused: containers are not checkpointed", |_, _| commands::refuse(CRIU)),
        command!("create", "[OPTIONS] CONTAINER", Args::Exact(1), &[MAKING], "Make a container that waits for its start", commands::create::create),
        command!("delete", "[OPTIONS] CONTAINER", Args::Exact(1), &[&[Flag::new("force", Kind::Bool, "End it first if it runs").short('f')]], "Remove what is left of a container", commands::delete::delete),
        command!("events", "[OPTIONS] CONTAINER", Args::Exact(1), &[&[
            Flag::new("interval", Kind::Duration, "How often").default("5s"),
            Flag::new("stats", Kind::Bool, "Once"),
        ]], "Statistics and want of memory", commands::events::events),
        &Command {
            name: "exec",
            aliases: &[],
            usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
            short: "Run a process in a container",
            long: "",
            also: "",
            example: "",
            flags: &[EXEC],
            args: Args::AtLeast(1),
            stop_at_positional: true,
            subcommands: &[],
            hidden: false,
            common: 0,
            action: commands::exec::exec,
        },
        command!("features", "", Args::None, &[], "What of the specification there is", commands::features::features),
        command!("kill", "[OPTIONS] CONTAINER [SIGNAL]", Args::Range(1, 2), &[&[Flag::new("all", Kind::Bool, "To every process").short('a')]], "Send a signal (default: TERM) to the first process", commands::kill::kill),
        command!("list", "[OPTIONS]", Args::None, &[&[FORMAT, Flag::new("quiet", Kind::Bool, "Only ids").short('q')]], "List the containers", commands::list::list),
        command!("pause", "CONTAINER", Args::Exact(1), &[], "Hold all processes still", commands::pause::pause),
        command!("ps", "[OPTIONS] CONTAINER [PS OPTIONS]", Args::AtLeast(1), &[&[FORMAT]], "List the processes", commands::ps::ps),
        command!("restore", "CONTAINER", Args::Any, &[], "Refused: containers are not checkpointed", |_, _| commands::refuse(CRIU)),
        command!("resume", "CONTAINER", Args::Exact(1), &[], "Let paused processes go on", commands::pause::resume),
        command!("run", "[OPTIONS] CONTAINER", Args::Exact(1), &[MAKING, RUNNING], "Make a container, start it, and wait for its end", commands::create::run),
        command!("spec", "[OPTIONS]", Args::None, &[&[BUNDLE, Flag::new("rootless", Kind::Bool, "For a container without root").refused("containers without root are the engine's to plan")]], "Write a config.json to start from", commands::spec::spec),
        command!("start", "CONTAINER", Args::Exact(1), &[], "Start a created container", commands::create::start),
        command!("state", "CONTAINER", Args::Exact(1), &[], "Print a container's state", commands::list::state),
        command!("update", "[OPTIONS] CONTAINER", Args::Exact(1), &[UPDATE], "Change limits", commands::update::update),
    ],
    hidden: false,
    common: 0,
    action: |_, _| commands::refuse("a command line without a command"),
};
