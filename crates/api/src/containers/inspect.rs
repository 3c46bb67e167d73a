//! `GET /containers/{id}/json`.

use engine::Engine;
use engine::containers::health::Probe;
use engine::containers::mounts::{Kind, Point};
use engine::containers::state::State;
use engine::containers::{Container, View};
use engine::networks::runs;
use serde_json::{Map, Value, json};

use super::network;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time::{self, NEVER};

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let handle = call.engine.containers.get(call.name())?;
    let view = handle.view();
    let mut fields = describe(&call, &view);
    if call.query.flag("size") {
        let engine = call.engine.clone();
        let usage = tasks::blocking(move || engine::disk::measure(&engine)).await.unwrap_or_default();
        let written = usage.written_by(&view.container.id);
        let image = call.engine.images.catalogue().images.get(&view.container.image).map_or(0, |i| i.size());
        fields.insert("SizeRw".into(), json!(written));
        fields.insert("SizeRootFs".into(), json!(written + image));
    }
    Ok(reply::json(&fields))
}

fn describe(call: &Call, view: &View) -> Map<String, Value> {
    let container = &view.container;
    let places = call.engine.containers.places(&container.id);
    let started = !matches!(container.state, State::Created);
    let path =
        |name: &str| if started { places.durable.join(name).display().to_string() } else { String::new() };
    let has_log = started && container.host.log_config.r#type == "json-file";
    let log_path = if has_log { places.log().display().to_string() } else { String::new() };
    let command = container.command();
    let execs = call.engine.containers.execs_of(&container.id);
    let fields = json!({
        "Id": container.id,
        "Created": time::rfc3339(container.created),
        "Path": command.first().cloned().unwrap_or_default(),
        "Args": command.get(1..).unwrap_or_default(),
        "State": state(view),
        "Image": container.image.as_str(),
        "ResolvConfPath": path("resolv.conf"),
        "HostnamePath": path("hostname"),
        "HostsPath": path("hosts"),
        "LogPath": log_path,
        "Name": format!("/{}", container.name),
        "RestartCount": container.past.restarts,
        "Driver": call.engine.storage_driver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": Some(execs).filter(|execs| !execs.is_empty()),
        "HostConfig": host_config(call, container),
        "GraphDriver": { "Data": { "ID": container.id }, "Name": call.engine.storage_driver },
        "Mounts": mounts(&call.engine, container),
        "Config": config(call, container),
        "NetworkSettings": network_settings(call, container),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn config(call: &Call, container: &Container) -> Value {
    let mut config = json!(container.config);
    runs::expand(&mut config, "ExposedPorts");
    // Of whoever gave it as the network's, dockerd shows it here as well.
    let own = container.endpoints.get(&container.host.network_mode).map(|own| &own.asked.mac_address);
    let own = own.filter(|mac| call.since(44) && !mac.is_empty());
    if let (Some(fields), Some(mac)) = (config.as_object_mut(), own) {
        fields.insert("MacAddress".into(), json!(mac));
    }
    if let Some(check) =
        config.get_mut("Healthcheck").and_then(Value::as_object_mut).filter(|_| call.before(44))
    {
        check.remove("StartInterval");
    }
    config
}

fn host_config(call: &Call, container: &Container) -> Value {
    let mut host = json!(container.host);
    runs::expand(&mut host, "PortBindings");
    let Some(fields) = host.as_object_mut() else { return host };
    if let Some(links) = call.engine.containers.links_of(container) {
        fields.insert("Links".into(), json!(links));
    }
    if call.since(52) {
        fields.remove("KernelMemoryTCP");
    }
    if call.before(43) {
        fields.remove("Annotations");
    }
    host
}

/// What is mounted, as in `inspect` and in the listing.
pub(super) fn mounts(engine: &Engine, container: &Container) -> Vec<Value> {
    let listed = container.mounts.iter().filter(|point| point.listed);
    listed.map(|point| mount_point(engine, point)).collect()
}

fn mount_point(engine: &Engine, point: &Point) -> Value {
    let mut fields = json!({ "Type": point.kind });
    let more = match point.kind {
        Kind::Image => {
            json!({ "Name": point.name, "Source": point.source, "Destination": point.destination })
        }
        Kind::Volume => {
            let driver = if point.make.driver.is_empty() { "local" } else { &point.make.driver };
            let elsewhere = engine.volumes.mounted_elsewhere(&point.name).filter(|_| point.source.is_empty());
            let source = elsewhere.map_or_else(|| point.source.clone(), |path| path.display().to_string());
            json!({ "Name": point.name, "Source": source, "Destination": point.destination, "Driver": driver })
        }
        _ => json!({ "Source": point.source, "Destination": point.destination }),
    };
    let rest = json!({ "Mode": point.mode, "RW": point.writable, "Propagation": point.propagation });
    for part in [more, rest] {
        if let (Some(fields), Value::Object(part)) = (fields.as_object_mut(), part) {
            fields.extend(part);
        }
    }
    fields
}

fn state(view: &View) -> Value {
    let shown = view.shown();
    let state = &*shown;
    let past = &view.container.past;
    let started = state.live().map(|live| live.since).or(past.started);
    let at = |time: Option<std::time::SystemTime>| time.map_or_else(|| NEVER.to_owned(), time::rfc3339);
    let exit = state.exit();
    let mut fields = json!({
        "Status": state.word(),
        "Running": state.is_running(),
        "Paused": matches!(state, State::Paused(_)),
        "Restarting": matches!(state, State::Restarting { .. }),
        "OOMKilled": exit.is_some_and(|exit| exit.oom_killed),
        "Dead": false,
        "Pid": state.live().map_or(0, |live| live.pid),
        "ExitCode": exit.map_or(0, |exit| exit.code),
        "Error": exit.map_or("", |exit| exit.error.as_str()),
        "StartedAt": at(started),
        "FinishedAt": at(past.finished),
    });
    if let Some(health) = &view.health {
        fields["Health"] = json!({
            "Status": health.status.as_str(),
            "FailingStreak": health.streak,
            "Log": health.log.iter().map(probe).collect::<Vec<_>>(),
        });
    }
    fields
}

fn probe(probe: &Probe) -> Value {
    json!({
        "Start": time::rfc3339(probe.start),
        "End": time::rfc3339(probe.end),
        "ExitCode": probe.code,
        "Output": probe.output,
    })
}

fn network_settings(call: &Call, container: &Container) -> Value {
    let pid = container.state.live().map(|live| live.pid);
    let leases = || container.endpoints.values().filter_map(|endpoint| endpoint.lease.as_ref());
    let sandbox = leases().next().map_or("", |lease| &lease.endpoint_id);
    // Where `nsenter` finds it.
    let key = pid.map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default();
    let mut settings = json!({ "SandboxID": sandbox, "SandboxKey": key, "Ports": network::ports(container) });
    let legacy = json!({
        "Bridge": "", "HairpinMode": false, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null, "SecondaryIPv6Addresses": null,
    });
    if let (Some(fields), Value::Object(legacy)) = (settings.as_object_mut(), legacy) {
        if call.before(52) {
            fields.extend(legacy);
            fields.extend(network::default_network(&call.engine, container));
        }
        fields.insert("Networks".into(), network::endpoints(&call.engine, container));
    }
    settings
}
