//! `null` in what clients send means what it means to Go: a field of that value wasn't said. Of a mapping whose names are
//! the user's (labels, options, ports) the name counts all the same, with nothing behind it.

use serde_json::{Map, Value, json};

/// Mappings from the user's names to texts.
const TEXTS: &[&str] = &[
    "Labels",
    "Options",
    "DriverOpts",
    "Sysctls",
    "Tmpfs",
    "StorageOpt",
    "Annotations",
    "AuxiliaryAddresses",
];
/// Mappings from the user's names to what has fields, or none.
const OBJECTS: &[&str] = &["ExposedPorts", "Volumes", "EndpointsConfig"];

/// The same without a `null`.
pub fn without(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().filter_map(|(name, value)| field(name, value)).collect(),
        Value::Array(list) => list.into_iter().map(without).collect(),
        other => other,
    }
}

fn field(name: String, value: Value) -> Option<(String, Value)> {
    let value = match value {
        Value::Null => return None,
        Value::Object(map) if TEXTS.contains(&name.as_str()) => filled(map, &json!("")),
        Value::Object(map) if OBJECTS.contains(&name.as_str()) => without(filled(map, &json!({}))),
        other => without(other),
    };
    Some((name, value))
}

fn filled(map: Map<String, Value>, nothing: &Value) -> Value {
    map.into_iter()
        .map(|(name, value)| (name, if value.is_null() { nothing.clone() } else { value }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_and_the_users_names_stay() {
        let sent = json!({
            "Name": "n", "EnableIPv6": null, "Labels": {"a": null, "b": "c"}, "Options": null,
            "IPAM": {"Driver": null, "Options": {}, "Config": [{"Subnet": "10.0.0.0/8", "Gateway": null, "AuxiliaryAddresses": {"h": null}}]},
            "ExposedPorts": {"80/tcp": null}, "EndpointsConfig": {"x": {"IPAMConfig": null}, "y": null},
            "PortBindings": {"80/tcp": null, "81/tcp": [{"HostPort": null}]},
        });
        let meant = json!({
            "Name": "n", "Labels": {"a": "", "b": "c"},
            "IPAM": {"Options": {}, "Config": [{"Subnet": "10.0.0.0/8", "AuxiliaryAddresses": {"h": ""}}]},
            "ExposedPorts": {"80/tcp": {}}, "EndpointsConfig": {"x": {}, "y": {}},
            "PortBindings": {"81/tcp": [{}]},
        });
        assert_eq!(without(sent), meant);
    }
}
