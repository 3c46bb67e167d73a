//! `docker manifest …`, as a table.

use flags::{Args, Flag, Kind};

use crate::commands::manifest;

use super::{Action, Command, GROUP, LEAF};

pub(crate) static MANIFEST: Command = Command {
    name: "manifest",
    short: "Manage Docker image manifests and manifest lists",
    long: "The **docker manifest** command has subcommands for managing image manifests and
manifest lists. A manifest list allows you to use one name to refer to the same image
built for multiple architectures.

To see help for a subcommand, use:

    docker manifest CMD --help

For full details on using docker manifest lists, see the registry v2 specification.

EXPERIMENTAL:
  docker manifest is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    subcommands: &[&MANIFEST_ANNOTATE, &MANIFEST_CREATE, &MANIFEST_INSPECT, &MANIFEST_PUSH, &MANIFEST_RM],
    ..GROUP
};

const MANIFEST_ANNOTATE_FLAGS: &[Flag] = &[
    Flag::new("arch", Kind::String, "Set architecture"),
    Flag::new("os", Kind::String, "Set operating system"),
    Flag::new("os-features", Kind::Strings, "Set operating system feature"),
    Flag::new("os-version", Kind::String, "Set operating system version"),
    Flag::new("variant", Kind::String, "Set architecture variant"),
];

pub(crate) static MANIFEST_ANNOTATE: Command = Command {
    name: "annotate",
    usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
    short: "Add additional information to a local image manifest",
    long: "Add additional information to a local image manifest

EXPERIMENTAL:
  docker manifest annotate is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    flags: &[MANIFEST_ANNOTATE_FLAGS],
    args: Args::Exact(2),
    action: Action::Run(manifest::annotate),
    ..LEAF
};

const MANIFEST_CREATE_FLAGS: &[Flag] = &[
    Flag::new("amend", Kind::Bool, "Amend an existing manifest list").short('a'),
    Flag::new("insecure", Kind::Bool, "Allow communication with an insecure registry"),
];

pub(crate) static MANIFEST_CREATE: Command = Command {
    name: "create",
    usage: "MANIFEST_LIST MANIFEST [MANIFEST...]",
    short: "Create a local manifest list for annotating and pushing to a registry",
    long: "Create a local manifest list for annotating and pushing to a registry

EXPERIMENTAL:
  docker manifest create is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    flags: &[MANIFEST_CREATE_FLAGS],
    args: Args::AtLeast(2),
    action: Action::Run(manifest::create),
    ..LEAF
};

const MANIFEST_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("insecure", Kind::Bool, "Allow communication with an insecure registry"),
    Flag::new("verbose", Kind::Bool, "Output additional info including layers and platform").short('v'),
];

pub(crate) static MANIFEST_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    short: "Display an image manifest, or manifest list",
    long: "Display an image manifest, or manifest list

EXPERIMENTAL:
  docker manifest inspect is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    flags: &[MANIFEST_INSPECT_FLAGS],
    args: Args::Range(1, 2),
    action: Action::Run(manifest::inspect),
    ..LEAF
};

const MANIFEST_PUSH_FLAGS: &[Flag] = &[
    Flag::new("insecure", Kind::Bool, "Allow push to an insecure registry"),
    Flag::new("purge", Kind::Bool, "Remove the local manifest list after push").short('p'),
];

pub(crate) static MANIFEST_PUSH: Command = Command {
    name: "push",
    usage: "[OPTIONS] MANIFEST_LIST",
    short: "Push a manifest list to a repository",
    long: "Push a manifest list to a repository

EXPERIMENTAL:
  docker manifest push is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    flags: &[MANIFEST_PUSH_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(manifest::push),
    ..LEAF
};

pub(crate) static MANIFEST_RM: Command = Command {
    name: "rm",
    usage: "MANIFEST_LIST [MANIFEST_LIST...]",
    short: "Delete one or more manifest lists from local storage",
    long: "Delete one or more manifest lists from local storage

EXPERIMENTAL:
  docker manifest rm is an experimental feature.
  Experimental features provide early access to product functionality. These
  features may change between releases without warning, or can be removed from a
  future release. Learn more about experimental features in our documentation:
  https://docs.docker.com/go/experimental/",
    args: Args::AtLeast(1),
    action: Action::Run(manifest::remove),
    ..LEAF
};
