//! What a registry has under a name, without fetching it: `GET /distribution/{name}/json`.

use bytes::Bytes;
use http::HeaderMap;
use oci::image::{Descriptor, ImageConfig, Platform};
use oci::{Digest, Hasher, Reference};

use crate::manifest::{Document, MAX_MANIFEST, Parsed};
use crate::repository::Repository;
use crate::{Access, Client, Credentials, Error};

/// A document in a registry and the platforms behind it.
#[derive(Debug, Clone)]
pub struct Description {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    pub platforms: Vec<Platform>,
}

impl Client {
    /// Looks at what a reference means in its registry.
    pub async fn describe(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
    ) -> Result<Description, Error> {
        self.first(reference, Access::Pull, credentials, |repository| {
            Box::pin(async move { repository.describe().await })
        })
        .await
    }
}

impl Client {
    /// The document that a reference names, as it is, and the repository that has it.
    pub async fn document(
        &self,
        reference: &Reference,
        credentials: Option<&Credentials>,
    ) -> Result<(Repository, Document), Error> {
        self.first(reference, Access::Pull, credentials, |repository| {
            Box::pin(async move {
                let document = repository.manifest(&repository.reference).await?;
                Ok((repository, document))
            })
        })
        .await
    }
}

impl Repository {
    async fn describe(&self) -> Result<Description, Error> {
        let named = self.manifest(&self.reference).await?;
        let platforms = match &named.parsed {
            Parsed::Index(index) => {
                index.manifests.iter().filter_map(|entry| entry.platform.clone()).collect()
            }
            Parsed::Manifest(manifest) => vec![self.platform(&manifest.config).await?],
        };
        let (media_type, size) = (named.media_type, named.bytes.len() as u64);
        Ok(Description { media_type, digest: named.digest, size, platforms })
    }

    async fn platform(&self, config: &Descriptor) -> Result<Platform, Error> {
        let bytes = self.config(config).await?;
        let parsed = serde_json::from_slice::<ImageConfig>(&bytes);
        Ok(parsed.map_err(|e| self.malformed("the image's config", &e))?.platform)
    }

    /// The document that a reference of this repository names, as it is.
    pub async fn document(&self, reference: &Reference) -> Result<Document, Error> {
        self.manifest(reference).await
    }

    /// An image's config, as it is.
    pub async fn config(&self, config: &Descriptor) -> Result<Bytes, Error> {
        let what = "the image's config";
        let answer = self.get(&self.url(&format!("blobs/{}", config.digest)), &HeaderMap::new()).await?;
        let (host, body) = (answer.url.origin.authority(), answer.response.into_body());
        let bytes = self.transport.collect(&host, what, body, 2 * MAX_MANIFEST).await?;
        let mut hasher = Hasher::new(config.digest.algorithm());
        hasher.update(&bytes);
        let (expected, found) = (config.digest.clone(), hasher.finish());
        if found != expected {
            return Err(Error::Mismatch { host, what: what.to_owned(), expected, found });
        }
        Ok(bytes)
    }
}
