//! Taking in what `docker save` and its like write: a tar with configs, manifests and layers in any order, compressed
//! or not. [`docker`] reads `manifest.json`, [`layout`] the OCI's `index.json`; an archive may have both.
//!
//! What says which file is what may come last, so every file is received first. An uncompressed layer is told by its
//! own first block and goes straight into the layer store, written and hashed once; everything else goes into the
//! content store. A [`Received`] pins all of it; when it goes, what no image needs is removed again, also when the
//! archive turned out to be wrong.

mod docker;
mod layout;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use content::Blob;
use diag::{Class, Explain as _};
use distribution::Wanted;
use oci::image::{Descriptor, ImageConfig};
use oci::{Algorithm, Digest, Hasher};

use super::pins::Pin;
use super::{Image, Images, MAX_CONFIG, Naming, Source, manifest};
use crate::Error;

/// An archive of many images has some thousands of files; more is an attack on our memory.
const MAX_ENTRIES: usize = 100_000;
/// One layer's bytes; the layer store has its own limits for what is inside.
const MAX_FILE: u64 = 1 << 40;
/// `index.json`, `manifest.json` and the manifests.
const MAX_MANIFEST: u64 = 8 << 20;
/// A tar says what it is in its first block.
const BLOCK: usize = 512;

/// What a file of the archive became.
#[derive(Debug)]
enum File {
    /// In the content store.
    Blob(Blob),
    /// In the layer store: a tar of this size and digest.
    Layer(Blob),
    /// A tar that is no layer: told to whoever takes it for one.
    Broken(layers::Error),
}

/// An archive's files, for as long as this lives or an image needs them.
struct Received<'a> {
    images: &'a Images,
    files: BTreeMap<String, File>,
    /// Links inside the archive: old versions of docker wrote a shared layer once.
    aliases: BTreeMap<String, String>,
    by_digest: BTreeMap<Digest, String>,
    pins: RefCell<Vec<Pin>>,
}

/// An image of an archive and what it is called there.
struct Offer {
    image: Image,
    names: BTreeSet<String>,
}

impl Images {
    /// Takes in an archive. Blocking. Returns a line for each image, as `docker load` prints.
    pub fn load(&self, archive: impl Read, wanted: Option<&Wanted>) -> Result<Vec<String>, Error> {
        let archive =
            layers::decompress_archive(archive).map_err(|error| Error::Archive(diag::chain(&error)))?;
        let received = Received::receive(self, archive)?;
        let offers = chosen(received.offers()?, wanted)?;
        let mut names: BTreeMap<&str, Vec<Image>> = BTreeMap::new();
        let mut lines = Vec::new();
        for offer in &offers {
            for name in &offer.names {
                names.entry(name).or_default().push(offer.image.clone());
            }
            if offer.names.is_empty() {
                self.record(std::slice::from_ref(&offer.image), &[], Naming::Replace)?;
                lines.push(format!("Loaded image ID: {}", offer.image.id));
            }
        }
        for (name, images) in names {
            self.record(&images, &[name.to_owned()], Naming::Replace)?;
            lines.push(format!("Loaded image: {name}"));
        }
        for offer in &offers {
            self.emit("load", offer.image.id.as_str(), offer.image.id.as_str());
        }
        Ok(lines)
    }
}

fn chosen(offers: Vec<Offer>, wanted: Option<&Wanted>) -> Result<Vec<Offer>, Error> {
    let Some(wanted) = wanted else { return Ok(offers) };
    let offered: Vec<String> = offers.iter().map(|offer| offer.image.platform()).collect();
    let chosen: Vec<Offer> =
        offers.into_iter().filter(|offer| wanted.rank(&offer.image.config.platform) == Some(0)).collect();
    match chosen.is_empty() {
        false => Ok(chosen),
        true => Err(Error::ArchivePlatform { wanted: wanted.to_string(), offered: offered.join(", ") }),
    }
}

impl<'a> Received<'a> {
    /// Receives the whole archive.
    fn receive(images: &'a Images, archive: impl Read) -> Result<Self, Error> {
        let (files, aliases) = (BTreeMap::new(), BTreeMap::new());
        let mut received =
            Self { images, files, aliases, by_digest: BTreeMap::new(), pins: RefCell::default() };
        received.read(archive)?;
        Ok(received)
    }

    /// The images with their names; what one description says of an image completes what the other does.
    fn offers(&self) -> Result<Vec<Offer>, Error> {
        let mut offers = match self.has(layout::INDEX) {
            true => layout::read(self)?,
            false => Vec::new(),
        };
        if self.has(docker::MANIFEST) {
            docker::read(self, &mut offers)?;
        }
        if offers.is_empty() {
            return Err(Error::Archive(match self.has("repositories") {
                true => "it is of the format before docker 1.10; load and save it with a newer docker".into(),
                false => "it has neither a manifest.json nor an index.json with images".into(),
            }));
        }
        Ok(offers)
    }

