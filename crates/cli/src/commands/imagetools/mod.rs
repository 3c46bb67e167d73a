//! `buildx imagetools`: images where their registry has them, without an engine.

mod attested;
mod create;
mod show;

use std::collections::BTreeMap;

use distribution::{Client, Credentials, Document, Parsed, Repository};
use oci::Reference;
use oci::image::{Descriptor, Index, Platform};
use serde_json::Value;

use super::manifest;
use crate::call::Call;
use crate::error::Error;
use crate::ui;

pub(crate) use create::create;
pub(crate) use show::inspect;

/// In an entry that says something about another one.
const ABOUT: &str = "vnd.docker.reference.digest";

fn usage(text: impl std::fmt::Display) -> Error {
    Error::Usage(format!("ERROR: {text}"))
}

fn failed(error: distribution::Error) -> Error {
    usage(ui::sentence(&Error::from(error)))
}

fn parse(typed: &str) -> Result<Reference, Error> {
    let parsed = Reference::parse(typed).map_err(|e| usage(format!("invalid reference {typed:?}: {e}")))?;
    Ok(parsed.or_latest())
}

/// A registry, as the user is known there.
struct Registry {
    client: Client,
    credentials: Option<Credentials>,
}

impl Registry {
    fn of(call: &Call, reference: &Reference) -> Self {
        let (client, credentials) = manifest::registry(call, reference.domain());
        Self { client, credentials }
    }

    /// What a name means.
    async fn find(&self, reference: &Reference) -> Result<(Repository, Document), Error> {
        self.client.document(reference, self.credentials.as_ref()).await.map_err(failed)
    }
}

/// A document's own descriptor.
fn descriptor(document: &Document) -> Descriptor {
    Descriptor {
        media_type: document.media_type.clone(),
        digest: document.digest.clone(),
        size: document.bytes.len() as u64,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

/// The entries of an index; none for an image.
fn index(document: &Document) -> Option<&Index> {
    match &document.parsed {
        Parsed::Index(index) => Some(index),
        Parsed::Manifest(_) => None,
    }
}

/// `linux/arm/v7`.
fn platform(platform: &Platform) -> String {
    let variant = platform.variant.as_deref().filter(|variant| !variant.is_empty());
    let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

/// An image's config.
async fn config(repository: &Repository, image: &Document) -> Result<Value, Error> {
    let Parsed::Manifest(manifest) = &image.parsed else {
        return Err(usage("an index inside an index is not supported"));
    };
    let bytes = repository.config(&manifest.config).await.map_err(failed)?;
    serde_json::from_slice(&bytes).map_err(|e| usage(format!("an image's config is no JSON: {e}")))
}

/// A descriptor with its fields in the order in which Go writes them.
fn written(entry: &Descriptor) -> Value {
    let mut fields = serde_json::json!({
        "mediaType": entry.media_type, "digest": entry.digest.as_str(), "size": entry.size,
    });
    if let Some(fields) = fields.as_object_mut() {
        if !entry.annotations.is_empty() {
            fields.insert("annotations".into(), serde_json::json!(entry.annotations));
        }
        fields.extend(entry.platform.as_ref().map(|known| ("platform".into(), serde_json::json!(known))));
    }
    fields
}

/// The entries of an index, so.
fn all_written(index: &Index) -> Vec<Value> {
    index.manifests.iter().map(written).collect()
}

/// Two blanks for each step, as buildx prints it.
fn pretty(value: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string_pretty(value).map_err(|e| usage(e.to_string()))
}
