//! What is said about images, beside them in an index: in-toto statements, each the layer of a manifest.

use distribution::{Document, Parsed, Repository};
use oci::Reference;
use serde_json::{Map, Value, json};

use super::{ABOUT, failed, index, platform, usage};
use crate::error::Error;

/// A kind of statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Provenance,
    Sbom,
}

impl Said {
    /// The key under which buildx shows it, if this is its predicate's type.
    fn key(self, predicate: &str) -> Option<&'static str> {
        match self {
            Self::Provenance if predicate.starts_with("https://slsa.dev/provenance/") => Some("SLSA"),
            Self::Sbom if predicate == "https://spdx.dev/Document" => Some("SPDX"),
            _ => None,
        }
    }
}

/// What is said of this kind, by the platforms of the images that it is about.
pub(super) async fn all(
    reference: &Reference,
    repository: &Repository,
    document: &Document,
    said: Said,
) -> Result<Map<String, Value>, Error> {
    let mut found = Map::new();
    let Some(index) = index(document) else { return Ok(found) };
    for entry in &index.manifests {
        let Some(about) = entry.annotations.get(ABOUT) else { continue };
        let image = index.manifests.iter().find(|image| image.digest.as_str() == about);
        let Some(key) = image.map(|image| image.platform.as_ref().map(platform).unwrap_or_default()) else {
            continue;
        };
        let statements =
            repository.document(&reference.with_digest(entry.digest.clone())).await.map_err(failed)?;
        let Parsed::Manifest(manifest) = &statements.parsed else { continue };
        for layer in &manifest.layers {
            let predicate = layer.annotations.get("in-toto.io/predicate-type").map(String::as_str);
            let Some(name) = predicate.and_then(|predicate| said.key(predicate)) else { continue };
            let bytes = repository.config(layer).await.map_err(failed)?;
            let statement: Value = serde_json::from_slice(&bytes)
                .map_err(|e| usage(format!("the statement {} is no JSON: {e}", layer.digest)))?;
            found.insert(key.clone(), json!({ name: statement["predicate"] }));
        }
    }
    Ok(found)
}
