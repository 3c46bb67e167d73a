//! What steps make and work on.

use std::sync::Arc;

use oci::{Algorithm, Digest, Hasher};
use serde::{Deserialize, Serialize};

use super::context::Folder;
use crate::images::Kept;

/// A tar with nothing in it: a step that changed nothing. It is a layer as others, so that an image's history fits its
/// layers; only for what files there are it says nothing.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

/// One layer of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) diff_id: Digest,
    pub(crate) size: u64,
    /// When it was made, in seconds since 1970, and by what; nothing for an image's.
    #[serde(default)]
    pub(crate) made: Option<u64>,
    #[serde(default)]
    pub(crate) by: String,
}

impl Layer {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.size == EMPTY_TAR.len() as u64 && self.diff_id == Digest::sha256(&EMPTY_TAR)
    }
}

/// Files: layers, lowest first, or a client's directory.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Layers(Arc<Layers>),
    Folder(Arc<Folder>),
}

/// Layers that stay for as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) list: Vec<Layer>,
    pub(crate) kept: Vec<Kept>,
}

impl Tree {
    /// Nothing.
    pub(crate) fn scratch() -> Self {
        Self::Layers(Arc::default())
    }

    /// What is the same for all trees with the same files.
    pub(crate) fn id(&self) -> Digest {
        match self {
            Self::Folder(folder) => folder.id().clone(),
            Self::Layers(layers) => {
                let mut hasher = Hasher::new(Algorithm::Sha256);
                hasher.update(b"layers\0");
                for layer in layers.list.iter().filter(|layer| !layer.is_empty()) {
                    hasher.update(layer.diff_id.as_str().as_bytes());
                    hasher.update(b"\0");
                }
                hasher.finish()
            }
        }
    }

    /// The layers; none for a directory.
    pub(crate) fn list(&self) -> &[Layer] {
        match self {
            Self::Layers(layers) => &layers.list,
            Self::Folder(_) => &[],
        }
    }

    /// What can be mounted, lowest first.
    pub(crate) fn diff_ids(&self) -> Vec<Digest> {
        let layers = self.list().iter().filter(|layer| !layer.is_empty());
        layers.map(|layer| layer.diff_id.clone()).collect()
    }
}
