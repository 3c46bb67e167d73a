//! Pulling: what a name leads to in a registry becomes an image here, visible only when it is whole.
//!
//! The layers go in parallel, each through fetch, check, inflate, check: all at the same time, each on a core of its own
//! if there are as many, with nothing visible before both checks are through. A layer that two pulls want is fetched once.
//! A failed pull leaves nothing but parts that the next one goes on with.

use std::io::{self, Read};
use std::sync::Arc;

use content::Follower;
use distribution::{Client, Credentials, Repository, Resolved, Wanted};
use oci::image::{Descriptor, ImageConfig, Manifest, media_type};
use oci::{Digest, Reference};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

use super::import::Metered;
use super::pins::Pin;
use super::progress::{Meter, Progress};
use super::{Image, Images, Naming, Source, blocking};
use crate::Error;

/// How many layers may be unpacked while they come in, in all pulls together: each has a thread that waits for the
/// network. The others are unpacked when they are there, so that one slow registry holds nobody else up.
pub(super) const FOLLOWING: usize = 16;

/// What to pull and how.
pub struct Pull {
    pub client: Client,
    /// With its tag or digest; without both, all tags.
    pub reference: Reference,
    pub wanted: Wanted,
    pub credentials: Option<Credentials>,
    /// Layers under way at once.
    pub downloads: u32,
}

/// One image under way.
struct Incoming {
    /// As people write it.
    name: String,
    repository: Repository,
    resolved: Resolved,
    config: ImageConfig,
    downloads: Semaphore,
    unpacking: Arc<Semaphore>,
}

impl Images {
    /// Pulls one image, or all of a repository.
    pub async fn pull(self: &Arc<Self>, pull: &Pull, progress: &Progress) -> Result<(), Error> {
        let reference = &pull.reference;
        if reference.tag().is_some() || reference.digest().is_some() {
            return self.pull_one(pull, reference, progress).await;
        }
        for tag in pull.client.tags(reference, pull.credentials.as_ref()).await? {
            let tagged = reference.with_tag(&tag).map_err(Error::InvalidReference)?;
            self.pull_one(pull, &tagged, progress).await?;
        }
        Ok(())
    }

    async fn pull_one(
        self: &Arc<Self>,
        pull: &Pull,
        reference: &Reference,
        progress: &Progress,
    ) -> Result<(), Error> {
        let reference = &super::catalogue::exact(reference.clone());
        let shown = reference.digest().map_or(reference.tag().unwrap_or_default(), Digest::as_str);
        let resolving = pull.client.resolve(reference, &pull.wanted, pull.credentials.as_ref());
        let (repository, resolved) = resolving.await?;
        progress.say(shown, format!("Pulling from {}", reference.path())).await;
        let mut brought = Brought::new(self, &resolved);
        let looked = self.look_into(pull, reference, repository, resolved).await;
        if looked.is_err() {
            brought.forget().await;
        }
        let incoming = looked?;
        brought.hold_layers(&incoming.config.rootfs.diff_ids);
        let name = incoming.name.clone();
        let digest_name = reference.with_digest(incoming.resolved.named.clone()).familiar();
        let names = match reference.digest() {
            Some(_) => vec![digest_name],
            None => vec![name.clone(), digest_name],
        };
        let known = self.has(&incoming, &names);
        let incoming = Arc::new(incoming);
        if !known {
            let recorded = self.take_in(&incoming, &names, progress).await;
            if recorded.is_err() {
                brought.forget().await;
            }
            recorded?;
        }
        brought.keep();
        self.emit("pull", &name, &reference.familiar_name());
        progress.say("", format!("Digest: {}", incoming.resolved.named)).await;
        let outcome = if known { "Image is up to date" } else { "Downloaded newer image" };
        progress.say("", format!("Status: {outcome} for {name}")).await;
        Ok(())
    }

