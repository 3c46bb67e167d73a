//! Manifests as they are pushed: what they are, and what they need. The bytes themselves are never changed.

use std::collections::BTreeMap;

use oci::Digest;
use oci::image::media_type;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::error::Problem;

/// No manifest is longer; clients have the same limit.
pub(crate) const MAX_MANIFEST: usize = 4 << 20;
const MAX_DEPTH: usize = 64;
const SIGNED_V1: &str = "application/vnd.docker.distribution.manifest.v1+";
const FOREIGN: &[&str] = &[
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
];

/// What a manifest says that a registry has to know.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) media_type: String,
    /// Blobs that have to be there.
    pub(crate) blobs: Vec<Digest>,
    /// Manifests that have to be there.
    pub(crate) manifests: Vec<Digest>,
    pub(crate) subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
    /// The bytes of its blobs, as it says.
    pub(crate) size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Pointer>,
    layers: Option<Vec<Pointer>>,
    manifests: Option<Vec<Pointer>>,
    subject: Option<Pointer>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pointer {
    media_type: Option<String>,
    digest: Digest,
    size: u64,
    urls: Option<Vec<IgnoredAny>>,
}

impl Pointer {
    /// Whether its bytes are somewhere else, as those of Windows' base layers.
    fn is_foreign(&self) -> bool {
        let kind = self.media_type.as_deref().unwrap_or_default();
        FOREIGN.iter().any(|foreign| kind.starts_with(foreign))
            && self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }
}

impl Manifest {
    /// Reads a document that was sent as `content_type`.
    pub(crate) fn read(bytes: &[u8], content_type: &str) -> Result<Self, Problem> {
        let sent = content_type.split(';').next().unwrap_or_default().trim();
        if sent.starts_with(SIGNED_V1) {
            return Err(Problem::manifest_invalid(
                "manifests of schema 1 are not supported: push schema 2 or OCI",
            ));
        }
        if depth(bytes) > MAX_DEPTH {
            return Err(Problem::manifest_invalid(format!("it is nested deeper than {MAX_DEPTH} levels")));
        }
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| Problem::manifest_invalid(error.to_string()))?;
        if document.schema_version != 2 || document.fs_layers.is_some() {
            return Err(Problem::manifest_invalid("its schemaVersion is not 2"));
        }
        let media_type = document.kind(sent)?;
        if let Some(said) = document.media_type.as_deref().filter(|said| *said != media_type) {
            let why = format!("its mediaType is {said}, but it was sent as {media_type}");
            return Err(Problem::manifest_invalid(why));
        }
        document.read(media_type)
    }

    /// As [`Manifest::descriptor`]'s list in the answer about its subject.
    pub(crate) fn descriptor(&self, digest: &Digest, size: usize) -> Value {
        let mut descriptor = json!({ "mediaType": self.media_type, "digest": digest, "size": size });
        if let Some(kind) = &self.artifact_type {
            descriptor["artifactType"] = kind.as_str().into();
        }
        if !self.annotations.is_empty() {
            descriptor["annotations"] = json!(self.annotations);
        }
        descriptor
    }
}

impl Document {
    /// The media type: as sent, or as the document itself says, or as it looks.
    fn kind(&self, sent: &str) -> Result<String, Problem> {
        let known = [
            media_type::OCI_MANIFEST,
            media_type::OCI_INDEX,
            media_type::DOCKER_MANIFEST,
            media_type::DOCKER_LIST,
        ];
        let kind = match (sent, &self.media_type) {
            ("" | "application/json" | "application/octet-stream", Some(said)) => said.as_str(),
            ("" | "application/json" | "application/octet-stream", None) => {
                if self.manifests.is_some() {
                    media_type::OCI_INDEX
                } else {
                    media_type::OCI_MANIFEST
                }
            }
            (sent, _) => sent,
        };
        match known.contains(&kind) {
            true => Ok(kind.to_owned()),
            false => Err(Problem::manifest_invalid(format!(
                "{} is not a kind of manifest that this registry knows",
                crate::route::shorten(kind)
            ))),
        }
    }

