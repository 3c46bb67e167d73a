//! Which of a project's services are meant: profiles, names on the command line, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};

use crate::env::{self, Variable};
use yaml::{Map, Node, Value};

/// Services that no active profile wants.
#[derive(Debug, Clone, Default)]
pub struct Disabled(pub Map);

/// Takes out of a tree what no active profile wants. A service without profiles is always wanted.
pub(crate) fn profiles(tree: &mut Node, active: &[String]) -> Disabled {
    let services = tree.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    let Some(services) = services else { return Disabled::default() };
    let wanted = |service: &Node| {
        let list = service.get("profiles").and_then(Node::as_list).unwrap_or_default();
        let is_active = |node: &Node| {
            node.as_text().is_some_and(|name| active.iter().any(|one| one == name || one == "*"))
        };
        list.is_empty() || list.iter().any(is_active)
    };
    let mut disabled = Map::default();
    for (name, service) in std::mem::take(services) {
        let place = if wanted(&service) { &mut *services } else { &mut disabled };
        place.insert(name, service);
    }
    Disabled(disabled)
}

/// The profiles that want a service.
pub(crate) fn profiles_of(service: &Node) -> Vec<String> {
    let list = service.get("profiles").and_then(Node::as_list).unwrap_or_default();
    list.iter().filter_map(|node| node.as_text().map(str::to_owned)).collect()
}

/// Takes out what no service uses.
pub(crate) fn unused(tree: &mut Node) {
    let mut used: [BTreeSet<String>; 4] = Default::default();
    let services = tree.get("services").and_then(Node::as_map);
    for service in services.into_iter().flat_map(|map| map.values()) {
        let [networks, volumes, secrets, configs] = &mut used;
        networks.extend(
            service.get("networks").and_then(Node::as_map).into_iter().flat_map(|map| map.keys().cloned()),
        );
        let sources = |node: &Node, key: &str| -> Vec<String> {
            let list = node.get(key).and_then(Node::as_list).unwrap_or_default();
            list.iter().filter_map(|mount| mount.text_at("source").map(str::to_owned)).collect()
        };
        let mounts = service.get("volumes").and_then(Node::as_list).unwrap_or_default();
        let named = mounts.iter().filter(|mount| mount.text_at("type") == Some("volume"));
        volumes.extend(named.filter_map(|mount| mount.text_at("source").map(str::to_owned)));
        secrets.extend(sources(service, "secrets"));
        configs.extend(sources(service, "configs"));
        if let Some(build) = service.get("build") {
            secrets.extend(sources(build, "secrets"));
        }
    }
    let Some(root) = tree.as_map_mut() else { return };
    for (top, used) in ["networks", "volumes", "secrets", "configs"].into_iter().zip(&used) {
        let Some(map) = root.get_mut(top).and_then(Node::as_map_mut) else { continue };
        map.retain(|name, _| used.contains(name));
        if map.is_empty() {
            root.shift_remove(top);
        }
    }
    if root.get("services").is_none_or(|node| node.value == Value::Null) {
        root.insert("services".to_owned(), Node::map(Map::default(), yaml::At::default()));
    }
}

/// Gives services other images.
pub(crate) fn with_images(tree: &mut Node, images: &BTreeMap<String, String>) {
    let services = tree.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    for (name, service) in services.into_iter().flatten() {
        if let (Some(image), Some(map)) = (images.get(name), service.as_map_mut()) {
            map.insert("image".to_owned(), Node::text(image, yaml::At::default()));
        }
    }
}

/// Sets variables of a service.
pub(crate) fn with_variables(tree: &mut Node, service: &str, variables: &BTreeMap<String, String>) {
    let services = tree.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    let service = services.and_then(|map| map.get_mut(service)).and_then(Node::as_map_mut);
    let nothing = || Node::map(Map::default(), yaml::At::default());
    let Some(environment) = service.map(|map| map.entry("environment".to_owned()).or_insert_with(nothing))
    else {
        return;
    };
    let texts = variables.iter().map(|(name, value)| (name.clone(), Node::text(value, yaml::At::default())));
    match environment.as_map_mut() {
        Some(map) => map.extend(texts),
        None => *environment = Node::map(texts.collect(), yaml::At::default()),
    }
}

/// Leaves these services and what they use.
pub(crate) fn only(tree: &mut Node, kept: &BTreeSet<String>) {
    if let Some(services) =
        tree.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut)
    {
        services.retain(|name, _| kept.contains(name));
    }
    unused(tree);
}

/// The variables that a tree's texts mention, each once.
pub(crate) fn variables(tree: &Node) -> Vec<Variable> {
    let mut found: Vec<Variable> = Vec::new();
    let mut pending = vec![tree];
    while let Some(node) = pending.pop() {
        match &node.value {
            Value::Text(text) => {
                for variable in env::variables(text) {
                    match found.iter_mut().find(|known| known.name == variable.name) {
                        // What has a default somewhere is shown with it.
                        Some(known) if known.default.is_none() => *known = variable,
                        Some(_) => {}
                        None => found.push(variable),
                    }
                }
            }
            Value::List(list) => pending.extend(list),
            Value::Map(map) => pending.extend(map.values()),
            _ => {}
        }
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    found
}