    fn read(&mut self, archive: impl Read) -> Result<(), Error> {
        let broken = |error: io::Error| Error::Archive(diag::chain(&error));
        let mut tar = tar::Archive::new(archive);
        for (count, entry) in tar.entries().map_err(broken)?.enumerate() {
            if count == MAX_ENTRIES {
                return Err(Error::Archive(format!("it has more than {MAX_ENTRIES} files")));
            }
            let mut entry = entry.map_err(broken)?;
            let path = normal(&String::from_utf8_lossy(&entry.path_bytes()));
            match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => self.file(path, &mut entry)?,
                tar::EntryType::Symlink | tar::EntryType::Link => {
                    let target = entry.link_name_bytes().map(|t| String::from_utf8_lossy(&t).into_owned());
                    self.aliases.insert(path.clone(), beside(&path, &target.unwrap_or_default()));
                }
                // Folders carry nothing; anything else has no business in an image archive and is not looked at.
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, file: &mut impl Read) -> Result<(), Error> {
        if self.files.contains_key(&path) {
            return Err(Error::Archive(format!("{path} is in it twice")));
        }
        let mut head = Vec::with_capacity(BLOCK);
        let read = file.by_ref().take(BLOCK as u64).read_to_end(&mut head);
        read.map_err(|error| Error::Archive(diag::chain(&error)))?;
        let is_tar = is_tar(&head);
        let mut whole = io::Cursor::new(head).chain(file);
        let received = match is_tar && self.images.layers.keeps_tars() {
            true => self.layer(&path, &mut whole)?,
            false => File::Blob(self.blob(&mut whole)?),
        };
        if let File::Blob(blob) | File::Layer(blob) = &received {
            self.by_digest.insert(blob.digest.clone(), path.clone());
        }
        self.files.insert(path, received);
        Ok(())
    }

    fn blob(&self, file: &mut impl Read) -> Result<Blob, Error> {
        let mut ingest = self.images.content.ingest(Algorithm::Sha256, MAX_FILE)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => ingest.push(&buffer[..count])?,
                Err(error) => return Err(Error::Archive(diag::chain(&error))),
            }
        }
        ingest.sync()?;
        // Under its name and pinned in one step for everybody who might remove it.
        let (blob, pin) = self.images.pins.making(|| ingest.finish(), |blob| &blob.digest)?;
        self.pins.borrow_mut().push(pin);
        Ok(blob)
    }

    /// A layer that is here already is only read, to see that it is the one that its name says.
    fn layer(&self, path: &str, tar: &mut impl Read) -> Result<File, Error> {
        let images = self.images;
        let claimed = claimed(path).filter(|claimed| images.layers.contains(claimed));
        if let Some(claimed) = claimed {
            self.pins.borrow_mut().push(images.pins.pin(&claimed));
            let (digest, size) = hash(tar).map_err(|error| Error::Archive(diag::chain(&error)))?;
            return match digest == claimed && images.layers.contains(&digest) {
                true => Ok(File::Layer(Blob { digest, size })),
                false => Err(Error::Archive(format!("{path} is {digest}, which isn't what its name says"))),
            };
        }
        match self.unpack_tar(&mut *tar, None) {
            Ok(layer) => Ok(File::Layer(Blob { digest: layer.diff_id, size: layer.tar_size })),
            Err(error @ (layers::Error::Store { .. } | layers::Error::ReadTar { .. })) => Err(error.into()),
            Err(error) => {
                io::copy(tar, &mut io::sink()).map_err(|error| Error::Archive(diag::chain(&error)))?;
                Ok(File::Broken(error))
            }
        }
    }

    fn unpack_tar(&self, tar: impl Read, expected: Option<&Digest>) -> Result<layers::Layer, layers::Error> {
        let unpacked = self.images.layers.unpack(tar, expected)?;
        let made = self.images.pins.making(|| unpacked.publish(), |layer| &layer.diff_id);
        let (layer, pin) = made?;
        self.pins.borrow_mut().push(pin);
        Ok(layer)
    }

    fn has(&self, path: &str) -> bool {
        self.files.contains_key(self.aliases.get(path).map_or(path, String::as_str))
    }

    fn find(&self, path: &str) -> Result<&File, Error> {
        let path = normal(path);
        let path = self.aliases.get(&path).unwrap_or(&path);
        self.files.get(path).ok_or_else(|| Error::Archive(format!("{path} is missing from it")))
    }

    fn find_blob(&self, path: &str) -> Result<&Blob, Error> {
        match self.find(path)? {
            File::Blob(blob) => Ok(blob),
            _ => Err(Error::Archive(format!("{path} is a tar, not a document"))),
        }
    }

    fn document(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        Ok(self.images.content.read(&self.find_blob(path)?.digest, limit)?)
    }

    fn config(&self, path: &str) -> Result<(Blob, ImageConfig), Error> {
        let blob = self.find_blob(path)?;
        let config = serde_json::from_slice(&self.document(path, MAX_CONFIG)?)
            .map_err(|source| Error::ImageConfig { image: blob.digest.to_string(), source })?;
        Ok((blob.clone(), config))
    }

    /// The layers of a config, from the files that are said to be they: their sizes, and what a manifest calls them.
    fn layers(&self, config: &ImageConfig, paths: &[&str]) -> Result<(Vec<u64>, Vec<Descriptor>), Error> {
        let expected = &config.rootfs.diff_ids;
        if expected.len() != paths.len() {
            let (has, says) = (paths.len(), expected.len());
            return Err(Error::Archive(format!("an image has {has} layers, its config says {says}")));
        }
        let taken = paths.iter().zip(expected).map(|(path, diff_id)| self.take_layer(path, diff_id));
        Ok(taken.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
    }

    fn take_layer(&self, path: &str, diff_id: &Digest) -> Result<(u64, Descriptor), Error> {
        let other =
            |found: &Digest| Error::Archive(format!("layer {path} is {found}, the config says {diff_id}"));
        match self.find(path)? {
            File::Layer(blob) if blob.digest == *diff_id => {
                Ok((blob.size, manifest::layer(blob, layers::Compression::None)))
            }
            File::Layer(blob) => Err(other(&blob.digest)),
            File::Broken(error) => Err(Error::Archive(format!("layer {path}: {}", diag::chain(error)))),
            File::Blob(blob) => {
                let size = self.unpack(path, blob, diff_id).map_err(|error| match error {
                    Error::Layers(layers::Error::Mismatch { found, .. }) => other(&found),
                    Error::Layers(error) if error.class() == Class::Invalid => {
                        Error::Archive(format!("layer {path}: {}", diag::chain(&error)))
                    }
                    error => error,
                })?;
                Ok((size, self.descriptor(blob)?))
            }
        }
    }

    fn unpack(&self, path: &str, blob: &Blob, diff_id: &Digest) -> Result<u64, Error> {
        let images = self.images;
        let pin = images.pins.pin(diff_id);
        if images.layers.contains(diff_id) {
            self.pins.borrow_mut().push(pin);
            if blob.digest == *diff_id {
                return Ok(blob.size);
            }
            // Its tar is as long as it was when another image brought it, from the same or from another blob.
            let known = images.catalogue().layer_size(diff_id);
            if let Some(size) = known.filter(|_| images.is_blob_of(&blob.digest, diff_id)) {
                return Ok(size);
            }
        }
        let unreadable = |error: io::Error| Error::Archive(format!("{path}: {}", diag::chain(&error)));
        let tar = layers::decompress(images.content.get(&blob.digest)?).map_err(unreadable)?;
        Ok(self.unpack_tar(tar, Some(diff_id))?.tar_size)
    }

    /// A layer of the archive as it is, compressed or not.
    fn descriptor(&self, blob: &Blob) -> Result<Descriptor, Error> {
        let mut head = [0; 4];
        let read = self.images.content.get(&blob.digest)?.read(&mut head);
        let length = read.map_err(|error| Error::Archive(diag::chain(&error)))?;
        Ok(manifest::layer(blob, layers::Compression::of(&head[..length])))
    }

    /// An image whose layers and blobs are here.
    fn image(&self, config: (Blob, ImageConfig), layer_sizes: Vec<u64>, manifest: Source) -> Image {
        let (Blob { digest: id, .. }, config) = config;
        Image { id, config, layer_sizes, manifest: Some(manifest) }
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        let digests: Vec<Digest> = self.pins.take().into_iter().map(|pin| pin.digest().clone()).collect();
        let _changing = self.images.changing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let released = self.images.release_blobs(digests.iter());
        if let Err(error) = released.and_then(|()| self.images.release_layers(&digests).map(drop)) {
            tracing::warn!(error = diag::chain(&error), "what was received stays until the next start");
        }
    }
}

