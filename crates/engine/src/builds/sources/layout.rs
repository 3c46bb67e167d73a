//! Images in clients' OCI layouts, read through the session by their digests.

use build::Error;
use build::frontend::ResolvedImage;
use build::graph::{LENT, OciLayout};
use oci::Digest;
use oci::image::{Descriptor, ImageConfig, Platform};
use serde::Deserialize;

use super::{Sources, wanted};
use crate::builds::remote::bring_from_client;
use crate::builds::remote::stores::Store;
use crate::builds::tree::Tree;

/// An index may name another one; nobody writes more than this.
const DEPTH: usize = 4;

/// A manifest, or an index of them.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

/// An image in a layout, without its layers' bytes.
struct Found {
    store: Store,
    digest: Digest,
    config: Vec<u8>,
    layers: Vec<Descriptor>,
}

impl Sources {
    async fn in_layout(&self, layout: &OciLayout, platform: Option<&Platform>) -> Result<Found, Error> {
        let session = self.session_named(&layout.session)?;
        let asked = layout.session.strip_prefix(LENT).unwrap_or(&layout.session);
        if !asked.is_empty() && asked != session.id() {
            return Err(Error::NotFound(format!(
                "content of another session ({asked:?}), which isn't there"
            )));
        }
        // BuildKit's clients put this before the name.
        let store = Store::new(session, format!("oci:{}", layout.store));
        let wrong = |why: String| wrong(layout, &why);
        let top: Digest = layout.digest().parse().map_err(|_| wrong("it has no digest".into()))?;
        let (mut digest, mut size) = (top.clone(), None);
        for _ in 0..DEPTH {
            let bytes = store.document(&digest, size).await?;
            let document: Document = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
            if let Some(config) = document.config {
                let config = store.document(&config.digest, Some(config.size)).await?;
                return Ok(Found { store, digest: top, config, layers: document.layers });
            }
            let entry = match &document.manifests[..] {
                [only] if only.platform.is_none() => only,
                all => wanted(platform).choose(all).map_err(|e| wrong(e.to_string()))?,
            };
            (digest, size) = (entry.digest.clone(), Some(entry.size));
        }
        Err(wrong(format!("its indexes are more than {DEPTH} deep")))
    }

    /// What the image is.
    pub(super) async fn resolve_layout(
        &self,
        layout: &OciLayout,
        platform: Option<&Platform>,
    ) -> Result<ResolvedImage, Error> {
        let found = self.in_layout(layout, platform).await?;
        Ok(ResolvedImage { reference: layout.address(), digest: found.digest, config: found.config })
    }

    /// Its layers, brought here.
    pub(super) async fn bring_layout(
        &self,
        layout: &OciLayout,
        platform: Option<&Platform>,
    ) -> Result<Tree, Error> {
        let found = self.in_layout(layout, platform).await?;
        let config: ImageConfig =
            serde_json::from_slice(&found.config).map_err(|e| wrong(layout, &e.to_string()))?;
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() != found.layers.len() {
            return Err(wrong(layout, "it has not as many layers as its config says"));
        }
        bring_from_client(&self.parts, found.store, found.layers.into_iter().zip(diff_ids)).await
    }
}

fn wrong(layout: &OciLayout, why: &str) -> Error {
    Error::Invalid(format!("the OCI layout {}: {why}", layout.reference))
}
