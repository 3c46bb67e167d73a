//! `docker builder …`, as a table.

use flags::{Args, Flag, Kind};

use super::{Action, Command, GROUP, LEAF, WINDOWS, kinds};
use crate::commands;

const NO_LIMITS: &str = "BuildKit's builds have no such limit";
const NO_POLICY: &str = "Ketch has no policy engine for builds";

const BUILD_FLAGS: &[Flag] = &[
    Flag::new("add-host", Kind::Strings, "Add a custom host-to-IP mapping (format: \"host:ip\")"),
    Flag::new("allow", Kind::StringArray, "Allow extra privileged entitlement (e.g., \"network.host\", \"security.insecure\", \"device\")"),
    Flag::new("annotation", Kind::StringArray, "Add annotation to the image"),
    Flag::new("attest", Kind::StringArray, "Attestation parameters (format: \"type=sbom,generator=image\")"),
    Flag::new("build-arg", Kind::StringArray, "Set build-time variables"),
    Flag::new("build-context", Kind::StringArray, "Additional build contexts (e.g., name=path)"),
    Flag::new("builder", Kind::String, "Override the configured builder instance").default("default"),
    Flag::new("cache-from", Kind::StringArray, "External cache sources (e.g., \"user/app:cache\", \"type=local,src=path/to/dir\")"),
    Flag::new("cache-to", Kind::StringArray, "Cache export destinations (e.g., \"user/app:cache\", \"type=local,dest=path/to/dir\")"),
    Flag::new("call", Kind::String, "Set method for evaluating build (\"check\", \"outline\", \"targets\")").default("build"),
    Flag::new("cgroup-parent", Kind::String, "Set the parent cgroup for the \"RUN\" instructions during build"),
    Flag::new("check", Kind::Bool, "Shorthand for \"--call=check\""),
    Flag::new("compress", Kind::Bool, "Compress the build context using gzip").hidden(),
    Flag::new("cpu-period", Kind::Int64, "Limit the CPU CFS (Completely Fair Scheduler) period").hidden().refused(NO_LIMITS),
    Flag::new("cpu-quota", Kind::Int64, "Limit the CPU CFS (Completely Fair Scheduler) quota").hidden().refused(NO_LIMITS),
    Flag::new("cpu-shares", Kind::Int64, "CPU shares (relative weight)").short('c').hidden().refused(NO_LIMITS),
    Flag::new("cpuset-cpus", Kind::String, "CPUs in which to allow execution (0-3, 0,1)").hidden().refused(NO_LIMITS),
    Flag::new("cpuset-mems", Kind::String, "MEMs in which to allow execution (0-3, 0,1)").hidden().refused(NO_LIMITS),
    Flag::new("debug", Kind::Bool, "Enable debug logging").short('D'),
    Flag::new("disable-content-trust", Kind::Bool, "Skip image verification (deprecated)").default("true").hidden(),
    Flag::new("explain", Kind::Bool, "Say for each step whether it came from the cache, and if not, why"),
    Flag::new("file", Kind::String, "Name of the Dockerfile (default: \"PATH/Dockerfile\")").short('f'),
    Flag::new("force-rm", Kind::Bool, "Always remove intermediate containers").hidden(),
    Flag::new("iidfile", Kind::String, "Write the image ID to a file"),
    Flag::new("isolation", Kind::String, "Container isolation technology").hidden().refused(WINDOWS),
    Flag::new("label", Kind::StringArray, "Set metadata for an image"),
    Flag::new("load", Kind::Bool, "Shorthand for \"--output=type=docker\""),
    Flag::new("memory", Kind::Bytes, "Memory limit").short('m').hidden().refused(NO_LIMITS),
    Flag::new("memory-swap", kinds::MEMORY_SWAP, "Swap limit equal to memory plus swap: -1 to enable unlimited swap").hidden().refused(NO_LIMITS),
    Flag::new("metadata-file", Kind::String, "Write build result metadata to a file"),
    Flag::new("network", Kind::String, "Set the networking mode for the \"RUN\" instructions during build").default("default"),
    Flag::new("no-cache", Kind::Bool, "Do not use cache when building the image"),
    Flag::new("no-cache-filter", Kind::StringArray, "Do not cache specified stages"),
    Flag::new("output", Kind::StringArray, "Output destination (format: \"type=local,dest=path\")").short('o'),
    Flag::new("platform", Kind::StringArray, "Set target platform for build"),
    Flag::new("policy", Kind::StringArray, "Policy configuration (format: filename=path[,filename=path][,reset=true|false][,disabled=true|false][,strict=true|false][,log-level=level])").hidden().refused(NO_POLICY),
    Flag::new("print", Kind::String, "Print result of information request (e.g., outline, targets)").hidden(),
    Flag::new("progress", Kind::String, "Set type of progress output (\"auto\", \"none\",  \"plain\", \"quiet\", \"rawjson\", \"tty\"). Use plain to show container output").default("auto"),
    Flag::new("provenance", Kind::String, "Shorthand for \"--attest=type=provenance\""),
    Flag::new("pull", Kind::Bool, "Always attempt to pull all referenced images"),
    Flag::new("push", Kind::Bool, "Shorthand for \"--output=type=registry\""),
    Flag::new("quiet", Kind::Bool, "Suppress the build output and print image ID on success").short('q'),
    Flag::new("resource", Kind::StringArray, "Resource limits for build containers (format: memory=2g, cpu-quota=50000)").hidden().refused(NO_LIMITS),
    Flag::new("rm", Kind::Bool, "Remove intermediate containers after a successful build").default("true").hidden(),
    Flag::new("sbom", Kind::String, "Shorthand for \"--attest=type=sbom\""),
    Flag::new("secret", Kind::StringArray, "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")"),
    Flag::new("security-opt", Kind::Strings, "Security options").hidden().refused("use RUN --security in the Dockerfile"),
    Flag::new("shm-size", Kind::Bytes, "Shared memory size for build containers"),
    Flag::new("squash", Kind::Bool, "Squash newly built layers into a single new layer").hidden(),
    Flag::new("ssh", Kind::StringArray, "SSH agent socket or keys to expose to the build (format: \"default|<id>[=<socket>|<key>[,<key>]]\")"),
    Flag::new("tag", Kind::StringArray, "Name and optionally a tag (format: \"name:tag\")").short('t'),
    Flag::new("target", Kind::String, "Set the target build stage to build"),
    Flag::new("ulimit", kinds::ULIMIT, "Ulimit options").default("[]"),
];

