//! `docker volume …`, as a table.

use flags::{Args, Flag, Kind};

use super::{Action, Command, GROUP, LEAF, kinds};
use crate::commands::{inspect, prune, volume, volume_content};

const SWARM: &str = "volumes of a swarm are not part of Ketch";

pub(crate) static VOLUME: Command = Command {
    name: "volume",
    short: "Manage volumes",
    subcommands: &[
        &VOLUME_CLONE,
        &VOLUME_CP,
        &VOLUME_CREATE,
        &VOLUME_EXPORT,
        &VOLUME_IMPORT,
        &VOLUME_INSPECT,
        &VOLUME_LS,
        &VOLUME_PRUNE,
        &VOLUME_RENAME,
        &VOLUME_RM,
        &VOLUME_SNAPSHOT,
        &VOLUME_UPDATE,
    ],
    ..GROUP
};

const VOLUME_CREATE_FLAGS: &[Flag] = &[
    Flag::new("availability", Kind::String, "Cluster Volume availability (active, pause, drain)")
        .default("active")
        .hidden()
        .refused(SWARM),
    Flag::new("driver", Kind::String, "Specify volume driver name").short('d').default("local"),
    Flag::new("group", Kind::String, "Cluster Volume group (cluster volumes)").hidden().refused(SWARM),
    Flag::new("label", Kind::List, "Set metadata for a volume"),
    Flag::new("limit-bytes", Kind::Bytes, "Minimum size of the Cluster Volume in bytes")
        .hidden()
        .refused(SWARM),
    Flag::new("name", Kind::String, "Specify volume name").hidden(),
    Flag::new("opt", kinds::MAP, "Set driver specific options").short('o').default("map[]"),
    Flag::new("required-bytes", Kind::Bytes, "Maximum size of the Cluster Volume in bytes")
        .hidden()
        .refused(SWARM),
    Flag::new("scope", Kind::String, "Cluster Volume access scope (single, multi)")
        .default("single")
        .hidden()
        .refused(SWARM),
    Flag::new("secret", kinds::MAP, "Cluster Volume secrets").default("map[]").hidden().refused(SWARM),
    Flag::new("sharing", Kind::String, "Cluster Volume access sharing (none, readonly, onewriter, all)")
        .default("none")
        .hidden()
        .refused(SWARM),
    Flag::new("topology-preferred", Kind::List, "A topology that the Cluster Volume would be preferred in")
        .hidden()
        .refused(SWARM),
    Flag::new("topology-required", Kind::List, "A topology that the Cluster Volume must be accessible from")
        .hidden()
        .refused(SWARM),
    Flag::new("type", Kind::String, "Cluster Volume access type (mount, block)")
        .default("block")
        .hidden()
        .refused(SWARM),
];

pub(crate) static VOLUME_CREATE: Command = Command {
    name: "create",
    example: "data\n\
              -o type=tmpfs -o device=tmpfs -o size=100m scratch\n\
              -o size=10G data",
    usage: "[OPTIONS] [VOLUME]",
    short: "Create a volume",
    flags: &[VOLUME_CREATE_FLAGS],
    args: Args::AtMost(1),
    action: Action::Run(volume::create),
    ..LEAF
};

const VOLUME_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").short('f'),
];

pub(crate) static VOLUME_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    short: "Display detailed information on one or more volumes",
    flags: &[VOLUME_INSPECT_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(inspect::volume),
    ..LEAF
};

const VOLUME_LS_FLAGS: &[Flag] = &[
    Flag::new("cluster", Kind::Bool, "Display only cluster volumes, and use cluster volume list formatting")
        .hidden()
        .refused(SWARM),
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. \"dangling=true\")").short('f'),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("quiet", Kind::Bool, "Only display volume names").short('q'),
];

pub(crate) static VOLUME_LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List volumes",
    also: "volume ls, volume list",
    flags: &[VOLUME_LS_FLAGS],
    args: Args::None,
    action: Action::Run(volume::list),
    ..LEAF
};

const VOLUME_PRUNE_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Remove all unused volumes, not just anonymous ones").short('a'),
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. \"label=<label>\")"),
    Flag::new("force", Kind::Bool, "Do not prompt for confirmation").short('f'),
];

pub(crate) static VOLUME_PRUNE: Command = Command {
    name: "prune",
    example: "\n\
              --all --filter label=app=shop",
    usage: "[OPTIONS]",
    short: "Remove unused local volumes",
    flags: &[VOLUME_PRUNE_FLAGS],
    args: Args::None,
    action: Action::Run(prune::volumes),
    ..LEAF
};

const VOLUME_RM_FLAGS: &[Flag] =
    &[Flag::new("force", Kind::Bool, "Force the removal of one or more volumes").short('f')];

