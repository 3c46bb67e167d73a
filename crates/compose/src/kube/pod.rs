//! What runs in a pod: one container, confined and limited as the service says.

use serde_json::{Map, Value, json};

use super::files::Mounts;
use super::{Objects, health, name, told, without_empty};
use crate::Project;
use crate::container::{list, text};

/// The template's `spec`, without its restart policy.
pub(super) fn spec(
    project: &Project,
    service: &str,
    spec: &Value,
    mounts: Mounts,
    all: &mut Objects,
) -> Value {
    told::keys(service, spec, all);
    let container = container(project, service, spec, mounts.mounts, all);
    let mut pod = Map::new();
    let mut set = |key: &str, value: Value| drop(pod.insert(key.to_owned(), value));
    set("containers", json!([container]));
    set("volumes", mounts.volumes.into());
    set("hostname", spec["hostname"].as_str().map(name).into());
    set("nodeSelector", machine(text(spec, "platform")));
    if text(spec, "network_mode") == "host" {
        set("hostNetwork", true.into());
    }
    for (key, field) in [("pid", "hostPID"), ("ipc", "hostIPC")] {
        match text(spec, key) {
            "host" => set(field, true.into()),
            "" | "private" | "shareable" => {}
            other => all.tell(service, &format!("{key}: {other} is another container's")),
        }
    }
    let grace = spec["stop_grace_period"].as_str().and_then(|span| crate::duration(span).ok());
    set("terminationGracePeriodSeconds", grace.map(|time| time / 1_000_000_000).into());
    set("dnsConfig", dns(spec));
    set("hostAliases", aliases(service, spec, all));
    set("securityContext", pod_security(spec));
    without_empty(&mut pod);
    Value::Object(pod)
}

/// A node of this platform; a variant is no label of nodes'.
fn machine(platform: &str) -> Value {
    match platform.split('/').collect::<Vec<_>>()[..] {
        [os, architecture, ..] => json!({ "kubernetes.io/os": os, "kubernetes.io/arch": architecture }),
        _ => Value::Null,
    }
}

fn container(project: &Project, service: &str, spec: &Value, mounts: Vec<Value>, all: &mut Objects) -> Value {
    if !spec["build"].is_null() {
        let image = project.image(service);
        all.tell(service, &format!("build: the cluster pulls {image}: build it, and push it where it can"));
    }
    let mut container = Map::new();
    let mut set = |key: &str, value: Value| drop(container.insert(key.to_owned(), value));
    set("name", name(service).into());
    set("image", project.image(service).into());
    set("imagePullPolicy", pull_policy(text(spec, "pull_policy")).into());
    set("command", spec["entrypoint"].clone());
    set("args", spec["command"].clone());
    set("workingDir", spec["working_dir"].clone());
    let pairs = spec["environment"].as_object().into_iter().flatten();
    // What a variable's value would be taken for: `$(NAME)` is theirs.
    let escaped = |value: &str| value.replace("$(", "$$(");
    let env =
        pairs.filter_map(|(key, value)| Some(json!({ "name": key, "value": escaped(&scalar(value)?) })));
    set("env", env.collect());
    set("ports", ports(spec));
    set("resources", resources(service, spec, all));
    set("volumeMounts", mounts.into());
    set("securityContext", security(service, spec, all));
    for (key, field) in [("tty", "tty"), ("stdin_open", "stdin")] {
        if spec[key] == true {
            set(field, true.into());
        }
    }
    set("lifecycle", lifecycle(spec));
    for (kind, probe) in health::probes(spec) {
        set(kind, probe);
    }
    without_empty(&mut container);
    Value::Object(container)
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn pull_policy(policy: &str) -> Option<&'static str> {
    match policy {
        "always" => Some("Always"),
        "never" => Some("Never"),
        "missing" | "if_not_present" => Some("IfNotPresent"),
        _ => None,
    }
}

/// Every port that the container is known to listen on.
fn ports(spec: &Value) -> Value {
    let mut ports: Vec<Value> = Vec::new();
    for (number, protocol) in listening(spec) {
        ports.push(json!({ "containerPort": number, "protocol": protocol }));
    }
    ports.into()
}

