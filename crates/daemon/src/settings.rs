//! Every setting of dockerd: its key in `daemon.json`, its flag, and what becomes of it here.
//!
//! A setting that doesn't work is refused by name, wherever it is given, unless its value asks for what is the case
//! anyway (`--restart`: containers with a policy are started again).

use serde_json::{Value, json};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// In `daemon.json`; a dot stands for nesting.
    pub(crate) key: &'static str,
    /// On the command line; empty where there is none.
    pub(crate) flag: &'static str,
    pub(crate) shape: Shape,
    pub(crate) support: Support,
    /// Values of an unsupported setting that ask for what is the case anyway.
    pub(crate) fits: &'static [&'static str],
}

/// What a value looks like in `daemon.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Flag,
    Text,
    Number,
    /// A number of bytes, or a text such as `64m`.
    Size,
    List,
    Map,
    Runtimes,
    /// `{"base": …, "size": …}`, several of them; `base=…,size=…` on the command line.
    Pools,
    /// `{driver: {option: value}}`; `driver=option=value` on the command line.
    NetworkOptions,
    /// Of an unsupported setting: whatever it is.
    Other,
}

/// What becomes of a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Support {
    Done,
    NotYet(&'static str),
    Refused(&'static str),
}

const fn setting(
    key: &'static str,
    flag: &'static str,
    shape: Shape,
    support: Support,
    fits: &'static [&'static str],
) -> Setting {
    Setting { key, flag, shape, support, fits }
}

