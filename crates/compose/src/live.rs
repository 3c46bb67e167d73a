//! What changed of a service, key by key, and what of that a running container can be given.
//!
//! Each container carries a short hash of every key that it was made from, so that a later plan can name what changed. On an
//! engine that changes no labels, a label stays as it was when something is changed on the running container: whether that is
//! still to be done is seen from what the container has, not from the label.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::container::{Facts, container};
use crate::labels;
use crate::project::Project;

/// Keys whose parts are told one by one.
const DIVIDED: [&str; 6] = ["deploy", "environment", "labels", "networks", "reservations", "resources"];
/// Lists whose order says nothing.
const SETS: [&str; 14] = [
    "cap_add",
    "cap_drop",
    "configs",
    "device_cgroup_rules",
    "devices",
    "expose",
    "external_links",
    "group_add",
    "links",
    "ports",
    "secrets",
    "security_opt",
    "tmpfs",
    "volumes",
];
/// What a running container can be given.
const LIVE: [&str; 13] = [
    "cpu_period",
    "cpu_quota",
    "cpu_shares",
    "cpus",
    "cpuset",
    "deploy.resources.limits",
    "deploy.resources.reservations.memory",
    "deploy.restart_policy",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "pids_limit",
    "restart",
];
/// What says how things are done, and nothing about the container.
const ASIDE: [&str; 12] = [
    "attach",
    "deploy.endpoint_mode",
    "deploy.labels",
    "deploy.mode",
    "deploy.placement",
    "deploy.rollback_config",
    "deploy.update_config",
    "develop",
    "post_start",
    "pre_start",
    "pre_stop",
    "pull_refresh_after",
];
/// Not a part of what is compared; docker's hash leaves them out as well.
const NO_PART: [&str; 6] = ["build", "depends_on", "profiles", "pull_policy", "replicas", "scale"];

/// What is done to a container without making it anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The body of `POST /containers/{id}/update`, if there is something to say.
    pub update: Map<String, Value>,
    /// Networks to leave.
    pub leave: Vec<String>,
    /// Networks to join, each with its endpoint.
    pub join: Vec<(String, Value)>,
    /// What that is, for people.
    pub told: Vec<String>,
}

/// The hashes of a service's keys, as the container's label has them.
pub(crate) fn fields(spec: &Value) -> String {
    let mut found = BTreeMap::new();
    collect(spec, "", &mut found);
    found.into_iter().map(|(key, hash)| format!("{hash}:{key}")).collect::<Vec<_>>().join(" ")
}

/// The labels of a container that was given what changed.
pub fn labels(project: &Project, service: &str, facts: &Facts) -> BTreeMap<&'static str, String> {
    let spec = project.service(service).unwrap_or(&Value::Null);
    BTreeMap::from([
        (labels::HASH, project.hash_with(service, &facts.containers)),
        (labels::FIELDS, fields(spec)),
    ])
}

fn collect(spec: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    for (key, value) in spec.as_object().into_iter().flatten() {
        if NO_PART.contains(&key.as_str()) {
            continue;
        }
        let whole = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if DIVIDED.contains(&key.as_str()) && value.is_object() {
            collect(value, &whole, found);
        } else {
            let digest = hex::encode(Sha256::digest(essence(key, value).to_string()));
            found.insert(whole, digest.get(..8).unwrap_or_default().to_owned());
        }
    }
}

/// What a key's value comes to, however it is written.
fn essence(key: &str, value: &Value) -> Value {
    let mut value = value.clone();
    match key {
        "healthcheck" if value["disable"] == true => return json!({ "test": ["NONE"] }),
        "ulimits" => {
            for limit in value.as_object_mut().into_iter().flat_map(Map::values_mut) {
                if limit.is_number() {
                    *limit = json!({ "soft": limit, "hard": limit });
                }
            }
        }
        _ => {}
    }
    if let (true, Some(items)) = (SETS.contains(&key), value.as_array_mut()) {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            // A port's name is for people, and what is said of nothing is nothing.
            item.retain(|part, value| {
                !(key == "ports" && matches!(part.as_str(), "name" | "app_protocol"))
                    && value.as_object().is_none_or(|details| !details.is_empty())
            });
        }
        items.sort_by_cached_key(Value::to_string);
    }
    value
}

