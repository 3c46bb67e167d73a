//! Projects in registries, as `compose publish` puts them there. Nothing of what an artifact says is a path: its files have
//! names, and all of them lie in one folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use distribution::{Parsed, Repository};
use oci::Reference;
use oci::image::Descriptor;
use serde_json::Value;

use super::{cache, filled};
use crate::call::{Call, block_on};
use crate::commands::compose::publish::{ARTIFACT, EMPTY_CONFIG, ENV_FILE, FILE};
use crate::commands::{manifest, pull};
use crate::error::Error;

/// No project is larger or has more files.
const LARGEST: usize = 32 << 20;
const MOST: usize = 1000;
const MAIN: &str = "compose.yaml";

/// Files by their names.
type Files = BTreeMap<String, Vec<u8>>;

/// The name behind `oci://`.
pub(super) fn name(address: &str) -> Option<&str> {
    address.strip_prefix("oci://")
}

/// The project's file in the cache.
pub(super) fn fetch(call: &Call, name: &str) -> Result<PathBuf, String> {
    let told = |error: Error| format!("failed to pull OCI resource {name:?}: {}", diag::chain(&error));
    let reference = pull::parse(name).map_err(told)?.or_latest();
    let (folder, files) = block_on(pulled(call, &reference, &cache()?)).map_err(told)?;
    filled(&folder, is_whole, |scratch| write(scratch, &files))?;
    Ok(folder.join(MAIN))
}

fn is_whole(folder: &Path) -> bool {
    folder.join(MAIN).is_file()
}

fn write(folder: &Path, files: &Files) -> Result<(), String> {
    for (name, bytes) in files {
        let path = folder.join(name);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, bytes));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Its folder in the cache, and its files unless they're there.
async fn pulled(call: &Call, reference: &Reference, cache: &Path) -> Result<(PathBuf, Files), Error> {
    let (client, credentials) = manifest::registry(call, reference.domain());
    let (repository, named) = client.document(reference, credentials.as_ref()).await?;
    let folder = cache.join(named.digest.hex());
    if is_whole(&folder) {
        return Ok((folder, Files::new()));
    }
    let is_ours = |entry: &Value| entry["artifactType"] == ARTIFACT;
    let bytes = match &named.parsed {
        Parsed::Manifest(_) => named.bytes,
        Parsed::Index(index) => {
            // Our reading of an entry knows no types of artifacts, so both are looked at side by side.
            let raw = json(&named.bytes);
            let entries = raw["manifests"].as_array().into_iter().flatten().zip(&index.manifests);
            let found = entries.filter(|(raw, _)| is_ours(raw)).last();
            let (_, entry) = found.ok_or_else(|| {
                Error::Usage(format!("OCI index {reference} doesn't refer to compose artifacts"))
            })?;
            repository.document(&reference.with_digest(entry.digest.clone())).await?.bytes
        }
    };
    let manifest = json(&bytes);
    let kind = manifest["artifactType"].as_str().unwrap_or_default();
    if kind != ARTIFACT && !(kind.is_empty() && manifest["config"]["mediaType"] == EMPTY_CONFIG) {
        return Err(Error::Usage(format!("{reference} is not a compose project OCI artifact, but {kind}")));
    }
    Ok((folder, files(&repository, &manifest).await?))
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// Each file of the artifact, bounded; several files of a project are one of several documents, as docker compose has it.
async fn files(repository: &Repository, manifest: &Value) -> Result<Files, Error> {
    let invalid = || Error::Usage("invalid OCI artifact".into());
    let layers = manifest["layers"].as_array().filter(|layers| layers.len() <= MOST).ok_or_else(invalid)?;
    let mut files = Files::new();
    let mut size = 0;
    for (at, layer) in layers.iter().enumerate() {
        let kind = layer["mediaType"].as_str().unwrap_or_default();
        if !matches!(kind, FILE | ENV_FILE) {
            continue;
        }
        let said = |key: &str| layer["annotations"][format!("com.docker.compose.{key}")].as_str();
        let name = match (kind, said("extends")) {
            (ENV_FILE, _) => said("envfile").ok_or_else(invalid)?,
            (_, Some(_)) => said("file").ok_or_else(invalid)?,
            (_, None) => MAIN,
        };
        if !is_name(name) || (kind == ENV_FILE && (name == MAIN || files.contains_key(name))) {
            return Err(invalid());
        }
        let descriptor: Descriptor = serde_json::from_value(layer.clone()).map_err(|_| invalid())?;
        let bytes = repository.config(&descriptor).await?;
        size += bytes.len();
        if size > LARGEST {
            return Err(Error::Usage(format!("the project is larger than {LARGEST} bytes")));
        }
        let file = files.entry(name.to_owned()).or_default();
        if kind == FILE && at > 0 && said("file").is_some() {
            file.extend_from_slice(b"\n---\n");
        }
        file.extend_from_slice(&bytes);
    }
    match files.contains_key(MAIN) {
        true => Ok(files),
        false => Err(invalid()),
    }
}

/// A name within a folder, and nothing that leads out of it.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_names() {
        assert!(is_name("a.yaml") && is_name(".env"));
        for wrong in ["", ".", "..", "../a", "/a", "a/b", "a\\b", "a\0"] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }
}
