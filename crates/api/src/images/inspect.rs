//! `GET /images/{name}/json`.

use serde_json::{Map, Value, json};

use super::list::last_tagged;
use super::{manifests, platform};
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time::{self, NEVER};

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let wanted = platform::one(&call)?;
    let with_manifests = call.query.flag("manifests") && call.since(48);
    if wanted.is_some() && with_manifests {
        return Err(Error::invalid("conflicting options: manifests and platform options cannot both be set"));
    }
    let image = call.engine.images.get_on(call.name(), wanted.as_ref())?;
    let catalogue = call.engine.images.catalogue();
    let config = &image.config;
    let comment = config.history.last().and_then(|entry| entry.comment.clone()).unwrap_or_default();
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| drop(fields.insert(key.into(), value));
    set("Id", json!(image.id.as_str()));
    set("RepoTags", json!(catalogue.names_of(&image.id)));
    set("RepoDigests", json!(catalogue.digests_of(&image.id)));
    let old = call.before(52);
    for (key, text) in [("Parent", ""), ("Comment", &comment), ("DockerVersion", "")] {
        if old || !text.is_empty() {
            set(key, json!(text));
        }
    }
    let author = config.author.clone().unwrap_or_default();
    if old || !author.is_empty() {
        set("Author", json!(author));
    }
    // An image without a date: Go's first moment before 1.44, and no key since.
    let undated = call.before(44).then(|| NEVER.to_owned());
    if let Some(created) = config.created.clone().or(undated) {
        set("Created", json!(created));
    }
    set("Architecture", json!(config.platform.architecture));
    if let Some(variant) = &config.platform.variant {
        set("Variant", json!(variant));
    }
    set("Os", json!(config.platform.os));
    if let Some(version) = &config.platform.os_version {
        set("OsVersion", json!(version));
    }
    set("Size", json!(image.size()));
    if call.before(44) {
        set("VirtualSize", json!(image.size()));
    }
    set("GraphDriver", json!({ "Data": null, "Name": call.engine.storage_driver }));
    let layers: Vec<&str> = config.rootfs.diff_ids.iter().map(oci::Digest::as_str).collect();
    set("RootFS", json!({ "Type": config.rootfs.kind, "Layers": layers }));
    let tagged = last_tagged(&catalogue, &image).map_or_else(|| NEVER.to_owned(), time::rfc3339);
    set("Metadata", json!({ "LastTagTime": tagged }));
    set("Config", container_config(&call, &image.config.config));
    if let Some(descriptor) = manifests::descriptor(&image).filter(|_| call.since(48)) {
        set("Descriptor", descriptor);
    }
    if with_manifests {
        set("Manifests", manifests::of(&call, &catalogue, &image));
    }
    if call.before(45) {
        set("ContainerConfig", empty_config());
    }
    Ok(reply::json(&fields))
}

/// Before 1.52 dockerd sent every key, whether the image has it or not; before 1.50 the container's ones too.
fn container_config(call: &Call, config: &oci::image::ContainerConfig) -> Value {
    let mut fields = match json!(config) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    if call.before(52) {
        for key in ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"] {
            fields.entry(key).or_insert(Value::Null);
        }
        for key in ["User", "WorkingDir"] {
            fields.entry(key).or_insert_with(|| json!(""));
        }
    }
    if call.before(50) {
        for key in ["Hostname", "Domainname", "Image"] {
            fields.entry(key).or_insert_with(|| json!(""));
        }
        for key in ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"] {
            fields.entry(key).or_insert(json!(false));
        }
    }
    Value::Object(fields)
}

/// What the classic builder's container was configured as: no image of ours was made that way.
fn empty_config() -> Value {
    json!(engine::containers::config::Config::default())
}
