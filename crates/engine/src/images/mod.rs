//! Images: which there are, what they are called, and what keeps them.
//!
//! An image is its config's digest with the layers that the config names. Tags are records of their own that point at
//! images. Readers take the last published [`Catalogue`] and wait for nobody.

mod archive;
mod flight;
mod manifest;
pub mod progress;
mod pull;
mod record;
mod registry;
mod tag;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use oci::{Digest, Reference};
use state::{Db, Durability, Tx};

use archive::{Pins, Received};
pub use distribution::{Credentials, Wanted};
use flight::Flights;
pub use pull::Pull;
pub use record::{Image, Source, Tag};
pub use registry::{credentials, from_json};

use crate::Error;
use crate::events::{Events, Kind};

/// What `references` of the database call a layer.
pub const LAYER: &str = "layer";
/// What they call a blob of the content store.
pub const BLOB: &str = "blob";
/// What they call an image.
pub const IMAGE: &str = "image";
/// No config of an image is longer.
const MAX_CONFIG: u64 = 8 << 20;

/// One moment's view of all images.
#[derive(Debug, Default)]
pub struct Catalogue {
    pub images: BTreeMap<Digest, Arc<Image>>,
    /// Familiar references (`busybox:latest`) to the images they name.
    pub tags: BTreeMap<String, Tag>,
}

impl Catalogue {
    /// The familiar names of an image with their tags.
    pub fn names_of(&self, id: &Digest) -> Vec<String> {
        self.all_names_of(id).filter(|tag| !tag.is_digest()).map(|tag| tag.name.clone()).collect()
    }

    /// What registries call an image: `busybox@sha256:…`.
    pub fn digests_of(&self, id: &Digest) -> Vec<String> {
        self.all_names_of(id).filter(|tag| tag.is_digest()).map(|tag| tag.name.clone()).collect()
    }

    fn all_names_of(&self, id: &Digest) -> impl Iterator<Item = &Tag> {
        self.tags.values().filter(move |tag| tag.image == *id)
    }

    /// The uncompressed size of a layer that an image has.
    fn layer_size(&self, diff_id: &Digest) -> Option<u64> {
        let with_sizes = |image: &Image| {
            let at = image.config.rootfs.diff_ids.iter().position(|layer| layer == diff_id)?;
            image.layer_sizes.get(at).copied()
        };
        self.images.values().find_map(|image| with_sizes(image))
    }

    /// What a person typed: a name, an id with or without `sha256:`, or an unambiguous beginning of one.
    pub fn find(&self, typed: &str) -> Result<Option<Arc<Image>>, Error> {
        if let Ok(digest) = typed.parse::<Digest>() {
            return Ok(self.images.get(&digest).cloned());
        }
        let reference = Reference::parse(typed).map(exact);
        if let Ok(reference) = &reference
            && let Some(tag) = self.tags.get(&reference.familiar())
        {
            return Ok(self.images.get(&tag.image).cloned());
        }
        let prefix = typed.strip_prefix("sha256:").unwrap_or(typed);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return reference.map(|_| None).map_err(Error::InvalidReference);
        }
        let mut found = self.images.iter().filter(|(id, _)| id.hex().starts_with(prefix));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Error::AmbiguousPrefix(typed.to_owned())),
            (first, _) => Ok(first.map(|(_, image)| image.clone())),
        }
    }
}

/// What was removed, in the words of `DELETE /images/{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    Untagged(String),
    Deleted(String),
}

/// Whether to remove what is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    Yes,
    No,
}

/// Who uses an image, as far as images can't know themselves.
pub trait Users {
    /// A container of this image: its id and whether it runs.
    fn container_of(&self, image: &Digest) -> Option<(String, bool)>;
}

/// The store of images.
#[derive(Debug)]
pub struct Images {
    db: Arc<Db>,
    content: content::Store,
    layers: Arc<layers::LayerStore>,
    events: Arc<Events>,
    published: ArcSwap<Catalogue>,
    pins: Pins,
    flights: Flights,
    /// Held while what is recorded changes, never across a client's I/O.
    changing: Mutex<()>,
}

impl Images {
    /// Reads what is recorded, and sweeps what a crash left half-made.
    pub fn open(
        db: Arc<Db>,
        content: content::Store,
        layers: Arc<layers::LayerStore>,
        events: Arc<Events>,
    ) -> Result<Self, Error> {
        content.sweep()?;
        layers.sweep()?;
        let published = ArcSwap::default();
        let changing = Mutex::new(());
        let (pins, flights) = (Pins::default(), Flights::default());
        let images = Self { db, content, layers, events, published, pins, flights, changing };
        images.publish()?;
        images.sweep_unreferenced()?;
        Ok(images)
    }

