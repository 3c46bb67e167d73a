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
}

impl Source {
    /// Everything that must stay in the content store for it.
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.digest).chain(self.layers.iter().map(|layer| &layer.digest))
    }
}

impl Image {
    /// All layers together.
    pub fn size(&self) -> u64 {
        self.layer_sizes.iter().sum()
    }
}

impl Record for Image {
    const KIND: &'static str = super::IMAGE;
    fn key(&self) -> &str {
        self.id.as_str()
    }
}

/// A name for an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Familiar, with its tag or its digest: `busybox:latest`, `busybox@sha256:…`.
    pub name: String,
    pub image: Digest,
    pub at: SystemTime,
}

impl Tag {
    /// Whether the name is a digest in a registry rather than a tag.
    pub fn is_digest(&self) -> bool {
        self.name.contains('@')
    }
}

impl Record for Tag {
    const KIND: &'static str = "tag";
    fn key(&self) -> &str {
        &self.name
    }
}
