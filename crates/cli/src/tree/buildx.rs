//! `docker buildx …`, as a table.

use flags::{Args, Flag, Kind};

use super::builder::BUILD_EVERYWHERE;
use super::{Action, Command, GROUP, LEAF, kinds};
use crate::commands;

const NO_NODES: &str = "a builder is one engine";
const NO_DAEMON: &str = "a builder is an engine, whose daemon.json it is";
const NO_DEFAULT: &str = "a builder that is used stays so until another one is";
const NO_ALIAS: &str = "`build` is BuildKit's already";
const NO_DEBUGGER: &str = "builds have no debugger";
const NO_IMPORT: &str = "it is for Docker Desktop, of which there is none here: a bundle's log and attestations are files of a tar";
const NO_WINDOW: &str =
    "it is for Docker Desktop, of which there is none here: see `ketch buildx history inspect` and `logs`";
const NO_PAGE: &str = "a trace is printed, and Jaeger's page is not part of Ketch";
const NO_PLATFORMS: &str = "an engine is one builder, whatever it builds for";
const NO_DIRECTORIES: &str = "builds don't say which directory they began in";
const NO_POLICIES: &str = "builds evaluate no policies";

const BUILDX_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
];

pub(crate) static BUILDX: Command = Command {
    name: "buildx",
    short: "Docker Buildx",
    long: "Extended build capabilities with BuildKit",
    flags: &[BUILDX_FLAGS],
    subcommands: &[
        &BUILDX_BAKE,
        &BUILDX_BUILD,
        &BUILDX_CREATE,
        &BUILDX_DAP,
        &BUILDX_DEBUG,
        &BUILDX_DIAL_STDIO,
        &BUILDX_DU,
        &BUILDX_HISTORY,
        &BUILDX_IMAGETOOLS,
        &BUILDX_INSPECT,
        &BUILDX_INSTALL,
        &BUILDX_LS,
        &BUILDX_POLICY,
        &BUILDX_PRUNE,
        &BUILDX_RM,
        &BUILDX_STOP,
        &BUILDX_UNINSTALL,
        &BUILDX_USE,
        &BUILDX_VERSION,
    ],
    ..GROUP
};

pub(crate) static BUILDX_BUILD: Command = Command { aliases: &["b"], ..BUILD_EVERYWHERE };

/// A build that would stop where somebody wants to look.
pub(crate) static DEBUGGED_BUILD: Command =
    Command { aliases: &["b"], action: Action::Refused(NO_DEBUGGER), ..BUILD_EVERYWHERE };

const BUILDX_BAKE_FLAGS: &[Flag] = &[
    Flag::new("allow", Kind::StringArray, "Allow build to access specified resources"),
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("call", Kind::String, "Set method for evaluating build (\"check\", \"outline\", \"targets\")").default("build"),
    Flag::new("check", Kind::Bool, "Shorthand for \"--call=check\""),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("file", Kind::StringArray, "Build definition file").short('f'),
    Flag::new("list", Kind::String, "List targets or variables"),
    Flag::new("list-targets", Kind::Bool, "List available targets").hidden(),
    Flag::new("list-variables", Kind::Bool, "List defined variables").hidden(),
    Flag::new("load", Kind::Bool, "Shorthand for \"--set=*.output=type=docker\". Conditional."),
    Flag::new("metadata-file", Kind::String, "Write build result metadata to a file"),
    Flag::new("no-cache", Kind::Bool, "Do not use cache when building the image"),
    Flag::new("policy", Kind::StringArray, "Global policy evaluation options (format: [disabled=true|false][,strict=true|false][,log-level=level])").hidden().refused(NO_POLICIES),
    Flag::new("print", Kind::Bool, "Print the options without building"),
    Flag::new("progress", Kind::String, "Set type of progress output (\"auto\", \"none\",  \"plain\", \"quiet\", \"rawjson\", \"tty\"). Use plain to show container output").default("auto"),
    Flag::new("provenance", Kind::String, "Shorthand for \"--set=*.attest=type=provenance\""),
    Flag::new("pull", Kind::Bool, "Always attempt to pull all referenced images"),
    Flag::new("push", Kind::Bool, "Shorthand for \"--set=*.output=type=registry\". Conditional."),
    Flag::new("sbom", Kind::String, "Shorthand for \"--set=*.attest=type=sbom\""),
    Flag::new("set", Kind::StringArray, "Override target value (e.g., \"targetpattern.key=value\")"),
    Flag::new("var", Kind::StringArray, "Set a variable value (e.g., name=value)").hidden(),
];