pub(super) const BUILD_EVERYWHERE: Command = Command {
    name: "build",
    example: "-t app:1 .\n\
              -t app:1 -f docker/Dockerfile --target test .\n\
              --secret id=token,src=token.txt -t app:1 .\n\
              --platform linux/amd64,linux/arm64 --push -t registry.example/app:1 .\n\
              --explain -t app:1 .",
    usage: "[OPTIONS] PATH | URL | -",
    short: "Build an image from a Dockerfile",
    long: "Start a build",
    also: "build, builder build, image build, buildx b",
    flags: &[BUILD_FLAGS],
    args: Args::Exact(1),
    common: 4,
    action: Action::Run(commands::build::build),
    ..LEAF
};

pub(crate) static BUILD: Command = BUILD_EVERYWHERE;

pub(crate) static BUILDER: Command =
    Command { name: "builder", short: "Manage builds", subcommands: &[&BUILD, &BUILDER_PRUNE], ..GROUP };

const BUILDER_PRUNE_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Remove all unused build cache, not just dangling ones").short('a'),
    Flag::new("filter", kinds::FILTER, "Provide filter values (e.g. until=24h)"),
    Flag::new("force", Kind::Bool, "Do not prompt for confirmation").short('f'),
    Flag::new("keep-storage", Kind::Bytes, "Amount of disk space to keep for cache"),
];

pub(crate) static BUILDER_PRUNE: Command = Command {
    name: "prune",
    short: "Remove build cache",
    flags: &[BUILDER_PRUNE_FLAGS],
    args: Args::None,
    action: Action::Run(commands::builder::prune),
    ..LEAF
};
