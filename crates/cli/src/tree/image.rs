//! `docker image …`, as a table.

use flags::{Args, Flag, Kind};

use crate::commands::{explore, history, images, inspect, load, prune, pull, push, save, tag};

use super::{Action, Command, GROUP, LEAF, kinds};

pub(crate) static IMAGE: Command = Command {
    name: "image",
    short: "Manage images",
    subcommands: &[
        &super::builder::BUILD,
        &IMAGE_EXPLORE,
        &IMAGE_HISTORY,
        &IMAGE_IMPORT,
        &IMAGE_INSPECT,
        &IMAGE_LOAD,
        &IMAGE_LS,
        &IMAGE_PRUNE,
        &IMAGE_PULL,
        &IMAGE_PUSH,
        &IMAGE_RM,
        &IMAGE_SAVE,
        &IMAGE_TAG,
    ],
    ..GROUP
};

const IMAGE_EXPLORE_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template, or \"json\""),
    Flag::new(
        "layer",
        Kind::String,
        "Show what this layer added (A), changed (C) and removed (D), by its number",
    ),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::new("platform", Kind::String, "Explore the given platform's image"),
    Flag::new("quiet", Kind::Bool, "Only show digests, or paths").short('q'),
    Flag::new("wasted", Kind::Bool, "Show the files that later layers hide, the largest first"),
];

static IMAGE_EXPLORE: Command = Command {
    name: "explore",
    example: "nginx\n\
              --layer 2 nginx\n\
              --wasted nginx",
    usage: "[OPTIONS] IMAGE",
    short: "Show what each layer of an image added, changed and removed",
    flags: &[IMAGE_EXPLORE_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(explore::explore),
    ..LEAF
};

const IMAGE_HISTORY_FLAGS: &[Flag] = &[
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("human", Kind::Bool, "Print sizes and dates in human readable format")
        .short('H')
        .default("true"),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::new(
        "platform",
        Kind::String,
        "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
    Flag::new("quiet", Kind::Bool, "Only show image IDs").short('q'),
];

pub(crate) static IMAGE_HISTORY: Command = Command {
    name: "history",
    usage: "[OPTIONS] IMAGE",
    short: "Show the history of an image",
    also: "image history, history",
    flags: &[IMAGE_HISTORY_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(history::history),
    ..LEAF
};

const IMAGE_IMPORT_FLAGS: &[Flag] = &[
    Flag::new("change", Kind::List, "Apply Dockerfile instruction to the created image").short('c'),
    Flag::new("message", Kind::String, "Set commit message for imported image").short('m'),
    Flag::new("platform", Kind::String, "Set platform if server is multi-platform capable"),
];

pub(crate) static IMAGE_IMPORT: Command = Command {
    name: "import",
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    short: "Import the contents from a tarball to create a filesystem image",
    also: "image import, import",
    flags: &[IMAGE_IMPORT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(load::import),
    ..LEAF
};

const IMAGE_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
    Flag::new("platform", Kind::String, "Inspect a specific platform of the multi-platform image.\nIf the image or the server is not multi-platform capable, the command will error out if the platform does not match.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"),
];

pub(crate) static IMAGE_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    short: "Display detailed information on one or more images",
    flags: &[IMAGE_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(inspect::image),
    ..LEAF
};

const IMAGE_LOAD_FLAGS: &[Flag] = &[
    Flag::new("input", Kind::String, "Read from tar archive file, instead of STDIN").short('i'),
    Flag::new(
        "platform",
        Kind::String,
        "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
    Flag::new("quiet", Kind::Bool, "Suppress the load output").short('q'),
];

pub(crate) static IMAGE_LOAD: Command = Command {
    name: "load",
    example: "-i app.tar\n\
              < app.tar",
    usage: "[OPTIONS]",
    short: "Load an image from a tar archive or STDIN",
    also: "image load, load",
    flags: &[IMAGE_LOAD_FLAGS],
    args: Args::None,
    action: Action::Run(load::load),
    ..LEAF
};

const IMAGE_LS_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Show all images").short('a').default("hides intermediate images"),
    Flag::new("digests", Kind::Bool, "Show digests"),
    Flag::new("filter", kinds::FILTER, "Filter output based on conditions provided").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::new("quiet", Kind::Bool, "Only show image IDs").short('q'),
    Flag::new("tree", Kind::Bool, "List multi-platform images as a tree (EXPERIMENTAL)"),
];

pub(crate) static IMAGE_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    short: "List images",
    also: "image ls, image list, images",
    flags: &[IMAGE_LS_FLAGS],
    args: Args::AtMost(1),
    action: Action::Run(images::list),
    ..LEAF
};

const IMAGE_PRUNE_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Remove all unused images, not just dangling ones").short('a'),
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. \"until=<timestamp>\")"),
    Flag::new("force", Kind::Bool, "Do not prompt for confirmation").short('f'),
];

