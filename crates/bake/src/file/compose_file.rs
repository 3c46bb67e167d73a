//! Compose files: each service that is built is a target.

use serde_json::{Value as Json, json};

use crate::Error;
use crate::target::Target;
use crate::value::Value;

/// What a service's build says.
pub(super) fn target(service: &Json) -> Result<Target, Error> {
    let (build, mut target) = (&service["build"], Target::default());
    let mut set = |name: &str, value: &Json| match value {
        Json::Null => Ok(()),
        value => target.set(name, &Value::of_json(value)),
    };
    for (name, key) in [
        ("context", "context"),
        ("dockerfile", "dockerfile"),
        ("dockerfile-inline", "dockerfile_inline"),
        ("contexts", "additional_contexts"),
        ("args", "args"),
        ("labels", "labels"),
        ("target", "target"),
        ("cache-from", "cache_from"),
        ("cache-to", "cache_to"),
        ("network", "network"),
        ("platforms", "platforms"),
        ("pull", "pull"),
        ("no-cache", "no_cache"),
        ("entitlements", "entitlements"),
    ] {
        set(name, &build[key])?;
    }
    if !build["shm_size"].is_null() {
        set("shm-size", &json!(Value::of_json(&build["shm_size"]).to_text()?))?;
    }
    match (build["tags"].as_array(), service["image"].as_str()) {
        (Some(_), _) => set("tags", &build["tags"])?,
        (None, Some(image)) => set("tags", &json!([image]))?,
        (None, None) => {}
    }
    // What buildx reads beside: `x-bake`.
    if let Some(extra) = build["x-bake"].as_object() {
        let mut more = Target::default();
        for (name, value) in extra {
            let value = if value.is_string()
                && !matches!(name.as_str(), "context" | "dockerfile" | "target" | "network")
            {
                json!([value])
            } else {
                value.clone()
            };
            let flag = matches!(name.as_str(), "pull" | "no-cache");
            let value = if flag { extra[name].clone() } else { value };
            more.set(name, &Value::of_json(&value))?;
        }
        target.merge(&more);
    }
    Ok(target)
}
