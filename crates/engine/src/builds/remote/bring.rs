//! Taking from others.

use std::sync::Arc;

use build::Error;
use build::request::CacheEntry;
use distribution::Parsed;
use oci::Digest;
use oci::image::{Descriptor, ImageConfig, Manifest};
use serde::Deserialize;

use super::document::{self, CONFIG};
use super::{INLINE, Part, Place, Remote, Source, buckets, reference, stores};
use crate::builds::Parts;
use crate::builds::error::{blocking, engine};
use crate::builds::gateway::{begun, ended};
use crate::builds::sources::Sources;
use crate::builds::tree::{Layer, Layers, Tree};
use crate::images::{Images, Wanted};

/// What of an image's config matters here.
#[derive(Deserialize)]
struct Carrying {
    #[serde(default, rename = "moby.buildkit.cache.v0")]
    cache: Option<String>,
}

impl Remote {
    /// Learns what others have. One that can't be reached is told of, and is no failure.
    pub(in crate::builds) async fn open(
        entries: &[CacheEntry],
        sources: &Sources,
        progress: &build::progress::Progress,
    ) -> Result<Self, Error> {
        let mut remote = Self::default();
        for entry in entries {
            let (name, learned);
            let mut shown;
            if entry.kind == "local" {
                name = stores::name(entry, "src")?;
                shown = begun(progress, &format!("importing cache manifest from {name}"));
                learned = from_client(sources, entry).await;
            } else if entry.kind == "s3" {
                let settings = buckets::Settings::read(entry)?;
                name = settings.name();
                shown = begun(progress, &format!("importing cache manifest from {name}"));
                learned = from_bucket(settings.open(sources.parts())).await;
            } else {
                let reference = reference(entry)?;
                name = reference.familiar();
                shown = begun(progress, &format!("importing cache manifest from {name}"));
                learned = learn(sources, &reference).await;
            }
            ended(progress, &mut shown, learned.as_ref().err());
            match learned {
                Ok(source) => remote.sources.push(source),
                Err(error) => {
                    tracing::warn!(error = diag::chain(&error), cache = %name, "a build goes on without a cache");
                }
            }
        }
        Ok(remote)
    }

    /// What a step with this key made somewhere else, brought here and held.
    pub(in crate::builds) async fn find(&self, parts: &Arc<Parts>, key: &Digest) -> Option<Vec<Tree>> {
        for source in &self.sources {
            let Some(chain) = source.chains.get(key.as_str()) else { continue };
            match Box::pin(bring(parts, &source.place, chain)).await {
                Ok(tree) => return Some(vec![tree]),
                Err(error) => {
                    tracing::warn!(error = diag::chain(&error), %key, "a step's result can't be brought: it is made");
                }
            }
        }
        None
    }
}

async fn learn(sources: &Sources, name: &oci::Reference) -> Result<Source, Error> {
    if let Some(here) = carried_here(sources, name).await? {
        return Ok(here);
    }
    let failed = |e: distribution::Error| engine(format!("read the cache {}", name.familiar()), e.into());
    let credentials = sources.credentials_for(name);
    let client = sources.parts().registries();
    let (repository, document) = client.document(name, Some(&credentials)).await.map_err(failed)?;
    let manifest = match document.parsed {
        Parsed::Manifest(manifest) => manifest,
        Parsed::Index(index) => {
            if let Some(config) = index.manifests.iter().find(|entry| entry.media_type == CONFIG) {
                return from_config(repository, config, name).await;
            }
            client.resolve(name, &Wanted::host(), Some(&credentials)).await.map_err(failed)?.1.single.manifest
        }
    };
    if manifest.config.media_type == CONFIG {
        return from_config(repository, &manifest.config.clone(), name).await;
    }
    from_image(repository, &manifest, name).await
}

/// What a client has in one of its folders.
async fn from_client(sources: &Sources, entry: &CacheEntry) -> Result<Source, Error> {
    let store = stores::Store::new(sources.session().clone(), stores::name(entry, "src")?);
    let wrong = |why: String| Error::Invalid(format!("the cache in {} can't be read: {why}", store.name()));
    let bytes = store.document(&stores::digest(entry)?, None).await?;
    let listed: Listed = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    let all = listed.config.into_iter().chain(listed.manifests);
    let config = all.into_iter().find(|blob| blob.media_type == CONFIG);
    let config = config.ok_or_else(|| wrong("it names no config of a cache".into()))?;
    let bytes = store.document(&config.digest, Some(config.size)).await?;
    let config = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    Ok(Source { chains: document::chains(&config)?, place: Place::Client(store) })
}

/// What a bucket has. One that is still to be written has nothing.
async fn from_bucket(bucket: buckets::Bucket) -> Result<Source, Error> {
    let config = match bucket.config().await? {
        None => document::Config::default(),
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| Error::Invalid(format!("the cache in the bucket can't be read: {e}")))?,
    };
    Ok(Source { chains: document::chains(&config)?, place: Place::Bucket(Box::new(bucket)) })
}

/// A cache's manifest, or the index that older ones are.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

