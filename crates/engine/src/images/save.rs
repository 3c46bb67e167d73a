//! Writing what `docker save` writes: an OCI layout with docker's own lists beside it, each blob once.
//!
//! Everything is known before the first byte goes out, so that the archive is one stream: blobs by digest, then
//! `index.json`, `manifest.json`, `oci-layout`, `repositories`. Layers are written uncompressed, straight from where they
//! lie. The same images give the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use distribution::Wanted;
use oci::image::{Descriptor, Manifest, media_type};
use oci::{Digest, Reference};
use serde::Serialize;
use serde_json::json;

use super::{Image, Images, Written, manifest};
use crate::Error;

const LAYOUT: &str = r#"{"imageLayoutVersion": "1.0.0"}"#;

/// What will be written.
#[derive(Debug, Default)]
pub struct Archive {
    blobs: BTreeMap<Digest, Content>,
    images: Vec<Saved>,
    /// What names all of the images, where there is such a thing.
    index: Option<Descriptor>,
    without_docker_s_lists: bool,
}

#[derive(Debug)]
struct Saved {
    image: Arc<Image>,
    manifest: Descriptor,
    names: Vec<Reference>,
    /// The layers as the archive has them, if that isn't uncompressed.
    layers: Option<Vec<Descriptor>>,
}

/// An image and the name that it was asked for by.
type Meant = (Arc<Image>, Option<Reference>);

/// Where a blob's bytes are.
#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    Layer {
        image: Arc<Image>,
        index: usize,
    },
    /// In the content store.
    Blob(u64),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    layer_sources: BTreeMap<Digest, Descriptor>,
}

impl Images {
    /// Finds out what an archive of these images has in it. Blocking.
    pub fn archive(&self, typed: &[&str], wanted: &[Wanted]) -> Result<Archive, Error> {
        let mut archive = Archive::default();
        for typed in typed {
            for (image, name) in self.meant(typed, wanted)? {
                self.add(&mut archive, &image, name)?;
            }
        }
        Ok(archive)
    }

    /// The images that are meant, the one that a name means first as its last: who reads docker's list takes the last.
    fn meant(&self, typed: &str, wanted: &[Wanted]) -> Result<Vec<Meant>, Error> {
        let catalogue = self.catalogue();
        let start = match Reference::parse_as_typed(typed) {
            // A name without a tag is all its tags.
            Ok(name) if name.tag().is_none() && name.digest().is_none() => {
                format!("{}:", name.familiar_name())
            }
            _ => String::new(),
        };
        let tags = catalogue.tags.values().filter(|tag| !tag.is_digest() && !start.is_empty());
        let mut found: Vec<_> =
            tags.filter(|tag| tag.name.starts_with(&start)).filter_map(|tag| catalogue.named(tag)).collect();
        if found.is_empty() {
            found.push(self.look_up(typed)?);
        }
        let mut meant = Vec::new();
        for found in found {
            let name = found.name.as_deref().filter(|name| !name.contains('@'));
            let name = name.map(Reference::parse).transpose().map_err(Error::InvalidReference)?;
            let images = match wanted {
                [] => found.all.iter().rev().cloned().collect(),
                wanted => wanted
                    .iter()
                    .map(|wanted| found.on(typed, Some(wanted)))
                    .collect::<Result<Vec<_>, Error>>()?,
            };
            meant.extend(images.into_iter().map(|image| (image, name.clone())));
        }
        Ok(meant)
    }