    /// Reads the config, and refuses what is no image for a container.
    async fn look_into(
        &self,
        pull: &Pull,
        reference: &Reference,
        repository: Repository,
        resolved: Resolved,
    ) -> Result<Incoming, Error> {
        let name = reference.familiar();
        let manifest = &resolved.single.manifest;
        check_kinds(&name, manifest)?;
        let Descriptor { digest, size, .. } = &manifest.config;
        let flight = self.flights.board(digest).await;
        let bytes = repository.fetch_small(&self.content, digest, *size).await?;
        drop(flight);
        let config: ImageConfig = serde_json::from_slice(&bytes)
            .map_err(|source| Error::ImageConfig { image: name.clone(), source })?;
        let (layers, says) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != says {
            let kind = format!("damaged: its manifest has {layers} layers and its config {says}");
            return Err(Error::NotAnImage { image: name, kind });
        }
        if pull.wanted.is_asked() && pull.wanted.rank(&config.platform).is_none() {
            let offered = format!("{}/{}", config.platform.os, config.platform.architecture);
            let offered = diag::printable(&offered);
            return Err(Error::OtherPlatform { image: name, wanted: pull.wanted.to_string(), offered });
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let downloads = Semaphore::new(pull.downloads.max(1) as usize);
        let unpacking = Arc::new(Semaphore::new(threads));
        Ok(Incoming { name, repository, resolved, config, downloads, unpacking })
    }

    /// Whether all of it is here under these names.
    fn has(&self, incoming: &Incoming, names: &[String]) -> bool {
        let catalogue = self.catalogue();
        let id = &incoming.resolved.single.manifest.config.digest;
        names
            .iter()
            .all(|name| catalogue.tags.get(name).is_some_and(|tag| tag.images().any(|image| image == id)))
    }

    async fn take_in(
        self: &Arc<Self>,
        incoming: &Arc<Incoming>,
        names: &[String],
        progress: &Progress,
    ) -> Result<(), Error> {
        let layer_sizes = self.layers_of(incoming, progress).await?;
        let image = self.image(incoming, layer_sizes);
        let (images, bytes, names) = (self.clone(), incoming.resolved.single.bytes.clone(), names.to_vec());
        blocking(move || {
            images.content.put(&bytes)?;
            images.record(std::slice::from_ref(&image), &names, Naming::Beside)
        })
        .await
    }

    fn image(&self, incoming: &Incoming, layer_sizes: Vec<u64>) -> Image {
        let single = &incoming.resolved.single;
        Image {
            id: single.manifest.config.digest.clone(),
            config: incoming.config.clone(),
            layer_sizes,
            manifest: Some(Source {
                digest: single.digest.clone(),
                media_type: single.media_type.clone(),
                size: single.bytes.len() as u64,
                layers: single.manifest.layers.clone(),
                exact: false,
            }),
        }
    }

    /// All layers at once, as many as are allowed; their uncompressed sizes, lowest first.
    async fn layers_of(
        self: &Arc<Self>,
        incoming: &Arc<Incoming>,
        progress: &Progress,
    ) -> Result<Vec<u64>, Error> {
        let mut tasks = JoinSet::new();
        let count = incoming.resolved.single.manifest.layers.len();
        for index in 0..count {
            let short = incoming.resolved.single.manifest.layers[index].digest.short().to_owned();
            progress.milestone(&short, "Pulling fs layer").await;
            let (images, incoming, progress) = (self.clone(), incoming.clone(), progress.clone());
            tasks.spawn(async move { (index, images.layer(&incoming, index, &short, &progress).await) });
        }
        let mut sizes = vec![0; count];
        while let Some(joined) = tasks.join_next().await {
            let (index, size) = joined.map_err(|error| Error::System {
                doing: "fetch a layer",
                source: io::Error::other(error.to_string()),
            })?;
            // The others end with the set.
            sizes[index] = size.map_err(|source| Error::Layer {
                image: incoming.name.clone(),
                layer: incoming.resolved.single.manifest.layers[index].digest.clone(),
                source: Box::new(source),
            })?;
        }
        Ok(sizes)
    }

    async fn layer(
        self: &Arc<Self>,
        incoming: &Arc<Incoming>,
        index: usize,
        short: &str,
        progress: &Progress,
    ) -> Result<u64, Error> {
        let diff_id = incoming.config.rootfs.diff_ids[index].clone();
        let layer = &incoming.resolved.single.manifest.layers[index];
        let flight = Arc::new(self.flights.board(&diff_id).await);
        if self.layers.contains(&diff_id)
            && let Some(size) = self.catalogue().layer_size(&diff_id)
        {
            progress.milestone(short, "Already exists").await;
            return Ok(size);
        }
        // A layer that comes uncompressed is named alike in both ways, and is boarded already.
        let blob_flight = match layer.digest == diff_id {
            true => None,
            false => Some(self.flights.board(&layer.digest).await),
        };
        let download = incoming.downloads.acquire().await;
        let meter = progress.meter(short, "Downloading", layer.size);
        let show = |bytes| meter.at(bytes);
        let extracting = progress.meter(short, "Extracting", layer.size);
        let mut early = None;
        let follow = |blob| early = self.unpack_early(incoming, blob, &diff_id, &flight, &extracting);
        let (content, repository) = (&self.content, &incoming.repository);
        repository.fetch_blob_followed(content, &layer.digest, layer.size, &show, follow).await?;
        drop((download, blob_flight));
        progress.milestone(short, "Verifying Checksum").await;
        progress.milestone(short, "Download complete").await;
        extracting.unmute();
        let early = match early {
            Some(early) => early.await.ok().and_then(Result::ok),
            None => None,
        };
        let size = match early {
            Some(size) => size,
            // Also what failed: the blob may have begun anew meanwhile, and now it is known to be the right one.
            None => {
                let _permit = incoming.unpacking.acquire().await;
                let (images, blob) = (self.clone(), layer.digest.clone());
                let unpacking = blocking(move || {
                    // Kept to the end of the work, which goes on when nobody waits for it any more.
                    let _flight = flight;
                    images.unpack(images.content.get(&blob)?, &diff_id, extracting)
                });
                unpacking.await?
            }
        };
        progress.milestone(short, "Pull complete").await;
        Ok(size)
    }

    /// Begins to unpack a layer that is still coming in, if there is a place for one more. It goes on when nobody waits
    /// for it any more, as far as the blob goes.
    fn unpack_early(
        self: &Arc<Self>,
        incoming: &Incoming,
        blob: Follower,
        diff_id: &Digest,
        flight: &Arc<OwnedMutexGuard<()>>,
        meter: &Meter,
    ) -> Option<JoinHandle<Result<u64, Error>>> {
        let places = (
            self.following.clone().try_acquire_owned().ok()?,
            incoming.unpacking.clone().try_acquire_owned().ok()?,
            flight.clone(),
        );
        meter.mute();
        let (images, diff_id, meter) = (self.clone(), diff_id.clone(), meter.clone());
        Some(tasks::blocking(move || {
            let _places = places;
            images.unpack(blob, &diff_id, meter)
        }))
    }

    fn unpack(&self, blob: impl Read + Send + 'static, diff_id: &Digest, meter: Meter) -> Result<u64, Error> {
        let packed = Metered { inner: blob, meter, read: 0 };
        let tar = layers::decompress_ahead(packed).map_err(|source| Error::ReadLayer { source })?;
        Ok(self.layers.apply(tar, Some(diff_id))?.tar_size)
    }
}

/// What a pull brings: whole blobs and layers that nothing needs go again unless it came to its end, also when nobody
/// waits for it any more. Parts stay, for the next attempt. Until then they are held, also those that were here already:
/// another pull that is given up, and an image that is removed, may be all that needs them.
struct Brought {
    images: Arc<Images>,
    blobs: Vec<Digest>,
    layers: Vec<Digest>,
    held: Vec<Pin>,
}

impl Brought {
    fn new(images: &Arc<Images>, resolved: &Resolved) -> Self {
        let single = &resolved.single;
        let layers = single.manifest.layers.iter().map(|layer| &layer.digest);
        let blobs: Vec<_> = layers.chain([&single.manifest.config.digest, &single.digest]).cloned().collect();
        let held = blobs.iter().map(|blob| images.pins.pin(blob)).collect();
        Self { images: images.clone(), blobs, layers: Vec::new(), held }
    }

