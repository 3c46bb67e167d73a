//! An image of another one and one more layer.

use std::io::Write;

use content::Blob;
use oci::image::{ContainerConfig, Descriptor, History, ImageConfig};
use oci::{Digest, Reference};

use super::{Image, Images, Naming, manifest};
use crate::Error;

/// What the new image is, but for its layer.
#[derive(Debug)]
pub struct NewImage {
    pub base: Digest,
    pub name: Option<Reference>,
    pub author: String,
    pub comment: String,
    pub created_by: String,
    pub config: ContainerConfig,
}

impl Images {
    /// Makes it. Blocking; `layer` writes the tar on a thread of its own.
    pub fn commit(
        &self,
        new: NewImage,
        layer: impl FnOnce(&mut dyn Write) -> Result<(), layers::Error> + Send + 'static,
    ) -> Result<Digest, Error> {
        let base = self.get(new.base.as_str())?;
        let written = layers::Written::by(layer);
        let tar = written.map_err(|source| Error::System { doing: "make a pipe for a layer", source })?;
        let (blob, pins) = self.take_layer(tar)?;
        let recorded = self.record_child(new, &base, Some(&blob).filter(|blob| !is_empty(blob)));
        drop(pins);
        if recorded.is_err() || is_empty(&blob) {
            self.release_blobs(std::iter::once(&blob.digest))?;
            self.release_layers(std::slice::from_ref(&blob.digest))?;
        }
        recorded
    }

    fn record_child(&self, new: NewImage, base: &Image, layer: Option<&Blob>) -> Result<Digest, Error> {
        let now = Some(jiff::Timestamp::now().to_string());
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let author = said(new.author);
        let mut config = ImageConfig { created: now.clone(), author: author.clone(), ..base.config.clone() };
        config.config = new.config;
        config.rootfs.diff_ids.extend(layer.map(|layer| layer.digest.clone()));
        config.history.push(History {
            created: now,
            created_by: said(new.created_by),
            author,
            comment: said(new.comment),
            empty_layer: layer.is_none(),
        });
        let blob = self.content.put(&manifest::json(&config)?)?;
        let mut descriptors = descriptors(base);
        descriptors.extend(layer.map(|layer| manifest::layer(layer, layers::Compression::None)));
        let manifest = Some(manifest::make(&self.content, &blob, descriptors)?);
        let mut layer_sizes = base.layer_sizes.clone();
        layer_sizes.extend(layer.map(|layer| layer.size));
        let id = blob.digest;
        let name = new.name.map(|name| name.or_latest().familiar());
        let image = Image { id: id.clone(), config, layer_sizes, manifest };
        self.record(&[image], name.as_slice(), Naming::Replace)?;
        if let Some(name) = name {
            self.emit("tag", id.as_str(), &name);
        }
        Ok(id)
    }
}

/// A tar with nothing in it is no layer: docker leaves it out too.
fn is_empty(layer: &Blob) -> bool {
    const END_OF_ARCHIVE: [u8; 1024] = [0; 1024];
    layer.size == END_OF_ARCHIVE.len() as u64 && layer.digest == Digest::sha256(&END_OF_ARCHIVE)
}

/// The base's layers as they came, or as they are.
fn descriptors(base: &Image) -> Vec<Descriptor> {
    let ids = &base.config.rootfs.diff_ids;
    match &base.manifest {
        Some(source) if source.layers.len() == ids.len() => source.layers.clone(),
        _ => {
            let blobs = ids.iter().zip(&base.layer_sizes);
            let blobs = blobs.map(|(id, size)| Blob { digest: id.clone(), size: *size });
            blobs.map(|blob| manifest::layer(&blob, layers::Compression::None)).collect()
        }
    }
}
