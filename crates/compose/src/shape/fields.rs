//! The fields of everything in a project, in the order in which docker's client writes them.

use super::{Kind, Struct};
use Kind::{
    Always, Any, Bytes, Command, Flag, Hosts, Labels, List, Lists, Map, Maybe, MaybeSpan, MaybeWhole, Mode,
    Number, Span, Ssh, Test, Text, Texts, Ulimit, Variables, Whole,
};

/// A project.
pub(crate) static PROJECT: Struct = Struct {
    fields: &[
        ("name", Text),
        ("services", Map(&Kind::Struct(&SERVICE))),
        ("networks", Map(&Kind::Struct(&NETWORK))),
        ("volumes", Map(&Kind::Struct(&VOLUME))),
        ("secrets", Map(&Kind::Struct(&FILE_OBJECT))),
        ("configs", Map(&Kind::Struct(&FILE_OBJECT))),
        ("models", Map(&Kind::Struct(&MODEL))),
    ],
};

/// A service.
pub(crate) static SERVICE: Struct = Struct {
    fields: &[
        ("profiles", Texts),
        ("annotations", Labels),
        ("attach", Maybe),
        ("build", Kind::Struct(&BUILD)),
        ("develop", Kind::Struct(&DEVELOP)),
        ("blkio_config", Kind::Struct(&BLKIO)),
        ("cap_add", Texts),
        ("cap_drop", Texts),
        ("cgroup_parent", Text),
        ("cgroup", Text),
        ("cpu_count", Whole),
        ("cpu_percent", Number),
        ("cpu_period", Whole),
        ("cpu_quota", Whole),
        ("cpu_rt_period", Whole),
        ("cpu_rt_runtime", Whole),
        ("cpus", Number),
        ("cpuset", Text),
        ("cpu_shares", Whole),
        ("command", Command),
        ("configs", List(&Kind::Struct(&MOUNTED_FILE))),
        ("container_name", Text),
        ("credential_spec", Kind::Struct(&CREDENTIAL_SPEC)),
        ("depends_on", Map(&Kind::Struct(&DEPENDENCY))),
        ("deploy", Kind::Struct(&DEPLOY)),
        ("device_cgroup_rules", Texts),
        ("devices", List(&Kind::Struct(&DEVICE))),
        ("dns", Texts),
        ("dns_opt", Texts),
        ("dns_search", Texts),
        ("domainname", Text),
        ("entrypoint", Command),
        ("provider", Kind::Struct(&PROVIDER)),
        ("environment", Variables),
        ("env_file", List(&Kind::Struct(&ENV_FILE))),
        ("expose", Texts),
        ("extends", Kind::Struct(&EXTENDS)),
        ("external_links", Texts),
        ("extra_hosts", Hosts),
        ("group_add", Texts),
        ("gpus", List(&Kind::Struct(&DEVICE_REQUEST))),
        ("hostname", Text),
        ("healthcheck", Kind::Struct(&HEALTHCHECK)),
        ("image", Text),
        ("init", Maybe),
        ("ipc", Text),
        ("isolation", Text),
        ("labels", Labels),
        ("label_file", Texts),
        ("links", Texts),
        ("logging", Kind::Struct(&LOGGING)),
        ("mem_limit", Bytes),
        ("mem_reservation", Bytes),
        ("memswap_limit", Bytes),
        ("mem_swappiness", Bytes),
        ("mac_address", Text),
        ("models", Map(&Kind::Struct(&SERVICE_MODEL))),
        ("network_mode", Text),
        ("networks", Map(&Kind::Struct(&SERVICE_NETWORK))),
        ("oom_kill_disable", Flag),
        ("oom_score_adj", Whole),
        ("pid", Text),
        ("pids_limit", Whole),
        ("platform", Text),
        ("ports", List(&Kind::Struct(&PORT))),
        ("privileged", Flag),
        ("pull_policy", Text),
        ("read_only", Flag),
        ("restart", Text),
        ("runtime", Text),
        ("scale", MaybeWhole),
        ("secrets", List(&Kind::Struct(&MOUNTED_FILE))),
        ("security_opt", Texts),
        ("shm_size", Bytes),
        ("stdin_open", Flag),
        ("stop_grace_period", MaybeSpan),
        ("stop_signal", Text),
        ("storage_opt", Labels),
        ("sysctls", Labels),
        ("tmpfs", Texts),
        ("tty", Flag),
        ("ulimits", Map(&Ulimit)),
        ("use_api_socket", Flag),
        ("user", Text),
        ("userns_mode", Text),
        ("uts", Text),
        ("volumes", List(&Kind::Struct(&MOUNT))),
        ("volumes_from", Texts),
        ("working_dir", Text),
        ("pre_start", List(&Kind::Struct(&HOOK))),
        ("post_start", List(&Kind::Struct(&HOOK))),
        ("pre_stop", List(&Kind::Struct(&HOOK))),
    ],
};

