//! What makes a project's containers come and go.

use flags::{Flag, Kind};

use super::DRY_RUN;
use crate::commands::compose;
use crate::tree::{Action, Command, LEAF};

const COMPOSE_CREATE_FLAGS: &[Flag] = &[
    Flag::new("build", Kind::Bool, "Build images before starting containers"),
    Flag::new(
        "force-recreate",
        Kind::Bool,
        "Recreate containers even if their configuration and image haven't changed",
    ),
    Flag::new("no-build", Kind::Bool, "Don't build an image, even if it's policy"),
    Flag::new(
        "no-recreate",
        Kind::Bool,
        "If containers already exist, don't recreate them. Incompatible with --force-recreate.",
    ),
    Flag::new("pull", Kind::String, "Pull image before running (\"always\"|\"missing\"|\"never\"|\"build\")")
        .default("policy"),
    Flag::new("quiet-pull", Kind::Bool, "Pull without printing progress information"),
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new(
        "scale",
        Kind::StringArray,
        "Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file if present.",
    ),
    Flag::new("yes", Kind::Bool, "Assume \"yes\" as answer to all prompts and run non-interactively")
        .short('y'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Creates containers for a service",
    flags: &[COMPOSE_CREATE_FLAGS],
    action: Action::Run(compose::create),
    ..LEAF
};

const COMPOSE_DOWN_FLAGS: &[Flag] = &[
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new("rmi", Kind::String, "Remove images used by services. \"local\" remove only images that don't have a custom tag (\"local\"|\"all\")"),
    Flag::new("timeout", Kind::Int, "Specify a shutdown timeout in seconds").short('t'),
    Flag::new("volumes", Kind::Bool, "Remove named volumes declared in the \"volumes\" section of the Compose file and anonymous volumes attached to containers").short('v'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_DOWN: Command = Command {
    name: "down",
    example: "\n\
              -v --rmi local",
    usage: "[OPTIONS] [SERVICES]",
    short: "Stop and remove containers, networks",
    flags: &[COMPOSE_DOWN_FLAGS],
    action: Action::Run(compose::down),
    ..LEAF
};

const COMPOSE_KILL_FLAGS: &[Flag] = &[
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new("signal", Kind::String, "SIGNAL to send to the container").short('s').default("SIGKILL"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_KILL: Command = Command {
    name: "kill",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Force stop service containers",
    flags: &[COMPOSE_KILL_FLAGS],
    action: Action::Run(compose::kill),
    ..LEAF
};

pub(crate) static COMPOSE_PAUSE: Command = Command {
    name: "pause",
    usage: "[SERVICE...]",
    short: "Pause services",
    flags: &[DRY_RUN],
    action: Action::Run(compose::pause),
    ..LEAF
};

const COMPOSE_RESTART_FLAGS: &[Flag] = &[
    Flag::new("no-deps", Kind::Bool, "Don't restart dependent services"),
    Flag::new("timeout", Kind::Int, "Specify a shutdown timeout in seconds").short('t'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_RESTART: Command = Command {
    name: "restart",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Restart service containers",
    flags: &[COMPOSE_RESTART_FLAGS],
    action: Action::Run(compose::restart),
    ..LEAF
};

const COMPOSE_RM_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Deprecated - no effect").short('a').hidden(),
    Flag::new("force", Kind::Bool, "Don't ask to confirm removal").short('f'),
    Flag::new("stop", Kind::Bool, "Stop the containers, if required, before removing").short('s'),
    Flag::new("volumes", Kind::Bool, "Remove any anonymous volumes attached to containers").short('v'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_RM: Command = Command {
    name: "rm",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Removes stopped service containers",
    long: "Removes stopped service containers

By default, anonymous volumes attached to containers will not be removed. You
can override this with -v. To list all volumes, use \"docker volume ls\".

Any data which is not in a volume will be lost.",
    flags: &[COMPOSE_RM_FLAGS],
    action: Action::Run(compose::rm),
    ..LEAF
};

const COMPOSE_RUN_FLAGS: &[Flag] = &[
    Flag::new("build", Kind::Bool, "Build image before starting container"),
    Flag::new("cap-add", Kind::List, "Add Linux capabilities"),
    Flag::new("cap-drop", Kind::List, "Drop Linux capabilities"),
    Flag::new("detach", Kind::Bool, "Run container in background and print container ID").short('d'),
    Flag::new("entrypoint", Kind::String, "Override the entrypoint of the image"),
    Flag::new("env", Kind::StringArray, "Set environment variables").short('e'),
    Flag::new("env-from-file", Kind::StringArray, "Set environment variables from file"),
    Flag::new("interactive", Kind::Bool, "Keep STDIN open even if not attached").short('i').default("true"),
    Flag::new("label", Kind::StringArray, "Add or override a label").short('l'),
    Flag::new("name", Kind::String, "Assign a name to the container"),
    Flag::new("no-deps", Kind::Bool, "Don't start linked services"),
    Flag::new("no-tty", Kind::Bool, "Disable pseudo-TTY allocation (default: auto-detected)").hidden(),
    Flag::new("publish", Kind::StringArray, "Publish a container's port(s) to the host").short('p'),
    Flag::new("pull", Kind::String, "Pull image before running (\"always\"|\"missing\"|\"never\")")
        .default("policy"),
    Flag::new("quiet", Kind::Bool, "Don't print anything to STDOUT").short('q'),
    Flag::new("quiet-build", Kind::Bool, "Suppress progress output from the build process"),
    Flag::new("quiet-pull", Kind::Bool, "Pull without printing progress information"),
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new("rm", Kind::Bool, "Automatically remove the container when it exits"),
    Flag::new(
        "service-ports",
        Kind::Bool,
        "Run command with all service's ports enabled and mapped to the host",
    )
    .short('P'),
    Flag::new("tty", Kind::Bool, "Allocate a pseudo-TTY").short('t').default("true").hidden(),
    Flag::new(
        "use-aliases",
        Kind::Bool,
        "Use the service's network useAliases in the network(s) the container connects to",
    ),
    Flag::new("user", Kind::String, "Run as specified username or uid").short('u'),
    Flag::new("volume", Kind::StringArray, "Bind mount a volume").short('v'),
    Flag::new("workdir", Kind::String, "Working directory inside the container").short('w'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
    Flag::new("no-TTY", Kind::Bool, "Disable pseudo-TTY allocation (default: auto-detected)")
        .short('T')
        .default("true"),
];

pub(crate) static COMPOSE_RUN: Command = Command {
    name: "run",
    example: "--rm web npm test",
    usage: "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
    short: "Run a one-off command on a service",
    flags: &[COMPOSE_RUN_FLAGS],
    stop_at_positional: true,
    action: Action::Run(compose::run),
    ..LEAF
};

const COMPOSE_SCALE_FLAGS: &[Flag] = &[
    Flag::new("no-deps", Kind::Bool, "Don't start linked services"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_SCALE: Command = Command {
    name: "scale",
    usage: "[SERVICE=REPLICAS...]",
    short: "Scale services",
    flags: &[COMPOSE_SCALE_FLAGS],
    action: Action::Run(compose::scale),
    ..LEAF
};

const COMPOSE_START_FLAGS: &[Flag] = &[
    Flag::new("wait", Kind::Bool, "Wait for services to be running|healthy. Implies detached mode.").hidden(),
    Flag::new(
        "wait-timeout",
        Kind::Int,
        "Maximum duration in seconds to wait for the project to be running|healthy",
    )
    .hidden(),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_START: Command = Command {
    name: "start",
    usage: "[SERVICE...]",
    short: "Start services",
    flags: &[COMPOSE_START_FLAGS],
    action: Action::Run(compose::start),
    ..LEAF
};

const COMPOSE_STOP_FLAGS: &[Flag] = &[
    Flag::new("timeout", Kind::Int, "Specify a shutdown timeout in seconds").short('t'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_STOP: Command = Command {
    name: "stop",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Stop services",
    flags: &[COMPOSE_STOP_FLAGS],
    action: Action::Run(compose::stop),
    ..LEAF
};

pub(crate) static COMPOSE_UNPAUSE: Command = Command {
    name: "unpause",
    usage: "[SERVICE...]",
    short: "Unpause services",
    flags: &[DRY_RUN],
    action: Action::Run(compose::unpause),
    ..LEAF
};

const COMPOSE_UP_FLAGS: &[Flag] = &[
    Flag::new("abort-on-container-exit", Kind::Bool, "Stops all containers if any container was stopped. Incompatible with -d"),
    Flag::new("abort-on-container-failure", Kind::Bool, "Stops all containers if any container exited with failure. Incompatible with -d"),
    Flag::new("always-recreate-deps", Kind::Bool, "Recreate dependent containers. Incompatible with --no-recreate."),
    Flag::new("attach", Kind::StringArray, "Restrict attaching to the specified services. Incompatible with --attach-dependencies."),
    Flag::new("attach-dependencies", Kind::Bool, "Automatically attach to log output of dependent services"),
    Flag::new("build", Kind::Bool, "Build images before starting containers"),
    Flag::new("detach", Kind::Bool, "Detached mode: Run containers in the background").short('d'),
    Flag::new("exit-code-from", Kind::String, "Return the exit code of the selected service container. Implies --abort-on-container-exit"),
    Flag::new("force-recreate", Kind::Bool, "Recreate containers even if their configuration and image haven't changed"),
    Flag::new("menu", Kind::Bool, "Enable interactive shortcuts when running attached. Incompatible with --detach. Can also be enable/disable by setting COMPOSE_MENU environment var."),
    Flag::new("no-attach", Kind::StringArray, "Do not attach (stream logs) to the specified services"),
    Flag::new("no-build", Kind::Bool, "Don't build an image, even if it's policy"),
    Flag::new("no-color", Kind::Bool, "Produce monochrome output"),
    Flag::new("no-deps", Kind::Bool, "Don't start linked services"),
    Flag::new("no-log-prefix", Kind::Bool, "Don't print prefix in logs"),
    Flag::new("no-recreate", Kind::Bool, "If containers already exist, don't recreate them. Incompatible with --force-recreate."),
    Flag::new("no-start", Kind::Bool, "Don't start the services after creating them"),
    Flag::new("pull", Kind::String, "Pull image before running (\"always\"|\"missing\"|\"never\")").default("policy"),
    Flag::new("quiet-build", Kind::Bool, "Suppress the build output"),
    Flag::new("quiet-pull", Kind::Bool, "Pull without printing progress information"),
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new("renew-anon-volumes", Kind::Bool, "Recreate anonymous volumes instead of retrieving data from the previous containers").short('V'),
    Flag::new("scale", Kind::StringArray, "Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file if present."),
    Flag::new("timeout", Kind::Int, "Use this timeout in seconds for container shutdown when attached or when containers are already running").short('t'),
    Flag::new("timestamps", Kind::Bool, "Show timestamps"),
    Flag::new("wait", Kind::Bool, "Wait for services to be running|healthy. Implies detached mode."),
    Flag::new("wait-timeout", Kind::Int, "Maximum duration in seconds to wait for the project to be running|healthy"),
    Flag::new("watch", Kind::Bool, "Watch source code and rebuild/refresh containers when files are updated.").short('w'),
    Flag::new("yes", Kind::Bool, "Assume \"yes\" as answer to all prompts and run non-interactively").short('y'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_UP: Command = Command {
    name: "up",
    example: "-d\n\
              -d --build --wait\n\
              --scale web=3 -d web",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Create and start containers",
    flags: &[COMPOSE_UP_FLAGS],
    action: Action::Run(compose::up),
    ..LEAF
};

const COMPOSE_WAIT_FLAGS: &[Flag] = &[
    Flag::new("down-project", Kind::Bool, "Drops project when the first container stops"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_WAIT: Command = Command {
    name: "wait",
    usage: "SERVICE [SERVICE...] [OPTIONS]",
    short: "Block until containers of all (or specified) services stop.",
    flags: &[COMPOSE_WAIT_FLAGS],
    action: Action::Run(compose::wait),
    ..LEAF
};

const COMPOSE_WATCH_FLAGS: &[Flag] = &[
    Flag::new("no-up", Kind::Bool, "Do not build & start services before watching"),
    Flag::new("prune", Kind::Bool, "Prune dangling images on rebuild").default("true"),
    Flag::new("quiet", Kind::Bool, "hide build output"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_WATCH: Command = Command {
    name: "watch",
    usage: "[SERVICE...]",
    short: "Watch build context for service and rebuild/refresh containers when files are updated",
    flags: &[COMPOSE_WATCH_FLAGS],
    action: Action::Run(compose::watch),
    ..LEAF
};
