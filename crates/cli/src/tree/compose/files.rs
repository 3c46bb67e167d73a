//! A project's files: what they say, what they become elsewhere.

use flags::{Flag, Kind};

use crate::commands::compose;
use crate::tree::{Action, Command, LEAF, kinds};

pub(super) const COMPOSE_PUBLISH_FLAGS: &[Flag] = &[
    Flag::new("app", Kind::Bool, "Published compose application (includes referenced images)"),
    Flag::new("insecure-registry", Kind::Bool, "Use insecure registry").hidden(),
    Flag::new(
        "oci-version",
        Kind::String,
        "OCI image/artifact specification version (automatically determined by default)",
    ),
    Flag::new("resolve-image-digests", Kind::Bool, "Pin image tags to digests"),
    Flag::new("with-env", Kind::Bool, "Include environment variables in the published OCI artifact"),
    Flag::new("yes", Kind::Bool, "Assume \"yes\" as answer to all prompts").short('y'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

const COMPOSE_CONFIG_FLAGS: &[Flag] = &[
    Flag::new("environment", Kind::Bool, "Print environment used for interpolation."),
    Flag::new(
        "explain",
        Kind::String,
        "Print which file, line and variable each value below a key came from",
    ),
    Flag::new("format", Kind::String, "Format the output. Values: [yaml | json]"),
    Flag::new("hash", Kind::String, "Print the service config hash, one per line."),
    Flag::new("images", Kind::Bool, "Print the image names, one per line."),
    Flag::new("lock-image-digests", Kind::Bool, "Produces an override file with image digests"),
    Flag::new("models", Kind::Bool, "Print the model names, one per line."),
    Flag::new("networks", Kind::Bool, "Print the network names, one per line."),
    Flag::new(
        "no-consistency",
        Kind::Bool,
        "Don't check model consistency - warning: may produce invalid Compose output",
    ),
    Flag::new("no-env-resolution", Kind::Bool, "Don't resolve service env files"),
    Flag::new("no-interpolate", Kind::Bool, "Don't interpolate environment variables"),
    Flag::new("no-normalize", Kind::Bool, "Don't normalize compose model"),
    Flag::new("no-path-resolution", Kind::Bool, "Don't resolve file paths"),
    Flag::new("output", Kind::String, "Save to file (default to stdout)").short('o'),
    Flag::new("profiles", Kind::Bool, "Print the profile names, one per line."),
    Flag::new("quiet", Kind::Bool, "Only validate the configuration, don't print anything").short('q'),
    Flag::new("resolve-image-digests", Kind::Bool, "Pin image tags to digests"),
    Flag::new("services", Kind::Bool, "Print the service names, one per line."),
    Flag::new("variables", Kind::Bool, "Print model variables and default values."),
    Flag::new("volumes", Kind::Bool, "Print the volume names, one per line."),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_CONFIG: Command = Command {
    name: "config",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Parse, resolve and render compose file in canonical format",
    flags: &[COMPOSE_CONFIG_FLAGS],
    action: Action::Run(compose::config),
    ..LEAF
};

const COMPOSE_KUBE_FLAGS: &[Flag] = &[
    Flag::new("apply", Kind::Bool, "Hand the objects to kubectl, for the cluster of the user's kubeconfig"),
    Flag::new("namespace", Kind::String, "Namespace of the objects (default: the current one)").short('n'),
    Flag::new("output", Kind::String, "Save to file (default to stdout)").short('o'),
    Flag::new("quiet", Kind::Bool, "Don't tell what has no counterpart").short('q'),
];

pub(crate) static COMPOSE_KUBE: Command = Command {
    name: "kube",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Write the project as Kubernetes objects",
    long: "Write the project as Kubernetes objects.

Deployments, StatefulSets and Jobs for services, Services for their names and ports,
claims for volumes, ConfigMaps and Secrets for configs and secrets, an Ingress where
a service says 'x-ingress: host'. What has no counterpart is told on the error stream.",
    flags: &[COMPOSE_KUBE_FLAGS],
    action: Action::Run(compose::kube),
    ..LEAF
};

const COMPOSE_LS_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Show all stopped Compose projects").short('a'),
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided"),
    Flag::new("format", Kind::String, "Format the output. Values: [table | json]").default("table"),
    Flag::new("quiet", Kind::Bool, "Only display project names").short('q'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_LS: Command = Command {
    name: "ls",
    usage: "[OPTIONS]",
    short: "List running compose projects",
    flags: &[COMPOSE_LS_FLAGS],
    action: Action::Run(compose::ls),
    ..LEAF
};

pub(crate) static COMPOSE_PUBLISH: Command = Command {
    name: "publish",
    usage: "[OPTIONS] REPOSITORY[:TAG]",
    short: "Publish compose application",
    flags: &[COMPOSE_PUBLISH_FLAGS],
    action: Action::Run(compose::publish),
    ..LEAF
};

const COMPOSE_PLAN_FLAGS: &[Flag] = &[
    Flag::new("always-recreate-deps", Kind::Bool, "Plan for up --always-recreate-deps"),
    Flag::new("force-recreate", Kind::Bool, "Plan for up --force-recreate"),
    Flag::new("no-deps", Kind::Bool, "Leave out services that the named ones depend on"),
    Flag::new("no-recreate", Kind::Bool, "Plan for up --no-recreate"),
    Flag::new("remove-orphans", Kind::Bool, "Plan for up --remove-orphans"),
    Flag::new("scale", Kind::StringArray, "Plan for SERVICE scaled to NUM instances"),
];

pub(crate) static COMPOSE_PLAN: Command = Command {
    name: "plan",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Show what up would do, and why",
    flags: &[COMPOSE_PLAN_FLAGS],
    action: Action::Run(compose::plan),
    ..LEAF
};

const COMPOSE_VERSION_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format the output. Values: [pretty | json]. (Default: pretty)")
        .short('f'),
    Flag::new("short", Kind::Bool, "Shows only Compose's version number"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_VERSION: Command = Command {
    name: "version",
    usage: "[OPTIONS]",
    short: "Show the Docker Compose version information",
    flags: &[COMPOSE_VERSION_FLAGS],
    action: Action::Run(compose::version),
    ..LEAF
};