pub(crate) static BUILDX_BAKE: Command = Command {
    name: "bake",
    example: "\n\
              --print\n\
              -f docker-bake.hcl --set web.platform=linux/arm64 web",
    aliases: &["f"],
    usage: "[OPTIONS] [TARGET...]",
    short: "Build from a file",
    also: "buildx bake, buildx f",
    flags: &[BUILDX_BAKE_FLAGS],
    common: 5,
    action: Action::Run(commands::bake::bake),
    ..LEAF
};

const BUILDX_CREATE_FLAGS: &[Flag] = &[
    Flag::new("append", Kind::Bool, "Append a node to builder instead of changing it").refused(NO_NODES),
    Flag::new("bootstrap", Kind::Bool, "Boot builder after creation"),
    Flag::new("builder", Kind::String, "Override the configured builder instance")
        .default("os.Getenv(\"BUILDX_BUILDER\")")
        .hidden(),
    Flag::new("buildkitd-config", Kind::String, "BuildKit daemon config file").refused(NO_DAEMON),
    Flag::new("buildkitd-flags", Kind::String, "BuildKit daemon flags"),
    Flag::new("config", Kind::String, "BuildKit daemon config file").hidden().refused(NO_DAEMON),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new(
        "driver",
        Kind::String,
        "Driver to use (available: \"docker-container\", \"kubernetes\", \"remote\")",
    ),
    Flag::new("driver-opt", Kind::StringArray, "Options for the driver"),
    Flag::new("leave", Kind::Bool, "Remove a node from builder instead of changing it").refused(NO_NODES),
    Flag::new("name", Kind::String, "Builder instance name"),
    Flag::new("node", Kind::String, "Create/modify node with given name").refused(NO_NODES),
    Flag::new("platform", Kind::StringArray, "Fixed platforms for current node").refused(NO_PLATFORMS),
    Flag::new("timeout", Kind::Duration, "Override the default timeout for loading builder status")
        .default("20s")
        .hidden(),
    Flag::new("use", Kind::Bool, "Set the current builder instance"),
];

pub(crate) static BUILDX_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] [CONTEXT|ENDPOINT]",
    short: "Create a new builder instance",
    flags: &[BUILDX_CREATE_FLAGS],
    args: Args::AtMost(1),
    action: Action::Run(commands::builders::create),
    ..LEAF
};

pub(crate) static BUILDX_DAP: Command = Command {
    name: "dap",
    hidden: true,
    short: "Start debug adapter protocol compatible debugger",
    flags: &[BUILDX_FLAGS],
    subcommands: &[&BUILDX_DAP_ATTACH, &DEBUGGED_BUILD],
    ..GROUP
};

const BUILDX_DAP_ATTACH_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance")
        .default("os.Getenv(\"BUILDX_BUILDER\")"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D').default("debug.IsEnabled()"),
];

pub(crate) static BUILDX_DAP_ATTACH: Command = Command {
    name: "attach",
    usage: "PATH",
    short: "Attach to a container created by the dap evaluate request",
    flags: &[BUILDX_DAP_ATTACH_FLAGS],
    stop_at_positional: true,
    hidden: true,
    action: Action::Refused(NO_DEBUGGER),
    ..LEAF
};

const BUILDX_DEBUG_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("invoke", Kind::String, "Launch a monitor with executing specified command (EXPERIMENTAL)"),
    Flag::new("on", Kind::String, "When to launch the monitor ([always, error]) (EXPERIMENTAL)")
        .default("error"),
];

