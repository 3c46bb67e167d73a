//! What builds need of the store: layers taken in and held, and images recorded of layers that are here.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, PoisonError};

use content::Blob;
use layers::Compression;
use oci::Digest;
use oci::image::{Descriptor, ImageConfig, media_type};

use super::manifest::Words;
use super::pins::Pin;
use super::{Image, Images, Naming, Source, Written, manifest};
use crate::Error;

/// Where a layer of an attestation says what kind of statement it is.
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

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
    pub(crate) annotations: BTreeMap<String, String>,
}

/// How an image is written down where that matters: when it leaves the engine as it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    pub(crate) packing: layers::Packing,
    /// Layers that came packed in another way are packed anew.
    pub(crate) force: bool,
    pub(crate) words: Words,
}

/// An image whose config and manifest are in the store, held.
#[derive(Debug)]
pub(crate) struct WrittenImage {
    pub(crate) image: Image,
    pins: Vec<Pin>,
}

impl WrittenImage {
    /// Its manifest, as an index names it.
    pub(crate) fn descriptor(&self) -> Option<Descriptor> {
        let manifest = self.image.manifest.as_ref()?;
        Some(Descriptor {
            platform: Some(self.image.config.platform.clone()),
            ..manifest::descriptor(&manifest.media_type, &manifest.digest, manifest.size)
        })
    }
}

/// What is said about an image: in-toto's statement.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) predicate: String,
    pub(crate) bytes: Vec<u8>,
}

