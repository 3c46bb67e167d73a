//! An image's archive, as `save` makes it: read as it passes, nothing of it is kept but names and sizes.

use std::collections::HashMap;
use std::io::Read;

use serde_json::Value;

use super::changes::{Entry, Listing};
use crate::error::Error;

/// A larger document is none of an image.
const DOCUMENT: u64 = 8 << 20;
/// As many names as an image may have.
const NAMES: usize = 10_000_000;

/// One layer, lowest first.
pub(super) struct Layer {
    pub(super) digest: String,
    pub(super) created_by: String,
    /// As it travels.
    pub(super) size: u64,
    pub(super) listing: Listing,
}

#[derive(Default)]
struct Found {
    documents: HashMap<String, Value>,
    layers: HashMap<String, (u64, Listing)>,
    /// Older archives name a layer twice, the second time as a link.
    links: HashMap<String, String>,
    names: usize,
}

pub(super) fn read(archive: impl Read) -> Result<Vec<Layer>, Error> {
    let mut found = Found::default();
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.to_string_lossy().trim_start_matches("./").to_owned();
        if let Some(target) = entry.link_name().map_err(unreadable)? {
            found.links.insert(name, target.to_string_lossy().trim_start_matches("../").to_owned());
        } else if entry.header().entry_type().is_file() {
            found.take(name, &mut entry)?;
        }
    }
    found.layers()
}

impl Found {
    fn take(&mut self, name: String, entry: &mut dyn Read) -> Result<(), Error> {
        let mut counted = Counted { inner: entry, size: 0 };
        let mut head = vec![0; 1];
        if counted.read(&mut head).map_err(unreadable)? == 0 {
            return Ok(());
        }
        // A document is an object or a list. So may a layer begin, whose first name does.
        if matches!(head[0], b'{' | b'[') {
            (&mut counted).take(DOCUMENT).read_to_end(&mut head).map_err(unreadable)?;
            if let Ok(document) = serde_json::from_slice(&head) {
                self.documents.insert(name, document);
                return Ok(());
            }
        }
        if let Some(listing) = self.list((&head[..]).chain(&mut counted)) {
            std::io::copy(&mut counted, &mut std::io::sink()).map_err(unreadable)?;
            self.layers.insert(name, (counted.size, listing));
        }
        if self.names > NAMES {
            return Err(broken(format!("it holds more than {NAMES} names")));
        }
        Ok(())
    }

    /// Nothing of what is no archive, as the file `VERSION` of old ones.
    fn list(&mut self, packed: impl Read) -> Option<Listing> {
        let mut listing = Listing::default();
        let mut tar = tar::Archive::new(layers::decompress(packed).ok()?);
        for entry in tar.entries().ok()? {
            let entry = entry.ok()?;
            let kind = entry.header().entry_type();
            let path = entry.path().ok()?.to_string_lossy().into_owned();
            let path = path.trim_start_matches("./").trim_matches('/').to_owned();
            self.names += 1;
            if self.names > NAMES {
                return None;
            }
            if !path.is_empty() && path != "." {
                let size = if kind.is_file() { entry.size() } else { 0 };
                listing.entries.insert(path, Entry { size, is_folder: kind.is_dir() });
            }
        }
        Some(listing)
    }

    fn layers(mut self) -> Result<Vec<Layer>, Error> {
        let manifest =
            self.documents.get("manifest.json").ok_or_else(|| broken("it has no manifest.json"))?;
        let image = manifest[0].clone();
        let config = image["Config"].as_str().and_then(|name| self.documents.get(name));
        let config = config.cloned().ok_or_else(|| broken("it lacks the image's configuration"))?;
        let history = config["history"].as_array().cloned().unwrap_or_default();
        let mut steps = history.iter().filter(|step| step["empty_layer"] != true);
        let names = image["Layers"].as_array().cloned().unwrap_or_default();
        let mut layers = Vec::new();
        for (number, name) in names.iter().filter_map(Value::as_str).enumerate() {
            let step = steps.next().map(|step| step["created_by"].as_str().unwrap_or_default().to_owned());
            let place = self.links.get(name).map_or(name, String::as_str).to_owned();
            // One layer twice in an image is one in its archive.
            let twice = names[..number].iter().any(|before| before.as_str() == Some(name));
            let found = if twice { Some((0, Listing::default())) } else { self.layers.remove(&place) };
            let (size, listing) = found.ok_or_else(|| broken(format!("it lacks the layer {name}")))?;
            let digest = config["rootfs"]["diff_ids"][number].as_str().unwrap_or(name).to_owned();
            layers.push(Layer { digest, created_by: step.unwrap_or_default(), size, listing });
        }
        Ok(layers)
    }
}

struct Counted<R> {
    inner: R,
    size: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.size += count as u64;
        Ok(count)
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::Io("read the image's archive", error)
}

fn broken(why: impl Into<String>) -> Error {
    Error::Usage(format!("the engine's archive of the image can't be read: {}", why.into()))
}