#[rustfmt::skip]
pub(crate) const SETTINGS: &[Setting] = &[
    setting("allow-direct-routing", "allow-direct-routing", Shape::Flag, Support::Done, &[]),
    setting("authorization-plugins", "authorization-plugin", Shape::List, Support::Refused("authorization plugins are not part of Ketch"), &[]),
    setting("bip", "bip", Shape::Text, Support::Done, &[]),
    setting("bip6", "bip6", Shape::Text, Support::Done, &[]),
    setting("bridge", "bridge", Shape::Text, Support::Done, &[]),
    setting("bridge-accept-fwmark", "bridge-accept-fwmark", Shape::Text, Support::NotYet("it can not be set in this version yet"), &[]),
    setting("builder", "", Shape::Other, Support::Done, &[]),
    setting("cdi-spec-dirs", "cdi-spec-dir", Shape::List, Support::Done, &[]),
    setting("cgroup-parent", "cgroup-parent", Shape::Text, Support::Done, &[]),
    setting("containerd", "containerd", Shape::Text, Support::Refused("Ketch is its own containerd"), &[]),
    setting("containerd-namespace", "containerd-namespace", Shape::Text, Support::Refused("Ketch is its own containerd"), &[]),
    setting("containerd-plugin-namespace", "containerd-plugins-namespace", Shape::Text, Support::Refused("Ketch is its own containerd"), &[]),
    setting("cpu-rt-period", "cpu-rt-period", Shape::Number, Support::Refused("the kernel's real-time group scheduling is not offered"), &[]),
    setting("cpu-rt-runtime", "cpu-rt-runtime", Shape::Number, Support::Refused("the kernel's real-time group scheduling is not offered"), &[]),
    setting("cri-containerd", "cri-containerd", Shape::Flag, Support::Refused("Ketch is its own containerd"), &["false"]),
    setting("data-root", "data-root", Shape::Text, Support::Done, &[]),
    setting("debug", "debug", Shape::Flag, Support::Done, &[]),
    setting("default-address-pools", "default-address-pool", Shape::Pools, Support::Done, &[]),
    setting("default-cgroupns-mode", "default-cgroupns-mode", Shape::Text, Support::NotYet("a container's cgroup namespace is the host's unless it asks for its own"), &["host"]),
    setting("default-gateway", "default-gateway", Shape::Text, Support::Done, &[]),
    setting("default-gateway-v6", "default-gateway-v6", Shape::Text, Support::Done, &[]),
    setting("default-init", "", Shape::Text, Support::NotYet("`--init` does not exist in this version yet"), &[]),
    setting("default-ipc-mode", "default-ipc-mode", Shape::Text, Support::NotYet("a container's IPC is private in this version"), &["private"]),
    setting("default-network-opts", "default-network-opt", Shape::NetworkOptions, Support::Done, &[]),
    setting("default-runtime", "default-runtime", Shape::Text, Support::Done, &[]),
    setting("default-shm-size", "default-shm-size", Shape::Size, Support::Done, &[]),
    setting("default-stop-timeout", "default-stop-timeout", Shape::Number, Support::Done, &[]),
    setting("default-ulimits", "default-ulimit", Shape::Other, Support::NotYet("ulimits do not exist in this version yet"), &[]),
    setting("dns", "dns", Shape::List, Support::NotYet("it can not be set in this version yet"), &[]),
    setting("dns-opts", "dns-opt", Shape::List, Support::NotYet("it can not be set in this version yet"), &[]),
    setting("dns-search", "dns-search", Shape::List, Support::NotYet("it can not be set in this version yet"), &[]),
    setting("exec-opts", "exec-opt", Shape::List, Support::Done, &[]),
    setting("exec-root", "exec-root", Shape::Text, Support::Done, &[]),
    setting("experimental", "experimental", Shape::Flag, Support::Done, &[]),
    setting("features", "feature", Shape::Map, Support::Done, &[]),
    setting("firewall-backend", "firewall-backend", Shape::Text, Support::Refused("the firewall is always nftables"), &[]),
    setting("fixed-cidr", "fixed-cidr", Shape::Text, Support::Done, &[]),
    setting("fixed-cidr-v6", "fixed-cidr-v6", Shape::Text, Support::Done, &[]),
    setting("group", "group", Shape::Text, Support::Done, &[]),
    setting("host-gateway-ip", "", Shape::Text, Support::Done, &[]),
    setting("host-gateway-ips", "host-gateway-ip", Shape::List, Support::Done, &[]),
    setting("hosts", "host", Shape::List, Support::Done, &[]),
    setting("icc", "icc", Shape::Flag, Support::Done, &[]),
    setting("idle-timeout", "idle-timeout", Shape::Text, Support::Done, &[]),
    setting("init", "init", Shape::Flag, Support::Done, &[]),
    setting("init-path", "init-path", Shape::Text, Support::Refused("the init is part of the binary"), &[]),
    setting("insecure-registries", "insecure-registry", Shape::List, Support::Done, &[]),
    setting("ip", "ip", Shape::Text, Support::Done, &[]),
    setting("ip-forward", "ip-forward", Shape::Flag, Support::Done, &[]),
    setting("ip-forward-no-drop", "ip-forward-no-drop", Shape::Flag, Support::Refused("the policy of other tables is never changed"), &["true"]),
    setting("ip-masq", "ip-masq", Shape::Flag, Support::Done, &[]),
    setting("ip6tables", "ip6tables", Shape::Flag, Support::Refused("networks are always kept apart, by a table of nftables"), &["true"]),
    setting("iptables", "iptables", Shape::Flag, Support::Refused("networks are always kept apart, by a table of nftables"), &["true"]),
    setting("ipv6", "ipv6", Shape::Flag, Support::Done, &[]),
    setting("labels", "label", Shape::List, Support::Done, &[]),
    setting("live-restore", "live-restore", Shape::Flag, Support::Done, &[]),
    setting("log-budget", "log-budget", Shape::Text, Support::Done, &[]),
    setting("log-driver", "log-driver", Shape::Text, Support::Done, &[]),
    setting("log-format", "log-format", Shape::Text, Support::Done, &[]),
    setting("log-level", "log-level", Shape::Text, Support::Done, &[]),
    setting("log-opts", "log-opt", Shape::Map, Support::Done, &[]),
    setting("max-concurrent-downloads", "max-concurrent-downloads", Shape::Number, Support::Done, &[]),
    setting("max-concurrent-uploads", "max-concurrent-uploads", Shape::Number, Support::Done, &[]),
    setting("max-download-attempts", "max-download-attempts", Shape::Number, Support::Done, &[]),
    setting("metrics-addr", "metrics-addr", Shape::Text, Support::NotYet("metrics do not exist in this version yet"), &[]),
    setting("min-api-version", "", Shape::Text, Support::Done, &[]),
    setting("mtu", "mtu", Shape::Number, Support::Done, &[]),
    setting("network-control-plane-mtu", "network-control-plane-mtu", Shape::Number, Support::Refused("Swarm is not part of Ketch"), &[]),
    setting("network-diagnostic-port", "network-diagnostic-port", Shape::Number, Support::Refused("Swarm is not part of Ketch"), &[]),
    setting("no-new-privileges", "no-new-privileges", Shape::Flag, Support::Done, &[]),
    setting("node-generic-resources", "node-generic-resource", Shape::List, Support::Refused("Swarm is not part of Ketch"), &[]),
    setting("nri-opts", "nri-opts", Shape::Other, Support::Refused("NRI plugins are not part of Ketch"), &[]),
    setting("pidfile", "pidfile", Shape::Text, Support::Done, &[]),
    setting("proxies.http-proxy", "http-proxy", Shape::Text, Support::Done, &[]),
    setting("proxies.https-proxy", "https-proxy", Shape::Text, Support::Done, &[]),
    setting("proxies.no-proxy", "no-proxy", Shape::Text, Support::Done, &[]),
    setting("raw-logs", "raw-logs", Shape::Flag, Support::Done, &[]),
    setting("registry", "", Shape::Text, Support::Done, &[]),
    setting("registry-mirrors", "registry-mirror", Shape::List, Support::Done, &[]),
    setting("resolv-conf", "", Shape::Text, Support::Done, &[]),
    setting("restart", "restart", Shape::Flag, Support::Refused("dockerd deprecated it: use `--restart` of `run`"), &["true"]),
    setting("rootless", "rootless", Shape::Flag, Support::Refused("the engine needs root in this version"), &["false"]),
    setting("runtimes", "add-runtime", Shape::Runtimes, Support::Done, &[]),
    setting("seccomp-profile", "seccomp-profile", Shape::Text, Support::Done, &[]),
    setting("selinux-enabled", "selinux-enabled", Shape::Flag, Support::NotYet("SELinux labels do not exist in this version yet"), &["false"]),
    setting("shutdown-timeout", "shutdown-timeout", Shape::Number, Support::Done, &[]),
    setting("storage-driver", "storage-driver", Shape::Text, Support::Done, &[]),
    setting("storage-opts", "storage-opt", Shape::List, Support::Done, &[]),
    setting("swarm-default-advertise-addr", "swarm-default-advertise-addr", Shape::Text, Support::Refused("Swarm is not part of Ketch"), &[]),
    setting("swarm-raft-election-tick", "", Shape::Number, Support::Refused("Swarm is not part of Ketch"), &[]),
    setting("swarm-raft-heartbeat-tick", "", Shape::Number, Support::Refused("Swarm is not part of Ketch"), &[]),
    setting("tls", "tls", Shape::Flag, Support::Done, &[]),
    setting("tlscacert", "tlscacert", Shape::Text, Support::Done, &[]),
    setting("tlscert", "tlscert", Shape::Text, Support::Done, &[]),
    setting("tlskey", "tlskey", Shape::Text, Support::Done, &[]),
    setting("tlsverify", "tlsverify", Shape::Flag, Support::Done, &[]),
    setting("userland-proxy", "userland-proxy", Shape::Flag, Support::Done, &[]),
    setting("userland-proxy-path", "userland-proxy-path", Shape::Text, Support::Refused("a container's shim is its proxy: there is no program for it"), &[]),
    setting("volume-plugin-timeout", "volume-plugin-timeout", Shape::Text, Support::Done, &[]),
    setting("userns-remap", "userns-remap", Shape::Text, Support::Done, &[]),
];

