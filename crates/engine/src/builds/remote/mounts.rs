//! Cache mounts that go with a cache: each is one layer, under a key that its id alone makes. BuildKit knows nothing of them; its
//! own clients read the rest of such a cache as any other.

use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError};

use build::Error;
use oci::Digest;

use super::Remote;
use crate::builds::Parts;
use crate::builds::error::{blocking, work};
use crate::builds::exec::on_top;
use crate::builds::tree::Tree;
use crate::images::Images;

/// What a cache mount's directory is called in its layer, which says so whose it is.
pub(in crate::builds) const TOP: &str = "mount";

/// As what others know a cache mount.
fn key(id: &str) -> Digest {
    Digest::sha256(format!("cache mount\0{id}").as_bytes())
}

/// A tree that is somewhere else as well, and goes when nobody looks at it any more.
pub(in crate::builds) struct Passing {
    images: Arc<Images>,
    tree: Option<Tree>,
}

impl Passing {
    fn new(images: &Arc<Images>, tree: Tree) -> Self {
        Self { images: images.clone(), tree: Some(tree) }
    }

    pub(in crate::builds) fn tree(&self) -> &Tree {
        static NOTHING: std::sync::LazyLock<Tree> = std::sync::LazyLock::new(Tree::scratch);
        self.tree.as_ref().unwrap_or(&NOTHING)
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let Some(tree) = self.tree.take() else { return };
        let ids = tree.diff_ids();
        drop(tree);
        let images = self.images.clone();
        // It waits for the disk, and nobody for it.
        drop(tasks::blocking(move || {
            if let Err(error) = images.let_go(&ids) {
                tracing::warn!(
                    error = diag::chain(&error),
                    "a cache mount's layer stays until the next start"
                );
            }
        }));
    }
}

/// Those who may have cache mounts.
#[derive(Clone)]
pub(in crate::builds) struct Others {
    parts: Arc<Parts>,
    remote: Arc<Remote>,
}

impl Others {
    pub(in crate::builds) fn new(parts: Arc<Parts>, remote: Arc<Remote>) -> Self {
        Self { parts, remote }
    }

    /// What somebody has for the cache mount of this id.
    pub(in crate::builds) async fn mount(&self, id: &str) -> Option<Passing> {
        let found = self.remote.find(&self.parts, &key(id)).await?;
        Some(Passing::new(&self.parts.shared.images, found.into_iter().next()?))
    }
}

impl Remote {
    /// Takes note of a step's cache mounts.
    pub(in crate::builds) fn had<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner).extend(ids.map(str::to_owned));
    }

    /// What is in them now, for others.
    pub(super) async fn packed_mounts(&self, parts: &Arc<Parts>) -> Result<Vec<(Digest, Passing)>, Error> {
        let ids = self.mounts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut packed = Vec::new();
        for id in ids {
            let Some(taken) = parts.caches.find(&id).await? else { continue };
            let parts = parts.clone();
            let packing = blocking(move || {
                let shared = &parts.shared;
                let (files, limits) = (taken.open()?, shared.layers.limits().clone());
                let tar = layers::Written::by(move |out| {
                    layers::pack_tree(files.as_fd(), TOP.as_bytes(), out, &limits)
                });
                let tar = tar.map_err(|e| work("pack a cache mount", e))?;
                let tree = on_top(shared, &Tree::scratch(), tar, "cache mount")?;
                Ok(Passing::new(&shared.images, tree))
            });
            packed.push((key(&id), packing.await?));
        }
        Ok(packed)
    }
}
