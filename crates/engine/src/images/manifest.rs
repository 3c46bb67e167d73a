//! Manifests that we make ourselves, for images that came without one.

use std::collections::BTreeMap;

use content::{Blob, Store};
use layers::Compression;
use oci::Digest;
use oci::image::{Descriptor, Index, Manifest, media_type};

use super::Source;
use crate::Error;

/// A layer's blob as a manifest names it.
pub(super) fn layer(blob: &Blob, compression: Compression) -> Descriptor {
    let kind = match compression {
        Compression::None => media_type::OCI_LAYER,
        Compression::Gzip => media_type::OCI_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
    };
    descriptor(kind, &blob.digest, blob.size)
}

/// Writes the manifest of a config and its layers into the content store.
pub(super) fn make(content: &Store, config: &Blob, layers: Vec<Descriptor>) -> Result<Source, Error> {
    make_with(content, config, layers, BTreeMap::new())
}

/// The same with annotations.
pub(super) fn make_with(
    content: &Store,
    config: &Blob,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
) -> Result<Source, Error> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        config: descriptor(media_type::OCI_CONFIG, &config.digest, config.size),
        layers: layers.clone(),
        annotations,
    };
    let bytes = json(&manifest)?;
    let Blob { digest, size } = content.put(&bytes)?;
    Ok(Source { digest, media_type: media_type::OCI_MANIFEST.to_owned(), size, layers })
}

/// A manifest of these layers as docker pushes it, for an image that came without one or not compressed.
pub(super) fn to_push(config: &Blob, layers: Vec<Descriptor>) -> Result<(String, Vec<u8>), Error> {
    let is_docker = |layer: &Descriptor| layer.media_type == media_type::DOCKER_LAYER_GZIP;
    // Docker's own format has gzip alone; a layer that came in another way came in the OCI's.
    let (kind, config_kind) = match layers.iter().all(is_docker) {
        true => (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG),
        false => (media_type::OCI_MANIFEST, media_type::OCI_CONFIG),
    };
    let in_oci = |layer: Descriptor| match is_docker(&layer) && kind == media_type::OCI_MANIFEST {
        true => Descriptor { media_type: media_type::OCI_LAYER_GZIP.to_owned(), ..layer },
        false => layer,
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(kind.to_owned()),
        config: descriptor(config_kind, &config.digest, config.size),
        layers: layers.into_iter().map(in_oci).collect(),
        annotations: BTreeMap::new(),
    };
    Ok((kind.to_owned(), json(&manifest)?))
}

/// An index of manifests.
pub(super) fn index(manifests: Vec<Descriptor>) -> Result<Vec<u8>, Error> {
    json(&Index {
        schema_version: 2,
        media_type: Some(media_type::OCI_INDEX.to_owned()),
        manifests,
        annotations: BTreeMap::new(),
    })
}

pub(super) fn json(document: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(document)
        .map_err(|error| Error::Archive(format!("its manifest can't be written: {error}")))
}

/// A pointer to bytes.
pub(super) fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.clone(),
        size,
        platform: None,
        annotations: BTreeMap::new(),
    }
}
