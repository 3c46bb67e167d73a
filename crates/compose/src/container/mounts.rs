//! Volumes, folders of the host's, and the files of configurations and secrets.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Facts, list, text};
use crate::project::Project;

/// A file that is put into a container before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// Where.
    pub target: String,
    /// What it says.
    pub content: Vec<u8>,
    /// Whose it is.
    pub uid: u64,
    /// Its group.
    pub gid: u64,
    /// Its mode.
    pub mode: u32,
}

/// The mounts as the engine takes them, and the files that can't be mounted.
pub(super) fn mounts(
    project: &Project,
    spec: &Value,
    facts: &Facts,
) -> Result<(Map<String, Value>, Vec<Injected>), String> {
    let (mut binds, mut mounts, mut tmpfs) = (Vec::new(), Vec::new(), Map::new());
    let mut inherited = facts.inherited.clone();
    for volume in list(spec, "volumes") {
        let given = inherited.remove(text(volume, "target"));
        check_idmap(volume)?;
        match (bind_line(project, volume), given) {
            (_, Some(name)) if text(volume, "source").is_empty() && text(volume, "type") == "volume" => {
                let mut mount = json!({ "Type": "volume", "Source": name, "Target": text(volume, "target") });
                if volume[IDMAP] == true {
                    mount["IDMap"] = true.into();
                }
                mounts.push(mount);
            }
            (Some(line), _) => binds.push(line),
            (None, _) => mounts.push(mount(project, volume)),
        }
    }
    for (target, name) in inherited {
        mounts.push(json!({ "Type": "volume", "Source": name, "Target": target }));
    }
    for line in list(spec, "tmpfs").iter().filter_map(Value::as_str) {
        let (path, options) = line.split_once(':').unwrap_or((line, ""));
        tmpfs.insert(path.to_owned(), options.into());
    }
    let mut files = Vec::new();
    for (top, folder) in [("configs", "/"), ("secrets", "/run/secrets/")] {
        for used in list(spec, top) {
            match file(project, top, folder, used)? {
                File::Mount(mount) => mounts.push(mount),
                File::Inject(file) => files.push(file),
            }
        }
    }
    let mut host = Map::new();
    host.insert("Binds".into(), binds.into());
    host.insert("Mounts".into(), mounts.into());
    if !tmpfs.is_empty() {
        host.insert("Tmpfs".into(), Value::Object(tmpfs));
    }
    Ok((host, files))
}

/// Ours: the container's user and the owner of what is mounted change places. docker's own client takes any key that
/// begins so, and does nothing.
const IDMAP: &str = "x-idmap";

fn check_idmap(volume: &Value) -> Result<(), String> {
    let target = text(volume, "target");
    match &volume[IDMAP] {
        Value::Null | Value::Bool(false) => Ok(()),
        Value::Bool(true) if matches!(text(volume, "type"), "bind" | "volume") => Ok(()),
        Value::Bool(true) => Err(format!("volumes {target}: {IDMAP} is for binds and volumes")),
        other => Err(format!("volumes {target}: {IDMAP} is true or false, not {other}")),
    }
}

/// In docker's oldest words, which make a missing folder; none for what those can't say.
fn bind_line(project: &Project, volume: &Value) -> Option<String> {
    let mut options = vec![if volume["read_only"] == true { "ro" } else { "rw" }];
    let said = |detail: &Value, keys: &[&str]| keys.iter().any(|key| !detail[*key].is_null());
    let source = match text(volume, "type") {
        _ if volume[IDMAP] == true => return None,
        "bind" if said(&volume["bind"], &["propagation", "recursive"]) => return None,
        // Short forms make a missing folder, and so does a long one that says nothing of it.
        "bind" if volume["bind"].is_null() || volume["bind"]["create_host_path"] == true => {
            options.push(text(&volume["bind"], "selinux"));
            text(volume, "source").to_owned()
        }
        "volume" if said(&volume["volume"], &["subpath", "nocopy", "labels"]) => return None,
        "volume" if !text(volume, "source").is_empty() => {
            project.resource_name("volumes", text(volume, "source"))
        }
        _ => return None,
    };
    options.retain(|option| !option.is_empty());
    Some(format!("{source}:{}:{}", text(volume, "target"), options.join(",")))
}