/// What an image that is here carries.
async fn carried_here(sources: &Sources, name: &oci::Reference) -> Result<Option<Source>, Error> {
    let images = sources.parts().shared.images.clone();
    let typed = name.familiar();
    blocking(move || {
        let found = images.catalogue().look_up(&typed).map_err(|e| engine("look for a cache", e))?;
        let Some(found) = found else { return Ok(None) };
        let config = images.config_bytes(&found.image).map_err(|e| engine("read a config", e))?;
        let Some(text) = carried(&config) else { return Ok(None) };
        let diff_ids = found.image.config.rootfs.diff_ids.iter().zip(&found.image.layer_sizes);
        let diff_ids = diff_ids.zip(times(&found.image.config));
        let part = |((diff_id, size), made): ((&Digest, &u64), Option<u64>)| {
            let blob = Descriptor {
                media_type: oci::image::media_type::OCI_LAYER.into(),
                digest: diff_id.clone(),
                size: *size,
                platform: None,
                annotations: Default::default(),
            };
            Part { blob, diff_id: diff_id.clone(), made }
        };
        let parts: Vec<Part> = diff_ids.map(part).collect();
        Ok(Some(Source { chains: document::read_inline(&text, &parts)?, place: Place::Here }))
    })
    .await
}

/// When each layer of an image was made, as far as its history says.
fn times(config: &ImageConfig) -> Vec<Option<u64>> {
    let full = config.history.iter().filter(|entry| !entry.empty_layer);
    let told = full.map(|entry| entry.created.as_deref().and_then(super::made));
    told.chain(std::iter::repeat(None)).take(config.rootfs.diff_ids.len()).collect()
}

fn carried(config: &[u8]) -> Option<String> {
    serde_json::from_slice::<Carrying>(config).ok()?.cache.filter(|text| !text.is_empty())
}

async fn from_config(
    repository: distribution::Repository,
    config: &Descriptor,
    name: &oci::Reference,
) -> Result<Source, Error> {
    let failed = |e: distribution::Error| engine(format!("read the cache {}", name.familiar()), e.into());
    let bytes = repository.config(config).await.map_err(failed)?;
    let config = serde_json::from_slice(&bytes)
        .map_err(|e| Error::Invalid(format!("the config of the cache {name} can't be read: {e}")))?;
    Ok(Source { chains: document::chains(&config)?, place: Place::Registry(Box::new(repository)) })
}

async fn from_image(
    repository: distribution::Repository,
    manifest: &Manifest,
    name: &oci::Reference,
) -> Result<Source, Error> {
    let failed = |e: distribution::Error| engine(format!("read the cache {}", name.familiar()), e.into());
    let bytes = repository.config(&manifest.config).await.map_err(failed)?;
    let none = || Error::NotFound(format!("{} carries no cache ({INLINE})", name.familiar()));
    let text = carried(&bytes).ok_or_else(none)?;
    let config: ImageConfig = serde_json::from_slice(&bytes)
        .map_err(|e| Error::Invalid(format!("the config of {name} can't be read: {e}")))?;
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(Error::Invalid(format!("{name} has not as many layers as its config says")));
    }
    let times = times(&config);
    let pairs = manifest.layers.iter().cloned().zip(config.rootfs.diff_ids).zip(times);
    let parts: Vec<Part> = pairs.map(|((blob, diff_id), made)| Part { blob, diff_id, made }).collect();
    Ok(Source { chains: document::read_inline(&text, &parts)?, place: Place::Registry(Box::new(repository)) })
}

/// An image's layers from a client's store.
pub(in crate::builds) async fn bring_from_client(
    parts: &Arc<Parts>,
    store: stores::Store,
    layers: impl Iterator<Item = (Descriptor, Digest)>,
) -> Result<Tree, Error> {
    let chain: Vec<Part> = layers.map(|(blob, diff_id)| Part { blob, diff_id, made: None }).collect();
    Box::pin(bring(parts, &Place::Client(store), &chain)).await
}

async fn bring(parts: &Arc<Parts>, place: &Place, chain: &[Part]) -> Result<Tree, Error> {
    let mut layers = Layers::default();
    for part in chain {
        let images = parts.shared.images.clone();
        let known =
            parts.cache.layer_size(&part.diff_id).map_err(|e| engine("look into the build cache", e))?;
        let brought =
            images.bring_layer(Box::pin(fetch(&images, place, part)), &part.blob, &part.diff_id, known).await;
        let (size, kept) = brought.map_err(|e| engine("bring a layer", e))?;
        layers.kept.push(kept);
        layers.list.push(Layer { diff_id: part.diff_id.clone(), size, made: part.made, by: String::new() });
    }
    Ok(Tree::Layers(Arc::new(layers)))
}

async fn fetch(images: &Images, place: &Place, part: &Part) -> Result<(), crate::Error> {
    match place {
        Place::Here => Err(crate::Error::RemovedMeanwhile(part.diff_id.clone())),
        Place::Registry(repository) => {
            let fetched = repository.fetch_blob(images.content(), &part.blob.digest, part.blob.size, &|_| {});
            fetched.await.map(drop).map_err(crate::Error::from)
        }
        Place::Bucket(bucket) => bucket.fetch(images.content(), &part.blob).await.map_err(crate::Error::from),
        Place::Client(store) => {
            let fetched = store.fetch(images.content(), &part.blob).await;
            fetched.map_err(|error| crate::Error::Build(Box::new(error)))
        }
    }
}
