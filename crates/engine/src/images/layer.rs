//! A layer's bytes, wherever they lie: its tar in the layer store, or the blob that it came in; and how they become a
//! blob that a registry takes.
//!
//! What came compressed is sent as it came. What exists only as a tar is compressed on its way out, always to the same
//! bytes, and not kept: what stays is the blob's name ([`Packed`]), so that the registry can be asked first.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use content::Blob;
use oci::image::{Descriptor, media_type};
use oci::{Algorithm, Digest};
use serde::{Deserialize, Serialize};
use state::{Durability, Record};

use super::pins::Pin;
use super::{Image, Images};
use crate::Error;

/// No layer that we compress is larger.
pub(super) const MAX_PACKED: u64 = 1 << 40;

/// What a layer's tar becomes when it is compressed by us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Packed {
    diff_id: Digest,
    digest: Digest,
    size: u64,
}

impl Record for Packed {
    const KIND: &'static str = "packed";
    fn key(&self) -> &str {
        self.diff_id.as_str()
    }
}

impl Image {
    /// The layer as it was received, if it came compressed, or as it has to be sent.
    pub(super) fn received(&self, index: usize) -> Option<&Descriptor> {
        let manifest = self.manifest.as_ref()?;
        let layer = manifest.layers.get(index)?;
        (manifest.exact || layer.digest != *self.diff_id(index)).then_some(layer)
    }

    pub(super) fn diff_id(&self, index: usize) -> &Digest {
        &self.config.rootfs.diff_ids[index]
    }
}

impl Images {
    /// A layer's uncompressed tar and its length. Blocking.
    pub(super) fn tar_of(&self, image: &Image, index: usize) -> Result<(Box<dyn Read>, u64), Error> {
        let (diff_id, size) = (image.diff_id(index), image.layer_sizes[index]);
        if let Some(tar) = self.layers.tar(diff_id, size)? {
            return Ok((Box::new(tar), size));
        }
        let layers = image.manifest.iter().flat_map(|manifest| &manifest.layers);
        let blob = layers.map(|layer| &layer.digest).nth(index).unwrap_or(diff_id);
        let tar = layers::decompress(self.content.get(blob)?);
        Ok((Box::new(tar.map_err(|source| Error::ReadLayer { source })?.take(size)), size))
    }

    /// What a manifest calls this layer when it is pushed, if that is known without compressing it.
    pub(super) fn known_blob(&self, image: &Image, index: usize) -> Result<Option<Descriptor>, Error> {
        if let Some(received) = image.received(index)
            && self.content.find(&received.digest)?.is_some()
        {
            return Ok(Some(received.clone()));
        }
        let packed = self.db.read(|tx| tx.find::<Packed>(image.diff_id(index).as_str()))?;
        Ok(packed.map(|packed| packed.descriptor()))
    }

    /// Whether an image that is here came with this blob for the layer.
    pub(super) fn is_blob_of(&self, blob: &Digest, diff_id: &Digest) -> bool {
        self.catalogue().images.values().any(|image| {
            let layers = image.manifest.iter().flat_map(|manifest| &manifest.layers);
            layers
                .zip(&image.config.rootfs.diff_ids)
                .any(|(layer, id)| layer.digest == *blob && id == diff_id)
        })
    }

    /// Makes sure that the blob of a pushed layer is in the content store for as long as it is lent. Blocking.
    pub(super) fn pack(self: &Arc<Self>, image: &Image, index: usize) -> Result<(Descriptor, Lent), Error> {
        let lend = |pin| Lent { images: self.clone(), pin: Some(pin) };
        if let Some(known) = self.known_blob(image, index)? {
            let lent = lend(self.pins.pin(&known.digest));
            if self.content.find(&known.digest)?.is_some() {
                return Ok((known, lent));
            }
        }
        let (tar, _) = self.tar_of(image, index)?;
        let mut ingest = self.content.ingest(Algorithm::Sha256, MAX_PACKED)?;
        layers::compress(tar, &mut ingest).map_err(|source| Error::ReadLayer { source })?;
        ingest.sync()?;
        let (blob, pin) = self.pins.making(|| ingest.finish(), |blob| &blob.digest)?;
        let lent = lend(pin);
        Ok((self.remember_packed(image.diff_id(index), &blob)?, lent))
    }

    /// Whether the layer is a blob already, so that it need not be packed. Blocking.
    pub(super) fn is_packed(&self, image: &Image, index: usize) -> Result<bool, Error> {
        match self.known_blob(image, index)? {
            Some(known) => Ok(self.content.find(&known.digest)?.is_some()),
            None => Ok(false),
        }
    }

    /// What a layer became when it was packed, as a manifest describes it. Blocking.
    pub(super) fn remember_packed(&self, diff_id: &Digest, blob: &Blob) -> Result<Descriptor, Error> {
        let packed = Packed { diff_id: diff_id.clone(), digest: blob.digest.clone(), size: blob.size };
        self.db.write(Durability::Process, |tx| tx.put(&packed).map_err(Error::from))?;
        Ok(packed.descriptor())
    }

    /// The layer is gone, and so is what it would become.
    pub(super) fn forget_packed(&self, diff_id: &Digest) -> Result<(), Error> {
        self.db.write(Durability::Process, |tx| tx.delete::<Packed>(diff_id.as_str()).map_err(Error::from))
    }
}

/// A layer that is packed while it is sent.
pub(super) struct Packing {
    images: Arc<Images>,
    image: Arc<Image>,
    index: usize,
    /// Bytes of the tar that are on their way.
    read: AtomicU64,
}

impl Packing {
    pub(super) fn new(images: Arc<Images>, image: Arc<Image>, index: usize) -> Self {
        Self { images, image, index, read: AtomicU64::new(0) }
    }
}

impl distribution::Make for Packing {
    fn make(&self, to: &mut dyn Write) -> io::Result<()> {
        let (tar, _) = self.images.tar_of(&self.image, self.index).map_err(io::Error::other)?;
        self.read.store(0, Ordering::Relaxed);
        layers::compress(Counted { inner: tar, read: &self.read }, to)
    }

    fn progress(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

struct Counted<'a> {
    inner: Box<dyn Read>,
    read: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A blob that stays until this goes; then it is removed, unless an image came with it.
#[derive(Debug)]
pub(super) struct Lent {
    images: Arc<Images>,
    pin: Option<Pin>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(digest) = self.pin.take().map(|pin| pin.digest().clone()) else { return };
        if let Err(error) = self.images.release_blobs(std::iter::once(&digest)) {
            tracing::warn!(error = diag::chain(&error), "a packed layer stays until the next start");
        }
    }
}

impl Packed {
    fn descriptor(&self) -> Descriptor {
        super::manifest::descriptor(media_type::DOCKER_LAYER_GZIP, &self.digest, self.size)
    }
}