/// The keys that differ.
pub(crate) fn changed(had: &str, wanted: &str) -> Vec<String> {
    let read = |text: &str| -> BTreeMap<String, String> {
        text.split(' ')
            .filter_map(|part| part.split_once(':'))
            .map(|(h, key)| (key.into(), h.into()))
            .collect()
    };
    let (had, wanted) = (read(had), read(wanted));
    had.iter()
        .filter(|(key, hash)| wanted.get(*key) != Some(hash))
        .map(|(key, _)| key.clone())
        .chain(wanted.keys().filter(|key| !had.contains_key(*key)).cloned())
        .collect()
}

/// Of these keys those that a container has to be made anew for.
pub(crate) fn weighty(keys: &[String]) -> Vec<&str> {
    let is_light = |key: &&String| {
        let is_of = |whole: &&str| {
            key.strip_prefix(*whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        LIVE.contains(&key.as_str()) || ASIDE.iter().any(is_of) || key.starts_with("networks.")
    };
    keys.iter().filter(|key| !is_light(key)).map(String::as_str).collect()
}

/// What is to be done to a container that is as `actual`, `inspect`'s answer; or why that can't be done while it lives.
pub(crate) fn live(project: &Project, service: &str, number: u32, actual: &Value) -> Result<Live, String> {
    let wanted = container(project, service, number, &Facts::default())?;
    let mut live = Live::default();
    limits(&wanted.body["HostConfig"], &actual["HostConfig"], &mut live)?;
    restart(&wanted.body["HostConfig"]["RestartPolicy"], &actual["HostConfig"]["RestartPolicy"], &mut live);
    networks(&wanted.body, actual, &mut live)?;
    Ok(live)
}

fn limits(wanted: &Value, actual: &Value, live: &mut Live) -> Result<(), String> {
    for (key, word) in [
        ("Memory", "memory"),
        ("MemoryReservation", "memory reservation"),
        ("MemorySwap", "swap"),
        ("NanoCpus", "cpus"),
        ("CpuShares", "cpu shares"),
        ("CpuPeriod", "cpu period"),
        ("CpuQuota", "cpu quota"),
        ("CpusetCpus", "cpuset"),
        ("PidsLimit", "pids"),
    ] {
        let (new, old) = (&wanted[key], &actual[key]);
        let is_nothing = |value: &Value| matches!(value.as_i64(), Some(0)) || value.is_null() || value == "";
        // Swap that nobody spoke of is twice the memory, and goes with it.
        let implied = key == "MemorySwap" && is_nothing(new);
        if new == old || implied || (is_nothing(new) && is_nothing(old)) {
            continue;
        }
        if is_nothing(new) {
            return Err(format!("the limit of {word} is taken away"));
        }
        live.told.push(format!("{word} {} → {new}", if is_nothing(old) { &Value::Null } else { old }));
        live.update.insert(key.to_owned(), new.clone());
    }
    if let (Some(memory), false) = (wanted["Memory"].as_i64(), live.update.contains_key("MemorySwap"))
        && live.update.contains_key("Memory")
        && wanted["MemorySwap"].as_i64().unwrap_or(0) == 0
    {
        live.update.insert("MemorySwap".to_owned(), memory.saturating_mul(2).into());
    }
    Ok(())
}

fn restart(wanted: &Value, actual: &Value, live: &mut Live) {
    let read = |policy: &Value| {
        let name = policy["Name"].as_str().filter(|name| !name.is_empty()).unwrap_or("no").to_owned();
        (name, policy["MaximumRetryCount"].as_i64().unwrap_or(0))
    };
    let (new, old) = (read(wanted), read(actual));
    if new != old {
        let told = |(name, most): &(String, i64)| match most {
            0 => name.clone(),
            most => format!("{name}:{most}"),
        };
        live.told.push(format!("restart {} → {}", told(&old), told(&new)));
        let policy = json!({ "Name": new.0, "MaximumRetryCount": new.1 });
        live.update.insert("RestartPolicy".to_owned(), policy);
    }
}

fn networks(wanted: &Value, actual: &Value, live: &mut Live) -> Result<(), String> {
    let empty = Map::new();
    let new = wanted["NetworkingConfig"]["EndpointsConfig"].as_object().unwrap_or(&empty);
    let old = actual["NetworkSettings"]["Networks"].as_object().unwrap_or(&empty);
    if new.is_empty() {
        return Ok(());
    }
    if wanted["HostConfig"]["NetworkMode"] != actual["HostConfig"]["NetworkMode"] {
        return Err("its first network is another one".to_owned());
    }
    for (name, endpoint) in new {
        match old.get(name) {
            Some(has) if is_as(endpoint, has) => continue,
            Some(_) => {
                live.leave.push(name.clone());
                live.told.push(format!("network {name} joined anew"));
            }
            None => live.told.push(format!("network {name} joined")),
        }
        live.join.push((name.clone(), endpoint.clone()));
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        live.leave.push(name.clone());
        live.told.push(format!("network {name} left"));
    }
    Ok(())
}

/// Whether an endpoint is as it is wanted: what nobody asked for may be as it likes.
fn is_as(wanted: &Value, has: &Value) -> bool {
    let names = |endpoint: &Value, key: &str| -> Vec<String> {
        let list = endpoint[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut names: Vec<String> = list.map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let asks = |key: &str| wanted.get(key).is_some_and(|value| !value.is_null() && value != "");
    // Engines before 1.45 tell a container's short id among its aliases.
    let aliases = names(has, "Aliases");
    let wanted_aliases = names(wanted, "Aliases");
    let more = aliases.iter().filter(|name| !wanted_aliases.contains(name));
    let is_id = |name: &&String| name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    wanted_aliases.iter().all(|name| aliases.contains(name))
        && more.filter(|name| !is_id(name)).count() == 0
        && ["IPAMConfig", "DriverOpts", "MacAddress", "GwPriority"]
            .into_iter()
            .all(|key| !asks(key) || wanted[key] == has[key])
        && (asks("IPAMConfig") || has["IPAMConfig"].as_object().is_none_or(Map::is_empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_changed_are_named() {
        let before = json!({
            "command": ["a"], "environment": {"A": "1", "B": "2"}, "scale": 1,
            "deploy": {"resources": {"limits": {"cpus": 1}}, "update_config": {"order": "stop-first"}},
        });
        let after = json!({
            "environment": {"A": "1", "B": "3", "C": null}, "scale": 2, "restart": "always",
            "deploy": {"resources": {"limits": {"cpus": 2}}, "update_config": {"order": "start-first"}},
        });
        let keys = changed(&fields(&before), &fields(&after));
        let wanted = [
            "command",
            "deploy.resources.limits",
            "deploy.update_config",
            "environment.B",
            "environment.C",
            "restart",
        ];
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, wanted);
        let mut weighty = weighty(&keys);
        weighty.sort_unstable();
        assert_eq!(weighty, ["command", "environment.B", "environment.C"]);
        assert!(changed(&fields(&before), &fields(&before)).is_empty());
    }

    #[test]
    fn limits_are_given_to_a_running_container_and_not_taken_from_it() {
        let mut live = Live::default();
        let actual = json!({ "Memory": 64, "MemorySwap": 128, "NanoCpus": 0, "PidsLimit": null });
        limits(&json!({ "Memory": 128, "NanoCpus": 5 }), &actual, &mut live).unwrap();
        assert_eq!(
            Value::Object(live.update.clone()),
            json!({"Memory": 128, "NanoCpus": 5, "MemorySwap": 256})
        );
        let taken = limits(&json!({}), &actual, &mut Live::default()).unwrap_err();
        assert_eq!(taken, "the limit of memory is taken away");
        let mut same = Live::default();
        limits(&json!({ "Memory": 64 }), &actual, &mut same).unwrap();
        assert_eq!(same, Live::default());
    }

    #[test]
    fn an_endpoint_is_joined_anew_only_for_what_was_asked() {
        let has = json!({ "Aliases": ["web", "0123456789ab"], "IPAMConfig": null, "GwPriority": 0 });
        assert!(is_as(&json!({ "Aliases": ["web"] }), &has));
        assert!(!is_as(&json!({ "Aliases": ["web", "www"] }), &has));
        assert!(!is_as(&json!({ "Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.0.0.9"} }), &has));
        let addressed = json!({ "Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.0.0.9"} });
        assert!(!is_as(&json!({ "Aliases": ["web"] }), &addressed));
    }
}
