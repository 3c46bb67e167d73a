//! What can be done with repositories, below HTTP: everything here blocks, and is all or nothing.

use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, Hasher};
use serde_json::Value;

use crate::cache::Stored;
use crate::error::{Error, Problem};
use crate::manifest::Manifest;
use crate::route::{Name, Tag, Target};
use crate::storage::{Entry, Hold, Key, Storage, digest_of};

/// The content of a registry. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Repositories {
    pub(crate) storage: Arc<dyn Storage>,
}

/// What a push of a manifest did.
pub(crate) struct Pushed {
    pub(crate) digest: Digest,
    pub(crate) subject: Option<Digest>,
    pub(crate) media_type: String,
    /// What it names.
    pub(crate) references: Vec<Digest>,
}

/// Whether a tag that means something else already may be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overwrite {
    Yes,
    No,
}

/// What a removal took away.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) digest: Option<Digest>,
    pub(crate) tags: Vec<String>,
}

impl Repositories {
    /// On this storage.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage }
    }

    pub(crate) fn exists(&self, name: &Name) -> Result<bool, Error> {
        self.storage.holds(&Key::manifests(name))
    }

    /// What a tag means, if it is there.
    pub(crate) fn tagged(&self, name: &Name, tag: &Tag) -> Result<Option<Digest>, Error> {
        let Some(bytes) = self.storage.read(&Key::tag(name, tag))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        match text.trim().parse() {
            Ok(digest) => Ok(Some(digest)),
            Err(error) => {
                Err(Error::Damaged { path: format!("{name}:{tag}").into(), why: error.to_string() })
            }
        }
    }

    pub(crate) fn digest(&self, name: &Name, target: &Target) -> Result<Option<Digest>, Error> {
        match target {
            Target::Digest(digest) => Ok(Some(digest.clone())),
            Target::Tag(tag) => self.tagged(name, tag),
        }
    }

    /// Whether this repository has the manifest.
    pub(crate) fn has(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        Ok(self.storage.stamp(&Key::manifest(name, digest))?.is_some())
    }

    /// A manifest, checked once more against its digest.
    pub(crate) fn manifest(&self, name: &Name, digest: &Digest) -> Result<Option<Stored>, Error> {
        let Some(document) = self.storage.read(&Key::manifest(name, digest))? else { return Ok(None) };
        let damaged = |why: &str| Error::Damaged { path: format!("{name}@{digest}").into(), why: why.into() };
        let split =
            document.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it has no head"))?;
        let media_type = String::from_utf8_lossy(&document[..split]).into_owned();
        let bytes = Bytes::from(document).split_off(split + 1);
        if digest_as(digest, &bytes) != *digest {
            return Err(damaged("its bytes are not those of its digest"));
        }
        Ok(Some(Stored { digest: digest.clone(), media_type, bytes }))
    }

    /// Stores a manifest that everything is there for, then its tags.
    pub(crate) fn push(
        &self,
        name: &Name,
        target: &Target,
        tags: &[Tag],
        content_type: &str,
        bytes: &[u8],
        overwrite: Overwrite,
    ) -> Result<Pushed, Problem> {
        let manifest = Manifest::read(bytes, content_type)?;
        let digest = match target {
            Target::Tag(_) => Digest::sha256(bytes),
            Target::Digest(digest) => digest_as(digest, bytes),
        };
        if let Target::Digest(expected) = target
            && *expected != digest
        {
            return Err(Problem::digest_invalid(&format!("the manifest's digest is {digest}")));
        }
        // Until the last reference is written, no collection takes away what was seen.
        let alone = overwrite == Overwrite::No && self.storage.is_local();
        let hold = if alone { Hold::Alone(name) } else { Hold::Shared };
        let _hold = self.storage.hold(hold)?;
        let mut all: Vec<&Tag> = tags.iter().collect();
        if let Target::Tag(tag) = target {
            all.push(tag);
        }
        if overwrite == Overwrite::No {
            for tag in &all {
                if self.tagged(name, tag)?.is_some_and(|present| present != digest) {
                    return Err(exists(tag));
                }
            }
        }
        self.check_references(name, &manifest)?;
        // A list may name what isn't there yet, and leaves it out; a manifest without its entry would never be listed.
        if let Some(subject) = &manifest.subject {
            let descriptor = manifest.descriptor(&digest, bytes.len()).to_string();
            self.storage.write(&Key::referrer(name, subject, &digest), descriptor.as_bytes())?;
        }
        // Where nobody is kept out, what was there may be about to go: written anew, it is young.
        if !self.storage.is_local() || !self.has(name, &digest)? {
            let document = [manifest.media_type.as_bytes(), b"\n", bytes].concat();
            self.storage.write(&Key::manifest(name, &digest), &document)?;
        }
        self.look_again(name, &digest, &manifest)?;
        for tag in &all {
            self.tag(name, tag, &digest, overwrite)?;
        }
        if !all.is_empty() {
            self.look_again(name, &digest, &manifest)?;
        }
        let references = manifest.blobs.into_iter().chain(manifest.manifests).collect();
        Ok(Pushed { digest, subject: manifest.subject, media_type: manifest.media_type, references })
    }

    fn tag(&self, name: &Name, tag: &Tag, digest: &Digest, overwrite: Overwrite) -> Result<(), Problem> {
        let (key, bytes) = (Key::tag(name, tag), digest.as_str().as_bytes());
        match overwrite {
            Overwrite::Yes => Ok(self.storage.write(&key, bytes)?),
            Overwrite::No => {
                match self.storage.create(&key, bytes)? || self.tagged(name, tag)?.as_ref() == Some(digest) {
                    true => Ok(()),
                    false => Err(exists(tag)),
                }
            }
        }
    }

    /// Where a collection may have gone by that hasn't seen what was written: whether all of it is there. If not, what was
    /// written goes, too, and the client hears what it has to send again.
    fn look_again(&self, name: &Name, digest: &Digest, manifest: &Manifest) -> Result<(), Problem> {
        if self.storage.is_local() {
            return Ok(());
        }
        self.storage.settle(name)?;
        let lost = match self.has(name, digest)? {
            true => self.check_references(name, manifest).err(),
            false => Some(Problem::manifest_blob_unknown(digest)),
        };
        let Some(lost) = lost else { return Ok(()) };
        for tag in self.tags(name)? {
            if self.tagged(name, &tag)?.as_ref() == Some(digest) {
                self.storage.remove(&Key::tag(name, &tag))?;
            }
        }
        self.delete_manifest(name, digest)?;
        Err(lost)
    }

    fn check_references(&self, name: &Name, manifest: &Manifest) -> Result<(), Problem> {
        for blob in &manifest.blobs {
            if self.storage.size(name, blob)?.is_none() {
                return Err(Problem::manifest_blob_unknown(blob));
            }
        }
        for child in &manifest.manifests {
            if !self.has(name, child)? {
                return Err(Problem::manifest_blob_unknown(child));
            }
        }
        Ok(())
    }

    /// Removes a tag alone, or a manifest with all the tags that mean it.
    pub(crate) fn delete(&self, name: &Name, target: &Target) -> Result<Removed, Problem> {
        let _hold = self.storage.hold(Hold::Shared)?;
        if !self.exists(name)? {
            return Err(Problem::name_unknown(name.as_str()));
        }
        let unknown = || Problem::manifest_unknown(&target.to_string());
        match target {
            Target::Tag(tag) => match self.storage.remove(&Key::tag(name, tag))? {
                true => Ok(Removed { digest: None, tags: vec![tag.to_string()] }),
                false => Err(unknown()),
            },
            Target::Digest(digest) => self.delete_manifest(name, digest)?.ok_or_else(unknown),
        }
    }

    /// Without a hold: for who has one.
    pub(crate) fn delete_manifest(&self, name: &Name, digest: &Digest) -> Result<Option<Removed>, Error> {
        let Some(stored) = self.manifest_unchecked(name, digest)? else { return Ok(None) };
        let mut removed = Removed { digest: Some(digest.clone()), tags: Vec::new() };
        for tag in self.tags(name)? {
            if self.tagged(name, &tag)?.as_ref() == Some(digest) {
                self.storage.remove(&Key::tag(name, &tag))?;
                removed.tags.push(tag.to_string());
            }
        }
        self.storage.remove(&Key::manifest(name, digest))?;
        if let Some(subject) = stored.and_then(|manifest| manifest.subject) {
            self.storage.remove(&Key::referrer(name, &subject, digest))?;
        }
        Ok(Some(removed))
    }

    /// The outer option: whether it is there; the inner one: whether it can be read.
    fn manifest_unchecked(&self, name: &Name, digest: &Digest) -> Result<Option<Option<Manifest>>, Error> {
        match self.manifest(name, digest) {
            Ok(None) => Ok(None),
            Ok(Some(stored)) => Ok(Some(Manifest::read(&stored.bytes, &stored.media_type).ok())),
            // What is damaged can still be removed.
            Err(Error::Damaged { .. }) => Ok(Some(None)),
            Err(error) => Err(error),
        }
    }

    /// All tags, in order.
    pub(crate) fn tags(&self, name: &Name) -> Result<Vec<Tag>, Error> {
        Ok(self.tag_entries(name)?.into_iter().map(|(tag, _)| tag).collect())
    }

    pub(crate) fn tag_entries(&self, name: &Name) -> Result<Vec<(Tag, Entry)>, Error> {
        let entries = self.storage.list(&Key::tags(name))?.unwrap_or_default();
        Ok(entries.into_iter().filter_map(|entry| Some((Tag::parse(&entry.name).ok()?, entry))).collect())
    }

    /// The digests of all manifests, with when they were pushed.
    pub(crate) fn manifests(&self, name: &Name) -> Result<Vec<(Digest, Entry)>, Error> {
        let entries = self.storage.list(&Key::manifests(name))?.unwrap_or_default();
        Ok(entries.into_iter().filter_map(|entry| Some((digest_of(&entry.name)?, entry))).collect())
    }

    /// The descriptors of what has this subject, in the order of their digests.
    pub(crate) fn referrers(&self, name: &Name, subject: &Digest) -> Result<Vec<(Digest, Value)>, Error> {
        let entries = self.storage.list(&Key::referrers(name, subject))?.unwrap_or_default();
        let mut found = Vec::new();
        for digest in entries.iter().filter_map(|entry| digest_of(&entry.name)) {
            let key = Key::referrer(name, subject, &digest);
            if let (true, Some(bytes)) = (self.has(name, &digest)?, self.storage.read(&key)?)
                && let Ok(descriptor) = serde_json::from_slice(&bytes)
            {
                found.push((digest, descriptor));
            }
        }
        Ok(found)
    }
}

fn exists(tag: &Tag) -> Problem {
    Problem::denied(&format!("the tag {tag} exists, and may not be changed"))
}

/// The digest of the same kind.
fn digest_as(like: &Digest, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(like.algorithm());
    hasher.update(bytes);
    hasher.finish()
}