static BUILD: Struct = Struct {
    fields: &[
        ("context", Text),
        ("dockerfile", Text),
        ("dockerfile_inline", Text),
        ("entitlements", Texts),
        ("args", Variables),
        ("provenance", Text),
        ("sbom", Text),
        ("ssh", Ssh),
        ("labels", Labels),
        ("cache_from", Texts),
        ("cache_to", Texts),
        ("no_cache", Flag),
        ("no_cache_filter", Texts),
        ("additional_contexts", Labels),
        ("pull", Flag),
        ("extra_hosts", Hosts),
        ("isolation", Text),
        ("network", Text),
        ("target", Text),
        ("secrets", List(&Kind::Struct(&MOUNTED_FILE))),
        ("shm_size", Bytes),
        ("tags", Texts),
        ("ulimits", Map(&Ulimit)),
        ("platforms", Texts),
        ("privileged", Flag),
    ],
};

static DEVELOP: Struct = Struct { fields: &[("watch", List(&Kind::Struct(&TRIGGER)))] };

static TRIGGER: Struct = Struct {
    fields: &[
        ("path", Text),
        ("action", Text),
        ("target", Text),
        ("exec", Kind::Always(&HOOK)),
        ("include", Texts),
        ("ignore", Texts),
        ("initial_sync", Flag),
    ],
};

static HOOK: Struct = Struct {
    fields: &[
        ("command", Command),
        ("image", Text),
        ("per_replica", Maybe),
        ("user", Text),
        ("privileged", Flag),
        ("working_dir", Text),
        ("environment", Variables),
    ],
};

static BLKIO: Struct = Struct {
    fields: &[
        ("weight", Whole),
        ("weight_device", List(&Kind::Struct(&WEIGHT))),
        ("device_read_bps", List(&Kind::Struct(&RATE))),
        ("device_read_iops", List(&Kind::Struct(&RATE))),
        ("device_write_bps", List(&Kind::Struct(&RATE))),
        ("device_write_iops", List(&Kind::Struct(&RATE))),
    ],
};
static WEIGHT: Struct = Struct { fields: &[("path", Text), ("weight", Whole)] };
static RATE: Struct = Struct { fields: &[("path", Text), ("rate", Bytes)] };
static MOUNTED_FILE: Struct =
    Struct { fields: &[("source", Text), ("target", Text), ("uid", Text), ("gid", Text), ("mode", Mode)] };
static CREDENTIAL_SPEC: Struct = Struct { fields: &[("config", Text), ("file", Text), ("registry", Text)] };
static DEPENDENCY: Struct = Struct { fields: &[("condition", Text), ("restart", Flag), ("required", Maybe)] };

static DEPLOY: Struct = Struct {
    fields: &[
        ("mode", Text),
        ("replicas", MaybeWhole),
        ("labels", Labels),
        ("update_config", Kind::Struct(&UPDATE)),
        ("rollback_config", Kind::Struct(&UPDATE)),
        ("resources", Always(&RESOURCES)),
        ("restart_policy", Kind::Struct(&RESTART)),
        ("placement", Always(&PLACEMENT)),
        ("endpoint_mode", Text),
    ],
};
static UPDATE: Struct = Struct {
    fields: &[
        ("parallelism", MaybeWhole),
        ("delay", Span),
        ("failure_action", Text),
        ("monitor", Span),
        ("max_failure_ratio", Number),
        ("order", Text),
    ],
};
static RESOURCES: Struct =
    Struct { fields: &[("limits", Kind::Struct(&RESOURCE)), ("reservations", Kind::Struct(&RESOURCE))] };
