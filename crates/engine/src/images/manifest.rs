//! Manifests that we make ourselves, for images that came without one.

use std::collections::BTreeMap;

use content::{Blob, Store};
use layers::Compression;
use oci::Digest;
use oci::image::{Descriptor, Index, Manifest, Platform, media_type};

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
    make_with(content, config, layers, BTreeMap::new(), Words::Oci)
}

/// In whose words a manifest is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    Oci,
    Docker,
}

impl Words {
    fn manifest(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_MANIFEST,
            Self::Docker => media_type::DOCKER_MANIFEST,
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_CONFIG,
            Self::Docker => media_type::DOCKER_CONFIG,
        }
    }

    pub(crate) fn index(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_INDEX,
            Self::Docker => media_type::DOCKER_LIST,
        }
    }

    /// A layer in these words; docker has none for zstd.
    pub(super) fn layer(self, layer: Descriptor) -> Option<Descriptor> {
        let kind = match (self, layer.media_type.as_str()) {
            (Self::Oci, media_type::DOCKER_LAYER_GZIP) => media_type::OCI_LAYER_GZIP,
            (Self::Oci, media_type::DOCKER_LAYER) => media_type::OCI_LAYER,
            (Self::Docker, media_type::OCI_LAYER_GZIP) => media_type::DOCKER_LAYER_GZIP,
            (Self::Docker, media_type::OCI_LAYER) => media_type::DOCKER_LAYER,
            (Self::Docker, media_type::OCI_LAYER_ZSTD) => return None,
            (_, other) => other,
        };
        Some(Descriptor { media_type: kind.to_owned(), ..layer })
    }
}

/// The same with annotations, in whose words it has to be.
pub(super) fn make_with(
    content: &Store,
    config: &Blob,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
    words: Words,
) -> Result<Source, Error> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(words.manifest().to_owned()),
        config: descriptor(words.config(), &config.digest, config.size),
        layers: layers.clone(),
        annotations,
    };
    let bytes = json(&manifest)?;
    let Blob { digest, size } = content.put(&bytes)?;
    Ok(Source { digest, media_type: words.manifest().to_owned(), size, layers, exact: false })
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

/// How a layer is packed, by its media type.
pub(super) fn compression(layer: &Descriptor) -> Option<Compression> {
    match layer.media_type.as_str() {
        media_type::OCI_LAYER | media_type::DOCKER_LAYER => Some(Compression::None),
        media_type::OCI_LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => Some(Compression::Gzip),
        media_type::OCI_LAYER_ZSTD => Some(Compression::Zstd),
        _ => None,
    }
}

/// An index of manifests.
pub(super) fn index(manifests: Vec<Descriptor>) -> Result<Vec<u8>, Error> {
    annotated_index(manifests, BTreeMap::new(), Words::Oci)
}

pub(super) fn annotated_index(
    manifests: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
    words: Words,
) -> Result<Vec<u8>, Error> {
    json(&Index { schema_version: 2, media_type: Some(words.index().to_owned()), manifests, annotations })
}

/// How an index names what is said about an image.
pub(super) fn attestation_entry(attestation: &Source, image: &Digest) -> Descriptor {
    let annotations = [
        ("vnd.docker.reference.digest", image.to_string()),
        ("vnd.docker.reference.type", "attestation-manifest".to_owned()),
    ];
    let nowhere = Platform { architecture: "unknown".into(), os: "unknown".into(), ..Platform::default() };
    Descriptor {
        platform: Some(nowhere),
        annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
        ..descriptor(&attestation.media_type, &attestation.digest, attestation.size)
    }
}

/// The config of an attestation, for those who take it for an image.
pub(super) fn attestation_config(statements: &[Descriptor]) -> Result<Vec<u8>, Error> {
    let diff_ids: Vec<&Digest> = statements.iter().map(|statement| &statement.digest).collect();
    json(&serde_json::json!({
        "architecture": "unknown", "os": "unknown", "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }))
}

/// The manifest of an attestation.
pub(super) fn attestation(config: &Blob, layers: Vec<Descriptor>) -> Result<Vec<u8>, Error> {
    json(&Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        config: descriptor(media_type::OCI_CONFIG, &config.digest, config.size),
        layers,
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
