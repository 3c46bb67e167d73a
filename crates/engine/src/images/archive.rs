//! Reading what `docker save` writes: a tar with `manifest.json`, configs and layer tars in any order.
//!
//! The manifest may come last, so every file is received into the content store first, under its digest. A [`Received`]
//! pins those blobs; when it goes, what no image needs and nobody else pins is removed again, also when the archive
//! turned out to be wrong.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use content::{Blob, Store};
use layers::LayerStore;
use oci::image::{Descriptor, ImageConfig};
use oci::{Algorithm, Digest, Reference};
use serde::Deserialize;

use super::{Image, MAX_CONFIG};
use crate::Error;

/// An archive of many images has some thousands of files; more is an attack on our memory.
const MAX_ENTRIES: usize = 100_000;
/// One layer's bytes; the layer store has its own limits for what is inside.
const MAX_FILE: u64 = 1 << 40;
const MAX_MANIFEST: u64 = 8 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// How many archives being received need each blob.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<BTreeMap<Digest, usize>>);

impl Pins {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An archive's files, in the content store for as long as this lives or an image needs them.
pub(super) struct Received<'a> {
    content: &'a Store,
    pins: &'a Pins,
    is_needed: &'a dyn Fn(&Digest) -> bool,
    blobs: BTreeMap<String, Blob>,
    /// Links inside the archive: old versions of docker wrote a shared layer once.
    aliases: BTreeMap<String, String>,
}

impl<'a> Received<'a> {
    /// Receives the whole archive.
    pub(super) fn receive(
        archive: impl Read,
        content: &'a Store,
        pins: &'a Pins,
        is_needed: &'a dyn Fn(&Digest) -> bool,
    ) -> Result<Self, Error> {
        let mut received =
            Self { content, pins, is_needed, blobs: BTreeMap::new(), aliases: BTreeMap::new() };
        received.read(archive)?;
        Ok(received)
    }

    /// Unpacks the layers and returns the images with their names.
    pub(super) fn images(&self, layers: &LayerStore) -> Result<Vec<(Image, Vec<String>)>, Error> {
        let manifest = self.bytes("manifest.json", MAX_MANIFEST)?;
        let entries: Vec<Entry> = serde_json::from_slice(&manifest)
            .map_err(|error| Error::Archive(format!("manifest.json is not what docker writes: {error}")))?;
        entries.iter().map(|entry| self.image(entry, layers)).collect()
    }

