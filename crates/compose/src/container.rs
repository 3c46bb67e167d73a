//! What the engine is asked for when a service's container is made: the body of `POST /containers/create`.

mod limits;
mod mounts;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub use mounts::Injected;
pub(crate) use mounts::{content, contents};

use crate::labels;
use crate::project::Project;

/// What is known only while a project is started.
#[derive(Debug, Default)]
pub struct Facts {
    /// The id of the image.
    pub image_id: String,
    /// The container that a service's namespaces and volumes are taken from.
    pub containers: BTreeMap<String, String>,
    /// Anonymous volumes of the container that this one takes the place of, by where they are mounted.
    pub inherited: BTreeMap<String, String>,
    /// Whether this one takes another one's place.
    pub replaces: bool,
    /// The hash of the contents of configurations and secrets.
    pub contents: String,
}

/// One container to make.
#[derive(Debug)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The request's body, with all networks.
    pub body: Value,
    /// Files that are put into it before it starts.
    pub files: Vec<Injected>,
}

/// The `number`th container of a service.
pub fn container(project: &Project, service: &str, number: u32, facts: &Facts) -> Result<Wanted, String> {
    let spec = project.service(service).ok_or_else(|| format!("no such service: {service}"))?;
    let name = project.container_name(service, number);
    let mut body = config(spec, facts);
    let networks = networks(project, service, spec, &name);
    let (mounts, files) = mounts::mounts(project, spec, facts)?;
    let mut host = limits::limits(spec);
    host.extend(mounts);
    host.extend(host_config(project, spec, facts));
    body.insert("Image".into(), project.image(service).into());
    body.insert("Labels".into(), container_labels(project, service, spec, number, facts));
    body.insert("HostConfig".into(), Value::Object(host));
    body.insert("NetworkingConfig".into(), json!({ "EndpointsConfig": networks }));
    Ok(Wanted { name, body: Value::Object(body), files })
}

pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(crate) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn config(spec: &Value, facts: &Facts) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
    for (ours, theirs) in [
        ("hostname", "Hostname"),
        ("domainname", "Domainname"),
        ("user", "User"),
        ("working_dir", "WorkingDir"),
        ("stop_signal", "StopSignal"),
    ] {
        if !text(spec, ours).is_empty() {
            set(theirs, spec[ours].clone());
        }
    }
    for (ours, theirs) in [("command", "Cmd"), ("entrypoint", "Entrypoint")] {
        set(theirs, spec[ours].clone());
    }
    set("Tty", (spec["tty"] == true).into());
    set("OpenStdin", (spec["stdin_open"] == true).into());
    set("StdinOnce", false.into());
    set("AttachStdin", false.into());
    set("AttachStdout", true.into());
    set("AttachStderr", true.into());
    set("Env", environment(spec));
    set("ExposedPorts", exposed(spec));
    if let Some(seconds) = spec["stop_grace_period"].as_str().and_then(|span| crate::duration(span).ok()) {
        set("StopTimeout", (seconds / 1_000_000_000).into());
    }
    if let Some(check) = healthcheck(&spec["healthcheck"]) {
        set("Healthcheck", check);
    }
    if !facts.inherited.is_empty() {
        set("Volumes", Value::Null);
    }
    body
}

/// `A=1`; without a value it is one that nobody set, which takes the image's away.
fn environment(spec: &Value) -> Value {
    let pairs = spec["environment"].as_object().into_iter().flatten();
    let line = |(name, value): (&String, &Value)| match value.as_str() {
        Some(value) => format!("{name}={value}"),
        None => name.clone(),
    };
    let mut lines: Vec<String> = pairs.map(line).collect();
    lines.sort_unstable();
    lines.into()
}

fn exposed(spec: &Value) -> Value {
    let mut ports = Map::new();
    for port in list(spec, "expose").iter().filter_map(Value::as_str) {
        let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bounds = first.parse::<u16>().ok().zip(last.parse::<u16>().ok());
        for number in bounds.map(|(first, last)| first..=last).into_iter().flatten() {
            ports.insert(format!("{number}/{protocol}"), json!({}));
        }
    }
    for port in list(spec, "ports") {
        ports.insert(format!("{}/{}", port["target"], text(port, "protocol")), json!({}));
    }
    Value::Object(ports)
}

fn healthcheck(check: &Value) -> Option<Value> {
    let check = check.as_object()?;
    if check.get("disable") == Some(&Value::Bool(true)) {
        return Some(json!({ "Test": ["NONE"] }));
    }
    let mut out = Map::new();
    if let Some(test) = check.get("test") {
        out.insert("Test".into(), test.clone());
    }
    for (ours, theirs) in [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ] {
        let span = check.get(ours).and_then(Value::as_str).and_then(|text| crate::duration(text).ok());
        out.extend(span.map(|span| (theirs.to_owned(), span.into())));
    }
    out.extend(check.get("retries").map(|retries| ("Retries".to_owned(), retries.clone())));
    Some(Value::Object(out))
}

