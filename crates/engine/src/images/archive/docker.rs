//! `manifest.json`: docker's own list of an archive's images.

use std::collections::BTreeSet;

use oci::Reference;
use serde::Deserialize;

use super::{MAX_MANIFEST, Offer, Received};
use crate::Error;
use crate::images::manifest;

pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Adds the images of `manifest.json` to those that are known already, or only their names.
pub(super) fn read(archive: &Received<'_>, offers: &mut Vec<Offer>) -> Result<(), Error> {
    let entries: Option<Vec<Entry>> = serde_json::from_slice(&archive.document(MANIFEST, MAX_MANIFEST)?)
        .map_err(|error| Error::Archive(format!("manifest.json is not what docker writes: {error}")))?;
    for entry in entries.unwrap_or_default() {
        let names = names(&entry)?;
        let id = &archive.find_blob(&entry.config)?.digest;
        match offers.iter_mut().find(|offer| offer.image.id == *id) {
            Some(known) => known.names.extend(names),
            None => offers.push(offer(archive, &entry, &names).map_err(|error| about(&names, error))?),
        }
    }
    Ok(())
}

/// Which image of the archive it is about, if that has a name.
fn about(names: &BTreeSet<String>, error: Error) -> Error {
    match (error, names.first()) {
        (Error::Archive(what), Some(name)) => Error::Archive(format!("{name}: {what}")),
        (error, _) => error,
    }
}

fn offer(archive: &Received<'_>, entry: &Entry, names: &BTreeSet<String>) -> Result<Offer, Error> {
    let config = archive.config(&entry.config)?;
    let paths: Vec<&str> = entry.layers.iter().flatten().map(String::as_str).collect();
    let (sizes, descriptors) = archive.layers(&config.1, &paths)?;
    let manifest = manifest::make(&archive.images.content, &config.0, descriptors)?;
    Ok(Offer { image: archive.image(config, sizes, manifest), names: names.clone() })
}

fn names(entry: &Entry) -> Result<BTreeSet<String>, Error> {
    let names = entry.repo_tags.iter().flatten();
    let parsed = names.map(|name| Reference::parse(name).map(|r| r.or_latest().familiar()));
    parsed.map(|name| name.map_err(Error::InvalidReference)).collect()
}
