//! `ketch registry …`, as a table: the private registry, which docker's command line has no word for.

use flags::{Args, Flag, Kind};

use crate::commands::private_registry as run;

use super::{Action, Command, GROUP, LEAF};

pub(crate) static REGISTRY: Command = Command {
    name: "registry",
    short: "Run and manage a private registry",
    subcommands: &[&SERVE, &LS, &TAGS, &RM, &GC, &DU, &EXPORT, &IMPORT],
    ..GROUP
};

/// Where the content is.
const PLACE: &[Flag] = &[
    Flag::new("config", Kind::String, "Configuration `file` (YAML)"),
    Flag::new("root", Kind::String, "`Folder` of the content (default \"/var/lib/ketch-registry\")"),
];

const SERVE_FLAGS: &[Flag] = &[
    Flag::new("addr", Kind::String, "`Address` to listen on (default \"127.0.0.1:5000\")"),
    Flag::new("debug-addr", Kind::String, "`Address` for metrics and health"),
    Flag::new("htpasswd", Kind::String, "`File` of users and their bcrypt hashes"),
    Flag::new("log-level", Kind::String, "Log `level` (\"error\"|\"warn\"|\"info\"|\"debug\")"),
    Flag::new("no-delete", Kind::Bool, "Refuse deletions"),
    Flag::new("read-only", Kind::Bool, "Refuse all changes"),
    Flag::new("tls-cert", Kind::String, "TLS certificate `file`; it is reloaded when it changes"),
    Flag::new("tls-key", Kind::String, "TLS key `file`"),
    Flag::new("validate", Kind::Bool, "Check the configuration and exit"),
];

static SERVE: Command = Command {
    name: "serve",
    example: "\n\
              --addr :5000 --tls-cert cert.pem --tls-key key.pem --htpasswd users",
    usage: "[OPTIONS] [CONFIG]",
    short: "Serve a private registry",
    long: "Serve a private registry.

The configuration is that of docker's registry, as far as it has the same things;
flags override it. Keys that are not supported are refused by name.",
    flags: &[PLACE, SERVE_FLAGS],
    args: Args::AtMost(1),
    action: Action::Run(run::serve),
    ..LEAF
};

static LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    short: "List repositories",
    flags: &[PLACE, &[Flag::new("quiet", Kind::Bool, "Only show names").short('q')]],
    args: Args::None,
    action: Action::Run(run::ls),
    ..LEAF
};

static TAGS: Command = Command {
    name: "tags",
    usage: "[OPTIONS] REPOSITORY",
    short: "List the tags of a repository",
    flags: &[PLACE, &[Flag::new("quiet", Kind::Bool, "Only show tags").short('q')]],
    args: Args::Exact(1),
    action: Action::Run(run::tags),
    ..LEAF
};

static RM: Command = Command {
    name: "rm",
    example: "team/app:1",
    aliases: &["remove"],
    usage: "[OPTIONS] REPOSITORY[:TAG|@DIGEST] [...]",
    short: "Remove tags, manifests with their tags, or whole repositories",
    flags: &[PLACE],
    args: Args::AtLeast(1),
    action: Action::Run(run::rm),
    ..LEAF
};

const GC_FLAGS: &[Flag] = &[
    Flag::new("dry-run", Kind::Bool, "Only say what would be removed").short('n'),
    Flag::new("grace", Kind::Duration, "What is younger stays (default 1h0m0s)"),
    Flag::new("untagged", Kind::Bool, "Remove manifests that no tag leads to"),
];

static GC: Command = Command {
    name: "gc",
    example: "--dry-run\n\
              --untagged --grace 24h",
    usage: "[OPTIONS]",
    short: "Apply the retention rules and remove what nothing needs any more",
    flags: &[PLACE, GC_FLAGS],
    args: Args::None,
    action: Action::Run(run::gc),
    ..LEAF
};

static DU: Command = Command {
    name: "du",
    usage: "[OPTIONS]",
    short: "Show what repositories take on the disk",
    flags: &[PLACE],
    args: Args::None,
    action: Action::Run(run::du),
    ..LEAF
};

static EXPORT: Command = Command {
    name: "export",
    example: "team/app:1 ./app",
    usage: "[OPTIONS] REPOSITORY[:TAG|@DIGEST] FOLDER",
    short: "Write a repository as an OCI layout",
    flags: &[PLACE],
    args: Args::Exact(2),
    action: Action::Run(run::export),
    ..LEAF
};

static IMPORT: Command = Command {
    name: "import",
    example: "./app team/app:1",
    usage: "[OPTIONS] FOLDER REPOSITORY[:TAG]",
    short: "Read an OCI layout into a repository",
    flags: &[PLACE],
    args: Args::Exact(2),
    action: Action::Run(run::import),
    ..LEAF
};
