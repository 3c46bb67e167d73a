//! Images: which there are, what they are called, and what keeps them.
//!
//! An image is its config's digest with the layers that the config names. Tags are records of their own that point at
//! images. Readers take the last published [`Catalogue`] and wait for nobody.

mod archive;
mod built;
mod catalogue;
pub mod changes;
mod commit;
mod flight;
mod import;
mod layer;
mod manifest;
mod pins;
pub mod progress;
mod prune;
mod pull;
mod push;
mod record;
mod registry;
mod remove;
mod room;
mod save;
mod tag;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use oci::{Digest, Reference};
use state::{Db, Durability, Tx};
use tokio::sync::Semaphore;

pub(crate) use built::{BuiltImage, Form, IndexForm, Kept, Lending, Statement, WrittenImage};
pub use catalogue::{Catalogue, Found};
pub(crate) use changes::duration;
pub use commit::NewImage;
pub use distribution::{Credentials, Wanted};
use flight::Flights;
pub use import::Import;
pub(crate) use manifest::Words;
use pins::Pins;
pub use prune::{PRUNE_KEYS, Pruned};
pub use pull::Pull;
pub use push::Push;
pub use record::{Image, Source, Tag, Written};
pub(crate) use registry::registry_config;
pub use registry::{credentials, from_json};
pub use remove::{Force, Removed, Users};
pub use room::Use;
pub use save::Archive;

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
    /// Layers that are unpacked while they come in, of all pulls.
    following: Arc<Semaphore>,
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
        let following = Arc::new(Semaphore::new(pull::FOLLOWING));
        let images = Self { db, content, layers, events, published, pins, flights, following, changing };
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
        Ok(self.look_up(typed)?.image)
    }

    /// The same for a platform, if one is asked for.
    pub fn get_on(&self, typed: &str, wanted: Option<&Wanted>) -> Result<Arc<Image>, Error> {
        self.look_up(typed)?.on(typed, wanted)
    }

    /// All that a person's words mean.
    pub fn look_up(&self, typed: &str) -> Result<Found, Error> {
        let missing = || {
            let shown = Reference::parse(typed).map(|r| r.or_latest().familiar());
            Error::NoSuchImage(shown.unwrap_or_else(|_| typed.to_owned()))
        };
        self.catalogue().look_up(typed)?.ok_or_else(missing)
    }

    /// Whether an image is or has this blob. What can't be told is.
    fn is_needed(&self, digest: &Digest) -> bool {
        self.catalogue().images.contains_key(digest)
            || self
                .db
                .read(|tx| tx.holders(BLOB, digest.as_str()))
                .map_or(true, |holders| !holders.is_empty())
    }

    /// Makes images known that are whole, all under the same names.
    fn record(&self, images: &[Image], names: &[String], naming: Naming) -> Result<(), Error> {
        self.record_with(images, names, naming, None)
    }

    /// The same with what was written down for all of them together.
    fn record_with(
        &self,
        images: &[Image],
        names: &[String],
        naming: Naming,
        written: Option<&Written>,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.catalogue();
        let mut whole = Vec::new();
        for image in images {
            whole.push(self.settle(image, &known)?);
        }
        let before: Vec<_> = images.iter().filter_map(|image| known.images.get(&image.id)).collect();
        let now = SystemTime::now();
        self.db.write(Durability::Power, |tx| {
            for image in &whole {
                image.write(tx)?;
                tx.put(&Use::now(&image.id))?;
            }
            for name in names {
                let earlier = known.tags.get(name).filter(|_| naming == Naming::Beside);
                let earlier = earlier.into_iter().flat_map(Tag::images).filter_map(|id| known.images.get(id));
                if let Some((image, others)) = platforms(&whole, earlier.map(|image| &**image)) {
                    let written = written.cloned().map(Box::new);
                    Tag { name: name.clone(), image, others, at: now, written }.write(tx)?;
                }
            }
            Ok::<_, Error>(())
        })?;
        self.publish()?;
        let blobs = before.iter().flat_map(|image| &image.manifest).flat_map(Source::blobs);
        self.release_blobs(blobs)?;
        let tags = names.iter().filter_map(|name| known.tags.get(name));
        self.release_blobs(tags.flat_map(|tag| &tag.written).flat_map(|written| written.blobs()))
    }

    /// An image whose layers and blobs are all here. It may have lost some to somebody who removed others.
    fn settle(&self, image: &Image, known: &Catalogue) -> Result<Image, Error> {
        if let Some(gone) = image.config.rootfs.diff_ids.iter().find(|layer| !self.layers.contains(layer)) {
            return Err(Error::RemovedMeanwhile(gone.clone()));
        }
        let before = || known.images.get(&image.id).and_then(|image| image.manifest.clone());
        // An image that comes again without its manifest keeps the one that it has.
        let manifest = image.manifest.clone().or_else(before);
        for blob in manifest.iter().map(|manifest| &manifest.digest).chain([&image.id]) {
            if self.content.find(blob)?.is_none() {
                return Err(Error::RemovedMeanwhile(blob.clone()));
            }
        }
        Ok(Image { manifest, ..image.clone() })
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
        let catalogue = Catalogue::new(
            images.into_iter().map(|image| (image.id.clone(), Arc::new(image))).collect(),
            tags.into_iter().map(|tag| (tag.name.clone(), tag)).collect(),
        );
        self.published.store(Arc::new(catalogue));
        Ok(())
    }

    /// Tells that something was done with an image; its labels are told too, while it is known.
    fn emit(&self, action: &str, id: &str, name: &str) {
        self.emit_as_known(&self.catalogue(), action, id, name);
    }

    /// The same of an image that was known then.
    fn emit_as_known(&self, known: &Catalogue, action: &str, id: &str, name: &str) {
        let labels = match known.find(id) {
            Ok(Some(image)) => image.config.config.labels.clone(),
            _ => BTreeMap::new(),
        };
        let mut attributes = labels;
        attributes.insert("name".to_owned(), name.to_owned());
        self.events.emit(Kind::Image, action, id, attributes);
    }
}

/// What becomes of the images that a name had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// They lose it.
    Replace,
    /// Those of other platforms keep it.
    Beside,
}

/// What a name means first, and what else it has: new images in the place of earlier ones for the same platform.
fn platforms<'a>(
    new: &'a [Image],
    earlier: impl Iterator<Item = &'a Image>,
) -> Option<(Digest, Vec<Digest>)> {
    let mut all: Vec<&Image> = Vec::new();
    for image in new.iter().chain(earlier) {
        let same =
            |other: &&Image| Wanted::of(&other.config.platform).rank(&image.config.platform) == Some(0);
        if !all.iter().any(same) {
            all.push(image);
        }
    }
    let host = Wanted::host();
    all.sort_by_key(|image| host.rank(&image.config.platform).unwrap_or(usize::MAX));
    let mut ids = all.into_iter().map(|image| image.id.clone());
    Some((ids.next()?, ids.collect()))
}

/// Runs `work` on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let source = |error: tokio::task::JoinError| std::io::Error::other(error.to_string());
    let joined = tasks::blocking(work).await;
    joined.map_err(|error| Error::System { doing: "work on an image", source: source(error) })?
}