/// The engine's endpoints, the one that leads out first.
fn networks(project: &Project, service: &str, spec: &Value, name: &str) -> Map<String, Value> {
    let mut endpoints = Map::new();
    let links = links(project, spec);
    for (place, key) in by_priority(spec).into_iter().enumerate() {
        let given = &spec["networks"][key];
        let mut aliases = vec![name.to_owned(), service.to_owned()];
        aliases.extend(list(given, "aliases").iter().filter_map(Value::as_str).map(str::to_owned));
        let mut endpoint = Map::new();
        endpoint.insert("Aliases".into(), aliases.into());
        if !links.is_empty() {
            endpoint.insert("Links".into(), links.clone().into());
        }
        let address = |key: &str| Some(given[key].clone()).filter(|value| !value.is_null());
        let addresses = [
            ("ipv4_address", "IPv4Address"),
            ("ipv6_address", "IPv6Address"),
            ("link_local_ips", "LinkLocalIPs"),
        ];
        let addresses: Map<_, _> = addresses
            .into_iter()
            .filter_map(|(ours, theirs)| Some((theirs.to_owned(), address(ours)?)))
            .collect();
        if !addresses.is_empty() {
            endpoint.insert("IPAMConfig".into(), Value::Object(addresses));
        }
        let mut options = given["driver_opts"].as_object().cloned().unwrap_or_default();
        if let Some(interface) = address("interface_name") {
            options.insert("com.docker.network.endpoint.ifname".into(), interface);
        }
        if !options.is_empty() {
            endpoint.insert("DriverOpts".into(), Value::Object(options));
        }
        // A service's own address is that of its first network.
        let of_service = || Some(spec["mac_address"].clone()).filter(|mac| place == 0 && !mac.is_null());
        endpoint.extend(address("mac_address").or_else(of_service).map(|mac| ("MacAddress".to_owned(), mac)));
        endpoint.extend(address("gw_priority").map(|priority| ("GwPriority".to_owned(), priority)));
        endpoints.insert(project.resource_name("networks", key), Value::Object(endpoint));
    }
    endpoints
}

/// Other containers by the names that this one calls them by.
fn links(project: &Project, spec: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for link in list(spec, "links").iter().filter_map(Value::as_str) {
        let (service, alias) = link.split_once(':').unwrap_or((link, link));
        for number in 1..=project.scale(service) {
            let container = project.container_name(service, number);
            all.push(format!("{container}:{alias}"));
            let full = project.joined(&[service, &number.to_string()]);
            all.push(format!("{container}:{}", &full[project.name.len() + 1..]));
            all.push(format!("{container}:{full}"));
        }
    }
    for link in list(spec, "external_links").iter().filter_map(Value::as_str) {
        let (container, alias) = link.split_once(':').unwrap_or((link, link));
        all.push(format!("{container}:{alias}"));
    }
    all
}

/// The keys of a service's networks, the most important first.
pub(crate) fn by_priority(spec: &Value) -> Vec<&String> {
    let mut keys: Vec<_> = spec["networks"].as_object().into_iter().flatten().map(|(key, _)| key).collect();
    keys.sort_by_key(|key| {
        (-spec["networks"][key.as_str()]["priority"].as_i64().unwrap_or(0), (*key).clone())
    });
    keys
}

fn container_labels(project: &Project, service: &str, spec: &Value, number: u32, facts: &Facts) -> Value {
    let mut all = spec["labels"].as_object().cloned().unwrap_or_default();
    let depends_on = spec["depends_on"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, how)| format!("{name}:{}:{}", text(how, "condition"), how["restart"] == true));
    let depends_on: Vec<String> = depends_on.collect();
    let files: Vec<_> = project.files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut set = |key: &str, value: String| drop(all.insert(key.to_owned(), value.into()));
    set(labels::HASH, project.hash_with(service, &facts.containers));
    set(labels::FIELDS, crate::live::fields(spec));
    set(labels::NUMBER, number.to_string());
    set(labels::DEPENDS_ON, depends_on.join(","));
    set(labels::IMAGE, facts.image_id.clone());
    set(labels::ONE_OFF, "False".to_owned());
    set(labels::PROJECT, project.name.clone());
    set(labels::FILES, files.join(","));
    set(labels::FOLDER, project.directory.to_string_lossy().into_owned());
    if !project.env_files().is_empty() {
        set(labels::ENV_FILES, project.env_files());
    }
    set(labels::SERVICE, service.to_owned());
    set(labels::VERSION, labels::VERSION_VALUE.to_owned());
    if !facts.contents.is_empty() {
        set(labels::CONTENTS, facts.contents.clone());
    }
    if facts.replaces {
        // docker's client leaves the project's name out.
        let own = [service, &number.to_string()].join(&project.joined(&[""])[project.name.len()..]);
        let given = Some(text(spec, "container_name")).filter(|name| !name.is_empty());
        set(labels::REPLACES, given.map_or(own, str::to_owned));
    }
    Value::Object(all)
}