static RESOURCE: Struct = Struct {
    fields: &[
        ("cpus", Number),
        ("memory", Bytes),
        ("pids", Whole),
        ("devices", List(&Kind::Struct(&DEVICE_REQUEST))),
        ("generic_resources", List(&Kind::Struct(&GENERIC))),
    ],
};
static GENERIC: Struct = Struct { fields: &[("discrete_resource_spec", Kind::Struct(&DISCRETE))] };
static DISCRETE: Struct = Struct { fields: &[("kind", Text), ("value", Whole)] };
static DEVICE_REQUEST: Struct = Struct {
    fields: &[
        ("capabilities", Texts),
        ("driver", Text),
        ("count", Whole),
        ("device_ids", Texts),
        ("options", Labels),
    ],
};
static RESTART: Struct = Struct {
    fields: &[("condition", Text), ("delay", MaybeSpan), ("max_attempts", MaybeWhole), ("window", MaybeSpan)],
};
static PLACEMENT: Struct = Struct {
    fields: &[
        ("constraints", Texts),
        ("preferences", List(&Kind::Struct(&PREFERENCE))),
        ("max_replicas_per_node", Whole),
    ],
};
static PREFERENCE: Struct = Struct { fields: &[("spread", Text)] };
static DEVICE: Struct = Struct { fields: &[("source", Text), ("target", Text), ("permissions", Text)] };
static PROVIDER: Struct = Struct { fields: &[("type", Text), ("options", Lists)] };
static ENV_FILE: Struct = Struct { fields: &[("path", Text), ("required", Maybe), ("format", Text)] };
static EXTENDS: Struct = Struct { fields: &[("file", Text), ("service", Text)] };
static HEALTHCHECK: Struct = Struct {
    fields: &[
        ("test", Test),
        ("timeout", MaybeSpan),
        ("interval", MaybeSpan),
        ("retries", MaybeWhole),
        ("start_period", MaybeSpan),
        ("start_interval", MaybeSpan),
        ("disable", Flag),
    ],
};
static LOGGING: Struct = Struct { fields: &[("driver", Text), ("options", Labels)] };
static SERVICE_MODEL: Struct = Struct { fields: &[("endpoint_var", Text), ("model_var", Text)] };
static SERVICE_NETWORK: Struct = Struct {
    fields: &[
        ("aliases", Texts),
        ("driver_opts", Labels),
        ("gw_priority", Whole),
        ("interface_name", Text),
        ("ipv4_address", Text),
        ("ipv6_address", Text),
        ("link_local_ips", Texts),
        ("mac_address", Text),
        ("priority", Whole),
    ],
};
static PORT: Struct = Struct {
    fields: &[
        ("name", Text),
        ("mode", Text),
        ("host_ip", Text),
        ("target", Whole),
        ("published", Text),
        ("protocol", Text),
        ("app_protocol", Text),
    ],
};
static MOUNT: Struct = Struct {
    fields: &[
        ("type", Text),
        ("source", Text),
        ("target", Text),
        ("read_only", Flag),
        ("consistency", Text),
        ("bind", Kind::Struct(&BIND)),
        ("volume", Kind::Struct(&MOUNTED_VOLUME)),
        ("tmpfs", Kind::Struct(&TMPFS)),
        ("image", Kind::Struct(&MOUNTED_IMAGE)),
        // Ours, and part of what a service is: who changes it gets another container.
        ("x-idmap", Flag),
    ],
};
static BIND: Struct = Struct {
    fields: &[("selinux", Text), ("propagation", Text), ("create_host_path", Flag), ("recursive", Text)],
};
static MOUNTED_VOLUME: Struct = Struct { fields: &[("labels", Labels), ("nocopy", Flag), ("subpath", Text)] };
static TMPFS: Struct = Struct { fields: &[("size", Bytes), ("mode", Whole)] };
static MOUNTED_IMAGE: Struct = Struct { fields: &[("subpath", Text)] };

static NETWORK: Struct = Struct {
    fields: &[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", Labels),
        ("ipam", Always(&IPAM)),
        ("external", Flag),
        ("internal", Flag),
        ("attachable", Flag),
        ("labels", Labels),
        ("enable_ipv4", Maybe),
        ("enable_ipv6", Maybe),
    ],
};
static IPAM: Struct = Struct { fields: &[("driver", Text), ("config", List(&Kind::Struct(&POOL)))] };
static POOL: Struct =
    Struct { fields: &[("subnet", Text), ("gateway", Text), ("ip_range", Text), ("aux_addresses", Labels)] };
static VOLUME: Struct = Struct {
    fields: &[
        ("name", Text),
        ("driver", Text),
        ("driver_opts", Labels),
        ("external", Flag),
        ("labels", Labels),
    ],
};
static FILE_OBJECT: Struct = Struct {
    fields: &[
        ("name", Text),
        ("file", Text),
        ("environment", Text),
        ("content", Text),
        ("external", Flag),
        ("labels", Labels),
        ("driver", Text),
        ("driver_opts", Labels),
        ("template_driver", Text),
    ],
};
static MODEL: Struct =
    Struct { fields: &[("name", Text), ("model", Text), ("context_size", Whole), ("runtime_flags", Texts)] };

/// What begins with `x-`.
pub(super) const EXTENSION: Kind = Any;
