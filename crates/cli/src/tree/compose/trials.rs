//! What docker calls experimental, and its bridge to other models.

use flags::{Flag, Kind};

use super::DRY_RUN;
use super::files::COMPOSE_PUBLISH_FLAGS;
use crate::commands::compose;
use crate::tree::{Action, Command, GROUP, LEAF};

const NO_TRIAL: &str =
    "it is an experiment of docker compose's; `compose config` and `compose plan` show what a project is";
const NO_BRIDGE: &str =
    "it runs images that only Docker makes; `compose kube` writes the project as Kubernetes objects itself";

pub(crate) static COMPOSE_ALPHA: Command = Command {
    name: "alpha",
    short: "Experimental commands",
    long: "Experimental commands

EXPERIMENTAL:
  docker compose alpha is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    flags: &[DRY_RUN],
    hidden: true,
    subcommands: &[&COMPOSE_ALPHA_GENERATE, &COMPOSE_ALPHA_PUBLISH, &COMPOSE_ALPHA_VIZ],
    ..GROUP
};

const COMPOSE_ALPHA_GENERATE_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format the output. Values: [yaml | json]").default("yaml"),
    Flag::new("name", Kind::String, "Project name to set in the Compose file"),
    Flag::new("project-dir", Kind::String, "Directory to use for the project"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_ALPHA_GENERATE: Command = Command {
    name: "generate",
    usage: "[OPTIONS] [CONTAINERS...]",
    short: "EXPERIMENTAL - Generate a Compose file from existing containers",
    long: "EXPERIMENTAL - Generate a Compose file from existing containers

EXPERIMENTAL:
  docker compose alpha generate is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    flags: &[COMPOSE_ALPHA_GENERATE_FLAGS],
    action: Action::Refused(NO_TRIAL),
    ..LEAF
};

pub(crate) static COMPOSE_ALPHA_PUBLISH: Command = Command {
    name: "publish",
    usage: "[OPTIONS] REPOSITORY[:TAG]",
    short: "Publish compose application",
    long: "Publish compose application

EXPERIMENTAL:
  docker compose alpha publish is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    flags: &[COMPOSE_PUBLISH_FLAGS],
    action: Action::Run(compose::publish),
    ..LEAF
};

const COMPOSE_ALPHA_VIZ_FLAGS: &[Flag] = &[
    Flag::new("image", Kind::Bool, "Include service's image name in output graph"),
    Flag::new("indentation-size", Kind::Int, "Number of tabs or spaces to use for indentation").default("1"),
    Flag::new("networks", Kind::Bool, "Include service's attached networks in output graph"),
    Flag::new("ports", Kind::Bool, "Include service's exposed ports in output graph"),
    Flag::new(
        "spaces",
        Kind::Bool,
        "If given, space character ' ' will be used to indent,\notherwise tab character '\\t' will be used",
    ),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_ALPHA_VIZ: Command = Command {
    name: "viz",
    usage: "[OPTIONS]",
    short: "EXPERIMENTAL - Generate a graphviz graph from your compose file",
    long: "EXPERIMENTAL - Generate a graphviz graph from your compose file

EXPERIMENTAL:
  docker compose alpha viz is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    flags: &[COMPOSE_ALPHA_VIZ_FLAGS],
    action: Action::Refused(NO_TRIAL),
    ..LEAF
};

pub(crate) static COMPOSE_BRIDGE: Command = Command {
    name: "bridge",
    short: "Convert compose files into another model",
    flags: &[DRY_RUN],
    subcommands: &[&COMPOSE_BRIDGE_CONVERT, &COMPOSE_BRIDGE_TRANSFORMATIONS],
    ..GROUP
};

const COMPOSE_BRIDGE_CONVERT_FLAGS: &[Flag] = &[
    Flag::new("output", Kind::String, "The output directory for the Kubernetes resources")
        .short('o')
        .default("out"),
    Flag::new("templates", Kind::String, "Directory containing transformation templates"),
    Flag::new(
        "transformation",
        Kind::StringArray,
        "Transformation to apply to compose model (default: docker/compose-bridge-kubernetes)",
    )
    .short('t'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_BRIDGE_CONVERT: Command = Command {
    name: "convert",
    short: "Convert compose files to Kubernetes manifests, Helm charts, or another model",
    flags: &[COMPOSE_BRIDGE_CONVERT_FLAGS],
    action: Action::Refused(NO_BRIDGE),
    ..LEAF
};

pub(crate) static COMPOSE_BRIDGE_TRANSFORMATIONS: Command = Command {
    name: "transformations",
    short: "Manage transformation images",
    flags: &[DRY_RUN],
    subcommands: &[&COMPOSE_BRIDGE_TRANSFORMATIONS_CREATE, &COMPOSE_BRIDGE_TRANSFORMATIONS_LIST],
    ..GROUP
};

const COMPOSE_BRIDGE_TRANSFORMATIONS_CREATE_FLAGS: &[Flag] = &[
    Flag::new(
        "from",
        Kind::String,
        "Existing transformation to copy (default: docker/compose-bridge-kubernetes)",
    )
    .short('f'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_BRIDGE_TRANSFORMATIONS_CREATE: Command = Command {
    name: "create",
    usage: "[OPTION] PATH",
    short: "Create a new transformation",
    flags: &[COMPOSE_BRIDGE_TRANSFORMATIONS_CREATE_FLAGS],
    action: Action::Refused(NO_BRIDGE),
    ..LEAF
};

const COMPOSE_BRIDGE_TRANSFORMATIONS_LIST_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format the output. Values: [table | json]").default("table"),
    Flag::new("quiet", Kind::Bool, "Only display transformer names").short('q'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_BRIDGE_TRANSFORMATIONS_LIST: Command = Command {
    name: "list",
    aliases: &["docker compose bridge transformations ls"],
    short: "List available transformations",
    also: "compose bridge transformations list, compose bridge transformations ls",
    flags: &[COMPOSE_BRIDGE_TRANSFORMATIONS_LIST_FLAGS],
    action: Action::Refused(NO_BRIDGE),
    ..LEAF
};
