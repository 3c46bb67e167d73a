//! The OCI's image layout: `index.json`, which names manifests or further indexes below `blobs/`.
//!
//! An image is taken in with the manifest that it has there, so that it keeps its digest. Attestations and artifacts
//! are nobody's image and are left alone; an image of an index that isn't in the archive isn't missed, as long as there
//! is another one.

use std::collections::BTreeSet;

use oci::image::{Descriptor, Index, Manifest, media_type};
use oci::{Digest, Reference};

use super::{MAX_MANIFEST, Offer, Received};
use crate::Error;
use crate::images::Source;

pub(super) const INDEX: &str = "index.json";
/// Indexes in indexes; real ones have two.
const MAX_DEPTH: usize = 4;
/// Manifests of one archive.
const MAX_MANIFESTS: usize = 4096;
/// Where an attestation says what it is.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// A whole name, by containerd and by docker.
const NAME: &str = "io.containerd.image.name";
/// A name or only a tag, by the specification.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

struct Reader<'a> {
    archive: &'a Received<'a>,
    offers: Vec<Offer>,
    seen: usize,
    /// Of an image that isn't all there.
    missing: Option<Error>,
}

/// The images of `index.json`.
pub(super) fn read(archive: &Received<'_>) -> Result<Vec<Offer>, Error> {
    let mut reader = Reader { archive, offers: Vec::new(), seen: 0, missing: None };
    reader.index(&archive.document(INDEX, MAX_MANIFEST)?, &BTreeSet::new(), 0)?;
    match (reader.offers.is_empty(), reader.missing) {
        (true, Some(missing)) => Err(missing),
        _ => Ok(reader.offers),
    }
}

impl Reader<'_> {
    fn index(&mut self, bytes: &[u8], names: &BTreeSet<String>, depth: usize) -> Result<(), Error> {
        let index: Index = serde_json::from_slice(bytes)
            .map_err(|error| Error::Archive(format!("its index is not what the OCI says: {error}")))?;
        for entry in index.manifests.iter().filter(|entry| !is_attestation(entry)) {
            self.seen += 1;
            if depth == MAX_DEPTH || self.seen > MAX_MANIFESTS {
                return Err(Error::Archive("its indexes are too many or too deep".into()));
            }
            let mut names = names.clone();
            names.extend(name_of(entry)?);
            self.entry(entry, &names, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Descriptor, names: &BTreeSet<String>, depth: usize) -> Result<(), Error> {
        let path = path_of(&entry.digest);
        if !self.archive.has(&path) {
            let missing = Error::Archive(format!("manifest {} is missing from it", entry.digest));
            self.missing.get_or_insert(missing);
            return Ok(());
        }
        let bytes = self.archive.document(&path, MAX_MANIFEST)?;
        if self.archive.find_blob(&path)?.digest != entry.digest {
            return Err(Error::Archive(format!("{path} isn't what its name says")));
        }
        match entry.media_type.as_str() {
            media_type::OCI_INDEX | media_type::DOCKER_LIST => self.index(&bytes, names, depth + 1),
            _ => self.manifest(entry, &bytes, names),
        }
    }

    fn manifest(&mut self, entry: &Descriptor, bytes: &[u8], names: &BTreeSet<String>) -> Result<(), Error> {
        let wrong = |error| Error::Archive(format!("manifest {} is not valid: {error}", entry.digest));
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(wrong)?;
        let kind = manifest.config.media_type.as_str();
        if !matches!(kind, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
            let kind = format!("of type {}", diag::printable(kind));
            let image = entry.digest.to_string();
            self.missing.get_or_insert(Error::NotAnImage { image, kind });
            return Ok(());
        }
        if let Some(known) = self.offers.iter_mut().find(|offer| offer.image.id == manifest.config.digest) {
            known.names.extend(names.iter().cloned());
            return Ok(());
        }
        let parts = manifest.layers.iter().chain([&manifest.config]).map(|part| &part.digest);
        if let Some(gone) = parts.into_iter().find(|digest| !self.archive.has(&path_of(digest))) {
            let missing = Error::Archive(format!("{gone} of manifest {} is missing from it", entry.digest));
            self.missing.get_or_insert(missing);
            return Ok(());
        }
        let offer = self.offer(entry, manifest, names)?;
        self.offers.push(offer);
        Ok(())
    }

    fn offer(
        &self,
        entry: &Descriptor,
        manifest: Manifest,
        names: &BTreeSet<String>,
    ) -> Result<Offer, Error> {
        let config = self.archive.config(&path_of(&manifest.config.digest))?;
        let paths: Vec<String> = manifest.layers.iter().map(|layer| path_of(&layer.digest)).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        for (path, expected) in paths.iter().zip(manifest.layers.iter().map(|layer| &layer.digest)) {
            if self.archive.by_digest.get(expected).is_none_or(|known| known != path) {
                return Err(Error::Archive(format!("{path} isn't what its name says")));
            }
        }
        if config.0.digest != manifest.config.digest {
            return Err(Error::Archive(format!(
                "{} isn't what its name says",
                path_of(&manifest.config.digest)
            )));
        }
        let (sizes, _) = self.archive.layers(&config.1, &paths)?;
        let (digest, media_type) = (entry.digest.clone(), entry.media_type.clone());
        let source = Source { digest, media_type, size: entry.size, layers: manifest.layers, exact: false };
        Ok(Offer { image: self.archive.image(config, sizes, source), names: names.clone() })
    }
}

fn path_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotations.contains_key(REFERENCE_TYPE)
        || entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}

/// `ref.name` may be a tag without a repository, which names nothing.
fn name_of(entry: &Descriptor) -> Result<Option<String>, Error> {
    let parse = |name: &String| Reference::parse(name).map(|name| name.or_latest().familiar());
    if let Some(name) = entry.annotations.get(NAME) {
        return parse(name).map(Some).map_err(Error::InvalidReference);
    }
    let name = entry.annotations.get(REF_NAME).filter(|name| name.contains([':', '/']));
    Ok(name.and_then(|name| parse(name).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(annotations: &[(&str, &str)]) -> Descriptor {
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let digest = Digest::sha256(b"");
        Descriptor { media_type: String::new(), digest, size: 0, platform: None, annotations }
    }

    #[test]
    fn a_whole_name_names_and_a_tag_alone_does_not() {
        let name = |annotations| name_of(&entry(annotations)).unwrap();
        assert_eq!(name(&[(NAME, "docker.io/library/a:1"), (REF_NAME, "1")]).as_deref(), Some("a:1"));
        assert_eq!(name(&[(REF_NAME, "docker.io/library/a:1")]).as_deref(), Some("a:1"));
        assert_eq!(name(&[(REF_NAME, "latest")]), None);
        assert!(name_of(&entry(&[(NAME, "A B")])).is_err());
    }
}