/// What an index says besides which images there are.
#[derive(Debug)]
pub(crate) struct IndexForm {
    pub(crate) words: Words,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Of the images' descriptors in it, in their order.
    pub(crate) of_manifests: Vec<BTreeMap<String, String>>,
    /// Where the index itself is named.
    pub(crate) of_itself: BTreeMap<String, String>,
    /// What is said about each image, in their order.
    pub(crate) statements: Vec<Vec<Statement>>,
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
        built: &[WrittenImage],
        names: &[String],
        written: Option<&Written>,
    ) -> Result<(), Error> {
        let images: Vec<Image> = built.iter().map(|built| built.image.clone()).collect();
        if written.is_some() || !self.is_recorded(&images, names) {
            self.record_with(&images, names, Naming::Replace, written)?;
        }
        for image in images {
            names.iter().for_each(|name| self.emit("tag", image.id.as_str(), name));
        }
        Ok(())
    }

    /// Whether the images are here as they are, under all the names and under no others.
    fn is_recorded(&self, images: &[Image], names: &[String]) -> bool {
        let known = self.catalogue();
        let same = |image: &Image| known.images.get(&image.id).is_some_and(|known| **known == *image);
        let meant = |name: &String| {
            let tag = known.tags.get(name);
            tag.is_some_and(|tag| {
                tag.written.is_none()
                    && tag.images().count() == images.len()
                    && images.iter().all(|image| tag.images().any(|id| *id == image.id))
            })
        };
        images.iter().all(same) && names.iter().all(meant)
    }

    /// Writes an image's config and manifest; with a form also its layers, packed so. Its layers are here, and held.
    /// Blocking.
    pub(crate) fn write_built(&self, built: &BuiltImage, form: Option<Form>) -> Result<WrittenImage, Error> {
        let config: ImageConfig = serde_json::from_slice(&built.config)
            .map_err(|source| Error::ImageConfig { image: "the image that was built".into(), source })?;
        let (blob, pin) = self.pins.making(|| self.content.put(&built.config), |blob| &blob.digest)?;
        let (mut descriptors, mut pins) = (Vec::new(), vec![pin]);
        for (layer, size) in &built.layers {
            let Some(form) = form else {
                descriptors.push(self.descriptor_of(layer, *size));
                continue;
            };
            let (descriptor, pin) = self.packed_layer(layer, *size, form)?;
            let said = form.words.layer(descriptor);
            descriptors.push(said.ok_or(Error::NoDockerWord)?);
            pins.push(pin);
        }
        let words = form.map_or(Words::Oci, |form| form.words);
        let make = || {
            let annotations = built.annotations.clone();
            manifest::make_with(&self.content, &blob, descriptors, annotations, words)
        };
        let (manifest, pin) = self.pins.making(make, |manifest| &manifest.digest)?;
        pins.push(pin);
        let manifest = Some(Source { exact: form.is_some(), ..manifest });
        let layer_sizes = built.layers.iter().map(|(_, size)| *size).collect();
        Ok(WrittenImage { image: Image { id: blob.digest, config, layer_sizes, manifest }, pins })
    }

    /// A layer as an image came with it, if one did.
    fn received(&self, layer: &Digest) -> Option<Descriptor> {
        let catalogue = self.catalogue();
        catalogue.images.values().find_map(|image| {
            let at = image.config.rootfs.diff_ids.iter().position(|id| id == layer)?;
            let source = image.manifest.as_ref()?;
            // What a build wrote down for somebody is no rule for others.
            let whole = source.layers.len() == image.config.rootfs.diff_ids.len() && !source.exact;
            whole.then(|| source.layers[at].clone())
        })
    }

    /// A layer as a manifest names it: as it came, if an image came with it, or as it is.
    fn descriptor_of(&self, layer: &Digest, size: u64) -> Descriptor {
        let plain = || manifest::layer(&Blob { digest: layer.clone(), size }, Compression::None);
        self.received(layer).unwrap_or_else(plain)
    }

    /// A layer's blob in the content store, packed as it is wanted, or as it came where that is good enough.
    fn packed_layer(&self, layer: &Digest, size: u64, form: Form) -> Result<(Descriptor, Pin), Error> {
        let received = self.received(layer);
        if let Some(received) = &received {
            let pin = self.pins.pin(&received.digest);
            let fits = match form.force {
                true => manifest::compression(received) == Some(form.packing.with),
                // What is here uncompressed didn't come so from anywhere: it is how layers are kept.
                false => received.digest != *layer || form.packing.with == Compression::None,
            };
            if fits && self.content.find(&received.digest)?.is_some() {
                return Ok((received.clone(), pin));
            }
        }
        let tar = self.tar_as(layer, size, received.as_ref())?;
        let mut ingest = self.content.ingest(oci::Algorithm::Sha256, super::layer::MAX_PACKED)?;
        form.packing.pack(tar, &mut ingest).map_err(|source| Error::ReadLayer { source })?;
        ingest.sync()?;
        let (blob, pin) = self.pins.making(|| ingest.finish(), |blob| &blob.digest)?;
        Ok((manifest::layer(&blob, form.packing.with), pin))
    }

    /// A layer's uncompressed tar. Blocking.
    pub(crate) fn layer_tar(&self, layer: &Digest, size: u64) -> Result<Box<dyn Read + Send>, Error> {
        self.tar_as(layer, size, self.received(layer).as_ref())
    }

    fn tar_as(
        &self,
        layer: &Digest,
        size: u64,
        received: Option<&Descriptor>,
    ) -> Result<Box<dyn Read + Send>, Error> {
        if let Some(tar) = self.layers.tar(layer, size)? {
            return Ok(Box::new(tar));
        }
        let blob = received.map_or(layer, |received| &received.digest);
        let tar = layers::decompress_ahead(self.content.get(blob)?);
        Ok(Box::new(tar.map_err(|source| Error::ReadLayer { source })?.take(size)))
    }

    /// Writes what names several images, or an image and what is said about it. Blocking.
    pub(crate) fn write_index(
        &self,
        images: &[WrittenImage],
        form: &IndexForm,
    ) -> Result<(Written, Kept), Error> {
        let (mut entries, mut attestations, mut said) = (Vec::new(), Vec::new(), Vec::new());
        let mut pins = Vec::new();
        for (at, image) in images.iter().enumerate() {
            let gone = || Error::RemovedMeanwhile(image.image.id.clone());
            let mut entry = image.descriptor().ok_or_else(gone)?;
            entry.annotations = form.of_manifests.get(at).cloned().unwrap_or_default();
            let statements = form.statements.get(at).map(Vec::as_slice).unwrap_or_default();
            if !statements.is_empty() {
                let attestation = self.write_attestation(statements, &mut pins)?;
                said.push(manifest::attestation_entry(&attestation, &entry.digest));
                attestations.push(attestation);
            }
            entries.push(entry);
        }
        entries.extend(said);
        let bytes = manifest::annotated_index(entries, form.annotations.clone(), form.words)?;
        let (blob, pin) = self.pins.making(|| self.content.put(&bytes), |blob| &blob.digest)?;
        pins.push(pin);
        let index = manifest::descriptor(form.words.index(), &blob.digest, blob.size);
        let index = Descriptor { annotations: form.of_itself.clone(), ..index };
        Ok((Written { index, attestations }, Kept(pins)))
    }

    fn write_attestation(&self, statements: &[Statement], pins: &mut Vec<Pin>) -> Result<Source, Error> {
        let mut put = |bytes: &[u8]| {
            let (blob, pin) = self.pins.making(|| self.content.put(bytes), |blob| &blob.digest)?;
            pins.push(pin);
            Ok::<_, Error>(blob)
        };
        let mut layers = Vec::new();
        for statement in statements {
            let blob = put(&statement.bytes)?;
            let annotations = [(PREDICATE_TYPE.to_owned(), statement.predicate.clone())].into();
            let layer = manifest::descriptor(media_type::IN_TOTO, &blob.digest, blob.size);
            layers.push(Descriptor { annotations, ..layer });
        }
        let config = put(&manifest::attestation_config(&layers)?)?;
        let blob = put(&manifest::attestation(&config, layers.clone())?)?;
        layers.insert(0, manifest::descriptor(media_type::OCI_CONFIG, &config.digest, config.size));
        let media_type = media_type::OCI_MANIFEST.to_owned();
        Ok(Source { digest: blob.digest, media_type, size: blob.size, layers, exact: true })
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

/// Blobs that are made to be given to somebody, held and removed again.
#[derive(Debug)]
pub(crate) struct Lending {
    images: Arc<Images>,
    blobs: Vec<Descriptor>,
    pins: Vec<Pin>,
}

impl Images {
    /// Nothing yet.
    pub(crate) fn lending(self: &Arc<Self>) -> Lending {
        Lending { images: self.clone(), blobs: Vec::new(), pins: Vec::new() }
    }

    /// Where blobs lie.
    pub(crate) fn content(&self) -> &content::Store {
        &self.content
    }

    /// A layer that is here, or one that `fetch` puts among the blobs, unpacked; its length uncompressed, and what holds it.
    pub(crate) async fn bring_layer(
        self: &Arc<Self>,
        fetch: impl Future<Output = Result<(), Error>>,
        blob: &Descriptor,
        diff_id: &Digest,
        known_size: Option<u64>,
    ) -> Result<(u64, Kept), Error> {
        let flight = self.flights.board(diff_id).await;
        let size = known_size.or_else(|| self.catalogue().layer_size(diff_id));
        if let Some(kept) = self.keep(std::iter::once(diff_id))
            && let Some(size) = size
        {
            return Ok((size, kept));
        }
        let pin = self.pins.pin(&blob.digest);
        fetch.await?;
        let (images, blob, diff_id) = (self.clone(), blob.digest.clone(), diff_id.clone());
        super::blocking(move || {
            let _flight = flight;
            let packed = images.content.get(&blob)?;
            let tar = layers::decompress(packed).map_err(|source| Error::ReadLayer { source })?;
            let taken = images.take_layer(tar);
            drop(pin);
            images.release_blobs(std::iter::once(&blob))?;
            let (layer, pins) = taken?;
            if layer.digest != diff_id {
                drop(pins);
                images.let_go(std::slice::from_ref(&layer.digest))?;
                return Err(layers::Error::Mismatch { expected: diff_id, found: layer.digest }.into());
            }
            Ok((layer.size, Kept(pins)))
        })
        .await
    }
}

impl Lending {
    /// A layer in this form. Blocking.
    pub(crate) fn layer(&mut self, layer: &Digest, size: u64, form: Form) -> Result<Descriptor, Error> {
        let (blob, pin) = self.images.packed_layer(layer, size, form)?;
        let blob = form.words.layer(blob).ok_or(Error::NoDockerWord)?;
        self.blobs.push(blob.clone());
        self.pins.push(pin);
        Ok(blob)
    }

    /// Something small. Blocking.
    pub(crate) fn document(&mut self, kind: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        let images = self.images.clone();
        let (blob, pin) = images.pins.making(|| images.content.put(bytes), |blob| &blob.digest)?;
        let blob = manifest::descriptor(kind, &blob.digest, blob.size);
        self.blobs.push(blob.clone());
        self.pins.push(pin);
        Ok(blob)
    }

    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs.iter()
    }

    /// Where they lie.
    pub(crate) fn content(&self) -> &content::Store {
        &self.images.content
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        self.pins.clear();
        let _changing = self.images.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.images.release_blobs(self.blobs.iter().map(|blob| &blob.digest)) {
            tracing::warn!(
                error = diag::chain(&error),
                "what was made for a cache stays until the next start"
            );
        }
    }
}

