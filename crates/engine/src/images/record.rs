use std::time::SystemTime;

use oci::Digest;
use oci::image::{Descriptor, ImageConfig};
use serde::{Deserialize, Serialize};
use state::Record;

/// An image that is whole: its config is in the content store and all its layers in the layer store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The digest of the config's bytes.
    pub id: Digest,
    pub config: ImageConfig,
    /// The layers' uncompressed bytes, lowest first.
    pub layer_sizes: Vec<u64>,
    /// The manifest that it came with, whose layers' blobs are kept so that a push sends the very same bytes.
    #[serde(default)]
    pub manifest: Option<Source>,
}

/// The manifest of an image, which is in the content store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub digest: Digest,
    pub media_type: String,
    pub size: u64,
    /// The layers as they were received, lowest first.
    pub layers: Vec<Descriptor>,
    /// It is pushed as it stands, layers that are not compressed included.
    #[serde(default)]
    pub exact: bool,
}

/// What a build wrote down for all of a name's images together: it is pushed byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub index: Descriptor,
    /// Manifests in it that are no image's. What their configs are is the first of their layers.
    pub attestations: Vec<Source>,
}

impl Written {
    /// Everything that must stay in the content store for it.
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.index.digest).chain(self.attestations.iter().flat_map(Source::blobs))
    }
}

impl Source {
    /// Everything that must stay in the content store for it; layers that came uncompressed may lie in the layer store.
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.digest).chain(self.layers.iter().map(|layer| &layer.digest))
    }
}

impl Image {
    /// `linux/amd64`, as people write it.
    pub fn platform(&self) -> String {
        let platform = &self.config.platform;
        let variant = platform.variant.as_deref().filter(|variant| !variant.is_empty());
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        diag::printable(&format!("{}/{}{variant}", platform.os, platform.architecture))
    }

    /// All layers together.
    pub fn size(&self) -> u64 {
        self.layer_sizes.iter().sum()
    }
}

impl Image {
    /// Records it with everything that it needs, and lets go of what it needed before.
    pub(super) fn write(&self, tx: &state::Tx<'_>) -> Result<(), state::Error> {
        let id = self.id.as_str();
        tx.delete::<Self>(id)?;
        tx.put(self)?;
        let layers = &self.config.rootfs.diff_ids;
        layers.iter().try_for_each(|layer| tx.hold::<Self>(id, super::LAYER, layer.as_str()))?;
        let mut blobs = self.manifest.iter().flat_map(Source::blobs);
        blobs.try_for_each(|blob| tx.hold::<Self>(id, super::BLOB, blob.as_str()))
    }
}

impl Record for Image {
    const KIND: &'static str = super::IMAGE;
    fn key(&self) -> &str {
        self.id.as_str()
    }
}

/// A name for an image, or for an image's several platforms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Familiar, with its tag or its digest: `busybox:latest`, `busybox@sha256:…`.
    pub name: String,
    /// What it means where no platform is asked for: this host's, or the one that came last.
    pub image: Digest,
    /// The same for other platforms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Digest>,
    pub at: SystemTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Box<Written>>,
}

impl Tag {
    /// Whether the name is a digest in a registry rather than a tag.
    pub fn is_digest(&self) -> bool {
        self.name.contains('@')
    }

    /// All images behind the name.
    pub fn images(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.image).chain(&self.others)
    }

    /// The same name without one of its images; nothing if it has no other.
    pub(super) fn without(&self, id: &Digest) -> Option<Self> {
        let mut rest = self.images().filter(|image| *image != id).cloned();
        // What was written down was about all of them.
        Some(Self { image: rest.next()?, others: rest.collect(), written: None, ..self.clone() })
    }

    /// Records it, and lets go of what the name meant before.
    pub(super) fn write(&self, tx: &state::Tx<'_>) -> Result<(), state::Error> {
        tx.delete::<Self>(&self.name)?;
        tx.put(self)?;
        self.images().try_for_each(|image| tx.hold::<Self>(&self.name, super::IMAGE, image.as_str()))?;
        let mut blobs = self.written.iter().flat_map(|written| written.blobs());
        blobs.try_for_each(|blob| tx.hold::<Self>(&self.name, super::BLOB, blob.as_str()))
    }
}

impl Record for Tag {
    const KIND: &'static str = "tag";
    fn key(&self) -> &str {
        &self.name
    }
}
