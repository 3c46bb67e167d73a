//! `docker compose …`, as a table.

use flags::{Flag, Kind};

use super::{Action, Command, GROUP, LEAF, kinds};
use crate::commands::compose;

const NO_EFFECT: &str = "docker compose took it without any effect, and it is on its way out";

const COMPOSE_FLAGS: &[Flag] = &[
    Flag::new("all-resources", Kind::Bool, "Include all resources, even those not used by services"),
    Flag::new("ansi", Kind::String, "Control when to print ANSI control characters (\"never\"|\"always\"|\"auto\")").default("auto"),
    Flag::new("compatibility", Kind::Bool, "Run compose in backward compatibility mode"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
    Flag::new("env-file", Kind::StringArray, "Specify an alternate environment file"),
    Flag::new("file", Kind::StringArray, "Compose configuration files").short('f'),
    Flag::new("insecure-registry", Kind::StringArray, "Use insecure registry to pull Compose OCI artifacts. Doesn't apply to images").hidden().missing(),
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

const COMPOSE_ALPHA_FLAGS: &[Flag] = &[Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode")];

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
    flags: &[COMPOSE_ALPHA_FLAGS],
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
    action: Action::NotYet,
    ..LEAF
};

const COMPOSE_ALPHA_PUBLISH_FLAGS: &[Flag] = &[
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
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

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
    flags: &[COMPOSE_ALPHA_PUBLISH_FLAGS],
    action: Action::NotYet,
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
    action: Action::NotYet,
    ..LEAF
};

const COMPOSE_ATTACH_FLAGS: &[Flag] = &[
    Flag::new("detach-keys", Kind::String, "Override the key sequence for detaching from a container."),
    Flag::new("index", Kind::Int, "index of the container if service has multiple replicas."),
    Flag::new("no-stdin", Kind::Bool, "Do not attach STDIN"),
    Flag::new("sig-proxy", Kind::Bool, "Proxy all received signals to the process").default("true"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_ATTACH: Command = Command {
    name: "attach",
    usage: "[OPTIONS] SERVICE",
    short: "Attach local standard input, output, and error streams to a service's running container",
    flags: &[COMPOSE_ATTACH_FLAGS],
    action: Action::Run(compose::attach),
    ..LEAF
};

pub(crate) static COMPOSE_BRIDGE: Command = Command {
    name: "bridge",
    short: "Convert compose files into another model",
    flags: &[COMPOSE_ALPHA_FLAGS],
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
    action: Action::NotYet,
    ..LEAF
};

pub(crate) static COMPOSE_BRIDGE_TRANSFORMATIONS: Command = Command {
    name: "transformations",
    short: "Manage transformation images",
    flags: &[COMPOSE_ALPHA_FLAGS],
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
    action: Action::NotYet,
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
    action: Action::NotYet,
    ..LEAF
};

const COMPOSE_BUILD_FLAGS: &[Flag] = &[
    Flag::new("build-arg", Kind::StringArray, "Set build-time variables for services"),
    Flag::new("builder", Kind::String, "Set builder to use").missing(),
    Flag::new("check", Kind::Bool, "Check build configuration").missing(),
    Flag::new("compress", Kind::Bool, "Compress the build context using gzip. DEPRECATED")
        .default("true")
        .hidden(),
    Flag::new("force-rm", Kind::Bool, "Always remove intermediate containers. DEPRECATED")
        .default("true")
        .hidden(),
    Flag::new("memory", Kind::Bytes, "Set memory limit for the build container. Not supported by BuildKit.")
        .short('m')
        .missing(),
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
    Flag::new("print", Kind::Bool, "Print equivalent bake file").missing(),
    Flag::new("progress", Kind::String, "Set type of ui output (auto, tty, plain, json, quiet)").hidden(),
    Flag::new("provenance", Kind::String, "Add a provenance attestation").missing(),
    Flag::new("pull", Kind::Bool, "Always attempt to pull a newer version of the image"),
    Flag::new("push", Kind::Bool, "Push service images"),
    Flag::new("quiet", Kind::Bool, "Suppress the build output").short('q'),
    Flag::new("sbom", Kind::String, "Add a SBOM attestation").missing(),
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

const COMPOSE_CP_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Include containers created by the run command"),
    Flag::new("archive", Kind::Bool, "Archive mode (copy all uid/gid information)").short('a'),
    Flag::new("follow-link", Kind::Bool, "Always follow symbol link in SRC_PATH").short('L'),
    Flag::new("index", Kind::Int, "Index of the container if service has multiple replicas"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_CP: Command = Command {
    name: "cp",
    usage: "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n\tdocker compose cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
    short: "Copy files/folders between a service container and the local filesystem",
    long: "Copy files/folders between a service container and the local filesystem",
    flags: &[COMPOSE_CP_FLAGS],
    action: Action::Run(compose::cp),
    ..LEAF
};

const COMPOSE_CREATE_FLAGS: &[Flag] = &[
    Flag::new("build", Kind::Bool, "Build images before starting containers"),
    Flag::new(
        "force-recreate",
        Kind::Bool,
        "Recreate containers even if their configuration and image haven't changed",
    ),
    Flag::new("no-build", Kind::Bool, "Don't build an image, even if it's policy"),
    Flag::new(
        "no-recreate",
        Kind::Bool,
        "If containers already exist, don't recreate them. Incompatible with --force-recreate.",
    ),
    Flag::new("pull", Kind::String, "Pull image before running (\"always\"|\"missing\"|\"never\"|\"build\")")
        .default("policy"),
    Flag::new("quiet-pull", Kind::Bool, "Pull without printing progress information"),
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new(
        "scale",
        Kind::StringArray,
        "Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file if present.",
    ),
    Flag::new("yes", Kind::Bool, "Assume \"yes\" as answer to all prompts and run non-interactively")
        .short('y'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Creates containers for a service",
    flags: &[COMPOSE_CREATE_FLAGS],
    action: Action::Run(compose::create),
    ..LEAF
};

const COMPOSE_DOWN_FLAGS: &[Flag] = &[
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new("rmi", Kind::String, "Remove images used by services. \"local\" remove only images that don't have a custom tag (\"local\"|\"all\")"),
    Flag::new("timeout", Kind::Int, "Specify a shutdown timeout in seconds").short('t'),
    Flag::new("volumes", Kind::Bool, "Remove named volumes declared in the \"volumes\" section of the Compose file and anonymous volumes attached to containers").short('v'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_DOWN: Command = Command {
    name: "down",
    usage: "[OPTIONS] [SERVICES]",
    short: "Stop and remove containers, networks",
    flags: &[COMPOSE_DOWN_FLAGS],
    action: Action::Run(compose::down),
    ..LEAF
};

const COMPOSE_EVENTS_FLAGS: &[Flag] = &[
    Flag::new("json", Kind::Bool, "Output events as a stream of json objects"),
    Flag::new("since", Kind::String, "Show all events created since timestamp"),
    Flag::new("until", Kind::String, "Stream events until this timestamp"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_EVENTS: Command = Command {
    name: "events",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Receive real time events from containers",
    flags: &[COMPOSE_EVENTS_FLAGS],
    action: Action::Run(compose::events),
    ..LEAF
};

const COMPOSE_EXEC_FLAGS: &[Flag] = &[
    Flag::new("detach", Kind::Bool, "Detached mode: Run command in the background").short('d'),
    Flag::new("env", Kind::StringArray, "Set environment variables").short('e'),
    Flag::new("index", Kind::Int, "Index of the container if service has multiple replicas"),
    Flag::new("interactive", Kind::Bool, "Keep STDIN open even if not attached")
        .short('i')
        .default("true")
        .hidden(),
    Flag::new(
        "no-tty",
        Kind::Bool,
        "Disable pseudo-TTY allocation. By default 'docker compose exec' allocates a TTY.",
    )
    .short('T')
    .default("true"),
    Flag::new("privileged", Kind::Bool, "Give extended privileges to the process"),
    Flag::new("tty", Kind::Bool, "Allocate a pseudo-TTY").short('t').default("true").hidden(),
    Flag::new("user", Kind::String, "Run the command as this user").short('u'),
    Flag::new("workdir", Kind::String, "Path to workdir directory for this command").short('w'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_EXEC: Command = Command {
    name: "exec",
    usage: "[OPTIONS] SERVICE COMMAND [ARGS...]",
    short: "Execute a command in a running container",
    flags: &[COMPOSE_EXEC_FLAGS],
    stop_at_positional: true,
    action: Action::Run(compose::exec),
    ..LEAF
};

const COMPOSE_EXPORT_FLAGS: &[Flag] = &[
    Flag::new("index", Kind::Int, "index of the container if service has multiple replicas."),
    Flag::new("output", Kind::String, "Write to a file, instead of STDOUT").short('o'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_EXPORT: Command = Command {
    name: "export",
    usage: "[OPTIONS] SERVICE",
    short: "Export a service container's filesystem as a tar archive",
    flags: &[COMPOSE_EXPORT_FLAGS],
    action: Action::Run(compose::export),
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

const COMPOSE_KILL_FLAGS: &[Flag] = &[
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new("signal", Kind::String, "SIGNAL to send to the container").short('s').default("SIGKILL"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_KILL: Command = Command {
    name: "kill",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Force stop service containers",
    flags: &[COMPOSE_KILL_FLAGS],
    action: Action::Run(compose::kill),
    ..LEAF
};

const COMPOSE_LOGS_FLAGS: &[Flag] = &[
    Flag::new("follow", Kind::Bool, "Follow log output").short('f'),
    Flag::new("index", Kind::Int, "index of the container if service has multiple replicas"),
    Flag::new("no-color", Kind::Bool, "Produce monochrome output"),
    Flag::new("no-log-prefix", Kind::Bool, "Don't print prefix in logs"),
    Flag::new(
        "since",
        Kind::String,
        "Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)",
    ),
    Flag::new("tail", Kind::String, "Number of lines to show from the end of the logs for each container")
        .short('n')
        .default("all"),
    Flag::new("timestamps", Kind::Bool, "Show timestamps").short('t'),
    Flag::new(
        "until",
        Kind::String,
        "Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)",
    ),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_LOGS: Command = Command {
    name: "logs",
    usage: "[OPTIONS] [SERVICE...]",
    short: "View output from containers",
    flags: &[COMPOSE_LOGS_FLAGS],
    action: Action::Run(compose::logs),
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

pub(crate) static COMPOSE_PAUSE: Command = Command {
    name: "pause",
    usage: "[SERVICE...]",
    short: "Pause services",
    flags: &[COMPOSE_ALPHA_FLAGS],
    action: Action::Run(compose::pause),
    ..LEAF
};

const COMPOSE_PORT_FLAGS: &[Flag] = &[
    Flag::new("index", Kind::Int, "Index of the container if service has multiple replicas"),
    Flag::new("protocol", Kind::String, "tcp or udp").default("tcp"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_PORT: Command = Command {
    name: "port",
    usage: "[OPTIONS] SERVICE PRIVATE_PORT",
    short: "Print the public port for a port binding",
    flags: &[COMPOSE_PORT_FLAGS],
    action: Action::Run(compose::port),
    ..LEAF
};

const COMPOSE_PS_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Show all stopped containers (including those created by the run command)").short('a'),
    Flag::new("filter", Kind::String, "Filter services by a property (supported filters: status)"),
    Flag::new("format", Kind::String, "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").default("table"),
    Flag::new("no-trunc", Kind::Bool, "Don't truncate output"),
    Flag::new("orphans", Kind::Bool, "Include orphaned services (not declared by project)").default("true"),
    Flag::new("quiet", Kind::Bool, "Only display IDs").short('q'),
    Flag::new("services", Kind::Bool, "Display services"),
    Flag::new("status", Kind::StringArray, "Filter services by status. Values: [paused | restarting | removing | running | dead | created | exited]"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_PS: Command = Command {
    name: "ps",
    usage: "[OPTIONS] [SERVICE...]",
    short: "List containers",
    flags: &[COMPOSE_PS_FLAGS],
    action: Action::Run(compose::ps),
    ..LEAF
};

pub(crate) static COMPOSE_PUBLISH: Command = Command {
    name: "publish",
    usage: "[OPTIONS] REPOSITORY[:TAG]",
    short: "Publish compose application",
    flags: &[COMPOSE_ALPHA_PUBLISH_FLAGS],
    action: Action::NotYet,
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

const COMPOSE_RESTART_FLAGS: &[Flag] = &[
    Flag::new("no-deps", Kind::Bool, "Don't restart dependent services"),
    Flag::new("timeout", Kind::Int, "Specify a shutdown timeout in seconds").short('t'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_RESTART: Command = Command {
    name: "restart",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Restart service containers",
    flags: &[COMPOSE_RESTART_FLAGS],
    action: Action::Run(compose::restart),
    ..LEAF
};

const COMPOSE_RM_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Deprecated - no effect").short('a').hidden(),
    Flag::new("force", Kind::Bool, "Don't ask to confirm removal").short('f'),
    Flag::new("stop", Kind::Bool, "Stop the containers, if required, before removing").short('s'),
    Flag::new("volumes", Kind::Bool, "Remove any anonymous volumes attached to containers").short('v'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_RM: Command = Command {
    name: "rm",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Removes stopped service containers",
    long: "Removes stopped service containers

By default, anonymous volumes attached to containers will not be removed. You
can override this with -v. To list all volumes, use \"docker volume ls\".

Any data which is not in a volume will be lost.",
    flags: &[COMPOSE_RM_FLAGS],
    action: Action::Run(compose::rm),
    ..LEAF
};

const COMPOSE_RUN_FLAGS: &[Flag] = &[
    Flag::new("build", Kind::Bool, "Build image before starting container"),
    Flag::new("cap-add", Kind::List, "Add Linux capabilities"),
    Flag::new("cap-drop", Kind::List, "Drop Linux capabilities"),
    Flag::new("detach", Kind::Bool, "Run container in background and print container ID").short('d'),
    Flag::new("entrypoint", Kind::String, "Override the entrypoint of the image"),
    Flag::new("env", Kind::StringArray, "Set environment variables").short('e'),
    Flag::new("env-from-file", Kind::StringArray, "Set environment variables from file"),
    Flag::new("interactive", Kind::Bool, "Keep STDIN open even if not attached").short('i').default("true"),
    Flag::new("label", Kind::StringArray, "Add or override a label").short('l'),
    Flag::new("name", Kind::String, "Assign a name to the container"),
    Flag::new("no-deps", Kind::Bool, "Don't start linked services"),
    Flag::new("no-tty", Kind::Bool, "Disable pseudo-TTY allocation (default: auto-detected)").hidden(),
    Flag::new("publish", Kind::StringArray, "Publish a container's port(s) to the host").short('p'),
    Flag::new("pull", Kind::String, "Pull image before running (\"always\"|\"missing\"|\"never\")")
        .default("policy"),
    Flag::new("quiet", Kind::Bool, "Don't print anything to STDOUT").short('q'),
    Flag::new("quiet-build", Kind::Bool, "Suppress progress output from the build process"),
    Flag::new("quiet-pull", Kind::Bool, "Pull without printing progress information"),
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new("rm", Kind::Bool, "Automatically remove the container when it exits"),
    Flag::new(
        "service-ports",
        Kind::Bool,
        "Run command with all service's ports enabled and mapped to the host",
    )
    .short('P'),
    Flag::new("tty", Kind::Bool, "Allocate a pseudo-TTY").short('t').default("true").hidden(),
    Flag::new(
        "use-aliases",
        Kind::Bool,
        "Use the service's network useAliases in the network(s) the container connects to",
    ),
    Flag::new("user", Kind::String, "Run as specified username or uid").short('u'),
    Flag::new("volume", Kind::StringArray, "Bind mount a volume").short('v'),
    Flag::new("workdir", Kind::String, "Working directory inside the container").short('w'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
    Flag::new("no-TTY", Kind::Bool, "Disable pseudo-TTY allocation (default: auto-detected)")
        .short('T')
        .default("true"),
];

pub(crate) static COMPOSE_RUN: Command = Command {
    name: "run",
    usage: "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
    short: "Run a one-off command on a service",
    flags: &[COMPOSE_RUN_FLAGS],
    stop_at_positional: true,
    action: Action::Run(compose::run),
    ..LEAF
};

const COMPOSE_SCALE_FLAGS: &[Flag] = &[
    Flag::new("no-deps", Kind::Bool, "Don't start linked services"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_SCALE: Command = Command {
    name: "scale",
    usage: "[SERVICE=REPLICAS...]",
    short: "Scale services",
    flags: &[COMPOSE_SCALE_FLAGS],
    action: Action::Run(compose::scale),
    ..LEAF
};

const COMPOSE_START_FLAGS: &[Flag] = &[
    Flag::new("wait", Kind::Bool, "Wait for services to be running|healthy. Implies detached mode.")
        .hidden()
        .missing(),
    Flag::new(
        "wait-timeout",
        Kind::Int,
        "Maximum duration in seconds to wait for the project to be running|healthy",
    )
    .hidden()
    .missing(),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_START: Command = Command {
    name: "start",
    usage: "[SERVICE...]",
    short: "Start services",
    flags: &[COMPOSE_START_FLAGS],
    action: Action::Run(compose::start),
    ..LEAF
};

const COMPOSE_STATS_FLAGS: &[Flag] = &[
    Flag::new("all", Kind::Bool, "Show all containers").short('a').default("shows just running"),
    Flag::new(
        "format",
        Kind::String,
        "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/engine/cli/formatting/ for more information about formatting output with templates",
    ),
    Flag::new("no-stream", Kind::Bool, "Disable streaming stats and only pull the first result"),
    Flag::new("no-trunc", Kind::Bool, "Do not truncate output"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_STATS: Command = Command {
    name: "stats",
    usage: "[OPTIONS] [SERVICE]",
    short: "Display a live stream of container(s) resource usage statistics",
    flags: &[COMPOSE_STATS_FLAGS],
    action: Action::Run(compose::stats),
    ..LEAF
};

const COMPOSE_STOP_FLAGS: &[Flag] = &[
    Flag::new("timeout", Kind::Int, "Specify a shutdown timeout in seconds").short('t'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_STOP: Command = Command {
    name: "stop",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Stop services",
    flags: &[COMPOSE_STOP_FLAGS],
    action: Action::Run(compose::stop),
    ..LEAF
};

pub(crate) static COMPOSE_TOP: Command = Command {
    name: "top",
    usage: "[SERVICES...]",
    short: "Display the running processes",
    flags: &[COMPOSE_ALPHA_FLAGS],
    action: Action::Run(compose::top),
    ..LEAF
};

pub(crate) static COMPOSE_UNPAUSE: Command = Command {
    name: "unpause",
    usage: "[SERVICE...]",
    short: "Unpause services",
    flags: &[COMPOSE_ALPHA_FLAGS],
    action: Action::Run(compose::unpause),
    ..LEAF
};

const COMPOSE_UP_FLAGS: &[Flag] = &[
    Flag::new("abort-on-container-exit", Kind::Bool, "Stops all containers if any container was stopped. Incompatible with -d"),
    Flag::new("abort-on-container-failure", Kind::Bool, "Stops all containers if any container exited with failure. Incompatible with -d"),
    Flag::new("always-recreate-deps", Kind::Bool, "Recreate dependent containers. Incompatible with --no-recreate."),
    Flag::new("attach", Kind::StringArray, "Restrict attaching to the specified services. Incompatible with --attach-dependencies."),
    Flag::new("attach-dependencies", Kind::Bool, "Automatically attach to log output of dependent services"),
    Flag::new("build", Kind::Bool, "Build images before starting containers"),
    Flag::new("detach", Kind::Bool, "Detached mode: Run containers in the background").short('d'),
    Flag::new("exit-code-from", Kind::String, "Return the exit code of the selected service container. Implies --abort-on-container-exit"),
    Flag::new("force-recreate", Kind::Bool, "Recreate containers even if their configuration and image haven't changed"),
    Flag::new("menu", Kind::Bool, "Enable interactive shortcuts when running attached. Incompatible with --detach. Can also be enable/disable by setting COMPOSE_MENU environment var."),
    Flag::new("no-attach", Kind::StringArray, "Do not attach (stream logs) to the specified services"),
    Flag::new("no-build", Kind::Bool, "Don't build an image, even if it's policy"),
    Flag::new("no-color", Kind::Bool, "Produce monochrome output"),
    Flag::new("no-deps", Kind::Bool, "Don't start linked services"),
    Flag::new("no-log-prefix", Kind::Bool, "Don't print prefix in logs"),
    Flag::new("no-recreate", Kind::Bool, "If containers already exist, don't recreate them. Incompatible with --force-recreate."),
    Flag::new("no-start", Kind::Bool, "Don't start the services after creating them"),
    Flag::new("pull", Kind::String, "Pull image before running (\"always\"|\"missing\"|\"never\")").default("policy"),
    Flag::new("quiet-build", Kind::Bool, "Suppress the build output"),
    Flag::new("quiet-pull", Kind::Bool, "Pull without printing progress information"),
    Flag::new("remove-orphans", Kind::Bool, "Remove containers for services not defined in the Compose file"),
    Flag::new("renew-anon-volumes", Kind::Bool, "Recreate anonymous volumes instead of retrieving data from the previous containers").short('V'),
    Flag::new("scale", Kind::StringArray, "Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file if present."),
    Flag::new("timeout", Kind::Int, "Use this timeout in seconds for container shutdown when attached or when containers are already running").short('t'),
    Flag::new("timestamps", Kind::Bool, "Show timestamps"),
    Flag::new("wait", Kind::Bool, "Wait for services to be running|healthy. Implies detached mode."),
    Flag::new("wait-timeout", Kind::Int, "Maximum duration in seconds to wait for the project to be running|healthy"),
    Flag::new("watch", Kind::Bool, "Watch source code and rebuild/refresh containers when files are updated.").short('w'),
    Flag::new("yes", Kind::Bool, "Assume \"yes\" as answer to all prompts and run non-interactively").short('y'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_UP: Command = Command {
    name: "up",
    usage: "[OPTIONS] [SERVICE...]",
    short: "Create and start containers",
    flags: &[COMPOSE_UP_FLAGS],
    action: Action::Run(compose::up),
    ..LEAF
};

const COMPOSE_PLAN_FLAGS: &[Flag] = &[
    Flag::new("always-recreate-deps", Kind::Bool, "Plan for `up --always-recreate-deps`"),
    Flag::new("force-recreate", Kind::Bool, "Plan for `up --force-recreate`"),
    Flag::new("no-deps", Kind::Bool, "Leave out services that the named ones depend on"),
    Flag::new("no-recreate", Kind::Bool, "Plan for `up --no-recreate`"),
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

const COMPOSE_VOLUMES_FLAGS: &[Flag] = &[
    Flag::new("format", Kind::String, "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.\nRefer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates").default("table"),
    Flag::new("quiet", Kind::Bool, "Only display volume names").short('q'),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_VOLUMES: Command = Command {
    name: "volumes",
    usage: "[OPTIONS] [SERVICE...]",
    short: "List volumes",
    flags: &[COMPOSE_VOLUMES_FLAGS],
    action: Action::Run(compose::volumes),
    ..LEAF
};

const COMPOSE_WAIT_FLAGS: &[Flag] = &[
    Flag::new("down-project", Kind::Bool, "Drops project when the first container stops"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode"),
];

pub(crate) static COMPOSE_WAIT: Command = Command {
    name: "wait",
    usage: "SERVICE [SERVICE...] [OPTIONS]",
    short: "Block until containers of all (or specified) services stop.",
    flags: &[COMPOSE_WAIT_FLAGS],
    action: Action::Run(compose::wait),
    ..LEAF
};

const COMPOSE_WATCH_FLAGS: &[Flag] = &[
    Flag::new("no-up", Kind::Bool, "Do not build & start services before watching"),
    Flag::new("prune", Kind::Bool, "Prune dangling images on rebuild").default("true"),
    Flag::new("quiet", Kind::Bool, "hide build output"),
    Flag::new("dry-run", Kind::Bool, "Execute command in dry run mode").missing(),
];

pub(crate) static COMPOSE_WATCH: Command = Command {
    name: "watch",
    usage: "[SERVICE...]",
    short: "Watch build context for service and rebuild/refresh containers when files are updated",
    flags: &[COMPOSE_WATCH_FLAGS],
    action: Action::Run(compose::watch),
    ..LEAF
};
