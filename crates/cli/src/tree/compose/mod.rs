//! `docker compose …`, as a table.

mod files;
mod images;
mod life;
mod looking;
mod trials;

use flags::{Flag, Kind};

use files::{COMPOSE_CONFIG, COMPOSE_KUBE, COMPOSE_LS, COMPOSE_PLAN, COMPOSE_PUBLISH, COMPOSE_VERSION};
use images::{COMPOSE_BUILD, COMPOSE_COMMIT, COMPOSE_IMAGES, COMPOSE_PULL, COMPOSE_PUSH};
use life::{
    COMPOSE_CREATE, COMPOSE_DOWN, COMPOSE_KILL, COMPOSE_PAUSE, COMPOSE_RESTART, COMPOSE_RM, COMPOSE_RUN,
    COMPOSE_SCALE, COMPOSE_START, COMPOSE_STOP, COMPOSE_UNPAUSE, COMPOSE_UP, COMPOSE_WAIT, COMPOSE_WATCH,
};
use looking::{
    COMPOSE_ATTACH, COMPOSE_CP, COMPOSE_EVENTS, COMPOSE_EXEC, COMPOSE_EXPORT, COMPOSE_LOGS, COMPOSE_PORT,
    COMPOSE_PS, COMPOSE_STATS, COMPOSE_TOP, COMPOSE_VOLUMES,
};
use trials::{COMPOSE_ALPHA, COMPOSE_BRIDGE};

use super::{Command, GROUP};

const NO_EFFECT: &str = "docker compose took it without any effect, and it is on its way out";

const COMPOSE_FLAGS: &[Flag] = &[
    Flag::new("all-resources", Kind::Bool, "Include all resources, even those not used by services"),
    Flag::new("ansi", Kind::String, "Control when to print ANSI control characters (\"never\"|\"always\"|\"auto\")").default("auto"),
    Flag::new("compatibility", Kind::Bool, "Run compose in backward compatibility mode"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
    Flag::new("env-file", Kind::StringArray, "Specify an alternate environment file"),
    Flag::new("file", Kind::StringArray, "Compose configuration files").short('f'),
    Flag::new("insecure-registry", Kind::StringArray, "Use insecure registry to pull Compose OCI artifacts. Doesn't apply to images").hidden(),
    Flag::new("no-ansi", Kind::Bool, "Do not print ANSI control characters (DEPRECATED)").hidden(),
    Flag::new("parallel", Kind::Int, "Control max parallelism, -1 for unlimited").default("-1"),
    Flag::new("profile", Kind::StringArray, "Specify a profile to enable"),
    Flag::new("progress", Kind::String, "Set type of progress output (auto, tty, plain, json, quiet)"),
    Flag::new("project-directory", Kind::String, "Specify an alternate working directory\n(default: the path of the, first specified, Compose file)"),
    Flag::new("project-name", Kind::String, "Project name").short('p'),
    Flag::new("verbose", Kind::Bool, "Show more output").hidden(),
    Flag::new("version", Kind::Bool, "Show the Docker Compose version information").short('v').hidden(),
    Flag::new("workdir", Kind::String, "DEPRECATED! USE --project-directory INSTEAD. Specify an alternate working directory (default: the path of the, first specified, Compose file)").hidden(),
];

pub(crate) static COMPOSE: Command = Command {
    name: "compose",
    short: "Docker Compose",
    long: "Define and run multi-container applications with Docker",
    flags: &[COMPOSE_FLAGS],
    subcommands: &[
        &COMPOSE_ALPHA,
        &COMPOSE_ATTACH,
        &COMPOSE_BRIDGE,
        &COMPOSE_BUILD,
        &COMPOSE_COMMIT,
        &COMPOSE_CONFIG,
        &COMPOSE_CP,
        &COMPOSE_CREATE,
        &COMPOSE_DOWN,
        &COMPOSE_EVENTS,
        &COMPOSE_EXEC,
        &COMPOSE_EXPORT,
        &COMPOSE_IMAGES,
        &COMPOSE_KUBE,
        &COMPOSE_KILL,
        &COMPOSE_LOGS,
        &COMPOSE_LS,
        &COMPOSE_PAUSE,
        &COMPOSE_PLAN,
        &COMPOSE_PORT,
        &COMPOSE_PS,
        &COMPOSE_PUBLISH,
        &COMPOSE_PULL,
        &COMPOSE_PUSH,
        &COMPOSE_RESTART,
        &COMPOSE_RM,
        &COMPOSE_RUN,
        &COMPOSE_SCALE,
        &COMPOSE_START,
        &COMPOSE_STATS,
        &COMPOSE_STOP,
        &COMPOSE_TOP,
        &COMPOSE_UNPAUSE,
        &COMPOSE_UP,
        &COMPOSE_VERSION,
        &COMPOSE_VOLUMES,
        &COMPOSE_WAIT,
        &COMPOSE_WATCH,
    ],
    ..GROUP
};

const DRY_RUN: &[Flag] = &[Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode")];
