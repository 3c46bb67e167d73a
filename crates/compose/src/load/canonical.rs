//! Each key in its long form.

use crate::error::Mistake;
use yaml::{Map, Node, Value};

use super::short;

/// Brings a tree to its long form. Without variables filled in, what can't be read stays as it is.
pub(super) fn canonical(tree: &mut Node, strict: bool) -> Result<(), Mistake> {
    let Some(root) = tree.as_map_mut() else { return Ok(()) };
    for (top, node) in root.iter_mut() {
        let Some(map) = node.as_map_mut() else { continue };
        for node in map.values_mut() {
            match top.as_str() {
                "services" => service(node, strict)?,
                "networks" | "volumes" | "secrets" | "configs" => external(node),
                _ => {}
            }
        }
    }
    Ok(())
}

fn service(node: &mut Node, strict: bool) -> Result<(), Mistake> {
    let Some(map) = node.as_map_mut() else { return Ok(()) };
    for (key, node) in map.iter_mut() {
        match key.as_str() {
            "build" if !node.is_null() => {
                *node = build(node)?;
                let here = node.clone();
                if let Some(map) = node.as_map_mut() {
                    default_to(map, "context", Value::Text(".".into()), &here);
                }
            }
            "depends_on" => *node = depends_on(node)?,
            "networks" | "models" => *node = names_to_map(node)?,
            "env_file" => *node = env_files(node),
            "label_file" => *node = list(node),
            "extends" => *node = keyed(node, "service"),
            "ports" => ports(node, strict)?,
            "volumes" => volumes(node, strict)?,
            "configs" => mounts(node, None),
            "secrets" => mounts(node, Some("/run/secrets/")),
            "devices" => devices(node)?,
            "gpus" => gpus(node, strict),
            "deploy" => deploy(node, strict),
            _ => {}
        }
    }
    Ok(())
}

/// `name` becomes `{key: name}`.
fn keyed(node: &Node, key: &str) -> Node {
    match &node.value {
        Value::Text(text) => single(node, key, Value::Text(text.clone())),
        _ => node.clone(),
    }
}

fn single(at: &Node, key: &str, value: Value) -> Node {
    let mut map = Map::default();
    map.insert(key.to_owned(), Node::new(value, at.at));
    at.with(Value::Map(map))
}

/// One becomes a list of one.
fn list(node: &Node) -> Node {
    match &node.value {
        Value::List(_) | Value::Null => node.clone(),
        _ => node.with(Value::List(vec![node.clone()])),
    }
}

fn default_to(map: &mut Map, key: &str, value: Value, at: &Node) {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), Node::new(value, at.at));
    }
}

/// `build: context` and its details.
pub(super) fn build(node: &Node) -> Result<Node, Mistake> {
    let mut node = keyed(node, "context");
    let Some(map) = node.as_map_mut() else { return Ok(node) };
    for (key, node) in map.iter_mut() {
        match key.as_str() {
            "secrets" => mounts(node, None),
            "additional_contexts" => *node = pairs(node),
            "ssh" => *node = ssh(node),
            "no_cache_filter" => *node = list(node),
            _ => {}
        }
    }
    Ok(node)
}

/// `[a=b, c]` as a mapping.
fn pairs(node: &Node) -> Node {
    let Value::List(list) = &node.value else { return node.clone() };
    let mut map = Map::default();
    for item in list {
        let text = item.scalar().unwrap_or_default();
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        map.insert(name.to_owned(), Node::text(value, item.at));
    }
    node.with(Value::Map(map))
}

fn ssh(node: &Node) -> Node {
    let Value::List(list) = &node.value else { return node.clone() };
    let mut map = Map::default();
    for item in list {
        let text = item.scalar().unwrap_or_default();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Value::Text(value.to_owned())),
            None => (text.as_str(), Value::Null),
        };
        map.insert(name.to_owned(), Node::new(value, item.at));
    }
    node.with(Value::Map(map))
}

/// `[a, b]` as what it stands for.
pub(super) fn depends_on(node: &Node) -> Result<Node, Mistake> {
    let mut map = Map::default();
    match &node.value {
        Value::List(list) => {
            for item in list {
                let entry = single(item, "condition", Value::Text("service_started".into()));
                map.insert(item.scalar().unwrap_or_default(), entry);
            }
        }
        Value::Map(given) => map = given.clone(),
        _ => return Ok(node.clone()),
    }
    for entry in map.values_mut() {
        let here = entry.clone();
        if let Some(entry) = entry.as_map_mut() {
            default_to(entry, "required", Value::Bool(true), &here);
        }
    }
    Ok(node.with(Value::Map(map)))
}

/// `[a, b]` as a mapping of nothing.
pub(super) fn names_to_map(node: &Node) -> Result<Node, Mistake> {
    let Value::List(list) = &node.value else { return Ok(node.clone()) };
    let mut map = Map::default();
    for item in list {
        map.insert(item.scalar().unwrap_or_default(), Node::new(Value::Null, item.at));
    }
    Ok(node.with(Value::Map(map)))
}

fn env_files(node: &Node) -> Node {
    let mut node = list(node);
    if let Value::List(files) = &mut node.value {
        for file in files {
            *file = keyed(file, "path");
            let here = file.clone();
            if let Some(map) = file.as_map_mut() {
                default_to(map, "required", Value::Bool(true), &here);
            }
        }
    }
    node
}