pub(crate) static BUILDX_DEBUG: Command = Command {
    name: "debug",
    hidden: true,
    short: "Start debugger",
    flags: &[BUILDX_DEBUG_FLAGS],
    subcommands: &[&DEBUGGED_BUILD],
    ..GROUP
};

const BUILDX_DIAL_STDIO_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("platform", Kind::String, "Target platform: this is used for node selection")
        .refused(NO_PLATFORMS),
    Flag::new("progress", Kind::String, "Set type of progress output (\"auto\", \"plain\", \"rawjson\", \"tty\"). Use plain to show container output").default("none"),
];

pub(crate) static BUILDX_DIAL_STDIO: Command = Command {
    name: "dial-stdio",
    short: "Proxy current stdio streams to builder instance",
    flags: &[BUILDX_DIAL_STDIO_FLAGS],
    action: Action::Run(commands::dial_stdio::builder),
    ..LEAF
};

const BUILDX_DU_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("filter", kinds::FILTER, "Provide filter values"),
    Flag::new("format", Kind::String, "Format the output"),
    Flag::new("timeout", Kind::Duration, "Override the default timeout for loading builder status")
        .default("20s")
        .hidden(),
    Flag::new("verbose", Kind::Bool, "Shorthand for \"--format=pretty\""),
];

pub(crate) static BUILDX_DU: Command = Command {
    name: "du",
    short: "Disk usage",
    flags: &[BUILDX_DU_FLAGS],
    args: Args::None,
    action: Action::Run(commands::builder::usage),
    ..LEAF
};

pub(crate) static BUILDX_HISTORY: Command = Command {
    name: "history",
    short: "Commands to work on build records",
    flags: &[BUILDX_FLAGS],
    subcommands: &[
        &BUILDX_HISTORY_EXPORT,
        &BUILDX_HISTORY_IMPORT,
        &BUILDX_HISTORY_INSPECT,
        &BUILDX_HISTORY_LOGS,
        &BUILDX_HISTORY_LS,
        &BUILDX_HISTORY_OPEN,
        &BUILDX_HISTORY_RM,
        &BUILDX_HISTORY_TRACE,
    ],
    ..GROUP
};

const BUILDX_HISTORY_EXPORT_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Export all build records for the builder"),
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("finalize", Kind::Bool, "Ensure build records are finalized before exporting"),
    Flag::new("output", Kind::String, "Output file path").short('o'),
];

pub(crate) static BUILDX_HISTORY_EXPORT: Command = Command {
    name: "export",
    usage: "[OPTIONS] [REF...]",
    short: "Export build records into Docker Desktop bundle",
    flags: &[BUILDX_HISTORY_EXPORT_FLAGS],
    action: Action::Run(commands::records::export),
    ..LEAF
};

const BUILDX_HISTORY_IMPORT_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("file", Kind::StringArray, "Import from a file path").short('f'),
];

pub(crate) static BUILDX_HISTORY_IMPORT: Command = Command {
    name: "import",
    usage: "[OPTIONS] -",
    short: "Import build records into Docker Desktop",
    flags: &[BUILDX_HISTORY_IMPORT_FLAGS],
    action: Action::Refused(NO_IMPORT),
    ..LEAF
};

const BUILDX_HISTORY_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("format", Kind::String, "Format the output").default("pretty"),
];

pub(crate) static BUILDX_HISTORY_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] [REF]",
    short: "Inspect a build record",
    flags: &[BUILDX_HISTORY_INSPECT_FLAGS],
    args: Args::AtMost(1),
    subcommands: &[&BUILDX_HISTORY_INSPECT_ATTACHMENT],
    action: Action::Run(commands::records::inspect),
    ..GROUP
};

const BUILDX_HISTORY_INSPECT_ATTACHMENT_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("platform", Kind::String, "Platform of attachment"),
    Flag::new("type", Kind::String, "Type of attachment"),
];

