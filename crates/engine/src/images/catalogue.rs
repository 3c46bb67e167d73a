//! One moment's view of all images, and how a name or an id finds one in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use distribution::Wanted;
use oci::{Digest, Reference};

use super::{Image, Tag};
use crate::Error;

/// One moment's view of all images.
#[derive(Debug, Default)]
pub struct Catalogue {
    pub images: BTreeMap<Digest, Arc<Image>>,
    /// Familiar references (`busybox:latest`) to the images they name.
    pub tags: BTreeMap<String, Tag>,
    /// The names of each image, which are looked for with every image of a listing.
    names: HashMap<Digest, Vec<String>>,
}

/// What a person's words lead to: a name may have an image for each of several platforms.
#[derive(Debug, Clone)]
pub struct Found {
    /// The one that is meant unless a platform is asked for.
    pub image: Arc<Image>,
    /// The name that led here, if it was one.
    pub name: Option<String>,
    /// All that the name has, `image` first; `image` alone for an id.
    pub all: Vec<Arc<Image>>,
}

impl Found {
    /// The image for a platform, or dockerd's sentence about what there is.
    pub fn on(&self, typed: &str, wanted: Option<&Wanted>) -> Result<Arc<Image>, Error> {
        let Some(wanted) = wanted else { return Ok(self.image.clone()) };
        let ranked = self.all.iter().filter_map(|image| Some((wanted.rank(&image.config.platform)?, image)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, image)| image.clone()).ok_or_else(|| {
            let offered: Vec<String> = self.all.iter().map(|image| image.platform()).collect();
            let (image, wanted) = (typed.to_owned(), wanted.to_string());
            Error::OtherPlatform { image, wanted, offered: offered.join(", ") }
        })
    }
}

impl Catalogue {
    pub(super) fn new(images: BTreeMap<Digest, Arc<Image>>, tags: BTreeMap<String, Tag>) -> Self {
        let mut names: HashMap<Digest, Vec<String>> = HashMap::new();
        for tag in tags.values() {
            for image in tag.images() {
                names.entry(image.clone()).or_default().push(tag.name.clone());
            }
        }
        Self { images, tags, names }
    }

    /// The familiar names of an image with their tags.
    pub fn names_of(&self, id: &Digest) -> Vec<String> {
        self.all_names_of(id).filter(|tag| !tag.is_digest()).map(|tag| tag.name.clone()).collect()
    }

    /// What registries call an image: `busybox@sha256:…`.
    pub fn digests_of(&self, id: &Digest) -> Vec<String> {
        self.all_names_of(id).filter(|tag| tag.is_digest()).map(|tag| tag.name.clone()).collect()
    }

    pub(super) fn all_names_of(&self, id: &Digest) -> impl Iterator<Item = &Tag> {
        self.names.get(id).into_iter().flatten().filter_map(|name| self.tags.get(name))
    }

    /// Whether an image is only another platform's sibling of the one that each of its names means.
    pub fn is_sibling(&self, id: &Digest) -> bool {
        let mut names = self.all_names_of(id).peekable();
        names.peek().is_some() && names.all(|tag| tag.image != *id)
    }

    /// The images of other platforms that share a name with this one, which the name means first.
    pub fn siblings_of(&self, id: &Digest) -> Vec<Arc<Image>> {
        let tags = self.all_names_of(id).filter(|tag| tag.image == *id);
        let mut others: Vec<&Digest> = tags.flat_map(|tag| &tag.others).collect();
        others.sort_unstable();
        others.dedup();
        others.into_iter().filter_map(|id| self.images.get(id).cloned()).collect()
    }

    /// The uncompressed size of a layer that an image has.
    pub(super) fn layer_size(&self, diff_id: &Digest) -> Option<u64> {
        let with_sizes = |image: &Image| {
            let at = image.config.rootfs.diff_ids.iter().position(|layer| layer == diff_id)?;
            image.layer_sizes.get(at).copied()
        };
        self.images.values().find_map(|image| with_sizes(image))
    }

    /// The image that [`Catalogue::look_up`] finds.
    pub fn find(&self, typed: &str) -> Result<Option<Arc<Image>>, Error> {
        Ok(self.look_up(typed)?.map(|found| found.image))
    }

    /// What a person typed: a name, an id with or without `sha256:`, or an unambiguous beginning of one.
    pub fn look_up(&self, typed: &str) -> Result<Option<Found>, Error> {
        let by_id = |image: &Arc<Image>| Found { image: image.clone(), name: None, all: vec![image.clone()] };
        if let Ok(digest) = typed.parse::<Digest>() {
            return Ok(self.images.get(&digest).map(by_id));
        }
        let reference = Reference::parse(typed).map(exact);
        if let Ok(reference) = &reference
            && let Some(tag) = self.tags.get(&reference.familiar())
        {
            return Ok(self.named(tag));
        }
        let prefix = typed.strip_prefix("sha256:").unwrap_or(typed);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return reference.map(|_| None).map_err(Error::InvalidReference);
        }
        let mut found = self.images.iter().filter(|(id, _)| id.hex().starts_with(prefix));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(Error::AmbiguousPrefix(typed.to_owned())),
            (first, _) => Ok(first.map(|(_, image)| by_id(image))),
        }
    }

    pub(super) fn named(&self, tag: &Tag) -> Option<Found> {
        let all: Vec<_> = tag.images().filter_map(|id| self.images.get(id).cloned()).collect();
        Some(Found { image: all.first()?.clone(), name: Some(tag.name.clone()), all })
    }
}

/// A digest says more than a tag beside it, and is what counts.
pub(super) fn exact(reference: Reference) -> Reference {
    match reference.digest() {
        Some(digest) => reference.with_digest(digest.clone()),
        None => reference.or_latest(),
    }
}