pub(crate) static IMAGE_PRUNE: Command = Command {
    name: "prune",
    example: "\n\
              --all --filter until=240h",
    usage: "[OPTIONS]",
    short: "Remove unused images",
    flags: &[IMAGE_PRUNE_FLAGS],
    args: Args::None,
    action: Action::Run(prune::images),
    ..LEAF
};

const IMAGE_PULL_FLAGS: &[Flag] = &[
    Flag::new("all-tags", Kind::Bool, "Download all tagged images in the repository").short('a'),
    Flag::new("disable-content-trust", Kind::Bool, "Skip image verification").default("true"),
    Flag::new("platform", Kind::String, "Set platform if server is multi-platform capable"),
    Flag::new("quiet", Kind::Bool, "Suppress verbose output").short('q'),
];

pub(crate) static IMAGE_PULL: Command = Command {
    name: "pull",
    example: "nginx\n\
              --platform linux/arm64 nginx:1.27\n\
              registry.example/team/app:1",
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    short: "Download an image from a registry",
    also: "image pull, pull",
    flags: &[IMAGE_PULL_FLAGS],
    args: Args::Exact(1),
    common: 6,
    action: Action::Run(pull::pull),
    ..LEAF
};

const IMAGE_PUSH_FLAGS: &[Flag] = &[
    Flag::new("all-tags", Kind::Bool, "Push all tags of an image to the repository").short('a'),
    Flag::new("disable-content-trust", Kind::Bool, "Skip image signing").default("true"),
    Flag::new(
        "platform",
        Kind::String,
        "Push a platform-specific manifest as a single-platform image to the registry.\nImage index won't be pushed, meaning that other manifests, including attestations won't be preserved.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
    ),
    Flag::new("quiet", Kind::Bool, "Suppress verbose output").short('q'),
];

pub(crate) static IMAGE_PUSH: Command = Command {
    name: "push",
    example: "registry.example/team/app:1\n\
              --all-tags registry.example/team/app",
    usage: "[OPTIONS] NAME[:TAG]",
    short: "Upload an image to a registry",
    also: "image push, push",
    flags: &[IMAGE_PUSH_FLAGS],
    args: Args::Exact(1),
    common: 7,
    action: Action::Run(push::push),
    ..LEAF
};

const IMAGE_RM_FLAGS: &[Flag] = &[
    Flag::new("force", Kind::Bool, "Force removal of the image").short('f'),
    Flag::new("no-prune", Kind::Bool, "Do not delete untagged parents"),
    Flag::new(
        "platform",
        Kind::Strings,
        "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
];

pub(crate) static IMAGE_RM: Command = Command {
    name: "rm",
    aliases: &["rmi", "remove"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    short: "Remove one or more images",
    also: "image rm, image remove, rmi",
    flags: &[IMAGE_RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(images::remove),
    ..LEAF
};

const IMAGE_SAVE_FLAGS: &[Flag] = &[
    Flag::new("output", Kind::String, "Write to a file, instead of STDOUT").short('o'),
    Flag::new(
        "platform",
        Kind::String,
        "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
    ),
];

pub(crate) static IMAGE_SAVE: Command = Command {
    name: "save",
    example: "-o app.tar app:1 db:1",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    short: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    also: "image save, save",
    flags: &[IMAGE_SAVE_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(save::save),
    ..LEAF
};

pub(crate) static IMAGE_TAG: Command = Command {
    name: "tag",
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    short: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    also: "image tag, tag",
    args: Args::Exact(2),
    action: Action::Run(tag::tag),
    ..LEAF
};

pub(crate) static IMAGES: Command = Command {
    name: "images",
    example: "\n\
              --filter dangling=true -q\n\
              --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    short: "List images",
    also: "image ls, image list, images",
    flags: &[IMAGE_LS_FLAGS],
    args: Args::AtMost(1),
    common: 8,
    action: Action::Run(images::list),
    ..LEAF
};

pub(crate) static RMI: Command = Command {
    name: "rmi",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    short: "Remove one or more images",
    also: "image rm, image remove, rmi",
    flags: &[IMAGE_RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(images::remove),
    ..LEAF
};