/// What SIGHUP may change.
pub(crate) const RELOADABLE: &[&str] = &[
    "debug",
    "default-runtime",
    "features",
    "insecure-registries",
    "labels",
    "live-restore",
    "log-level",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "registry-mirrors",
    "runtimes",
    "shutdown-timeout",
];

impl Setting {
    /// The setting with this key.
    pub(crate) fn of_key(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The setting with this flag.
    pub(crate) fn of_flag(flag: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.flag == flag)
    }
}

/// dockerd's environment variables, and the switches inside `features`: what each does here.
#[rustfmt::skip]
pub(crate) const VARIABLES: &[(&str, Support)] = &[
    ("DOCKER_BUILDKIT_RUNC_COMMAND", Support::Refused("the runtime is part of the binary")),
    ("DOCKER_CERT_PATH", Support::Done),
    ("DOCKER_CONFIG", Support::Refused("the engine reads no client's configuration")),
    ("DOCKER_CONTAINER_LABELS_FILTER", Support::Refused("labels are never filtered")),
    ("DOCKER_DRIVER", Support::Refused("say --storage-driver")),
    ("DOCKER_IGNORE_BR_NETFILTER_ERROR", Support::Refused("br_netfilter is never used")),
    ("DOCKER_INSECURE_NO_IPTABLES_RAW", Support::Refused("iptables is never used")),
    ("DOCKER_KEEP_DEPRECATED_LEGACY_LINKS_ENV_VARS", Support::NotYet("links come with networks")),
    ("DOCKER_MIGRATE_SNAPSHOTTER_THRESHOLD", Support::Refused("there is one image store")),
    ("DOCKER_MIN_API_VERSION", Support::Done),
    ("DOCKER_RAMDISK", Support::Refused("a root is entered by pivot_root only")),
    ("DOCKER_SERVICE_PREFER_OFFLINE_IMAGE", Support::Refused("Swarm is not part of Ketch")),
    ("DOCKER_TLS_VERIFY", Support::Done),
    ("DOCKER_TMPDIR", Support::Refused("what is received is written where it will lie, below the data root")),
    ("DOCKER_WINDOWSFILTER_NOREEXEC", Support::Refused("it exists for Windows only")),
    ("LIBCONTAINERD_NOCLEAN", Support::Refused("Ketch is its own containerd")),
    ("NETWORKDBKEYLOGFILE", Support::Refused("Swarm is not part of Ketch")),
    ("ROOTLESSKIT_PARENT_EUID", Support::Refused("the engine needs root in this version")),
    ("ROOTLESSKIT_STATE_DIR", Support::Refused("the engine needs root in this version")),
    ("_DOCKERD_ROOTLESS_SELINUX", Support::Refused("the engine needs root in this version")),
];

