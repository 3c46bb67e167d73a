//! A project as a document: what `config` prints, and the hash by which a service is known to have changed.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::error::Mistake;
use crate::shape::{self, Kind, PROJECT, SERVICE, plain_json};
use yaml::{Map, Node, emit};

/// A tree in its typed form, with its name first and what is nobody's last.
pub(crate) fn typed(tree: &Node, name: &str) -> Result<Node, Mistake> {
    let mut tree = tree.clone();
    if let Some(map) = tree.as_map_mut() {
        map.insert("name".to_owned(), Node::text(name, yaml::At::default()));
    }
    let mut shaped = shape::shape(&tree, &Kind::Struct(&PROJECT), "")?.unwrap_or(tree);
    // A project of no services says so.
    if let Some(map) = shaped.as_map_mut().filter(|map| !map.contains_key("services")) {
        map.shift_insert(
            map.len().min(1),
            "services".to_owned(),
            Node::map(Map::default(), yaml::At::default()),
        );
    }
    Ok(shaped)
}

/// The document in YAML. A dollar sign is written as it would be read again.
pub(crate) fn yaml(typed: &Node) -> String {
    emit(typed).replace('$', "$$")
}

/// A tree as it is, its names in order.
pub(crate) fn untyped_yaml(tree: &Node) -> String {
    emit(&shape::sorted(tree))
}

/// The document in JSON, indented.
pub(crate) fn json(typed: &Node) -> String {
    pretty(&document(typed)).replace('$', "$$")
}

/// A tree as it is, in JSON.
pub(crate) fn untyped_json(tree: &Node) -> String {
    pretty(&plain_json(&shape::sorted(tree)))
}

fn pretty(value: &Json) -> String {
    escaped(&format!("{value:#}"))
}

/// The whole project as JSON; docker's client writes its parts in the order of their names.
pub(crate) fn document(typed: &Node) -> Json {
    let mut object = serde_json::Map::new();
    let Some(map) = typed.as_map() else { return Json::Null };
    let mut names: Vec<_> = map.keys().collect();
    names.sort_unstable_by_key(|name| (*name != "name", *name));
    for name in names {
        let kind =
            PROJECT.fields.iter().find(|(field, _)| field == name).map_or(&Kind::Any, |(_, kind)| kind);
        object.insert(name.clone(), shape::json(&map[name], kind));
    }
    Json::Object(object)
}

/// What changes when a service's containers have to be made anew, in the form that docker's client hashes.
pub(crate) fn hash(service: &Node) -> String {
    hash_with(service, &BTreeMap::new())
}

/// The same with containers in the place of services that it shares with.
pub(crate) fn hash_with(service: &Node, containers: &BTreeMap<String, String>) -> String {
    let mut json = shape::json(service, &Kind::Struct(&SERVICE));
    if let Some(object) = json.as_object_mut() {
        for gone in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            object.shift_remove(gone);
        }
        if let Some(deploy) = object.get_mut("deploy").and_then(Json::as_object_mut) {
            deploy.shift_remove("replicas");
        }
        oddities(object);
        name_containers(object, containers);
    }
    hex::encode(Sha256::digest(escaped(&json.to_string())))
}

/// What docker's client writes otherwise here than in documents.
fn oddities(service: &mut serde_json::Map<String, Json>) {
    let items = |value: &mut Json| value.as_array_mut().map(std::mem::take).unwrap_or_default();
    if let Some(files) = service.get_mut("env_file") {
        let short = |file: Json| match file.get("format").is_none()
            && file.get("required") == Some(&Json::Bool(true))
        {
            true => file["path"].clone(),
            false => file,
        };
        *files = items(files).into_iter().map(short).collect();
    }
    let blkio = service.get_mut("blkio_config").and_then(Json::as_object_mut);
    for list in blkio.into_iter().flatten().map(|(_, list)| list).filter(|list| list.is_array()) {
        let capital = |(name, value): (String, Json)| {
            let (first, rest) = name.split_at(1);
            (first.to_uppercase() + rest, value)
        };
        let renamed = items(list).into_iter().filter_map(|item| match item {
            Json::Object(item) => Some(Json::Object(item.into_iter().map(capital).collect())),
            _ => None,
        });
        *list = renamed.collect();
    }
}

fn name_containers(service: &mut serde_json::Map<String, Json>, containers: &BTreeMap<String, String>) {
    for key in ["network_mode", "ipc", "pid"] {
        let other = service.get(key).and_then(Json::as_str).and_then(|mode| mode.strip_prefix("service:"));
        if let Some(id) = other.and_then(|other| containers.get(other)) {
            let mode = format!("container:{id}");
            service.insert(key.to_owned(), mode.into());
        }
    }
    for from in service.get_mut("volumes_from").and_then(Json::as_array_mut).into_iter().flatten() {
        let other = from.as_str().and_then(|text| text.split(':').next());
        if let Some(id) = other.and_then(|other| containers.get(other)) {
            *from = id.clone().into();
        }
    }
}

/// A network's or a volume's hash.
pub(crate) fn resource_hash(json: &Json) -> String {
    hex::encode(Sha256::digest(escaped(&json.to_string())))
}

/// As Go's encoder writes it: letters that HTML gives a meaning are escaped.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            letter => text.push(letter),
        }
    }
    text
}