fn host_config(project: &Project, spec: &Value, facts: &Facts) -> Map<String, Value> {
    let mut host = Map::new();
    let mut set = |key: &str, value: Value| drop(host.insert(key.to_owned(), value));
    for (ours, theirs) in [
        ("cgroup_parent", "CgroupParent"),
        ("cgroup", "CgroupnsMode"),
        ("runtime", "Runtime"),
        ("userns_mode", "UsernsMode"),
        ("uts", "UTSMode"),
        ("isolation", "Isolation"),
    ] {
        if !text(spec, ours).is_empty() {
            set(theirs, spec[ours].clone());
        }
    }
    for (ours, theirs) in [
        ("dns", "Dns"),
        ("dns_opt", "DnsOptions"),
        ("dns_search", "DnsSearch"),
        ("group_add", "GroupAdd"),
        ("security_opt", "SecurityOpt"),
        ("annotations", "Annotations"),
        ("sysctls", "Sysctls"),
        ("storage_opt", "StorageOpt"),
        ("init", "Init"),
    ] {
        if !spec[ours].is_null() {
            set(theirs, spec[ours].clone());
        }
    }
    for (ours, theirs) in [("cap_add", "CapAdd"), ("cap_drop", "CapDrop")] {
        let names: Vec<_> = list(spec, ours).iter().filter_map(Value::as_str).map(capability).collect();
        if !names.is_empty() {
            set(theirs, names.into());
        }
    }
    set("Privileged", (spec["privileged"] == true).into());
    set("ReadonlyRootfs", (spec["read_only"] == true).into());
    set("PortBindings", bindings(spec));
    set("RestartPolicy", restart(spec));
    set("NetworkMode", network_mode(project, spec, facts).into());
    for (ours, theirs) in [("ipc", "IpcMode"), ("pid", "PidMode")] {
        if !text(spec, ours).is_empty() {
            set(theirs, shared(text(spec, ours), facts).into());
        }
    }
    let hosts = list(spec, "extra_hosts").iter().filter_map(Value::as_str);
    set("ExtraHosts", hosts.map(|line| line.replacen('=', ":", 1)).collect::<Vec<_>>().into());
    let from =
        list(spec, "volumes_from").iter().filter_map(Value::as_str).map(|from| volumes_from(from, facts));
    let from: Vec<String> = from.collect();
    if !from.is_empty() {
        set("VolumesFrom", from.into());
    }
    if let Some(driver) = spec["logging"].as_object() {
        let config = driver.get("options").cloned().unwrap_or_else(|| json!({}));
        set(
            "LogConfig",
            json!({ "Type": driver.get("driver").cloned().unwrap_or_default(), "Config": config }),
        );
    }
    host
}

/// `net_admin` is `CAP_NET_ADMIN`.
fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

fn bindings(spec: &Value) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for port in list(spec, "ports") {
        let key = format!("{}/{}", port["target"], text(port, "protocol"));
        let binding = json!({ "HostIp": text(port, "host_ip"), "HostPort": text(port, "published") });
        match bindings.get_mut(&key).and_then(Value::as_array_mut) {
            Some(list) => list.push(binding),
            None => drop(bindings.insert(key, json!([binding]))),
        }
    }
    Value::Object(bindings)
}

fn restart(spec: &Value) -> Value {
    if let Some((name, count)) = text(spec, "restart").split_once(':') {
        return json!({ "Name": name, "MaximumRetryCount": count.parse::<u32>().unwrap_or(0) });
    }
    if !text(spec, "restart").is_empty() {
        return json!({ "Name": text(spec, "restart"), "MaximumRetryCount": 0 });
    }
    let policy = &spec["deploy"]["restart_policy"];
    let name = match policy["condition"].as_str() {
        _ if policy.is_null() => return json!({}),
        Some("none") => "no",
        Some("on-failure") => "on-failure",
        // Any, also where nothing is said of it.
        _ => "unless-stopped",
    };
    let attempts = if name == "on-failure" { policy["max_attempts"].as_u64().unwrap_or(0) } else { 0 };
    json!({ "Name": name, "MaximumRetryCount": attempts })
}

fn network_mode(project: &Project, spec: &Value, facts: &Facts) -> String {
    match text(spec, "network_mode") {
        "" => match by_priority(spec).first() {
            Some(key) => project.resource_name("networks", key),
            None => "none".to_owned(),
        },
        mode => shared(mode, facts),
    }
}

/// `service:db` is that service's container.
fn shared(mode: &str, facts: &Facts) -> String {
    let container = mode.strip_prefix("service:").and_then(|service| facts.containers.get(service));
    container.map_or_else(|| mode.to_owned(), |id| format!("container:{id}"))
}

fn volumes_from(from: &str, facts: &Facts) -> String {
    if let Some(container) = from.strip_prefix("container:") {
        return container.to_owned();
    }
    let (service, mode) = from.split_once(':').unwrap_or((from, "rw"));
    let container = facts.containers.get(service).map_or(service, String::as_str);
    format!("{container}:{mode}")
}