pub(crate) static BUILDX_HISTORY_INSPECT_ATTACHMENT: Command = Command {
    name: "attachment",
    usage: "[OPTIONS] [REF [DIGEST]]",
    short: "Inspect a build record attachment",
    flags: &[BUILDX_HISTORY_INSPECT_ATTACHMENT_FLAGS],
    args: Args::AtMost(2),
    action: Action::Run(commands::records::attachment),
    ..LEAF
};

const BUILDX_HISTORY_LOGS_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("progress", Kind::String, "Set type of progress output (plain, rawjson, tty)").default("plain"),
];

pub(crate) static BUILDX_HISTORY_LOGS: Command = Command {
    name: "logs",
    usage: "[OPTIONS] [REF]",
    short: "Print the logs of a build record",
    flags: &[BUILDX_HISTORY_LOGS_FLAGS],
    action: Action::Run(commands::records::logs),
    ..LEAF
};

const BUILDX_HISTORY_LS_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("filter", Kind::StringArray, "Provide filter values (e.g., \"status=error\")"),
    Flag::new("format", Kind::String, "Format the output").default("table"),
    Flag::new("local", Kind::Bool, "List records for current repository only").refused(NO_DIRECTORIES),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
];

pub(crate) static BUILDX_HISTORY_LS: Command = Command {
    name: "ls",
    usage: "[OPTIONS]",
    short: "List build records",
    flags: &[BUILDX_HISTORY_LS_FLAGS],
    args: Args::None,
    action: Action::Run(commands::records::list),
    ..LEAF
};

pub(crate) static BUILDX_HISTORY_OPEN: Command = Command {
    name: "open",
    usage: "[OPTIONS] [REF]",
    short: "Open a build record in Docker Desktop",
    flags: &[BUILDX_FLAGS],
    action: Action::Refused(NO_WINDOW),
    ..LEAF
};

const BUILDX_HISTORY_RM_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Remove all build records"),
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
];

pub(crate) static BUILDX_HISTORY_RM: Command = Command {
    name: "rm",
    usage: "[OPTIONS] [REF...]",
    short: "Remove build records",
    flags: &[BUILDX_HISTORY_RM_FLAGS],
    action: Action::Run(commands::records::remove),
    ..LEAF
};

const BUILDX_HISTORY_TRACE_FLAGS: &[Flag] = &[
    Flag::new("addr", Kind::String, "Address to bind the UI server").default("127.0.0.1:0").refused(NO_PAGE),
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("compare", Kind::String, "Compare with another build record").refused(NO_PAGE),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
];

pub(crate) static BUILDX_HISTORY_TRACE: Command = Command {
    name: "trace",
    hidden: true,
    usage: "[OPTIONS] [REF]",
    short: "Show the OpenTelemetry trace of a build record",
    flags: &[BUILDX_HISTORY_TRACE_FLAGS],
    args: Args::AtMost(1),
    action: Action::Run(commands::records::trace),
    ..LEAF
};

pub(crate) static BUILDX_IMAGETOOLS: Command = Command {
    name: "imagetools",
    short: "Commands to work on images in registry",
    flags: &[BUILDX_FLAGS],
    subcommands: &[&BUILDX_IMAGETOOLS_CREATE, &BUILDX_IMAGETOOLS_INSPECT],
    ..GROUP
};

const BUILDX_IMAGETOOLS_CREATE_FLAGS: &[Flag] = &[
    Flag::new("annotation", Kind::StringArray, "Add annotation to the image"),
    Flag::new("append", Kind::Bool, "Append to existing manifest"),
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("dry-run", Kind::Bool, "Show final image instead of pushing"),
    Flag::new("file", Kind::StringArray, "Read source descriptor from file").short('f'),
    Flag::new("metadata-file", Kind::String, "Write create result metadata to a file").hidden(),
    Flag::new("platform", Kind::StringArray, "Filter specified platforms of target image").short('p'),
    Flag::new("prefer-index", Kind::Bool, "When only a single source is specified, prefer outputting an image index or manifest list instead of performing a carbon copy").default("true"),
    Flag::new("progress", Kind::String, "Set type of progress output (\"auto\", \"none\", \"plain\", \"rawjson\", \"tty\"). Use plain to show container output").default("auto"),
    Flag::new("tag", Kind::StringArray, "Set reference for new image").short('t'),
];