pub(crate) static VOLUME_RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    short: "Remove one or more volumes",
    long: "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    also: "volume rm, volume remove",
    flags: &[VOLUME_RM_FLAGS],
    args: Args::AtLeast(1),
    action: Action::Run(volume::remove),
    ..LEAF
};

const VOLUME_UPDATE_FLAGS: &[Flag] =
    &[Flag::new("availability", Kind::String, "Cluster Volume availability (active, pause, drain)")
        .default("active")
        .hidden()
        .refused(SWARM)];

pub(crate) static VOLUME_UPDATE: Command = Command {
    name: "update",
    usage: "[OPTIONS] [VOLUME]",
    short: "Update a volume (cluster volumes only)",
    flags: &[VOLUME_UPDATE_FLAGS],
    args: Args::Exact(1),
    action: Action::Refused(SWARM),
    hidden: true,
    ..LEAF
};

// From here on what docker doesn't have.

const TWIN_FLAGS: &[Flag] = &[
    Flag::new("label", Kind::List, "Set metadata for the new volume"),
    Flag::new("pause", Kind::Bool, "Pause the containers that can write to the volume while it is read")
        .short('p')
        .default("true"),
];

static VOLUME_CLONE: Command = Command {
    name: "clone",
    example: "data data-copy",
    usage: "[OPTIONS] VOLUME NEW_VOLUME",
    short: "Create a volume with the content of another one",
    long: "Create a volume with the content of another one.

Where the file system can share blocks, nothing is copied. Whatever keeps the first volume, the new one is
a folder of the driver local.",
    flags: &[TWIN_FLAGS],
    args: Args::Exact(2),
    action: Action::Run(volume_content::clone),
    ..LEAF
};

static VOLUME_SNAPSHOT: Command = Command {
    name: "snapshot",
    example: "data\n\
              data data-before",
    usage: "[OPTIONS] VOLUME [NEW_VOLUME]",
    short: "Keep a volume's content as it is now",
    long: "Keep a volume's content as it is now, in a volume that is called after it and the time unless you name it,
and whose labels say what it is a snapshot of. 'volume clone' makes a volume of it again.",
    flags: &[TWIN_FLAGS],
    args: Args::Range(1, 2),
    action: Action::Run(volume_content::snapshot),
    ..LEAF
};

const VOLUME_CP_FLAGS: &[Flag] = &[
    Flag::new("follow-link", Kind::Bool, "Always follow symbol link in SRC_PATH").short('L'),
    Flag::new("quiet", Kind::Bool, "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached").short('q'),
];

static VOLUME_CP: Command = Command {
    name: "cp",
    example: "data:/site .\n\
              ./site data:/",
    usage: "[OPTIONS] VOLUME:SRC_PATH VOLUME:DEST_PATH|DEST_PATH|-\n\tdocker volume cp [OPTIONS] SRC_PATH|- VOLUME:DEST_PATH",
    short: "Copy files/folders between volumes, or a volume and the local filesystem",
    long: "Copy files/folders between volumes, or a volume and the local filesystem

Slashes and dots at the ends of paths mean what they mean to 'container cp'.",
    flags: &[VOLUME_CP_FLAGS],
    args: Args::Exact(2),
    action: Action::Run(volume_content::copy),
    ..LEAF
};

const VOLUME_EXPORT_FLAGS: &[Flag] =
    &[Flag::new("output", Kind::String, "Write to a file, instead of STDOUT").short('o')];

static VOLUME_EXPORT: Command = Command {
    name: "export",
    example: "-o data.tar data",
    usage: "[OPTIONS] VOLUME",
    short: "Export a volume's content as a tar archive",
    flags: &[VOLUME_EXPORT_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(volume_content::export),
    ..LEAF
};

const VOLUME_IMPORT_FLAGS: &[Flag] = &[Flag::new("label", Kind::List, "Set metadata for the new volume")];

static VOLUME_IMPORT: Command = Command {
    name: "import",
    example: "data data.tar",
    usage: "[OPTIONS] NEW_VOLUME [FILE|-]",
    short: "Create a volume with the content of a tar archive",
    long: "Create a volume with the content of a tar archive, which may be compressed. Unless all of it could be taken,
there is no such volume.",
    flags: &[VOLUME_IMPORT_FLAGS],
    args: Args::Range(1, 2),
    action: Action::Run(volume_content::import),
    ..LEAF
};

static VOLUME_RENAME: Command = Command {
    name: "rename",
    example: "data kept",
    usage: "VOLUME NEW_NAME",
    short: "Rename a volume that no container uses",
    args: Args::Exact(2),
    action: Action::Run(volume_content::rename),
    ..LEAF
};
