use std::time::SystemTime;

use oci::Digest;
use oci::image::ImageConfig;
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
    /// Familiar, with its tag: `busybox:latest`.
    pub name: String,
    pub image: Digest,
    pub at: SystemTime,
}

impl Record for Tag {
    const KIND: &'static str = "tag";
    fn key(&self) -> &str {
        &self.name
    }
}
