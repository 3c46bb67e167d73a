//! The variables of services: from files, from the caller, from the project; and labels from files.

use std::path::Path;

use crate::env::{Environment, Warnings, entries};
use crate::error::Mistake;
use yaml::{Map, Node, Value};

/// Resolves the variables of all services.
pub(super) fn resolve(
    tree: &mut Node,
    environment: &Environment,
    warnings: &mut Warnings,
) -> Result<(), Mistake> {
    let services = tree.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut);
    for (name, service) in services.into_iter().flatten() {
        if let Some(service) = service.as_map_mut() {
            variables(name, service, environment, warnings)?;
            labels(service, warnings)?;
        }
    }
    for top in ["configs", "secrets"] {
        for (name, object) in tree.get(top).and_then(Node::as_map).into_iter().flatten() {
            if let Some(variable) = object.get("environment").and_then(Node::scalar) {
                warnings.used(environment, &variable, &format!("{top}.{name}"));
            }
        }
    }
    Ok(())
}

fn variables(
    of: &str,
    service: &mut Map,
    environment: &Environment,
    warnings: &mut Warnings,
) -> Result<(), Mistake> {
    let files = service.shift_remove("env_file");
    let mut all = Map::default();
    for file in files.iter().flat_map(|node| node.as_list().unwrap_or_default()) {
        let mut lookup = |name: &str| {
            let earlier = all.get(name).and_then(Node::scalar);
            environment.get(name).map(str::to_owned).or(earlier)
        };
        for (name, value) in from_file(file, &mut lookup, warnings)? {
            all.insert(name, Node::new(value, file.at));
        }
    }
    if let Some(own) = service.get("environment") {
        for (name, mut node) in as_map(own) {
            if node.is_null()
                && let Some(value) = environment.get(&name)
            {
                warnings.used(environment, &name, &format!("services.{of}.environment.{name}"));
                node.value = Value::Text(value.to_owned());
            }
            all.insert(name, node);
        }
    }
    if !all.is_empty() {
        let at = service.get("environment").or(files.as_ref()).map(|node| node.at).unwrap_or_default();
        service.insert("environment".to_owned(), Node::map(all, at));
    }
    Ok(())
}

/// `[A=1, B]` and `{A: 1, B: }` as a mapping.
pub(super) fn as_map(node: &Node) -> Map {
    match &node.value {
        Value::Map(map) => map.clone(),
        Value::List(list) => {
            let pairs = list.iter().map(|item| {
                let text = item.scalar().unwrap_or_default();
                match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Node::text(value, item.at)),
                    None => (text, Node::new(Value::Null, item.at)),
                }
            });
            pairs.collect()
        }
        _ => Map::default(),
    }
}

type Pairs = Vec<(String, Value)>;

fn from_file(
    file: &Node,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    warnings: &mut Warnings,
) -> Result<Pairs, Mistake> {
    let path = file.text_at("path").unwrap_or_default();
    let required = file.get("required").is_none_or(|node| node.value != Value::Bool(false));
    if !required && !Path::new(path).exists() {
        return Ok(Vec::new());
    }
    let text = read(path, file)?;
    if file.text_at("format") == Some("raw") {
        return Ok(raw(&text, lookup));
    }
    let found = entries(Path::new(path), &text, lookup, warnings);
    let found = found.map_err(|error| Mistake::new(file.at, format!("failed to read {path}: {error}")))?;
    Ok(found.into_iter().filter_map(|entry| Some((entry.name, Value::Text(entry.value?)))).collect())
}

fn read(path: &str, file: &Node) -> Result<String, Mistake> {
    super::read(Path::new(path)).map_err(|error| {
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Mistake::new(file.at, format!("env file {path} not found: {why}"))
            .hint("write the file, or say required: false beside its path")
    })
}

/// Lines as they stand.
fn raw(text: &str, lookup: &mut dyn FnMut(&str) -> Option<String>) -> Pairs {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.filter_map(|line| match line.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), Value::Text(value.to_owned()))),
        None => Some((line.to_owned(), Value::Text(lookup(line)?))),
    });
    pairs.collect()
}

fn labels(service: &mut Map, warnings: &mut Warnings) -> Result<(), Mistake> {
    let Some(files) = service.shift_remove("label_file") else { return Ok(()) };
    let mut all = Map::default();
    for file in files.as_list().unwrap_or_default() {
        let path = file.as_text().unwrap_or_default();
        let text = read(path, file)?;
        let found = entries(Path::new(path), &text, &mut |_| None, warnings);
        let found =
            found.map_err(|error| Mistake::new(file.at, format!("failed to read {path}: {error}")))?;
        all.extend(
            found.into_iter().map(|entry| (entry.name, Node::text(entry.value.unwrap_or_default(), file.at))),
        );
    }
    if let Some(own) = service.get("labels") {
        all.extend(as_map(own));
    }
    service.insert("labels".to_owned(), Node::map(all, files.at));
    Ok(())
}