    pub(super) fn add(
        &self,
        archive: &mut Archive,
        image: &Arc<Image>,
        name: Option<Reference>,
    ) -> Result<(), Error> {
        let known = archive.images.iter_mut().find(|saved| saved.image.id == image.id);
        if let Some(saved) = known {
            saved.names.extend(name.filter(|name| !saved.names.contains(name)));
            return Ok(());
        }
        let config = self.content.read(&image.id, super::MAX_CONFIG)?;
        let layer =
            |(digest, size): (&Digest, &u64)| manifest::descriptor(media_type::OCI_LAYER, digest, *size);
        let document = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config: manifest::descriptor(media_type::OCI_CONFIG, &image.id, config.len() as u64),
            layers: image.config.rootfs.diff_ids.iter().zip(&image.layer_sizes).map(layer).collect(),
            annotations: BTreeMap::new(),
        };
        let bytes = manifest::json(&document)?;
        let digest = Digest::sha256(&bytes);
        let descriptor = manifest::descriptor(media_type::OCI_MANIFEST, &digest, bytes.len() as u64);
        for (index, diff_id) in image.config.rootfs.diff_ids.iter().enumerate() {
            let content = || Content::Layer { image: image.clone(), index };
            archive.blobs.entry(diff_id.clone()).or_insert_with(content);
        }
        archive.blobs.insert(image.id.clone(), Content::Bytes(config));
        archive.blobs.insert(digest, Content::Bytes(bytes));
        let names = name.into_iter().collect();
        archive.images.push(Saved { image: image.clone(), manifest: descriptor, names, layers: None });
        Ok(())
    }

    /// Adds an image as its manifest has it, whose blobs are all in the content store.
    pub(super) fn add_exact(
        &self,
        archive: &mut Archive,
        image: &Arc<Image>,
        names: Vec<Reference>,
    ) -> Result<(), Error> {
        let gone = || Error::RemovedMeanwhile(image.id.clone());
        let source = image.manifest.as_ref().ok_or_else(gone)?;
        let config = self.content.read(&image.id, super::MAX_CONFIG)?;
        let bytes = self.content.read(&source.digest, source.size)?;
        for layer in &source.layers {
            archive.blobs.entry(layer.digest.clone()).or_insert(Content::Blob(layer.size));
        }
        archive.blobs.insert(image.id.clone(), Content::Bytes(config));
        archive.blobs.insert(source.digest.clone(), Content::Bytes(bytes));
        let manifest = Descriptor {
            platform: Some(image.config.platform.clone()),
            ..manifest::descriptor(&source.media_type, &source.digest, source.size)
        };
        let layers = Some(source.layers.clone());
        archive.images.push(Saved { image: image.clone(), manifest, names, layers });
        Ok(())
    }

    /// Adds what names all of the images, and what is said about them.
    pub(super) fn add_written(&self, archive: &mut Archive, written: Written) -> Result<(), Error> {
        let read = |digest: &Digest, size| Ok::<_, Error>(Content::Bytes(self.content.read(digest, size)?));
        for attestation in &written.attestations {
            archive.blobs.insert(attestation.digest.clone(), read(&attestation.digest, attestation.size)?);
            for part in &attestation.layers {
                archive.blobs.insert(part.digest.clone(), read(&part.digest, part.size)?);
            }
        }
        let Written { index, .. } = written;
        archive.blobs.insert(index.digest.clone(), read(&index.digest, index.size)?);
        archive.index = Some(index);
        Ok(())
    }

    /// Writes an archive. Blocking.
    pub fn save(&self, archive: &Archive, out: impl Write) -> Result<(), Error> {
        let mut out = tar::Builder::new(out);
        for folder in ["blobs/", "blobs/sha256/"] {
            out.append_data(&mut header(tar::EntryType::Directory, 0), folder, io::empty()).map_err(write)?;
        }
        for (digest, content) in &archive.blobs {
            let path = path_of(digest);
            match content {
                Content::Bytes(bytes) => append(&mut out, &path, bytes.len() as u64, &bytes[..])?,
                Content::Layer { image, index } => {
                    let (tar, size) = self.tar_of(image, *index)?;
                    append(&mut out, &path, size, tar)?;
                }
                Content::Blob(size) => append(&mut out, &path, *size, self.content.get(digest)?)?,
            }
        }
        for (path, document) in archive.documents()? {
            append(&mut out, path, document.len() as u64, &document[..])?;
        }
        out.into_inner().and_then(|mut out| out.flush()).map_err(write)?;
        for saved in &archive.images {
            self.emit("save", saved.image.id.as_str(), saved.image.id.as_str());
        }
        Ok(())
    }
}