    fn read(&mut self, archive: impl Read) -> Result<(), Error> {
        let broken = |error: std::io::Error| Error::Archive(diag::chain(&error));
        let mut tar = tar::Archive::new(archive);
        for (count, entry) in tar.entries().map_err(broken)?.enumerate() {
            if count == MAX_ENTRIES {
                return Err(Error::Archive(format!("it has more than {MAX_ENTRIES} files")));
            }
            let mut entry = entry.map_err(broken)?;
            let path = normal(&String::from_utf8_lossy(&entry.path_bytes()));
            match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    if self.blobs.contains_key(&path) {
                        return Err(Error::Archive(format!("{path} is in it twice")));
                    }
                    let blob = self.ingest(&mut entry)?;
                    self.blobs.insert(path, blob);
                }
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let target = entry.link_name_bytes().map(|t| String::from_utf8_lossy(&t).into_owned());
                    self.aliases.insert(path.clone(), beside(&path, &target.unwrap_or_default()));
                }
                // Folders carry nothing; anything else has no business in an image archive and is not looked at.
                _ => {}
            }
        }
        Ok(())
    }

    fn ingest(&self, file: &mut impl Read) -> Result<Blob, Error> {
        let mut ingest = self.content.ingest(Algorithm::Sha256, MAX_FILE)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => ingest.push(&buffer[..count])?,
                Err(error) => return Err(Error::Archive(diag::chain(&error))),
            }
        }
        // Under its name and pinned in one step for everybody who might remove it.
        let mut pins = self.pins.lock();
        let blob = ingest.finish()?;
        *pins.entry(blob.digest.clone()).or_default() += 1;
        Ok(blob)
    }

    fn find(&self, path: &str) -> Result<&Blob, Error> {
        let path = normal(path);
        let path = self.aliases.get(&path).unwrap_or(&path);
        self.blobs.get(path).ok_or_else(|| Error::Archive(format!("{path} is missing from it")))
    }

    fn bytes(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        Ok(self.content.read(&self.find(path)?.digest, limit)?)
    }

    fn image(&self, entry: &Entry, store: &LayerStore) -> Result<(Image, Vec<String>), Error> {
        let id = self.find(&entry.config)?.digest.clone();
        let config: ImageConfig = serde_json::from_slice(&self.bytes(&entry.config, MAX_CONFIG)?)
            .map_err(|source| Error::ImageConfig { image: id.to_string(), source })?;
        let expected = &config.rootfs.diff_ids;
        if expected.len() != entry.layers.len() {
            let (has, says) = (entry.layers.len(), expected.len());
            return Err(Error::Archive(format!("{id} has {has} layers, its config says {says}")));
        }
        let mut layer_sizes = Vec::with_capacity(expected.len());
        let mut descriptors = Vec::with_capacity(expected.len());
        for (path, diff_id) in entry.layers.iter().zip(expected) {
            layer_sizes.push(self.layer(path, diff_id, store)?);
            descriptors.push(self.descriptor(path)?);
        }
        let manifest = Some(super::manifest::make(self.content, self.find(&entry.config)?, descriptors)?);
        Ok((Image { id, config, layer_sizes, manifest }, names(entry)?))
    }

    /// A layer of the archive as it is, compressed or not.
    fn descriptor(&self, path: &str) -> Result<Descriptor, Error> {
        let blob = self.find(path)?;
        let mut head = [0; 4];
        let read = self.content.get(&blob.digest)?.read(&mut head);
        let length = read.map_err(|error| Error::Archive(diag::chain(&error)))?;
        Ok(super::manifest::layer(blob, layers::Compression::of(&head[..length])))
    }

    fn layer(&self, path: &str, diff_id: &Digest, store: &LayerStore) -> Result<u64, Error> {
        let blob = self.find(path)?;
        if blob.digest == *diff_id && store.contains(diff_id) {
            return Ok(blob.size);
        }
        let unreadable = |error: std::io::Error| Error::Archive(format!("{path}: {}", diag::chain(&error)));
        let tar = layers::decompress(self.content.get(&blob.digest)?).map_err(unreadable)?;
        match store.apply(tar, Some(diff_id)) {
            Ok(layer) => Ok(layer.tar_size),
            Err(layers::Error::Mismatch { expected, found }) => {
                Err(Error::Archive(format!("layer {path} is {found}, the config says {expected}")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        let mut pins = self.pins.lock();
        for Blob { digest, .. } in self.blobs.values() {
            if let Some(count) = pins.get_mut(digest).filter(|count| **count > 1) {
                *count -= 1;
                continue;
            }
            pins.remove(digest);
            if (self.is_needed)(digest) {
                continue;
            }
            if let Err(error) = self.content.remove(digest) {
                tracing::warn!(error = diag::chain(&error), "a received file stays until the next start");
            }
        }
    }
}

fn names(entry: &Entry) -> Result<Vec<String>, Error> {
    entry
        .repo_tags
        .iter()
        .flatten()
        .map(|name| Reference::parse(name).map(|r| r.or_latest().familiar()).map_err(Error::InvalidReference))
        .collect()
}

/// `./a/../b` and `b` are the same file of an archive.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn beside(path: &str, target: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    normal(&format!("{folder}/{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_archive_only() {
        assert_eq!(beside("abc/layer.tar", "../def/layer.tar"), "def/layer.tar");
        assert_eq!(beside("abc/layer.tar", "../../../../etc/passwd"), "etc/passwd");
        assert_eq!(normal("./manifest.json"), "manifest.json");
    }
}