pub(crate) static BUILDX_IMAGETOOLS_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] [SOURCE...]",
    short: "Create a new image based on source images",
    flags: &[BUILDX_IMAGETOOLS_CREATE_FLAGS],
    action: Action::Run(commands::imagetools::create),
    ..LEAF
};

const BUILDX_IMAGETOOLS_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("format", Kind::String, "Format the output using the given Go template"),
    Flag::new("raw", Kind::Bool, "Show original, unformatted JSON manifest"),
];

pub(crate) static BUILDX_IMAGETOOLS_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME",
    short: "Show details of an image in the registry",
    flags: &[BUILDX_IMAGETOOLS_INSPECT_FLAGS],
    args: Args::Exact(1),
    action: Action::Run(commands::imagetools::inspect),
    ..LEAF
};

const BUILDX_INSPECT_FLAGS: &[Flag] = &[
    Flag::new("bootstrap", Kind::Bool, "Ensure builder has booted before inspecting"),
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("timeout", Kind::Duration, "Override the default timeout for loading builder status")
        .default("20s")
        .hidden(),
];

pub(crate) static BUILDX_INSPECT: Command = Command {
    name: "inspect",
    usage: "[NAME]",
    short: "Inspect current builder instance",
    flags: &[BUILDX_INSPECT_FLAGS],
    args: Args::AtMost(1),
    action: Action::Run(commands::builder::inspect),
    ..LEAF
};

const BUILDX_INSTALL_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance")
        .default("os.Getenv(\"BUILDX_BUILDER\")")
        .hidden(),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
];

pub(crate) static BUILDX_INSTALL: Command = Command {
    name: "install",
    short: "Install buildx as a 'docker builder' alias",
    flags: &[BUILDX_INSTALL_FLAGS],
    args: Args::Exact(0),
    hidden: true,
    action: Action::Refused(NO_ALIAS),
    ..LEAF
};

const BUILDX_LS_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance")
        .default("os.Getenv(\"BUILDX_BUILDER\")")
        .hidden(),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("format", Kind::String, "Format the output").default("table"),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::new("timeout", Kind::Duration, "Override the default timeout for loading builder status")
        .default("20s")
        .hidden(),
];

pub(crate) static BUILDX_LS: Command = Command {
    name: "ls",
    short: "List builder instances",
    flags: &[BUILDX_LS_FLAGS],
    args: Args::Exact(0),
    action: Action::Run(commands::builder::list),
    ..LEAF
};

pub(crate) static BUILDX_POLICY: Command = Command {
    name: "policy",
    hidden: true,
    short: "Commands for working with build policies",
    flags: &[BUILDX_FLAGS],
    subcommands: &[&BUILDX_POLICY_EVAL, &BUILDX_POLICY_SCHEMA, &BUILDX_POLICY_TEST],
    ..GROUP
};

const BUILDX_POLICY_EVAL_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("fields", Kind::Strings, "Fields to evaluate"),
    Flag::new("file", Kind::String, "Policy filename to evaluate").short('f').default("Dockerfile"),
    Flag::new("filename", Kind::String, "Policy filename to evaluate").default("Dockerfile").hidden(),
    Flag::new("platform", Kind::String, "Target platform for policy evaluation"),
    Flag::new("print", Kind::Bool, "Print policy output"),
];

pub(crate) static BUILDX_POLICY_EVAL: Command = Command {
    name: "eval",
    usage: "[OPTIONS] source",
    short: "Evaluate policy for a source",
    flags: &[BUILDX_POLICY_EVAL_FLAGS],
    action: Action::Refused(NO_POLICIES),
    ..LEAF
};

pub(crate) static BUILDX_POLICY_SCHEMA: Command = Command {
    name: "json-schema",
    short: "Print the JSON schema of policies' input",
    flags: &[BUILDX_FLAGS],
    action: Action::Refused(NO_POLICIES),
    ..LEAF
};

