//! Manifests that we make ourselves, for images that came without one.

use std::collections::BTreeMap;

use content::{Blob, Store};
use layers::Compression;
use oci::image::{Descriptor, Manifest, media_type};

use super::Source;
use crate::Error;

/// A layer's blob as a manifest names it.
pub(super) fn layer(blob: &Blob, compression: Compression) -> Descriptor {
    let kind = match compression {
        Compression::None => media_type::OCI_LAYER,
        Compression::Gzip => media_type::OCI_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
    };
    descriptor(kind, blob)
}

/// Writes the manifest of a config and its layers into the content store.
pub(super) fn make(content: &Store, config: &Blob, layers: Vec<Descriptor>) -> Result<Source, Error> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        config: descriptor(media_type::OCI_CONFIG, config),
        layers: layers.clone(),
        annotations: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&manifest)
        .map_err(|error| Error::Archive(format!("its manifest can't be written: {error}")))?;
    let Blob { digest, size } = content.put(&bytes)?;
    Ok(Source { digest, media_type: media_type::OCI_MANIFEST.to_owned(), size, layers })
}

fn descriptor(media_type: &str, blob: &Blob) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: blob.digest.clone(),
        size: blob.size,
        platform: None,
        annotations: BTreeMap::new(),
    }
}
