//! A limit on what images may take of the disk: those that nobody uses go, the one that was used longest ago first.

use std::collections::BTreeMap;
use std::time::SystemTime;

use oci::Digest;
use serde::{Deserialize, Serialize};
use state::Record;

use super::{Catalogue, Images, Pruned, Users};
use crate::Error;

/// When an image last came or a container was last made of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Use {
    image: Digest,
    at: SystemTime,
}

impl Use {
    /// Now.
    pub fn now(image: &Digest) -> Self {
        Self { image: image.clone(), at: SystemTime::now() }
    }
}

impl Record for Use {
    const KIND: &'static str = "image-use";
    fn key(&self) -> &str {
        self.image.as_str()
    }
}

impl Images {
    /// Removes unused images until all together take at most `limit` bytes. What was used after `since` stays, however
    /// large: it is what room is made for. Blocking.
    pub fn make_room(&self, limit: u64, since: SystemTime, users: &dyn Users) -> Result<Pruned, Error> {
        let mut pruned = Pruned::default();
        if total(&self.catalogue()) <= limit {
            return Ok(pruned);
        }
        let uses = self.db.read(|tx| tx.list::<Use>().map_err(Error::from))?;
        let mut last: BTreeMap<Digest, SystemTime> =
            uses.into_iter().map(|last| (last.image, last.at)).collect();
        for tag in self.catalogue().tags.values() {
            for image in tag.images() {
                let at = last.entry(image.clone()).or_insert(tag.at);
                *at = (*at).max(tag.at);
            }
        }
        let catalogue = self.catalogue();
        let when = |id: &Digest| last.get(id).copied().unwrap_or(SystemTime::UNIX_EPOCH);
        let mut oldest: Vec<_> = catalogue.images.values().filter(|image| when(&image.id) < since).collect();
        oldest.sort_by_key(|image| when(&image.id));
        for image in oldest {
            if total(&self.catalogue()) <= limit {
                break;
            }
            tracing::info!(image = %image.id, "removing an unused image: the limit of the image store is reached");
            self.remove_unused(image, users, &mut pruned)?;
        }
        Ok(pruned)
    }
}

/// What all images take together, what they share once.
fn total(catalogue: &Catalogue) -> u64 {
    let parts: BTreeMap<&Digest, u64> = catalogue.images.values().flat_map(|image| image.parts()).collect();
    parts.values().sum()
}