const BUILDX_POLICY_TEST_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("filename", Kind::String, "Name of the Dockerfile to validate").default("Dockerfile"),
    Flag::new("run", Kind::String, "Run only tests with name containing this substring"),
];

pub(crate) static BUILDX_POLICY_TEST: Command = Command {
    name: "test",
    usage: "<path>",
    short: "Run policy tests",
    flags: &[BUILDX_POLICY_TEST_FLAGS],
    action: Action::Refused(NO_POLICIES),
    ..LEAF
};

const BUILDX_PRUNE_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Include internal/frontend images").short('a'),
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("filter", kinds::FILTER, "Provide filter values"),
    Flag::new("force", Kind::Bool, "Do not prompt for confirmation").short('f'),
    Flag::new("keep-storage", Kind::String, "Amount of disk space to keep for cache").hidden(),
    Flag::new("max-used-space", Kind::Bytes, "Maximum amount of disk space allowed to keep for cache"),
    Flag::new("min-free-space", Kind::Bytes, "Target amount of free disk space after pruning"),
    Flag::new("reserved-space", Kind::Bytes, "Amount of disk space always allowed to keep for cache"),
    Flag::new("timeout", Kind::Duration, "Override the default timeout for loading builder status")
        .default("20s")
        .hidden(),
    Flag::new("verbose", Kind::Bool, "Provide a more verbose output"),
];

pub(crate) static BUILDX_PRUNE: Command = Command {
    name: "prune",
    short: "Remove build cache",
    flags: &[BUILDX_PRUNE_FLAGS],
    args: Args::None,
    action: Action::Run(commands::builder::prune),
    ..LEAF
};

const BUILDX_RM_FLAGS: &[Flag] = &[
    Flag::new("all-inactive", Kind::Bool, "Remove all inactive builders"),
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("force", Kind::Bool, "Do not prompt for confirmation").short('f'),
    Flag::new("keep-daemon", Kind::Bool, "Keep the BuildKit daemon running"),
    Flag::new("keep-state", Kind::Bool, "Keep BuildKit state"),
    Flag::new("timeout", Kind::Duration, "Override the default timeout for loading builder status")
        .default("20s")
        .hidden(),
];

pub(crate) static BUILDX_RM: Command = Command {
    name: "rm",
    usage: "[OPTIONS] [NAME...]",
    short: "Remove one or more builder instances",
    flags: &[BUILDX_RM_FLAGS],
    action: Action::Run(commands::builders::remove),
    ..LEAF
};

pub(crate) static BUILDX_STOP: Command = Command {
    name: "stop",
    usage: "[NAME]",
    short: "Stop builder instance",
    flags: &[BUILDX_FLAGS],
    args: Args::AtMost(1),
    action: Action::Run(commands::builders::stop),
    ..LEAF
};

pub(crate) static BUILDX_UNINSTALL: Command = Command {
    name: "uninstall",
    short: "Uninstall the 'docker builder' alias",
    flags: &[BUILDX_INSTALL_FLAGS],
    args: Args::Exact(0),
    hidden: true,
    action: Action::Refused(NO_ALIAS),
    ..LEAF
};

const BUILDX_USE_FLAGS: &[Flag] = &[
    Flag::new("builder", Kind::String, "Override the configured builder instance"),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("default", Kind::Bool, "Set builder as default for current context").refused(NO_DEFAULT),
    Flag::new("global", Kind::Bool, "Builder persists context changes"),
];

pub(crate) static BUILDX_USE: Command = Command {
    name: "use",
    usage: "[OPTIONS] NAME",
    short: "Set the current builder instance",
    flags: &[BUILDX_USE_FLAGS],
    args: Args::AtMost(1),
    action: Action::Run(commands::builders::choose),
    ..LEAF
};

pub(crate) static BUILDX_VERSION: Command = Command {
    name: "version",
    short: "Show buildx version information",
    flags: &[BUILDX_INSTALL_FLAGS],
    args: Args::Exact(0),
    action: Action::Run(commands::builder::version),
    ..LEAF
};