    fn hold_layers(&mut self, layers: &[Digest]) {
        self.layers = layers.to_vec();
        self.held.extend(layers.iter().map(|layer| self.images.pins.pin(layer)));
    }

    /// They are an image's now.
    fn keep(mut self) {
        self.blobs.clear();
        self.layers.clear();
    }

    fn forget(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let (blobs, layers) = (std::mem::take(&mut self.blobs), std::mem::take(&mut self.layers));
        self.held.clear();
        forget(self.images.clone(), blobs, layers)
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        if let Some(runtime) = tokio::runtime::Handle::try_current().ok().filter(|_| !self.blobs.is_empty()) {
            runtime.spawn(self.forget());
        }
    }
}

async fn forget(images: Arc<Images>, blobs: Vec<Digest>, mut layers: Vec<Digest>) {
    let mut flights = Vec::new();
    // Each once and in order, so that two who forget never wait for each other.
    layers.sort_unstable();
    layers.dedup();
    // Unpacking goes on when nobody waits for it: what it makes goes too.
    for layer in &layers {
        flights.push(images.flights.board(layer).await);
    }
    let forgotten = blocking(move || {
        let _changing = images.changing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        images.release_blobs(blobs.iter())?;
        images.release_layers(&layers).map(drop)
    });
    if let Err(error) = forgotten.await {
        tracing::warn!(error = diag::chain(&error), "what a failed pull left stays until the next start");
    }
}

/// Helm charts, signatures and the like come in manifests too.
fn check_kinds(name: &str, manifest: &Manifest) -> Result<(), Error> {
    let refuse = |kind: &str| {
        let kind = format!("of type {}", diag::printable(kind));
        Err(Error::NotAnImage { image: name.to_owned(), kind })
    };
    let config = manifest.config.media_type.as_str();
    if !matches!(config, media_type::OCI_CONFIG | media_type::DOCKER_CONFIG | "application/octet-stream" | "")
    {
        return refuse(config);
    }
    let layers = manifest.layers.iter().map(|layer| layer.media_type.as_str());
    // Layers that lie elsewhere are Windows'; encrypted ones need a key.
    let mut foreign = layers
        .filter(|kind| ["foreign", "nondistributable", "+encrypted"].iter().any(|word| kind.contains(word)));
    foreign.next().map_or(Ok(()), refuse)
}
