//! Manifests and indexes as they come from a registry: told apart by what they say, believed only after they hashed to
//! their digest.

use bytes::Bytes;
use oci::image::{Index, Manifest, media_type};
use oci::{Algorithm, Digest, Hasher};
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// No manifest is longer; registries have the same limit.
pub const MAX_MANIFEST: usize = 4 << 20;
/// What we ask for.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// One image's manifest with the bytes that it was read from.
#[derive(Debug, Clone)]
pub struct Single {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Bytes,
    pub manifest: Manifest,
}

/// What a name led to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The digest of the document that the name itself means: an index or a manifest.
    pub named: Digest,
    pub named_type: String,
    pub named_size: u64,
    /// The platforms of the index; the manifest itself says nothing of it.
    pub platforms: Vec<oci::image::Platform>,
    pub single: Single,
}

/// A document whose kind is known.
#[derive(Debug, Clone)]
pub enum Parsed {
    Index(Index),
    Manifest(Manifest),
}

/// A document as received.
#[derive(Debug, Clone)]
pub struct Document {
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Bytes,
    pub parsed: Parsed,
}

/// Reads a stranger's document as each type that it may be announced as, for the fuzzer: whatever the type, it is the same
/// kind of document or none, and its digest is that of its bytes.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let kinds = ["", "text/plain", media_type::OCI_INDEX, media_type::DOCKER_LIST, media_type::OCI_MANIFEST];
    let read =
        kinds.iter().filter_map(|kind| read("host", "name", Bytes::copy_from_slice(bytes), kind, None).ok());
    let documents: Vec<Document> = read.collect();
    let is_index = |document: &Document| matches!(document.parsed, Parsed::Index(_));
    assert!(documents.windows(2).all(|pair| is_index(&pair[0]) == is_index(&pair[1])));
    assert!(documents.iter().all(|document| document.digest == Digest::sha256(bytes)));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    manifests: Option<Value>,
    #[serde(default)]
    config: Option<Value>,
    #[serde(default)]
    layers: Option<Value>,
}

/// Checks bytes against the digest that they were asked by, and reads them.
pub(crate) fn read(
    host: &str,
    what: &str,
    bytes: Bytes,
    content_type: &str,
    expected: Option<&Digest>,
) -> Result<Document, Error> {
    let algorithm = expected.map_or(Algorithm::Sha256, Digest::algorithm);
    let mut hasher = Hasher::new(algorithm);
    hasher.update(&bytes);
    let digest = hasher.finish();
    if let Some(expected) = expected.filter(|expected| **expected != digest) {
        let (host, what) = (host.to_owned(), what.to_owned());
        return Err(Error::Mismatch { host, what, expected: expected.clone(), found: digest });
    }
    let malformed = |why: String| Error::Malformed { host: host.to_owned(), what: what.to_owned(), why };
    let shape: Shape = serde_json::from_slice(&bytes).map_err(|e| match content_type {
        "" => malformed(e.to_string()),
        kind => malformed(format!("{kind}: {e}")),
    })?;
    if shape.schema_version == 1 {
        return Err(Error::Unsupported {
            what: what.to_owned(),
            kind: "a manifest of the old schema 1".into(),
        });
    }
    // One that could be read as either would mean one image to us and another one to the next reader.
    let is_index = match (shape.manifests.is_some(), shape.config.is_some() || shape.layers.is_some()) {
        (true, false) => true,
        (false, true) => false,
        (true, true) => return Err(malformed("it is an index and a manifest at once".into())),
        (false, false) => return Err(malformed("it is neither an index nor a manifest".into())),
    };
    let known = shape.media_type.or_else(|| (!content_type.is_empty()).then(|| content_type.to_owned()));
    let media_type = known.unwrap_or_default();
    let expected_types: &[&str] = match is_index {
        true => &[media_type::OCI_INDEX, media_type::DOCKER_LIST],
        false => &[media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST],
    };
    // Some registries serve everything as plain JSON; a type that says something else is a contradiction.
    let says_nothing =
        matches!(media_type.as_str(), "" | "application/json" | "text/plain" | "application/octet-stream");
    let media_type = match media_type {
        kind if expected_types.contains(&kind.as_str()) => kind,
        _ if says_nothing => expected_types[0].to_owned(),
        kind => return Err(malformed(format!("its type {kind} is not what it holds"))),
    };
    let parsed = match is_index {
        true => serde_json::from_slice(&bytes).map(Parsed::Index),
        false => serde_json::from_slice(&bytes).map(Parsed::Manifest),
    };
    Ok(Document { digest, media_type, parsed: parsed.map_err(|e| malformed(e.to_string()))?, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, content_type: &str) -> Result<Document, Error> {
        read("r.example", "the manifest", Bytes::copy_from_slice(text.as_bytes()), content_type, None)
    }

    fn digest() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    #[test]
    fn what_it_holds_and_what_it_says_must_agree() {
        let config = format!(r#"{{"mediaType":"x","digest":"{}","size":1}}"#, digest());
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        assert!(matches!(parse(&manifest, "").unwrap().parsed, Parsed::Manifest(_)));
        assert!(parse(&manifest, media_type::OCI_INDEX).is_err());
        assert!(matches!(parse(r#"{"manifests":[]}"#, ""), Err(Error::Malformed { .. })), "no schemaVersion");
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(parse(index, media_type::DOCKER_LIST).unwrap().parsed, Parsed::Index(_)));
        let both = format!(r#"{{"schemaVersion":2,"manifests":[],"config":{config},"layers":[]}}"#);
        assert!(parse(&both, "").unwrap_err().to_string().contains("at once"));
        for wrong in ["", "<html>", "null", "[]", "{}", r#"{"schemaVersion":2,"layers":3,"config":{}}"#] {
            assert!(parse(wrong, "text/html").is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_bytes_than_were_asked_for_are_not_even_parsed() {
        let expected: Digest = digest().parse().unwrap();
        let error = read("r.example", "the manifest", Bytes::from_static(b"<html>"), "", Some(&expected));
        assert!(matches!(error, Err(Error::Mismatch { .. })));
    }
}
