//! What a service says that its objects don't: every key is carried over, or told.

use serde_json::{Value, json};

use super::Objects;
use crate::container::{list, text};

/// Keys whose whole meaning is in the objects, or was in the file alone: variables' files have been read, what is extended
/// has been merged.
const CARRIED: &[&str] = &[
    "annotations",
    "cap_add",
    "cap_drop",
    "command",
    "configs",
    "cpus",
    "dns",
    "dns_opt",
    "dns_search",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "gpus",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "label_file",
    "labels",
    "mem_limit",
    "mem_reservation",
    "name",
    "platform",
    "ports",
    "privileged",
    "profiles",
    "read_only",
    "restart",
    "scale",
    "secrets",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "sysctls",
    "tmpfs",
    "tty",
    "volumes",
    "working_dir",
];

/// Keys that say themselves what of them isn't carried over.
const PARTLY: &[&str] = &[
    "build",
    "deploy",
    "extra_hosts",
    "ipc",
    "network_mode",
    "networks",
    "pid",
    "post_start",
    "pre_stop",
    "pull_policy",
    "user",
];

/// What to do about others; one that isn't here has no counterpart either.
const WHY: &[(&str, &str)] = &[
    ("attach", "logs are the cluster's"),
    ("container_name", "pods have names of their own"),
    ("credential_spec", "is for Windows"),
    ("depends_on", "pods start at once, and again until what they need is there"),
    ("develop", "is for developing"),
    ("device_cgroup_rules", "devices are a device plugin's"),
    ("devices", "devices are a device plugin's"),
    ("domainname", "set the subdomain by hand"),
    ("external_links", "names are those of services"),
    ("init", "a pod has none: put one into the image"),
    ("isolation", "is for Windows"),
    ("links", "names are those of services"),
    ("logging", "logs are the cluster's"),
    ("mac_address", "addresses are the cluster's"),
    ("provider", "what it provides has to be there"),
    ("runtime", "set a runtimeClassName by hand"),
    ("security_opt", "set the securityContext by hand"),
    ("stop_signal", "is the image's"),
    ("userns_mode", "set hostUsers by hand"),
    ("volumes_from", "name a volume in both"),
];

const DEPLOY: &[&str] = &["mode", "replicas", "resources", "restart_policy", "update_config"];

pub(super) fn keys(service: &str, spec: &Value, all: &mut Objects) {
    for (key, _) in spec.as_object().into_iter().flatten().filter(|(_, value)| is_said(value)) {
        if CARRIED.contains(&key.as_str()) || PARTLY.contains(&key.as_str()) || key.starts_with("x-") {
            continue;
        }
        let why = WHY.iter().find(|(known, _)| known == key).map_or("is the node's", |(_, why)| why);
        all.tell(service, &format!("{key}: {why}"));
    }
    deploy(service, &spec["deploy"], all);
    networks(service, spec, all);
    if !matches!(text(spec, "pull_policy"), "" | "always" | "never" | "missing" | "if_not_present") {
        all.tell(service, &format!("pull_policy: {} is no policy of a cluster's", text(spec, "pull_policy")));
    }
    for (top, used) in
        ["configs", "secrets"].iter().flat_map(|top| list(spec, top).iter().map(move |used| (top, used)))
    {
        if !text(used, "uid").is_empty() || !text(used, "gid").is_empty() {
            all.tell(
                service,
                &format!("{top}: {}: its owner is root: set fsGroup by hand", text(used, "source")),
            );
        }
    }
}

fn deploy(service: &str, deploy: &Value, all: &mut Objects) {
    for (key, value) in deploy.as_object().into_iter().flatten() {
        if !DEPLOY.contains(&key.as_str()) && is_said(value) {
            all.tell(service, &format!("deploy.{key}: is the cluster's"));
        }
    }
    if !matches!(text(deploy, "mode"), "" | "replicated" | "replicated-job") {
        all.tell(service, &format!("deploy.mode: {}: make it a DaemonSet by hand", text(deploy, "mode")));
    }
    let kept = [("update_config", &["order"][..]), ("restart_policy", &["condition", "max_attempts"])];
    for (part, kept) in kept {
        for (key, value) in deploy[part].as_object().into_iter().flatten() {
            if !kept.contains(&key.as_str()) && is_said(value) {
                all.tell(service, &format!("deploy.{part}.{key}: is the cluster's"));
            }
        }
    }
    for part in ["limits", "reservations"] {
        for key in ["pids", "generic_resources"] {
            if is_said(&deploy["resources"][part][key]) {
                all.tell(service, &format!("deploy.resources.{part}.{key}: is the node's"));
            }
        }
    }
}

/// A cluster has one network in which every pod reaches every other.
fn networks(service: &str, spec: &Value, all: &mut Objects) {
    for (network, place) in spec["networks"].as_object().into_iter().flatten() {
        if network != "default" {
            all.tell(
                service,
                &format!("networks: {network}: pods reach each other: a NetworkPolicy divides them"),
            );
        }
        for (key, value) in place.as_object().into_iter().flatten().filter(|(_, value)| is_said(value)) {
            let why = if key == "aliases" { "make a Service of that name" } else { "is the cluster's" };
            all.tell(service, &format!("networks.{network}.{key}: {why}: {value}"));
        }
    }
    if !matches!(text(spec, "network_mode"), "" | "host" | "bridge" | "default") {
        all.tell(service, &format!("network_mode: {} is for one machine", text(spec, "network_mode")));
    }
}

/// Whether it is more than nothing: the typed form has every key of some parts.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => map.values().any(|value| value.is_null() || is_said(value)),
        Value::String(text) => !text.is_empty(),
        other => *other != json!(false) && other.as_f64() != Some(0.0),
    }
}