impl Archive {
    /// What the archive is: the index of all, or the first image's manifest.
    pub(super) fn top(&self) -> Option<Descriptor> {
        self.index.clone().or_else(|| self.images.first().map(|saved| saved.manifest.clone()))
    }

    /// Leaves out what only docker reads.
    pub(super) fn without_docker_s_lists(&mut self) {
        self.without_docker_s_lists = true;
    }

    /// What says which blob is what.
    fn documents(&self) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let mut index = Vec::new();
        let mut entries = Vec::new();
        let mut repositories: BTreeMap<String, BTreeMap<&str, &str>> = BTreeMap::new();
        for saved in &self.images {
            if self.index.is_none() {
                index.extend(named(&saved.manifest, &saved.names));
            }
            entries.push(saved.entry());
            for name in &saved.names {
                if let (Some(tag), Some(top)) = (name.tag(), saved.image.config.rootfs.diff_ids.last()) {
                    repositories.entry(name.familiar_name()).or_default().insert(tag, top.hex());
                }
            }
        }
        if let (Some(whole), Some(first)) = (&self.index, self.images.first()) {
            index = named(whole, &first.names);
        }
        let index = manifest::index(index)?;
        if self.without_docker_s_lists {
            return Ok(vec![("index.json", index), ("oci-layout", LAYOUT.into())]);
        }
        let mut documents = vec![
            ("index.json", index),
            ("manifest.json", manifest::json(&entries)?),
            ("oci-layout", LAYOUT.into()),
        ];
        if !repositories.is_empty() {
            documents.push(("repositories", manifest::json(&json!(repositories))?));
        }
        Ok(documents)
    }
}

/// A descriptor under all of its names.
fn named(what: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    let named = names.iter().map(|name| {
        let mut annotations = what.annotations.clone();
        annotations.insert("io.containerd.image.name".to_owned(), name.to_string());
        let tag = name.tag().unwrap_or_default().to_owned();
        annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag);
        Descriptor { annotations, ..what.clone() }
    });
    let named: Vec<Descriptor> = named.collect();
    if named.is_empty() { vec![what.clone()] } else { named }
}

impl Saved {
    fn entry(&self) -> Entry {
        let diff_ids = &self.image.config.rootfs.diff_ids;
        let plain =
            |(digest, size): (&Digest, &u64)| manifest::descriptor(media_type::OCI_LAYER, digest, *size);
        let layers = match &self.layers {
            Some(layers) => layers.clone(),
            None => diff_ids.iter().zip(&self.image.layer_sizes).map(plain).collect(),
        };
        Entry {
            config: path_of(&self.image.id),
            repo_tags: (!self.names.is_empty()).then(|| self.names.iter().map(Reference::familiar).collect()),
            layers: layers.iter().map(|layer| path_of(&layer.digest)).collect(),
            layer_sources: diff_ids.iter().cloned().zip(layers).collect(),
        }
    }
}

fn path_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Nothing of when and by whom.
fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
    header.set_size(size);
    header
}

fn append(
    out: &mut tar::Builder<impl Write>,
    path: &str,
    size: u64,
    content: impl Read,
) -> Result<(), Error> {
    let mut content = Counted { inner: content, count: 0 };
    out.append_data(&mut header(tar::EntryType::Regular, size), path, &mut content).map_err(write)?;
    match content.count == size {
        true => Ok(()),
        false => {
            Err(write(io::Error::other(format!("{path} has {} bytes instead of {size}", content.count))))
        }
    }
}

fn write(source: io::Error) -> Error {
    Error::System { doing: "write the image archive", source }
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