/// The switches inside `features`. Switching off what isn't there is fine.
#[rustfmt::skip]
pub(crate) const FEATURES: &[(&str, Support)] = &[
    ("buildkit", Support::Done),
    ("cdi", Support::Done),
    ("containerd-migration", Support::Refused("Ketch is its own containerd")),
    ("containerd-snapshotter", Support::Refused("Ketch has one image store, its own")),
    ("embedded-containerd", Support::Refused("Ketch is its own containerd")),
    ("swarm-nftables", Support::Refused("Swarm is not part of Ketch")),
    ("time-namespaces", Support::NotYet("time namespaces do not exist in this version yet")),
];

/// What is inside a runtime's description.
const RUNTIME_KEYS: &[(&str, Support)] = &[
    ("path", Support::Done),
    ("runtimeArgs", Support::Done),
    ("runtimeType", Support::Refused("it is containerd's business")),
    ("options", Support::Refused("they are containerd's business")),
];

/// Variables that are set and do nothing here, with the reason: said in the log, so that nobody relies on them.
pub(crate) fn unused_variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    VARIABLES.iter().filter_map(|(name, support)| match support {
        Support::NotYet(reason) | Support::Refused(reason) => {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(|_| (*name, *reason))
        }
        Support::Done => None,
    })
}

/// The tables as data, for the coverage check.
pub fn dump() -> Value {
    let named = |kind: &'static str, table: &'static [(&str, Support)]| {
        table.iter().map(move |(name, support)| {
            let (state, reason) = said(*support);
            json!({ "name": format!("{kind}{name}"), "state": state, "reason": reason })
        })
    };
    let settings = SETTINGS.iter().map(describe);
    settings
        .chain(named("daemon-env ", VARIABLES))
        .chain(named("feature features.", FEATURES))
        .chain(named("config-key runtimes.*.", RUNTIME_KEYS))
        .collect()
}

fn said(support: Support) -> (&'static str, &'static str) {
    match support {
        Support::Done => ("done", ""),
        // Refused today with its reason; it becomes another word when it works.
        Support::NotYet(reason) | Support::Refused(reason) => ("refused", reason),
    }
}

fn describe(setting: &Setting) -> Value {
    let (state, reason) = said(setting.support);
    let reloadable = RELOADABLE.contains(&setting.key);
    json!({ "key": setting.key, "flag": setting.flag, "state": state, "reason": reason, "reload": reloadable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::FLAGS;

    /// Flags that are about this one start and not about the engine.
    const NO_SETTING: &[&str] = &["config-file", "validate", "version"];

    #[test]
    fn every_flag_is_a_setting_and_every_settings_flag_exists() {
        for flag in FLAGS.iter().filter(|flag| !NO_SETTING.contains(&flag.long)) {
            assert!(Setting::of_flag(flag.long).is_some(), "--{} has no setting", flag.long);
        }
        for setting in SETTINGS.iter().filter(|setting| !setting.flag.is_empty()) {
            assert!(FLAGS.iter().any(|flag| flag.long == setting.flag), "{} has no flag", setting.key);
        }
    }

    #[test]
    fn what_is_reloadable_works() {
        for key in RELOADABLE {
            let setting = Setting::of_key(key).unwrap();
            assert!(matches!(setting.support, Support::Done), "{key}");
        }
    }
}
