//! Strings that stand for numbers and truths: what a variable brought is always a string.

use crate::error::Mistake;
use yaml::{Node, Value};

use super::Key;

/// Turns the strings of a project into what their keys want.
pub(crate) fn cast(node: &mut Node) -> Result<(), Mistake> {
    below(node, Key::root(), "")
}

fn below(node: &mut Node, key: &Key, path: &str) -> Result<(), Mistake> {
    match &mut node.value {
        Value::Map(map) => {
            for (name, node) in map {
                if let Some(key) = key.find(name) {
                    below(node, key, &join(path, name))?;
                }
            }
        }
        Value::List(list) => {
            if let Some(key) = key.item() {
                let path = join(path, "[]");
                for node in list {
                    below(node, key, &path)?;
                }
            }
        }
        Value::Text(text) => {
            if let Some(value) = convert(key.cast, text).map_err(|why| {
                let what =
                    format!("error while interpolating {path}: failed to cast to expected type: {why}");
                Mistake::new(node.at, what)
            })? {
                node.value = value;
            }
        }
        _ => {}
    }
    Ok(())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn convert(to: &str, text: &str) -> Result<Option<Value>, String> {
    Ok(Some(match to {
        "boolean" => Value::Bool(truth(text).ok_or_else(|| format!("invalid boolean: {text}"))?),
        "int" | "int64" => Value::Int(text.parse().map_err(|_| format!("parsing {text:?}: invalid syntax"))?),
        "float" | "float32" => {
            let number: f64 = text.parse().map_err(|_| format!("parsing {text:?}: invalid syntax"))?;
            Value::Float(number)
        }
        _ => return Ok(None),
    }))
}

/// YAML 1.1's words for truths are taken here.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}
