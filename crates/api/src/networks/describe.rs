//! What is said of a network.

use engine::networks::{Network, Range};
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::time;

/// As in a list: older clients get the containers' field too, without any.
pub(super) fn summary(network: &Network) -> Value {
    describe(network, &json!({}))
}

/// With who is in it.
pub(super) fn whole(call: &Call, network: &Network) -> Value {
    let members = call.engine.networks.occupants(network, &call.engine.containers).into_iter();
    let containers: Map<String, Value> = members
        .filter_map(|member| {
            let lease = member.endpoint.lease?;
            let address = |held: Option<engine::networks::Held>| {
                held.map(|held| format!("{}/{}", held.ip, held.prefix)).unwrap_or_default()
            };
            let described = json!({
                "Name": member.name,
                "EndpointID": lease.endpoint_id,
                "MacAddress": lease.mac_text(),
                "IPv4Address": address(lease.ipv4),
                "IPv6Address": address(lease.ipv6),
            });
            Some((member.container, described))
        })
        .collect();
    let mut described = describe(network, &Value::Object(containers));
    // 1.52 tells how many addresses are left.
    if call.since(52)
        && let Some(fields) = described.as_object_mut()
    {
        fields.insert("Status".to_owned(), json!({ "IPAM": { "Subnets": subnets(call, network) } }));
    }
    described
}

fn subnets(call: &Call, network: &Network) -> Map<String, Value> {
    let number = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
    let counted = call.engine.networks.usage(network).into_iter().map(|(subnet, taken, free)| {
        (subnet.to_string(), json!({ "IPsInUse": number(taken), "DynamicIPsAvailable": number(free) }))
    });
    counted.collect()
}

fn describe(network: &Network, containers: &Value) -> Value {
    let config: Vec<Value> = network.subnets.iter().map(range).collect();
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": time::rfc3339(network.created),
        "Scope": "local",
        "Driver": network.driver.name(),
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": network.ipam_options,
            // Go's nil slice, for those that have no addresses.
            "Config": Some(config).filter(|config| !config.is_empty()),
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": network.config_from },
        "ConfigOnly": network.config_only,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
    })
}

fn range(range: &Range) -> Value {
    let mut config = Map::from_iter([("Subnet".to_owned(), json!(range.subnet))]);
    if let Some(part) = range.given_from {
        config.insert("IPRange".to_owned(), json!(part));
    }
    if let Some(gateway) = range.gateway {
        config.insert("Gateway".to_owned(), json!(gateway));
    }
    if !range.auxiliary.is_empty() {
        config.insert("AuxiliaryAddresses".to_owned(), json!(range.auxiliary));
    }
    Value::Object(config)
}
