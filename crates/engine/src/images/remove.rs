//! Removing: names first, and with the last name the image, by dockerd's rules.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use oci::{Digest, Reference};
use state::Durability;

use super::{Catalogue, Found, Image, Images, LAYER, Source, Tag, Use};
use crate::Error;

/// What was removed, in the words of `DELETE /images/{name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    Untagged(String),
    Deleted(String),
}

/// Whether to remove what is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    Yes,
    No,
}

/// Who uses an image, as far as images can't know themselves.
pub trait Users {
    /// A container of this image: its id and whether it runs.
    fn container_of(&self, image: &Digest) -> Option<(String, bool)>;
}

impl Images {
    /// Removes a name, and with its last name the image, if nobody uses it. Blocking.
    pub fn remove(&self, typed: &str, force: Force, users: &dyn Users) -> Result<Vec<Removed>, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.look_up(typed)?;
        match &found.name {
            Some(name) => self.remove_name(name, &found, force, users),
            None => self.remove_id(&found.image, force, users),
        }
    }

    fn remove_name(
        &self,
        name: &str,
        found: &Found,
        force: Force,
        users: &dyn Users,
    ) -> Result<Vec<Removed>, Error> {
        let names = self.names_of(&found.image.id);
        if force == Force::No
            && is_single(&names)
            && let Some((reference, (container, _), image)) = found
                .all
                .iter()
                .find_map(|image| Some((name.to_owned(), users.container_of(&image.id)?, image.id.short())))
        {
            let (container, image) = (short(&container), image.to_owned());
            return Err(Error::ImageInUse { reference, container, image });
        }
        let names = with_digests(name, &names);
        // With a name left, the image stays; so does one that a container uses, without any name.
        let goes = |image: &Image| {
            let used =
                users.container_of(&image.id).is_some_and(|(_, running)| running || force == Force::No);
            !used && self.names_of(&image.id).iter().all(|left| names.contains(left))
        };
        let going: Vec<&Image> = found.all.iter().map(|image| &**image).filter(|image| goes(image)).collect();
        self.untag(&found.image.id, names.clone(), &going)
    }

    fn remove_id(&self, image: &Image, force: Force, users: &dyn Users) -> Result<Vec<Removed>, Error> {
        let names = self.names_of(&image.id);
        let shown = image.id.short().to_owned();
        match users.container_of(&image.id) {
            Some((container, true)) => {
                return Err(Error::ImageRunning { image: shown, container: short(&container) });
            }
            Some((container, false)) if force == Force::No => {
                return Err(Error::ImageStopped { image: shown, container: short(&container) });
            }
            _ if force == Force::No && !is_single(&names) => {
                return Err(Error::ImageNamed { image: shown });
            }
            _ => {}
        }
        self.untag(&image.id, names, &[image])
    }

    /// Removes one platform's image from a name that has several. Blocking.
    pub fn remove_platforms(
        &self,
        typed: &str,
        wanted: &[distribution::Wanted],
        force: Force,
        users: &dyn Users,
    ) -> Result<Vec<Removed>, Error> {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.look_up(typed)?;
        let going: BTreeSet<Digest> = wanted
            .iter()
            .map(|wanted| found.on(typed, Some(wanted)).map(|image| image.id.clone()))
            .collect::<Result<_, _>>()?;
        let Some(name) = found.name.as_deref().filter(|_| going.len() < found.all.len()) else {
            drop(changing);
            return self.remove(typed, force, users);
        };
        let mut removed = Vec::new();
        for image in found.all.iter().filter(|image| going.contains(&image.id)) {
            if let Some((container, running)) = users.container_of(&image.id)
                && (running || force == Force::No)
            {
                let (image, container) = (image.id.short().to_owned(), short(&container));
                return Err(match running {
                    true => Error::ImageRunning { image, container },
                    false => Error::ImageStopped { image, container },
                });
            }
            removed.extend(self.detach(name, image)?);
        }
        Ok(removed)
    }

    /// Takes one of several images away from a name, and removes it if it has no other.
    fn detach(&self, name: &str, image: &Image) -> Result<Vec<Removed>, Error> {
        if self.names_of(&image.id).iter().all(|other| other == name || other.contains('@')) {
            return self.delete(image);
        }
        if let Some(rest) = self.catalogue().tags.get(name).and_then(|tag| tag.without(&image.id)) {
            self.db.write(Durability::Power, |tx| rest.write(tx).map_err(Error::from))?;
            self.publish()?;
        }
        Ok(Vec::new())
    }

    fn names_of(&self, id: &Digest) -> Vec<String> {
        self.catalogue().all_names_of(id).map(|tag| tag.name.clone()).collect()
    }

    /// Takes names away, and with them the images that have no other: at one go, or a crash would leave some without a name.
    pub(super) fn untag(
        &self,
        id: &Digest,
        names: Vec<String>,
        going: &[&Image],
    ) -> Result<Vec<Removed>, Error> {
        let before = self.catalogue();
        self.db.write(Durability::Power, |tx| {
            names.iter().try_for_each(|name| tx.delete::<Tag>(name))?;
            going.iter().try_for_each(|image| forget(tx, &before, image, &names)).map_err(Error::from)
        })?;
        self.publish()?;
        let tags = names.iter().filter_map(|name| before.tags.get(name));
        self.release_blobs(tags.flat_map(|tag| &tag.written).flat_map(|written| written.blobs()))?;
        // dockerd tells once of a tag and of the digests that go with it.
        let tags = names.iter().filter(|name| !name.contains('@')).count();
        for _ in 0..tags.max(1).min(names.len()) {
            self.emit_as_known(&before, "untag", id.as_str(), id.as_str());
        }
        let mut removed: Vec<_> = names.into_iter().map(Removed::Untagged).collect();
        for image in going {
            removed.extend(self.clear(image)?);
        }
        Ok(removed)
    }

    /// Forgets an image and removes what only it needed. Names that have other images keep those.
    pub(super) fn delete(&self, image: &Image) -> Result<Vec<Removed>, Error> {
        let before = self.catalogue();
        self.db.write(Durability::Power, |tx| forget(tx, &before, image, &[]).map_err(Error::from))?;
        self.publish()?;
        self.clear(image)
    }

    /// Removes what only a forgotten image needed.
    fn clear(&self, image: &Image) -> Result<Vec<Removed>, Error> {
        self.release_blobs([&image.id].into_iter().chain(image.manifest.iter().flat_map(Source::blobs)))?;
        let mut removed = vec![Removed::Deleted(image.id.to_string())];
        let layers = self.release_layers(&image.config.rootfs.diff_ids)?;
        removed.extend(layers.into_iter().map(|layer| Removed::Deleted(layer.to_string())));
        self.emit("delete", image.id.as_str(), image.id.as_str());
        Ok(removed)
    }

    /// Removes the blobs that nothing needs any more.
    pub(super) fn release_blobs<'a>(&self, blobs: impl Iterator<Item = &'a Digest>) -> Result<(), Error> {
        for blob in blobs {
            self.pins
                .unless_pinned(blob, || match self.is_needed(blob) {
                    true => Some(Ok(())),
                    false => Some(self.content.remove(blob)),
                })
                .transpose()?;
        }
        Ok(())
    }

    /// Removes the layers that nothing needs any more, uppermost first.
    pub(super) fn release_layers(&self, layers: &[Digest]) -> Result<Vec<Digest>, Error> {
        let mut removed = Vec::new();
        for layer in layers.iter().rev() {
            let free = self.db.read(|tx| tx.holders(LAYER, layer.as_str()))?.is_empty();
            let gone = free && self.layers.contains(layer);
            if gone
                && self.pins.unless_pinned(layer, || Some(self.layers.remove(layer))).transpose()?.is_some()
            {
                self.forget_packed(layer)?;
                removed.push(layer.clone());
            }
        }
        Ok(removed)
    }

    /// A container that held these layers is gone: those of an image that was removed before it go too. Blocking.
    pub fn container_gone(&self, layers: &[Digest]) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.release_layers(layers).map(drop)
    }
}

