//! What the release binary is made of, as a CycloneDX document.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Context;
use serde_json::{Value, json};

use crate::process::{self, cargo, workspace};

/// The document of the program, whose own digest is known by now.
pub(crate) fn document(digest: &str) -> anyhow::Result<Value> {
    let host = process::host()?;
    let metadata = process::output(cargo().args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        &host,
    ]))?;
    let metadata = serde_json::from_str(&metadata)?;
    let checksums = checksums(&fs::read_to_string(workspace().join("Cargo.lock"))?);
    let toolchain = process::output(std::process::Command::new("rustc").arg("-V"))?;
    made_of(&metadata, &checksums, toolchain.trim(), digest).context("cargo's metadata has no ketch")
}

/// By name and version, as the lock file has them.
fn checksums(lock: &str) -> BTreeMap<String, String> {
    let field = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.and_then(|rest| rest.strip_suffix('"')).map(str::to_owned)
    };
    let packages = lock.split("[[package]]").filter_map(|package| {
        let (name, version) = (field(package, "name")?, field(package, "version")?);
        Some((format!("{name}@{version}"), field(package, "checksum")?))
    });
    packages.collect()
}

fn made_of(
    metadata: &Value,
    checksums: &BTreeMap<String, String>,
    toolchain: &str,
    digest: &str,
) -> Option<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let ketch = packages.iter().find(|(_, package)| package["name"] == "ketch")?;
    // What runs while others are compiled is no part of them.
    let is_macro = |id: &str| {
        list(&packages[id]["targets"])
            .iter()
            .any(|target| list(&target["kind"]).contains(&json!("proc-macro")))
    };
    let linked = |id: &str| -> Vec<String> {
        let dependencies = list(&nodes[id]["deps"])
            .into_iter()
            .filter(|dependency| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()));
        dependencies.map(|dependency| text(&dependency["pkg"])).filter(|id| !is_macro(id)).collect()
    };
    let mut parts = BTreeSet::new();
    let mut waiting = vec![ketch.0.clone()];
    while let Some(id) = waiting.pop() {
        if parts.insert(id.clone()) {
            waiting.extend(linked(&id));
        }
    }
    let name = |id: &str| format!("{}@{}", text(&packages[id]["name"]), text(&packages[id]["version"]));
    let component = |id: &String| {
        let package = &packages[id];
        let mut component = json!({
            "type": "library",
            "bom-ref": name(id),
            "name": package["name"],
            "version": package["version"],
            "licenses": [{"expression": text(&package["license"]).replace('/', " OR ")}],
        });
        if package["source"].is_string() {
            component["purl"] = json!(format!("pkg:cargo/{}", name(id)));
        }
        if let Some(checksum) = checksums.get(&name(id)) {
            component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
        }
        component
    };
    let own = ketch.0;
    let mut components: Vec<Value> = parts.iter().filter(|id| *id != own).map(component).collect();
    // Linked in, and no crate.
    components
        .push(json!({"type": "library", "bom-ref": "rust-std", "name": "rust-std", "version": toolchain}));
    components.push(json!({"type": "library", "bom-ref": "glibc", "name": "glibc", "licenses": [{"expression": "LGPL-2.1-or-later"}]}));
    let dependencies: Vec<Value> = parts
        .iter()
        .map(|id| json!({"ref": name(id), "dependsOn": linked(id).iter().map(|id| name(id)).collect::<BTreeSet<_>>()}))
        .collect();
    let mut program = component(own);
    program["type"] = json!("application");
    program["hashes"] = json!([{"alg": "SHA-256", "content": digest}]);
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": program},
        "components": components,
        "dependencies": dependencies,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_in_it_and_nothing_else() {
        let document = document("d1935e").unwrap();
        let components = document["components"].as_array().unwrap();
        let names: BTreeSet<&str> = components.iter().filter_map(|part| part["name"].as_str()).collect();
        for linked in ["tokio", "rustls", "libsqlite3-sys", "sys", "rust-std", "glibc"] {
            assert!(names.contains(linked), "{linked}: {names:?}");
        }
        for beside in ["insta", "proptest", "syn", "serde_derive", "cc", "testkit", "ketch"] {
            assert!(!names.contains(beside), "{beside}");
        }
        for part in components.iter().filter(|part| part["purl"].is_string()) {
            assert_eq!(part["hashes"][0]["content"].as_str().map(str::len), Some(64), "{part}");
            assert_ne!(part["licenses"][0]["expression"], "", "{part}");
        }
        let known: BTreeSet<&str> = components.iter().filter_map(|part| part["bom-ref"].as_str()).collect();
        for dependency in document["dependencies"].as_array().unwrap() {
            for name in dependency["dependsOn"].as_array().unwrap() {
                assert!(known.contains(name.as_str().unwrap()), "{name}");
            }
        }
        assert_eq!(document["metadata"]["component"]["hashes"][0]["content"], "d1935e");
    }
}
