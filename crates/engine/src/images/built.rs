//! What builds need of the store: layers taken in and held, and images recorded of layers that are here.

use std::io::Read;
use std::sync::{Arc, PoisonError};

use content::Blob;
use oci::Digest;
use oci::image::{Descriptor, ImageConfig};

use super::pins::Pin;
use super::{Image, Images, Naming, Source, manifest};
use crate::Error;

/// Layers that nobody removes for as long as this lives.
#[derive(Debug)]
pub(crate) struct Kept(#[expect(dead_code, reason = "held, never read")] Vec<Pin>);

/// An image that a build made.
#[derive(Debug)]
pub(crate) struct BuiltImage {
    /// The config's own bytes.
    pub(crate) config: Vec<u8>,
    /// Layers with their sizes, lowest first.
    pub(crate) layers: Vec<(Digest, u64)>,
    pub(crate) annotations: std::collections::BTreeMap<String, String>,
}

/// What was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) id: Digest,
    pub(crate) manifest: Source,
}

impl Images {
    /// Takes in a layer; it stays while it is held. Blocking.
    pub(crate) fn take_built(&self, tar: impl Read) -> Result<(Digest, u64, Kept), Error> {
        let (blob, pins) = self.take_layer(tar)?;
        Ok((blob.digest, blob.size, Kept(pins)))
    }

    /// Holds layers; nothing if one of them isn't here.
    pub(crate) fn keep<'a>(&self, layers: impl Iterator<Item = &'a Digest>) -> Option<Kept> {
        let mut pins = Vec::new();
        for layer in layers {
            // First held, then looked for: in between nobody removes it.
            pins.push(self.pins.pin(layer));
            if !self.layers.contains(layer) {
                return None;
            }
        }
        Some(Kept(pins))
    }

    /// Removes those of these layers that nothing needs any more. Blocking.
    pub(crate) fn let_go(&self, layers: &[Digest]) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.release_blobs(layers.iter())?;
        self.release_layers(layers).map(drop)
    }

    /// Records images under names, which have one for each of several platforms. Their layers are here, and held.
    /// Blocking.
    pub(crate) fn record_built(
        &self,
        built: &[BuiltImage],
        names: &[String],
    ) -> Result<Vec<Recorded>, Error> {
        let images: Vec<Image> = built.iter().map(|built| self.built(built)).collect::<Result<_, _>>()?;
        if !self.is_recorded(&images, names) {
            self.record(&images, names, Naming::Replace)?;
        }
        let mut recorded = Vec::new();
        for image in images {
            names.iter().for_each(|name| self.emit("tag", image.id.as_str(), name));
            let lost = || Error::RemovedMeanwhile(image.id.clone());
            let manifest = image.manifest.clone().ok_or_else(lost)?;
            recorded.push(Recorded { id: image.id, manifest });
        }
        Ok(recorded)
    }

    /// Whether the images are here as they are, under all the names and under no others.
    fn is_recorded(&self, images: &[Image], names: &[String]) -> bool {
        let known = self.catalogue();
        let same = |image: &Image| known.images.get(&image.id).is_some_and(|known| **known == *image);
        let meant = |name: &String| {
            let tag = known.tags.get(name);
            tag.is_some_and(|tag| {
                tag.images().count() == images.len()
                    && images.iter().all(|image| tag.images().any(|id| *id == image.id))
            })
        };
        images.iter().all(same) && names.iter().all(meant)
    }

    fn built(&self, built: &BuiltImage) -> Result<Image, Error> {
        let config: ImageConfig = serde_json::from_slice(&built.config)
            .map_err(|source| Error::ImageConfig { image: "the image that was built".into(), source })?;
        let blob = self.content.put(&built.config)?;
        let descriptors = built.layers.iter().map(|(layer, size)| self.descriptor_of(layer, *size)).collect();
        let manifest = manifest::make_with(&self.content, &blob, descriptors, built.annotations.clone())?;
        let id = blob.digest;
        let layer_sizes = built.layers.iter().map(|(_, size)| *size).collect();
        Ok(Image { id, config, layer_sizes, manifest: Some(manifest) })
    }

    /// A layer as a manifest names it: as it came, if an image came with it, or as it is.
    fn descriptor_of(&self, layer: &Digest, size: u64) -> Descriptor {
        let catalogue = self.catalogue();
        let received = catalogue.images.values().find_map(|image| {
            let at = image.config.rootfs.diff_ids.iter().position(|id| id == layer)?;
            let source = image.manifest.as_ref()?;
            (source.layers.len() == image.config.rootfs.diff_ids.len()).then(|| source.layers[at].clone())
        });
        let plain = || manifest::layer(&Blob { digest: layer.clone(), size }, layers::Compression::None);
        received.unwrap_or_else(plain)
    }

    /// An image's layers with their sizes, held.
    pub(crate) fn hold_layers(&self, image: &Image) -> Option<(Vec<(Digest, u64)>, Kept)> {
        let layers = image.config.rootfs.diff_ids.iter().cloned().zip(image.layer_sizes.iter().copied());
        let kept = self.keep(image.config.rootfs.diff_ids.iter())?;
        Some((layers.collect(), kept))
    }

    /// A config's own bytes. Blocking.
    pub(crate) fn config_bytes(&self, image: &Arc<Image>) -> Result<Vec<u8>, Error> {
        Ok(self.content.read(&image.id, super::MAX_CONFIG)?)
    }

    /// Layers as file systems.
    pub(crate) fn layer_store(&self) -> &Arc<layers::LayerStore> {
        &self.layers
    }
}

/// What an archive of images that were built has in it.
#[derive(Debug)]
pub(crate) struct BuiltArchive {
    images: Arc<Images>,
    archive: super::Archive,
    /// What is in the store only for the archive.
    blobs: Vec<Digest>,
    /// The first image and its manifest.
    pub(crate) first: Option<Descriptor>,
    pub(crate) config: Option<Digest>,
}

impl Images {
    /// Images that no record has, as an archive. Their layers are here, and held. Blocking.
    pub(crate) fn archive_built(
        self: &Arc<Self>,
        built: &[BuiltImage],
        names: &[String],
    ) -> Result<BuiltArchive, Error> {
        let mut archive = super::Archive::default();
        let mut all = BuiltArchive {
            images: self.clone(),
            archive: super::Archive::default(),
            blobs: Vec::new(),
            first: None,
            config: None,
        };
        for built in built {
            let image = Arc::new(self.built(built)?);
            all.blobs.push(image.id.clone());
            all.blobs.extend(image.manifest.iter().map(|manifest| manifest.digest.clone()));
            if names.is_empty() {
                self.add(&mut archive, &image, None)?;
            }
            for name in names {
                let name = oci::Reference::parse(name).map_err(Error::InvalidReference)?;
                self.add(&mut archive, &image, Some(name))?;
            }
            all.config.get_or_insert(image.id.clone());
        }
        all.first = archive.first_manifest();
        all.archive = archive;
        Ok(all)
    }
}

impl BuiltArchive {
    /// Writes it. Blocking.
    pub(crate) fn write(&self, out: impl std::io::Write) -> Result<(), Error> {
        self.images.save(&self.archive, out)
    }
}

impl Drop for BuiltArchive {
    fn drop(&mut self) {
        let _changing = self.images.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.images.release_blobs(self.blobs.iter()) {
            tracing::warn!(error = diag::chain(&error), "an archive's documents stay until the next start");
        }
    }
}