    /// The present view.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.published.load_full()
    }

    /// The image that a person typed, or dockerd's "No such image".
    pub fn get(&self, typed: &str) -> Result<Arc<Image>, Error> {
        let missing = || {
            let shown = Reference::parse(typed).map(|r| r.or_latest().familiar());
            Error::NoSuchImage(shown.unwrap_or_else(|_| typed.to_owned()))
        };
        self.catalogue().find(typed)?.ok_or_else(missing)
    }

    /// Takes in an archive as `docker save` writes it. Blocking. Returns a line for each image, as `docker load` prints.
    pub fn load(&self, archive: impl Read) -> Result<Vec<String>, Error> {
        let mut loaded = Vec::new();
        let is_needed = |digest: &Digest| self.is_needed(digest);
        let received = Received::receive(archive, &self.content, &self.pins, &is_needed)?;
        for (image, tags) in received.images(&self.layers)? {
            let id = image.id.clone();
            self.record(&image, &tags)?;
            for tag in &tags {
                self.emit("tag", id.as_str(), tag);
                loaded.push(format!("Loaded image: {tag}"));
            }
            self.emit("load", id.as_str(), tags.first().map_or(id.as_str(), String::as_str));
            if tags.is_empty() {
                loaded.push(format!("Loaded image ID: {id}"));
            }
        }
        Ok(loaded)
    }

    /// Whether an image is or has this blob. What can't be told is.
    fn is_needed(&self, digest: &Digest) -> bool {
        self.catalogue().images.contains_key(digest)
            || self
                .db
                .read(|tx| tx.holders(BLOB, digest.as_str()))
                .map_or(true, |holders| !holders.is_empty())
    }

    fn record(&self, image: &Image, tags: &[String]) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // Unpacking held no lock, so somebody may have removed an image with the same layer meanwhile.
        if let Some(gone) = image.config.rootfs.diff_ids.iter().find(|layer| !self.layers.contains(layer)) {
            return Err(Error::RemovedMeanwhile(gone.clone()));
        }
        let before = self.catalogue().images.get(&image.id).and_then(|image| image.manifest.clone());
        // An image that comes again without its manifest keeps the one that it has.
        let manifest = image.manifest.clone().or_else(|| before.clone());
        for blob in manifest.iter().map(|manifest| &manifest.digest).chain([&image.id]) {
            if self.content.find(blob)?.is_none() {
                return Err(Error::RemovedMeanwhile(blob.clone()));
            }
        }
        let image = &Image { manifest, ..image.clone() };
        let now = SystemTime::now();
        self.db.write(Durability::Power, |tx| {
            // Forgets what an earlier manifest of the same image held.
            tx.delete::<Image>(image.id.as_str())?;
            tx.put(image)?;
            for layer in &image.config.rootfs.diff_ids {
                tx.hold::<Image>(image.id.as_str(), LAYER, layer.as_str())?;
            }
            for blob in image.manifest.iter().flat_map(Source::blobs) {
                tx.hold::<Image>(image.id.as_str(), BLOB, blob.as_str())?;
            }
            for name in tags {
                tx.delete::<Tag>(name)?;
                tx.put(&Tag { name: name.clone(), image: image.id.clone(), at: now })?;
                tx.hold::<Tag>(name, IMAGE, image.id.as_str())?;
            }
            Ok::<_, Error>(())
        })?;
        self.publish()?;
        self.release_blobs(before.iter().flat_map(Source::blobs))
    }

    /// Removes the blobs that nothing needs any more.
    fn release_blobs<'a>(&self, blobs: impl Iterator<Item = &'a Digest>) -> Result<(), Error> {
        for blob in blobs.filter(|blob| !self.is_needed(blob)) {
            self.content.remove(blob)?;
        }
        Ok(())
    }

    /// Removes a name, and with its last name the image, if nobody uses it.
    pub fn remove(&self, typed: &str, force: Force, users: &dyn Users) -> Result<Vec<Removed>, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let image = self.get(typed)?;
        let names: Vec<String> =
            self.catalogue().all_names_of(&image.id).map(|tag| tag.name.clone()).collect();
        let by_name = Reference::parse(typed).ok().map(|r| exact(r).familiar());
        let named = by_name.filter(|name| names.contains(name));
        let going: Vec<String> = match &named {
            Some(name) => with_digests(name, &names),
            None => names.clone(),
        };
        let last = going.len() == names.len();
        if last {
            refuse_used(&image.id, named.as_deref(), force, users)?;
        }
        // A stopped container keeps the layers it needs: the image loses its names and stays.
        let delete = last && users.container_of(&image.id).is_none();
        self.db.write(Durability::Power, |tx| {
            for name in &going {
                tx.delete::<Tag>(name)?;
            }
            if delete {
                tx.delete::<Image>(image.id.as_str())?;
            }
            Ok::<_, Error>(())
        })?;
        self.publish()?;
        let mut removed: Vec<_> = going.into_iter().map(Removed::Untagged).collect();
        for _ in &removed {
            self.emit("untag", image.id.as_str(), image.id.as_str());
        }
        if delete {
            removed.extend(self.discard(&image)?);
            self.emit("delete", image.id.as_str(), image.id.as_str());
        }
        Ok(removed)
    }

    fn discard(&self, image: &Image) -> Result<Vec<Removed>, Error> {
        self.content.remove(&image.id)?;
        self.release_blobs(image.manifest.iter().flat_map(Source::blobs))?;
        let mut removed = vec![Removed::Deleted(image.id.to_string())];
        removed.extend(self.release_layers(&image.config.rootfs.diff_ids)?);
        Ok(removed)
    }

    /// Removes the layers that nothing needs any more, uppermost first.
    fn release_layers(&self, layers: &[Digest]) -> Result<Vec<Removed>, Error> {
        let mut removed = Vec::new();
        for layer in layers.iter().rev() {
            if self.db.read(|tx| tx.holders(LAYER, layer.as_str()))?.is_empty() {
                self.layers.remove(layer)?;
                removed.push(Removed::Deleted(layer.to_string()));
            }
        }
        Ok(removed)
    }

    /// Layers that no record names: an engine died between unpacking and recording, or between forgetting and removing.
    fn sweep_unreferenced(&self) -> Result<(), Error> {
        for layer in self.layers.list()? {
            if self.db.read(|tx| tx.holders(LAYER, layer.as_str()))?.is_empty() {
                tracing::info!(%layer, "removing a layer that nothing refers to");
                self.layers.remove(&layer)?;
            }
        }
        for blob in self.content.list()?.iter().filter(|blob| !self.is_needed(&blob.digest)) {
            tracing::info!(digest = %blob.digest, "removing a blob that nothing refers to");
            self.content.remove(&blob.digest)?;
        }
        Ok(())
    }

    fn publish(&self) -> Result<(), Error> {
        let (images, tags) =
            self.db.read(|tx: &Tx<'_>| Ok::<_, Error>((tx.list::<Image>()?, tx.list::<Tag>()?)))?;
        let catalogue = Catalogue {
            images: images.into_iter().map(|image| (image.id.clone(), Arc::new(image))).collect(),
            tags: tags.into_iter().map(|tag| (tag.name.clone(), tag)).collect(),
        };
        self.published.store(Arc::new(catalogue));
        Ok(())
    }

    fn emit(&self, action: &str, id: &str, name: &str) {
        let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.events.emit(Kind::Image, action, id, attributes);
    }
}

