//! Pruning: everything that nobody uses, by dockerd's filters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use oci::Digest;

use super::{Catalogue, Image, Images, Removed, Users};
use crate::Error;
use crate::events::Kind;
use crate::filters::{self, Filters};

/// The filter keys of `POST /images/prune`.
pub const PRUNE_KEYS: &[&str] = &["dangling", "label", "label!", "until"];

/// What a pruning removed.
#[derive(Debug, Default)]
pub struct Pruned {
    pub removed: Vec<Removed>,
    pub reclaimed: u64,
}

impl Images {
    /// Removes unused images that the filters admit: those without a name, or with `dangling=false` all. Blocking.
    pub fn prune(&self, filters: &Filters, users: &dyn Users) -> Result<Pruned, Error> {
        let dangling = filters.flag("dangling")?.unwrap_or(true);
        let until = filters::until(filters)?;
        let mut pruned = Pruned::default();
        let catalogue = self.catalogue();
        for image in catalogue.images.values() {
            let label = |name: &str| image.config.config.labels.get(name).map(String::as_str);
            // Digests alone are no name that anybody gave.
            let admitted = (!dangling || catalogue.names_of(&image.id).is_empty())
                && until.is_none_or(|until| image.created() < seconds(until))
                && filters.admits_labels("label", label)
                && (!filters.has("label!") || !filters.admits_labels("label!", label));
            if admitted {
                self.remove_unused(image, users, &mut pruned)?;
            }
        }
        let reclaimed = BTreeMap::from([("reclaimed".to_owned(), pruned.reclaimed.to_string())]);
        self.events.emit(Kind::Image, "prune", "", reclaimed);
        Ok(pruned)
    }

    /// Removes an image with all its names, unless a container uses it.
    pub(super) fn remove_unused(
        &self,
        image: &Arc<Image>,
        users: &dyn Users,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let catalogue = self.catalogue();
        if users.container_of(&image.id).is_some() || !catalogue.images.contains_key(&image.id) {
            return Ok(());
        }
        let only_here: Vec<String> = catalogue
            .all_names_of(&image.id)
            .filter(|tag| tag.images().count() == 1)
            .map(|tag| tag.name.clone())
            .collect();
        let before = self.weight(&catalogue, image);
        pruned.removed.extend(self.untag(&image.id, only_here, &[image])?);
        pruned.reclaimed += before;
        Ok(())
    }

    /// The bytes that would be free without an image: its layers and blobs that no other image has.
    pub(super) fn weight(&self, catalogue: &Catalogue, image: &Image) -> u64 {
        let others = || catalogue.images.values().filter(|other| other.id != image.id);
        let kept: BTreeSet<&Digest> =
            others().flat_map(|other| other.parts().map(|(part, _)| part)).collect();
        let own: BTreeMap<&Digest, u64> = image.parts().filter(|(part, _)| !kept.contains(part)).collect();
        own.values().sum()
    }
}

impl Image {
    /// When it was made, in seconds since the epoch; an image that doesn't say is as old as can be.
    pub fn created(&self) -> i64 {
        let text = self.config.created.as_deref().unwrap_or_default();
        text.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second)
    }

    /// What takes room for it on the disk: layers as they are unpacked, and blobs that were received.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&Digest, u64)> {
        let layers = self.config.rootfs.diff_ids.iter().zip(self.layer_sizes.iter().copied());
        let received = self.manifest.iter().flat_map(|manifest| &manifest.layers);
        layers.chain(received.map(|layer| (&layer.digest, layer.size)))
    }
}

fn seconds(at: SystemTime) -> i64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