/// An image's record goes, and its place under the names that others have, too.
fn forget(tx: &state::Tx<'_>, known: &Catalogue, image: &Image, gone: &[String]) -> Result<(), state::Error> {
    for tag in known.all_names_of(&image.id).filter(|tag| !gone.contains(&tag.name)) {
        tag.without(&image.id).map_or_else(|| tx.delete::<Tag>(&tag.name), |tag| tag.write(tx))?;
    }
    tx.delete::<Image>(image.id.as_str())?;
    tx.delete::<Use>(image.id.as_str())
}

fn short(container: &str) -> String {
    container.chars().take(12).collect()
}

/// At most one tag, and digests of its repository alone.
fn is_single(names: &[String]) -> bool {
    let tags = names.iter().filter(|name| !name.contains('@')).count();
    let repositories: BTreeSet<_> = names
        .iter()
        .filter_map(|name| Reference::parse(name).ok().map(|reference| reference.repository()))
        .collect();
    tags <= 1 && repositories.len() <= 1
}

/// A name, and the digests of its repository if it is the last tag there: they came with it.
fn with_digests(name: &str, names: &[String]) -> Vec<String> {
    let repository = |name: &str| Reference::parse(name).map(|reference| reference.repository()).ok();
    let (digests, tags): (Vec<&String>, Vec<&String>) = names
        .iter()
        .filter(|other| *other != name && repository(other) == repository(name))
        .partition(|other| other.contains('@'));
    let mut going = vec![name.to_owned()];
    if tags.is_empty() && !name.contains('@') {
        going.extend(digests.into_iter().cloned());
    }
    going
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_tag_with_its_digest_is_one_reference() {
        let digest = format!("r.example/a@sha256:{}", "a".repeat(64));
        assert!(
            is_single(&[]) && is_single(&names(&["a:1"])) && is_single(&names(&["r.example/a:1", &digest]))
        );
        assert!(!is_single(&names(&["a:1", "a:2"])) && !is_single(&names(&["b:1", &digest])));
    }

    #[test]
    fn the_last_tag_of_a_repository_takes_its_digests_along() {
        let digest = format!("r.example/a@sha256:{}", "a".repeat(64));
        let all = names(&["r.example/a:1", &digest, "b:1"]);
        assert_eq!(with_digests("r.example/a:1", &all), names(&["r.example/a:1", &digest]));
        assert_eq!(with_digests("b:1", &all), names(&["b:1"]));
        let two = names(&["r.example/a:1", "r.example/a:2", &digest]);
        assert_eq!(with_digests("r.example/a:1", &two), names(&["r.example/a:1"]));
    }
}