fn ports(node: &mut Node, strict: bool) -> Result<(), Mistake> {
    let Value::List(given) = &mut node.value else { return Ok(()) };
    let mut ports = Vec::new();
    for port in given.iter() {
        let Some(text) = port.scalar() else {
            ports.push(long_port(port.clone()));
            continue;
        };
        match short::ports(&text) {
            Ok(expanded) => ports.extend(expanded.into_iter().map(|mut node| {
                put_at(&mut node, port);
                node
            })),
            Err(what) if strict => {
                let form = "a port is [IP:][PUBLISHED:]TARGET[/PROTOCOL], with numbers from 1 to 65535";
                return Err(Mistake::new(port.at, what).hint(form));
            }
            // All of them stay as they were written.
            Err(_) => return Ok(()),
        }
    }
    *given = ports;
    Ok(())
}

fn long_port(mut port: Node) -> Node {
    let here = port.clone();
    if let Some(map) = port.as_map_mut() {
        default_to(map, "protocol", Value::Text("tcp".into()), &here);
        default_to(map, "mode", Value::Text("ingress".into()), &here);
        if let Some(published) = map.get_mut("published")
            && let Some(text) = published.scalar()
        {
            published.value = Value::Text(text);
        }
    }
    port
}

/// What was made of a short form stands where that stood.
fn put_at(node: &mut Node, at: &Node) {
    node.at = at.at;
    node.key = at.key;
    if let Some(map) = node.as_map_mut() {
        map.values_mut().for_each(|node| put_at(node, at));
    }
}

fn volumes(node: &mut Node, strict: bool) -> Result<(), Mistake> {
    let Value::List(volumes) = &mut node.value else { return Ok(()) };
    for volume in volumes {
        let here = volume.clone();
        if let Some(text) = here.as_text() {
            match short::volume(text) {
                Ok(long) => {
                    *volume = long;
                    put_at(volume, &here);
                }
                Err(what) if strict => {
                    return Err(Mistake::new(here.at, what).hint("a volume is [SOURCE:]TARGET[:OPTIONS]"));
                }
                Err(_) => {}
            }
        }
        if let Some(Value::Text(target)) =
            volume.as_map_mut().and_then(|map| map.get_mut("target")).map(|node| &mut node.value)
        {
            *target = dockerfile::ignore::clean(target);
        }
    }
    Ok(())
}

fn mounts(node: &mut Node, folder: Option<&str>) {
    let Value::List(mounts) = &mut node.value else { return };
    for mount in mounts {
        *mount = keyed(mount, "source");
        let here = mount.clone();
        if let (Some(folder), Some(source), Some(map)) = (folder, here.text_at("source"), mount.as_map_mut())
        {
            default_to(map, "target", Value::Text(format!("{folder}{source}")), &here);
        }
    }
}

fn devices(node: &mut Node) -> Result<(), Mistake> {
    let Value::List(devices) = &mut node.value else { return Ok(()) };
    for device in devices {
        let Some(text) = device.as_text() else { continue };
        let parts: Vec<_> = text.split(':').collect();
        let (source, target, permissions) = match parts.as_slice() {
            [source] => (*source, *source, "rwm"),
            [source, target] => (*source, *target, "rwm"),
            [source, target, permissions] => (*source, *target, *permissions),
            _ => {
                let what = format!("confusing device mapping, please use long syntax: {text}");
                return Err(Mistake::new(device.at, what));
            }
        };
        let pairs = [("source", source), ("target", target), ("permissions", permissions)];
        let map = pairs.map(|(key, value)| (key.to_owned(), Node::text(value, device.at)));
        *device = device.with(Value::Map(map.into_iter().collect()));
    }
    Ok(())
}

/// All devices of a kind, where nobody says how many.
fn all_devices(list: &mut Node, strict: bool) {
    let Value::List(list) = &mut list.value else { return };
    for device in list {
        let here = device.clone();
        if let Some(map) = device.as_map_mut() {
            if !map.contains_key("device_ids") {
                default_to(map, "count", Value::Text("all".into()), &here);
            }
            if let Some(count) = map.get_mut("count").filter(|count| strict && count.as_text() == Some("all"))
            {
                count.value = Value::Int(-1);
            }
        }
    }
}

fn gpus(node: &mut Node, strict: bool) {
    if node.as_text() == Some("all") {
        let one = single(node, "count", node.value.clone());
        *node = node.with(Value::List(vec![one]));
    }
    all_devices(node, strict);
}

fn deploy(node: &mut Node, strict: bool) {
    let devices = node
        .as_map_mut()
        .and_then(|map| map.get_mut("resources"))
        .and_then(Node::as_map_mut)
        .and_then(|map| map.get_mut("reservations"))
        .and_then(Node::as_map_mut)
        .and_then(|map| map.get_mut("devices"));
    if let Some(devices) = devices {
        all_devices(devices, strict);
    }
}

/// `external: {name: x}` is how it was said once.
fn external(node: &mut Node) {
    let Some(map) = node.as_map_mut() else { return };
    let Some(external) = map.get_mut("external") else { return };
    let old = external.as_map().map(|map| map.get("name").cloned());
    if let Some(name) = old {
        external.value = Value::Bool(true);
        if let Some(name) = name {
            map.insert("name".to_owned(), name);
        }
    }
}