/// Whether these first bytes are a tar's: its magic number, or the two empty blocks of an empty one.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") || (head.len() == BLOCK && head.iter().all(|byte| *byte == 0))
}

/// The digest that `blobs/sha256/<hex>` claims to be, or docker's older `<hex>.tar`.
fn claimed(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next()?;
    format!("sha256:{}", name.strip_suffix(".tar").unwrap_or(name)).parse().ok()
}

fn hash(file: &mut impl Read) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hasher.finish(), size)),
            count => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

/// `./a/../b` and `b` are the same file of an archive.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn beside(path: &str, target: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    normal(&format!("{folder}/{target}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_archive_only() {
        assert_eq!(beside("abc/layer.tar", "../def/layer.tar"), "def/layer.tar");
        assert_eq!(beside("abc/layer.tar", "../../../../etc/passwd"), "etc/passwd");
        assert_eq!(normal("./manifest.json"), "manifest.json");
    }

    #[test]
    fn a_tar_is_told_by_its_first_block() {
        let mut head = vec![0; BLOCK];
        assert!(is_tar(&head));
        head[0] = b'a';
        assert!(!is_tar(&head) && !is_tar(b"{}") && !is_tar(b""));
        head[257..262].copy_from_slice(b"ustar");
        assert!(is_tar(&head));
    }
}