/// A digest says more than a tag beside it, and is what counts.
fn exact(reference: Reference) -> Reference {
    match reference.digest() {
        Some(digest) => reference.with_digest(digest.clone()),
        None => reference.or_latest(),
    }
}

/// A name, and the digests of its repository if it is the last tag there: they came with it.
fn with_digests(name: &str, names: &[String]) -> Vec<String> {
    let repository = |name: &str| Reference::parse(name).map(|reference| reference.repository()).ok();
    let (digests, tags): (Vec<&String>, Vec<&String>) = names
        .iter()
        .filter(|other| *other != name && repository(other) == repository(name))
        .partition(|other| other.contains('@'));
    let mut going = vec![name.to_owned()];
    if tags.is_empty() && !name.contains('@') {
        going.extend(digests.into_iter().cloned());
    }
    going
}

fn refuse_used(image: &Digest, name: Option<&str>, force: Force, users: &dyn Users) -> Result<(), Error> {
    let Some((container, running)) = users.container_of(image) else { return Ok(()) };
    let container = container.chars().take(12).collect();
    let short = image.short().to_owned();
    match (name, force) {
        (None, _) if running => Err(Error::ImageRunning { image: short, container }),
        (Some(name), Force::No) => {
            Err(Error::ImageInUse { reference: name.to_owned(), container, image: short })
        }
        (None, Force::No) => Err(Error::ImageInUse { reference: short.clone(), container, image: short }),
        (_, Force::Yes) => Ok(()),
    }
}