    fn read(self, media_type: String) -> Result<Manifest, Problem> {
        let index = matches!(media_type.as_str(), media_type::OCI_INDEX | media_type::DOCKER_LIST);
        // An image that calls itself an index, or the other way round, means different things to different clients.
        let missing = match index {
            true if self.layers.is_some() || self.config.is_some() => {
                Some("an index has no config and no layers")
            }
            true if self.manifests.is_none() => Some("an index needs manifests"),
            false if self.manifests.is_some() => Some("a manifest of one image has no manifests"),
            false if self.config.is_none() => Some("a manifest needs a config"),
            false if self.layers.is_none() => Some("a manifest needs layers"),
            _ => None,
        };
        if let Some(why) = missing {
            return Err(Problem::manifest_invalid(why));
        }
        let config_type = self.config.as_ref().and_then(|config| config.media_type.clone());
        let artifact_type = self.artifact_type.filter(|kind| !kind.is_empty());
        let artifact_type = artifact_type.or(config_type.filter(|_| !index));
        let pointers: Vec<Pointer> =
            self.config.into_iter().chain(self.layers.into_iter().flatten()).collect();
        let here: Vec<&Pointer> = pointers.iter().filter(|pointer| !pointer.is_foreign()).collect();
        let size = here.iter().fold(0_u64, |sum, pointer| sum.saturating_add(pointer.size));
        Ok(Manifest {
            media_type,
            blobs: here.iter().map(|pointer| pointer.digest.clone()).collect(),
            manifests: self.manifests.into_iter().flatten().map(|pointer| pointer.digest).collect(),
            subject: self.subject.map(|pointer| pointer.digest),
            artifact_type,
            annotations: self.annotations.unwrap_or_default(),
            size,
        })
    }
}

/// How deep brackets are nested; our parser skips what it doesn't know, but who pulls this may not.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn image() -> Value {
        json!({
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": DIGEST, "size": 0},
            "layers": [],
        })
    }

    fn refused(document: &Value, kind: &str) -> String {
        let problem = Manifest::read(document.to_string().as_bytes(), kind).unwrap_err();
        assert_eq!(problem.code, "MANIFEST_INVALID");
        problem.detail["reason"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_manifest_has_one_kind() {
        let mut document = image();
        assert!(Manifest::read(document.to_string().as_bytes(), "").is_ok());
        assert!(
            Manifest::read(document.to_string().as_bytes(), &format!("{}; q=1", media_type::OCI_MANIFEST))
                .is_ok()
        );
        document["mediaType"] = media_type::OCI_INDEX.into();
        assert!(refused(&document, media_type::OCI_MANIFEST).contains("mediaType"));
        document["mediaType"] = media_type::OCI_MANIFEST.into();
        document["manifests"] = json!([]);
        assert!(refused(&document, media_type::OCI_MANIFEST).contains("no manifests"));
        assert!(refused(&image(), "text/html").contains("text/html"));
        assert!(
            refused(&image(), "application/vnd.docker.distribution.manifest.v1+prettyjws")
                .contains("schema 1")
        );
    }

    #[test]
    fn nesting_and_nonsense_are_refused() {
        let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let nested = image().to_string().replacen('{', &format!("{{\"x\":{nested},"), 1);
        assert!(Manifest::read(nested.as_bytes(), "").is_err());
        for digest in [
            "sha256:../../etc/passwd",
            "sha256:",
            "sha512:abc",
            "SHA256:AA",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
        ] {
            let text = image().to_string().replace(DIGEST, digest);
            assert!(Manifest::read(text.as_bytes(), "").is_err(), "{digest}");
        }
        assert!(Manifest::read(b"\xff", "").is_err());
    }

    #[test]
    fn an_artifact_has_the_type_of_its_config() {
        let manifest = Manifest::read(image().to_string().as_bytes(), "").unwrap();
        let descriptor = manifest.descriptor(&DIGEST.parse().unwrap(), 3);
        assert_eq!(descriptor["artifactType"], "application/vnd.oci.empty.v1+json");
    }
}