/// What an archive of images that were built has in it, held.
#[derive(Debug)]
pub(crate) struct BuiltArchive {
    images: Arc<Images>,
    archive: super::Archive,
    /// What is in the store only for the archive.
    blobs: Vec<Digest>,
    held: (Vec<Pin>, Option<Kept>),
}

impl Images {
    /// Images that no record has, as an archive. Their layers are here, and held. Blocking.
    pub(crate) fn archive_built(
        self: &Arc<Self>,
        built: Vec<WrittenImage>,
        names: &[String],
        (written, kept): (Option<Written>, Option<Kept>),
    ) -> Result<BuiltArchive, Error> {
        let mut archive = super::Archive::default();
        let mut blobs: Vec<Digest> =
            written.iter().flat_map(|written| written.blobs().cloned().collect::<Vec<_>>()).collect();
        let mut pins = Vec::new();
        let names: Vec<oci::Reference> = names
            .iter()
            .map(|name| oci::Reference::parse(name).map_err(Error::InvalidReference))
            .collect::<Result<_, _>>()?;
        for built in built {
            let image = Arc::new(built.image);
            pins.extend(built.pins);
            blobs.push(image.id.clone());
            blobs.extend(image.manifest.iter().flat_map(Source::blobs).cloned());
            match image.manifest.as_ref().is_some_and(|manifest| manifest.exact) {
                true => self.add_exact(&mut archive, &image, names.clone())?,
                false if names.is_empty() => self.add(&mut archive, &image, None)?,
                false => {
                    names.iter().try_for_each(|name| self.add(&mut archive, &image, Some(name.clone())))?;
                }
            }
        }
        if let Some(written) = written {
            self.add_written(&mut archive, written)?;
        }
        Ok(BuiltArchive { images: self.clone(), archive, blobs, held: (pins, kept) })
    }
}

impl BuiltArchive {
    /// Writes it. Blocking.
    pub(crate) fn write(&self, out: impl std::io::Write) -> Result<(), Error> {
        self.images.save(&self.archive, out)
    }

    /// What the archive is by its index: the index of several, or the one manifest.
    pub(crate) fn top(&self) -> Option<Descriptor> {
        self.archive.top()
    }

    /// Nobody reads docker's own lists.
    pub(crate) fn without_docker_s_lists(&mut self) {
        self.archive.without_docker_s_lists();
    }
}

impl Drop for BuiltArchive {
    fn drop(&mut self) {
        self.held = (Vec::new(), None);
        let _changing = self.images.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.images.release_blobs(self.blobs.iter()) {
            tracing::warn!(error = diag::chain(&error), "an archive's documents stay until the next start");
        }
    }
}
