//! What `inspect` and the listing say of a container's networks and ports.

use engine::Engine;
use engine::containers::Container;
use engine::networks::{Endpoint, Lease, port_map, runs};
use serde_json::{Map, Value, json};

/// `NetworkSettings.Networks`. dockerd sends the same keys whatever the version asked for.
pub(super) fn endpoints(engine: &Engine, container: &Container) -> Value {
    if container.endpoints.is_empty() {
        return json!({});
    }
    let described =
        |(name, endpoint): (&String, &Endpoint)| (name.clone(), describe(engine, container, name, endpoint));
    Value::Object(container.endpoints.iter().map(described).collect())
}

/// The same in the listing, where dockerd leaves out what a client asked for.
pub(super) fn listed_endpoints(engine: &Engine, container: &Container) -> Value {
    let mut endpoints = endpoints(engine, container);
    for endpoint in endpoints.as_object_mut().into_iter().flat_map(Map::values_mut) {
        for key in ["Links", "Aliases", "DriverOpts", "DNSNames"] {
            endpoint[key] = Value::Null;
        }
    }
    endpoints
}

fn describe(engine: &Engine, container: &Container, name: &str, endpoint: &Endpoint) -> Value {
    let asked = &endpoint.asked;
    let lease = endpoint.lease.as_ref();
    let running = container.state.is_active();
    let network_id = match endpoint.network_id.as_str() {
        "" if running => engine.networks.get(name).map(|network| network.id).unwrap_or_default(),
        id => id.to_owned(),
    };
    let [ipv4, ipv6] = [lease.and_then(|lease| lease.ipv4), lease.and_then(|lease| lease.ipv6)];
    let ip = |held: Option<engine::networks::Held>| held.map(|held| held.ip.to_string()).unwrap_or_default();
    let gateway = |held: Option<engine::networks::Held>| {
        held.and_then(|held| held.router()).map(|ip| ip.to_string()).unwrap_or_default()
    };
    let names = lease.is_some() && !engine::networks::PREDEFINED.contains(&name);
    json!({
        "IPAMConfig": asked.ipam_config,
        "Links": asked.links,
        "Aliases": asked.aliases,
        "MacAddress": lease.map_or_else(|| asked.mac_address.clone(), Lease::mac_text),
        "DriverOpts": asked.driver_opts,
        "GwPriority": asked.gw_priority,
        "NetworkID": network_id,
        "EndpointID": lease.map_or("", |lease| &lease.endpoint_id),
        "Gateway": gateway(ipv4),
        "IPAddress": ip(ipv4),
        "IPPrefixLen": ipv4.map_or(0, |held| held.prefix),
        "IPv6Gateway": gateway(ipv6),
        "GlobalIPv6Address": ip(ipv6),
        "GlobalIPv6PrefixLen": ipv6.map_or(0, |held| held.prefix),
        "DNSNames": names.then(|| container.dns_names(endpoint)),
    })
}

/// `NetworkSettings.Ports`: what is published with where, and what is only exposed.
pub(super) fn ports(container: &Container) -> Value {
    if !container.state.is_active() {
        return json!({});
    }
    let mut ports = Map::new();
    for port in container.config.exposed_ports.iter().flat_map(runs::keys) {
        ports.insert(port, Value::Null);
    }
    for (port, places) in port_map(&container.ports) {
        let places =
            places.into_iter().map(|(host, port)| json!({ "HostIp": host, "HostPort": shown(port) }));
        ports.insert(port, places.collect());
    }
    Value::Object(ports)
}

/// A port that is reached at the container's own address is none of the host's.
fn shown(port: u16) -> String {
    if port == 0 { String::new() } else { port.to_string() }
}

/// `Ports` of the listing: flat.
pub(super) fn port_list(container: &Container) -> Vec<Value> {
    let Value::Object(ports) = ports(container) else { return Vec::new() };
    let mut list = Vec::new();
    for (port, places) in &ports {
        let (number, kind) = port.split_once('/').unwrap_or((port, "tcp"));
        let inside: u16 = number.parse().unwrap_or_default();
        let Some(places) = places.as_array() else {
            list.push(json!({ "PrivatePort": inside, "Type": kind }));
            continue;
        };
        for place in places {
            let public: u16 =
                place["HostPort"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
            list.push(
                json!({ "IP": place["HostIp"], "PrivatePort": inside, "PublicPort": public, "Type": kind }),
            );
        }
    }
    list
}

/// What older versions said of the default network beside all others.
pub(super) fn default_network(engine: &Engine, container: &Container) -> Map<String, Value> {
    let known = container.endpoints.get("bridge");
    let of = known.map(|endpoint| describe(engine, container, "bridge", endpoint)).unwrap_or_default();
    let text = |key: &str| of.get(key).cloned().unwrap_or_else(|| json!(""));
    let number = |key: &str| of.get(key).cloned().unwrap_or_else(|| json!(0));
    [
        ("EndpointID", text("EndpointID")),
        ("Gateway", text("Gateway")),
        ("GlobalIPv6Address", text("GlobalIPv6Address")),
        ("GlobalIPv6PrefixLen", number("GlobalIPv6PrefixLen")),
        ("IPAddress", text("IPAddress")),
        ("IPPrefixLen", number("IPPrefixLen")),
        ("IPv6Gateway", text("IPv6Gateway")),
        ("MacAddress", text("MacAddress")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect()
}