fn mount(project: &Project, volume: &Value) -> Value {
    let kind = text(volume, "type");
    let source = match kind {
        "volume" if !text(volume, "source").is_empty() => {
            project.resource_name("volumes", text(volume, "source"))
        }
        _ => text(volume, "source").to_owned(),
    };
    let mut mount = json!({ "Type": kind, "Target": text(volume, "target") });
    if !source.is_empty() {
        mount["Source"] = source.into();
    }
    if volume["read_only"] == true {
        mount["ReadOnly"] = true.into();
    }
    if volume[IDMAP] == true {
        mount["IDMap"] = true.into();
    }
    if !volume["consistency"].is_null() {
        mount["Consistency"] = volume["consistency"].clone();
    }
    let detail = &volume[kind];
    match kind {
        "bind" => {
            let mut options = json!({});
            if !text(detail, "propagation").is_empty() {
                options["Propagation"] = detail["propagation"].clone();
            }
            match text(detail, "recursive") {
                "disabled" => options["NonRecursive"] = true.into(),
                "writable" => options["ReadOnlyNonRecursive"] = true.into(),
                "readonly" => options["ReadOnlyForceRecursive"] = true.into(),
                _ => {}
            }
            if detail["create_host_path"] == true {
                options["CreateMountpoint"] = true.into();
            }
            mount["BindOptions"] = options;
        }
        "volume" if detail.as_object().is_some_and(|detail| !detail.is_empty()) => {
            let mut options = json!({ "NoCopy": detail["nocopy"] == true });
            if !text(detail, "subpath").is_empty() {
                options["Subpath"] = detail["subpath"].clone();
            }
            if !detail["labels"].is_null() {
                options["Labels"] = detail["labels"].clone();
            }
            mount["VolumeOptions"] = options;
        }
        "tmpfs" => {
            let size = crate::bytes(text(detail, "size")).unwrap_or(0);
            mount["TmpfsOptions"] =
                json!({ "SizeBytes": size, "Mode": detail["mode"].as_i64().unwrap_or(0) });
        }
        "image" if !text(detail, "subpath").is_empty() => {
            mount["ImageOptions"] = json!({ "Subpath": detail["subpath"] });
        }
        _ => {}
    }
    mount
}

enum File {
    Mount(Value),
    Inject(Injected),
}

fn file(project: &Project, top: &str, folder: &str, used: &Value) -> Result<File, String> {
    let source = text(used, "source");
    let object = project.resource(top, source).ok_or_else(|| format!("{top}.{source} isn't declared"))?;
    let target = match text(used, "target") {
        "" => format!("{folder}{source}"),
        target if target.starts_with('/') => target.to_owned(),
        target => format!("{folder}{target}"),
    };
    for key in ["driver", "template_driver"] {
        if !text(object, key).is_empty() {
            return Err(format!("{top}.{source}: {key} is a plugin of a swarm's, and there is none here"));
        }
    }
    if object["external"] == true {
        let kind = top.trim_end_matches('s');
        return Err(format!("unsupported external {kind} {source}: an engine without Swarm keeps none"));
    }
    let plain = ["uid", "gid", "mode"].iter().all(|key| used[*key].is_null());
    if plain && !text(object, "file").is_empty() {
        let path = text(object, "file");
        return Ok(File::Mount(json!({
            "Type": "bind", "Source": path, "Target": target, "ReadOnly": true, "BindOptions": {},
        })));
    }
    let number = |key: &str| match text(used, key) {
        "" => Ok(0),
        text => text.parse::<u64>().map_err(|_| format!("{top}.{source}: {key} is a number, not {text:?}")),
    };
    let mode = u32::from_str_radix(text(used, "mode"), 8).unwrap_or(0o444);
    let content = content(project, top, source, object)?;
    Ok(File::Inject(Injected { target, content, uid: number("uid")?, gid: number("gid")?, mode }))
}

pub(crate) fn content(project: &Project, top: &str, source: &str, object: &Value) -> Result<Vec<u8>, String> {
    if !text(object, "file").is_empty() {
        let path = text(object, "file");
        return crate::load::read_bytes(Path::new(path)).map_err(|error| diag::chain(&error));
    }
    if !text(object, "environment").is_empty() {
        let name = text(object, "environment");
        let value = project.environment.get(name);
        return value
            .map(|value| value.as_bytes().to_vec())
            .ok_or_else(|| format!("environment variable {name:?} required by {top}.{source} is not set"));
    }
    Ok(text(object, "content").as_bytes().to_vec())
}

/// The hash of what a service's configurations and secrets say; empty if it has none.
pub(crate) fn contents(project: &Project, spec: &Value) -> Result<String, String> {
    let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for top in ["configs", "secrets"] {
        for used in list(spec, top) {
            let source = text(used, "source");
            if let Some(object) = project.resource(top, source).filter(|object| object["external"] != true) {
                parts.insert(format!("{top}/{source}"), content(project, top, source, object)?);
            }
        }
    }
    if parts.is_empty() {
        return Ok(String::new());
    }
    let mut hasher = Sha256::new();
    for (name, bytes) in parts {
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    Ok(hex::encode(hasher.finalize()))
}