/// `ports` and `expose`, each once.
pub(super) fn listening(spec: &Value) -> Vec<(u64, &'static str)> {
    let mut found = Vec::new();
    for port in list(spec, "ports") {
        found.extend(port["target"].as_u64().map(|number| (number, protocol(text(port, "protocol")))));
    }
    for exposed in list(spec, "expose").iter().filter_map(scalar) {
        let (range, kind) = exposed.split_once('/').unwrap_or((&exposed, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bounds = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
        let numbers = bounds.map(|(first, last)| first..=last).into_iter().flatten();
        found.extend(numbers.map(|number| (u64::from(number), protocol(kind))));
    }
    found.sort_unstable();
    found.dedup();
    found
}

pub(super) fn protocol(text: &str) -> &'static str {
    match text {
        "udp" => "UDP",
        "sctp" => "SCTP",
        _ => "TCP",
    }
}

fn resources(service: &str, spec: &Value, all: &mut Objects) -> Value {
    let deploy = &spec["deploy"]["resources"];
    let mut limits = amounts(&deploy["limits"]);
    let mut requests = amounts(&deploy["reservations"]);
    if let Some(memory) = spec["mem_limit"].as_str().and_then(|size| crate::bytes(size).ok()) {
        limits.entry("memory").or_insert(memory.to_string().into());
    }
    if let Some(memory) = spec["mem_reservation"].as_str().and_then(|size| crate::bytes(size).ok()) {
        requests.entry("memory").or_insert(memory.to_string().into());
    }
    if let Some(cpus) = scalar(&spec["cpus"]).filter(|cpus| cpus != "0") {
        limits.entry("cpu").or_insert(cpus.into());
    }
    let named = list(&deploy["reservations"], "devices").iter();
    let is_gpu = |device: &&Value| list(device, "capabilities").iter().any(|name| name == "gpu");
    for device in list(spec, "gpus").iter().chain(named.filter(is_gpu)) {
        match device["count"].as_i64() {
            Some(count) if count > 0 => {
                limits.insert("nvidia.com/gpu".into(), count.to_string().into());
            }
            _ => all.tell(service, "gpus: say how many: a pod can't have all of a node's"),
        }
    }
    let mut resources = Map::new();
    resources.insert("limits".into(), limits.into());
    resources.insert("requests".into(), requests.into());
    without_empty(&mut resources);
    resources.into()
}

fn amounts(given: &Value) -> Map<String, Value> {
    let mut amounts = Map::new();
    if let Some(cpus) = scalar(&given["cpus"]) {
        amounts.insert("cpu".into(), cpus.into());
    }
    if let Some(memory) = scalar(&given["memory"]).and_then(|size| crate::bytes(&size).ok()) {
        amounts.insert("memory".into(), memory.to_string().into());
    }
    amounts
}

fn security(service: &str, spec: &Value, all: &mut Objects) -> Value {
    let mut context = Map::new();
    let mut set = |key: &str, value: Value| drop(context.insert(key.to_owned(), value));
    let (user, group) = text(spec, "user").split_once(':').unwrap_or((text(spec, "user"), ""));
    for (given, field) in [(user, "runAsUser"), (group, "runAsGroup")] {
        match given.parse::<i64>() {
            Ok(id) => set(field, id.into()),
            Err(_) if given.is_empty() => {}
            Err(_) => all.tell(service, &format!("user: {given} is a name: Kubernetes takes its number")),
        }
    }
    if spec["privileged"] == true {
        set("privileged", true.into());
    }
    if spec["read_only"] == true {
        set("readOnlyRootFilesystem", true.into());
    }
    let mut capabilities = Map::new();
    capabilities.insert("add".into(), spec["cap_add"].clone());
    capabilities.insert("drop".into(), spec["cap_drop"].clone());
    without_empty(&mut capabilities);
    set("capabilities", capabilities.into());
    without_empty(&mut context);
    context.into()
}

fn pod_security(spec: &Value) -> Value {
    let mut context = Map::new();
    let groups = list(spec, "group_add").iter().filter_map(|group| scalar(group)?.parse::<i64>().ok());
    context.insert("supplementalGroups".into(), groups.collect());
    let sysctls = spec["sysctls"].as_object().into_iter().flatten();
    let sysctls = sysctls.filter_map(|(key, value)| Some(json!({ "name": key, "value": scalar(value)? })));
    context.insert("sysctls".into(), sysctls.collect());
    without_empty(&mut context);
    context.into()
}

fn dns(spec: &Value) -> Value {
    let mut config = Map::new();
    config.insert("nameservers".into(), spec["dns"].clone());
    config.insert("searches".into(), spec["dns_search"].clone());
    let options =
        list(spec, "dns_opt").iter().filter_map(Value::as_str).map(|option| match option.split_once(':') {
            Some((key, value)) => json!({ "name": key, "value": value }),
            None => json!({ "name": option }),
        });
    config.insert("options".into(), options.collect());
    without_empty(&mut config);
    config.into()
}

/// `extra_hosts`: names for addresses.
fn aliases(service: &str, spec: &Value, all: &mut Objects) -> Value {
    let mut aliases = Vec::new();
    let hosts = spec["extra_hosts"].as_object().into_iter().flatten();
    let pairs = hosts.flat_map(|(host, addresses)| match addresses {
        Value::Array(list) => list.iter().filter_map(scalar).map(|ip| (host.clone(), ip)).collect(),
        one => scalar(one).map(|ip| vec![(host.clone(), ip)]).unwrap_or_default(),
    });
    let listed = list(spec, "extra_hosts").iter().filter_map(Value::as_str);
    let listed =
        listed.filter_map(|entry| entry.split_once(['=', ':'])).map(|(h, ip)| (h.to_owned(), ip.to_owned()));
    for (host, address) in pairs.chain(listed) {
        match address.parse::<std::net::IpAddr>() {
            Ok(ip) => aliases.push(json!({ "ip": ip.to_string(), "hostnames": [host] })),
            Err(_) => {
                all.tell(service, &format!("extra_hosts: {host}: {address} is no address of a cluster's"));
            }
        }
    }
    aliases.into()
}

/// `post_start` and `pre_stop`: one command each.
fn lifecycle(spec: &Value) -> Value {
    let mut lifecycle = Map::new();
    for (key, field) in [("post_start", "postStart"), ("pre_stop", "preStop")] {
        let mut commands = list(spec, key).iter().map(|hook| hook["command"].clone());
        if let Some(command) = commands.find(|command| !command.is_null()) {
            lifecycle.insert(field.into(), json!({ "exec": { "command": command } }));
        }
    }
    lifecycle.into()
}
