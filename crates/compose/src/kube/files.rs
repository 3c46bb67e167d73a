//! Volumes, configurations and secrets: their objects, and where a pod mounts them.

use serde_json::{Value, json};

use super::{Objects, name, object};
use crate::Project;
use crate::container::{content, list, text};

/// What a volume gets where nobody says how large it is.
const SIZE: &str = "1Gi";

/// A claim for each volume that some service uses.
pub(super) fn volumes(project: &Project, all: &mut Objects) {
    for key in project.names("volumes") {
        let spec = project.resource("volumes", key).cloned().unwrap_or_default();
        if spec["external"] == true {
            all.told.push(format!("volume {key}: it is external: a claim {:?} has to be there", name(key)));
            continue;
        }
        if !matches!(text(&spec, "driver"), "" | "local") || !spec["driver_opts"].is_null() {
            all.told.push(format!("volume {key}: its driver and options are the cluster's storage class"));
        }
        let mut claim = object("v1", "PersistentVolumeClaim", project, key);
        let size = project.extension("volumes", key, "x-size").unwrap_or_else(|| SIZE.to_owned());
        claim["spec"] = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": size } },
        });
        all.objects.push(claim);
    }
}

/// What configs and secrets say.
pub(super) fn contents(project: &Project, all: &mut Objects) -> Result<(), String> {
    for (top, kind) in [("configs", "ConfigMap"), ("secrets", "Secret")] {
        for key in project.names(top) {
            let spec = project.resource(top, key).cloned().unwrap_or_default();
            let mut made = object("v1", kind, project, key);
            if spec["external"] == true {
                all.told
                    .push(format!("{top}.{key}: it is external: a {kind} {:?} has to be there", name(key)));
                continue;
            }
            let bytes = content(project, top, key, &spec)?;
            match (kind, String::from_utf8(bytes)) {
                ("ConfigMap", Ok(text)) => made["data"] = json!({ key: text }),
                ("ConfigMap", Err(other)) => made["binaryData"] = json!({ key: base64(other.as_bytes()) }),
                (_, Ok(text)) => made["data"] = json!({ key: base64(text.as_bytes()) }),
                (_, Err(other)) => made["data"] = json!({ key: base64(other.as_bytes()) }),
            }
            all.objects.push(made);
        }
    }
    Ok(())
}

/// What a service mounts: the pod's volumes, and the container's mounts of them.
#[derive(Default)]
pub(super) struct Mounts {
    pub(super) volumes: Vec<Value>,
    pub(super) mounts: Vec<Value>,
    /// Whether there is a volume that only one pod may have.
    pub(super) claims: bool,
}

impl Mounts {
    fn add(&mut self, volume: Value, mount: Value) {
        if !self.volumes.iter().any(|other| other["name"] == volume["name"]) {
            self.volumes.push(volume);
        }
        self.mounts.push(mount);
    }
}

pub(super) fn mounts(service: &str, spec: &Value, all: &mut Objects) -> Mounts {
    let mut found = Mounts::default();
    for volume in list(spec, "volumes") {
        self::volume(service, volume, &mut found, all);
    }
    for path in list(spec, "tmpfs").iter().filter_map(Value::as_str) {
        memory(path.split(':').next().unwrap_or(path), None, &mut found);
    }
    if let Some(size) = spec["shm_size"].as_str().and_then(|size| crate::bytes(size).ok()) {
        memory("/dev/shm", Some(size), &mut found);
    }
    for (top, folder, key) in [("configs", "/", "configMap"), ("secrets", "/run/secrets/", "secret")] {
        for used in list(spec, top) {
            file(top, folder, key, used, &mut found);
        }
    }
    found
}

fn volume(service: &str, volume: &Value, found: &mut Mounts, all: &mut Objects) {
    let (source, target) = (text(volume, "source"), text(volume, "target"));
    let read_only = volume["read_only"] == true;
    if volume["x-idmap"] == true {
        all.tell(service, &format!("volumes: x-idmap of {target}: set fsGroup by hand"));
    }
    match text(volume, "type") {
        "volume" if source.is_empty() => {
            let place = format!("anonymous-{}", found.volumes.len());
            let mount = json!({ "name": place, "mountPath": target });
            found.add(json!({ "name": place, "emptyDir": {} }), mount);
            all.tell(service, &format!("volumes: {target} has no name: its data goes with the pod"));
        }
        "volume" => {
            found.claims = true;
            if volume["volume"]["nocopy"] != true {
                all.tell(service, &format!("volumes: {source} isn't filled with what the image has at {target}"));
            }
            let mut mount = json!({ "name": name(source), "mountPath": target });
            if read_only {
                mount["readOnly"] = true.into();
            }
            let part = text(&volume["volume"], "subpath");
            if !part.is_empty() {
                mount["subPath"] = part.into();
            }
            let claim = json!({ "claimName": name(source) });
            found.add(json!({ "name": name(source), "persistentVolumeClaim": claim }), mount);
        }
        "tmpfs" => memory(target, crate::bytes(text(&volume["tmpfs"], "size")).ok(), found),
        kind => all.tell(
            service,
            &format!("volumes: {source} at {target} ({kind}) is this machine's: put it into the image, a config or a volume"),
        ),
    }
}

fn memory(target: &str, size: Option<i64>, found: &mut Mounts) {
    let place = format!("memory-{}", found.volumes.len());
    let mut folder = json!({ "medium": "Memory" });
    if let Some(size) = size.filter(|size| *size > 0) {
        folder["sizeLimit"] = size.to_string().into();
    }
    found.add(json!({ "name": place, "emptyDir": folder }), json!({ "name": place, "mountPath": target }));
}

fn file(top: &str, folder: &str, key: &str, used: &Value, found: &mut Mounts) {
    let source = text(used, "source");
    let target = match text(used, "target") {
        "" => format!("{folder}{source}"),
        target if target.starts_with('/') => target.to_owned(),
        target => format!("{folder}{target}"),
    };
    // One file of it: with another mode it is another volume.
    let mode = u32::from_str_radix(text(used, "mode"), 8).unwrap_or(0o444);
    let place = name(&format!("{}-{source}-{mode:o}", top.trim_end_matches('s')));
    let named = if key == "secret" { "secretName" } else { "name" };
    let volume = json!({ "name": place, key: { named: name(source), "defaultMode": mode } });
    let mount = json!({ "name": place, "mountPath": target, "subPath": source, "readOnly": true });
    found.add(volume, mount);
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let all =
            three.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            match place <= three.len() {
                true => text.push(char::from(LETTERS[(all >> (18 - 6 * place) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_everybodys() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(super::base64(bytes.as_bytes()), text);
        }
    }
}
