//! The images of a project.

use flags::{Flag, Kind};

use super::NO_EFFECT;
use crate::commands::compose;
use crate::tree::{Action, Command, LEAF};

const COMPOSE_BUILD_FLAGS: &[Flag] = &[
    Flag::new("build-arg", Kind::StringArray, "Set build-time variables for services"),
    Flag::new("builder", Kind::String, "Set builder to use"),
    Flag::new("check", Kind::Bool, "Check build configuration"),
    Flag::new("compress", Kind::Bool, "Compress the build context using gzip. DEPRECATED")
        .default("true")
        .hidden(),
    Flag::new("force-rm", Kind::Bool, "Always remove intermediate containers. DEPRECATED")
        .default("true")
        .hidden(),
    Flag::new("memory", Kind::Bytes, "Set memory limit for the build container. Not supported by BuildKit.")
        .short('m')
        .refused("BuildKit, which builds, has no limit of a build's memory (docker compose ignores this): bound the engine itself"),
    Flag::new("no-cache", Kind::Bool, "Do not use cache when building the image"),
    Flag::new(
        "no-rm",
        Kind::Bool,
        "Do not remove intermediate containers after a successful build. DEPRECATED",
    )
    .hidden()
    .refused(NO_EFFECT),
    Flag::new("parallel", Kind::Bool, "Build images in parallel. DEPRECATED")
        .default("true")
        .hidden()
        .refused(NO_EFFECT),
    Flag::new("print", Kind::Bool, "Print equivalent bake file"),
    Flag::new("progress", Kind::String, "Set type of ui output (auto, tty, plain, json, quiet)").hidden(),
    Flag::new("provenance", Kind::String, "Add a provenance attestation"),
    Flag::new("pull", Kind::Bool, "Always attempt to pull a newer version of the image"),
    Flag::new("push", Kind::Bool, "Push service images"),
    Flag::new("quiet", Kind::Bool, "Suppress the build output").short('q'),
    Flag::new("sbom", Kind::String, "Add a SBOM attestation"),
    Flag::new(
        "ssh",
        Kind::String,
        "Set SSH authentications used when building service images. (use 'default' for using your default SSH Agent)",
    ),
    Flag::new("with-dependencies", Kind::Bool, "Also build dependencies (transitively)"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_BUILD: Command = Command {
    name: "build",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Build or rebuild services",
    flags: &[COMPOSE_BUILD_FLAGS],
    action: Action::Run(compose::build),
    ..LEAF
};

const COMPOSE_COMMIT_FLAGS: &[Flag] = &[
    Flag::new("author", Kind::String, "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")")
        .short('a'),
    Flag::new("change", Kind::List, "Apply Dockerfile instruction to the created image").short('c'),
    Flag::new("index", Kind::Int, "index of the container if service has multiple replicas."),
    Flag::new("message", Kind::String, "Commit message").short('m'),
    Flag::new("pause", Kind::Bool, "Pause container during commit").short('p').default("true"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_COMMIT: Command = Command {
    name: "commit",
    usage: "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
    short: "Create a new image from a service container's changes",
    flags: &[COMPOSE_COMMIT_FLAGS],
    action: Action::Run(compose::commit),
    ..LEAF
};

const COMPOSE_IMAGES_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format the output. Values: [table | json]").default("table"),
    Flag::new("quiet", Kind::Bool, "Only display IDs").short('q'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_IMAGES: Command = Command {
    name: "images",
    usage: "[OPTIONS] [SERVICE...]",
    short: "List images used by the created containers",
    flags: &[COMPOSE_IMAGES_FLAGS],
    action: Action::Run(compose::images),
    ..LEAF
};

const COMPOSE_PULL_FLAGS: &[Flag] = &[
    Flag::new("ignore-buildable", Kind::Bool, "Ignore images that can be built"),
    Flag::new("ignore-pull-failures", Kind::Bool, "Pull what it can and ignores images with pull failures"),
    Flag::new("include-deps", Kind::Bool, "Also pull services declared as dependencies"),
    Flag::new("no-parallel", Kind::Bool, "DEPRECATED disable parallel pulling")
        .default("true")
        .hidden()
        .refused(NO_EFFECT),
    Flag::new("parallel", Kind::Bool, "DEPRECATED pull multiple images in parallel")
        .default("true")
        .hidden()
        .refused(NO_EFFECT),
    Flag::new("policy", Kind::String, "Apply pull policy (\"missing\"|\"always\")"),
    Flag::new("quiet", Kind::Bool, "Pull without printing progress information").short('q'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_PULL: Command = Command {
    name: "pull",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Pull service images",
    flags: &[COMPOSE_PULL_FLAGS],
    action: Action::Run(compose::pull),
    ..LEAF
};

const COMPOSE_PUSH_FLAGS: &[Flag] = &[
    Flag::new("ignore-push-failures", Kind::Bool, "Push what it can and ignores images with push failures"),
    Flag::new("include-deps", Kind::Bool, "Also push images of services declared as dependencies"),
    Flag::new("quiet", Kind::Bool, "Push without printing progress information").short('q'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_PUSH: Command = Command {
    name: "push",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Push service images",
    flags: &[COMPOSE_PUSH_FLAGS],
    action: Action::Run(compose::push),
    ..LEAF
};
