//! An image's config: what a frontend says, with the layers that there are.

use std::collections::BTreeMap;

use build::Error;
use serde_json::{Map, Value, json};

use crate::builds::error::work;
use crate::builds::tree::{Layer, Tree};
use crate::images::{BuiltImage, Wanted};

/// The image that a tree becomes.
pub(super) fn image(
    config: Option<&[u8]>,
    key: &str,
    tree: &Tree,
    cache: Option<String>,
) -> Result<BuiltImage, Error> {
    if let Tree::Folder(_) = tree {
        return Err(Error::Unsupported { what: "an image of a client's directory".into() });
    }
    let mut config: Map<String, Value> = match config {
        Some(bytes) => serde_json::from_slice(bytes)
            .map_err(|e| Error::Invalid(format!("the image's config can't be read: {e}")))?,
        None => default(key),
    };
    let layers: Vec<&Layer> = tree.list().iter().collect();
    let history = history(config.remove("history"), &layers);
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    if !config.contains_key("created")
        && let Some(last) = history.last().and_then(|last| last.get("created"))
    {
        config.insert("created".into(), last.clone());
    }
    config.insert("history".into(), Value::Array(history));
    if let Some(cache) = cache {
        config.insert(crate::builds::remote::INLINE.into(), cache.into());
    }
    config.insert("rootfs".into(), json!({ "type": "layers", "diff_ids": diff_ids }));
    // Sorted, as BuildKit writes them: the same config is the same bytes.
    let sorted: BTreeMap<String, Value> = config.into_iter().collect();
    let config = serde_json::to_vec(&sorted).map_err(|e| work("write the image's config", e))?;
    let layers = layers.iter().map(|layer| (layer.diff_id.clone(), layer.size)).collect();
    Ok(BuiltImage { config, layers, annotations: BTreeMap::new() })
}

/// What an image is of which nobody said anything.
fn default(key: &str) -> Map<String, Value> {
    let platform = Wanted::parse(key).ok().filter(|_| !key.is_empty());
    let host = Wanted::host();
    let platform = platform.as_ref().unwrap_or(&host).platform();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut config = Map::new();
    config.insert("architecture".into(), json!(platform.architecture));
    config.insert("os".into(), json!(platform.os));
    if let Some(variant) = platform.variant.as_ref().filter(|variant| !variant.is_empty()) {
        config.insert("variant".into(), json!(variant));
    }
    config.insert("config".into(), json!({ "Env": [path], "WorkingDir": "/" }));
    config
}

/// One entry for each layer, in the order of both.
fn history(given: Option<Value>, layers: &[&Layer]) -> Vec<Value> {
    let mut entries = match given {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    let is_empty = |entry: &Value| entry["empty_layer"] == json!(true);
    let mut counted = entries.iter().filter(|entry| !is_empty(entry)).count();
    // More than there are layers: the first ones can't be right.
    for entry in &mut entries {
        if counted <= layers.len() {
            break;
        }
        if !is_empty(entry) {
            entry["empty_layer"] = json!(true);
            counted -= 1;
        }
    }
    for layer in layers.iter().skip(counted) {
        entries.push(json!({
            "created": created(layer), "created_by": layer.by, "comment": "buildkit.exporter.image.v0",
        }));
    }
    let mut left = layers.iter();
    for entry in entries.iter_mut().filter(|entry| !is_empty(entry)) {
        let Some(layer) = left.next() else { break };
        if entry["created"].is_null() {
            entry["created"] = created(layer);
        }
    }
    fill_times(&mut entries);
    entries
}

fn created(layer: &Layer) -> Value {
    let made = layer.made.and_then(|made| i64::try_from(made).ok());
    match made.and_then(|made| jiff::Timestamp::from_second(made).ok()) {
        Some(made) => json!(made.to_string()),
        None => Value::Null,
    }
}

/// What says nothing of its time was made when the first layer of this build was, or with what was made before it. Where
/// nothing says anything, nothing is said, as by BuildKit: words alone are the same image on another day.
fn fill_times(entries: &mut [Value]) {
    let mut time = Value::Null;
    let mut open = false;
    for known in entries.iter().map(|entry| &entry["created"]) {
        match known {
            Value::Null => open = true,
            known => {
                time = known.clone();
                if open {
                    break;
                }
            }
        }
    }
    open = false;
    for entry in entries.iter_mut() {
        match &entry["created"] {
            Value::Null => {
                open = true;
                entry["created"] = time.clone();
            }
            known if open => time = known.clone(),
            _ => {}
        }
    }
    for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
        entry.retain(|_, value| !value.is_null());
    }
}
