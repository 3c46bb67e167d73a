//! What nobody wrote and what is meant all the same: the default network, names, dependencies that follow from other
//! keys.

use crate::env::Environment;
use crate::error::Mistake;
use yaml::{At, Map, Node, Value};

use super::merge::empty;

/// Fills in what is meant.
pub(super) fn normalize(tree: &mut Node, project: &str, environment: &Environment) -> Result<(), Mistake> {
    let Some(root) = tree.as_map_mut() else { return Ok(()) };
    for service in below(root, "services") {
        if let Some(service) = service.as_map_mut() {
            networks(service);
            build(service, environment);
            pull_policy(service);
            dependencies(service);
        }
    }
    let uses_default =
        |service: &Node| service.get("networks").is_some_and(|networks| networks.get("default").is_some());
    if below(root, "services").any(|service| uses_default(service)) {
        let networks = root.entry("networks".to_owned()).or_insert_with(empty);
        if networks.is_null() {
            *networks = empty();
        }
        if let Some(networks) = networks.as_map_mut() {
            networks.entry("default".to_owned()).or_insert_with(|| Node::new(Value::Null, At::default()));
        }
    }
    for top in ["networks", "volumes", "secrets", "configs"] {
        if let Some(map) = root.get_mut(top).and_then(Node::as_map_mut) {
            map.iter_mut().for_each(|(key, node)| name(node, key, project));
        }
    }
    Ok(())
}

fn below<'m>(root: &'m mut Map, top: &str) -> impl Iterator<Item = &'m mut Node> {
    root.get_mut(top).and_then(Node::as_map_mut).into_iter().flat_map(|map| map.values_mut())
}

/// A service without networks is in the default one.
fn networks(service: &mut Map) {
    let has = |key: &str| service.get(key).is_some_and(|node| !node.is_null());
    let none =
        service.get("networks").is_none_or(|node| node.is_null() || node.as_map().is_some_and(Map::is_empty));
    if none && !has("network_mode") && !has("provider") {
        let mut map = Map::default();
        map.insert("default".to_owned(), Node::new(Value::Null, At::default()));
        service.insert("networks".to_owned(), Node::map(map, At::default()));
    }
}

fn build(service: &mut Map, environment: &Environment) {
    let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) else { return };
    if !build.contains_key("dockerfile") && !build.contains_key("dockerfile_inline") {
        build.insert("dockerfile".to_owned(), Node::text("Dockerfile", At::default()));
    }
    // An argument without a value has the variable's, and without that it isn't there.
    if let Some(args) = build.get_mut("args") {
        match &mut args.value {
            Value::Map(map) => map.retain(|name, node| {
                let value = environment.get(name).filter(|_| node.is_null());
                if let Some(value) = value {
                    node.value = Value::Text(value.to_owned());
                }
                !node.is_null()
            }),
            Value::List(list) => list.retain_mut(|node| {
                let Some(name) = node.scalar().filter(|text| !text.contains('=')) else { return true };
                let value = environment.get(&name);
                if let Some(value) = value {
                    node.value = Value::Text(format!("{name}={value}"));
                }
                value.is_some()
            }),
            _ => {}
        }
    }
}

fn pull_policy(service: &mut Map) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_text() == Some("if_not_present")
    {
        policy.value = Value::Text("missing".into());
    }
}

/// What a service shares with another one, it can't have before that.
fn dependencies(service: &mut Map) {
    let texts = |key: &str| -> Vec<(String, At)> {
        let list = service.get(key).and_then(Node::as_list).unwrap_or_default();
        list.iter().filter_map(|node| Some((node.as_text()?.to_owned(), node.at))).collect()
    };
    let mut found: Vec<(String, At, bool)> = Vec::new();
    for (link, at) in texts("links") {
        found.push((link.split(':').next().unwrap_or_default().to_owned(), at, true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = service.get(key)
            && let Some(name) = node.as_text().and_then(|text| text.strip_prefix("service:"))
        {
            found.push((name.to_owned(), node.at, true));
        }
    }
    for (from, at) in texts("volumes_from") {
        if !from.starts_with("container:") {
            found.push((from.split(':').next().unwrap_or_default().to_owned(), at, false));
        }
    }
    if found.is_empty() {
        return;
    }
    let depends_on = service.entry("depends_on".to_owned()).or_insert_with(empty);
    let Some(depends_on) = depends_on.as_map_mut() else { return };
    for (name, at, restart) in found {
        depends_on.entry(name).or_insert_with(|| {
            let mut map = Map::default();
            map.insert("condition".to_owned(), Node::text("service_started", at));
            map.insert("restart".to_owned(), Node::new(Value::Bool(restart), at));
            map.insert("required".to_owned(), Node::new(Value::Bool(true), at));
            Node::map(map, at)
        });
    }
}

/// The name that the engine knows it by.
fn name(node: &mut Node, key: &str, project: &str) {
    let at = node.at;
    if node.is_null() {
        node.value = Value::Map(Map::default());
    }
    let Some(map) = node.as_map_mut() else { return };
    if map.get("name").is_none_or(Node::is_null) {
        let external = map.get("external").is_some_and(|node| node.value == Value::Bool(true));
        let name = if external { key.to_owned() } else { format!("{project}_{key}") };
        map.shift_insert(0, "name".to_owned(), Node::text(name, at));
    }
}
