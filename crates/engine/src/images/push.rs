//! Pushing: a registry is given what it lacks of an image, and then the manifest under the tag.
//!
//! Each layer goes the cheapest way: it is there; another repository of the same registry has it; it is sent, as it was
//! received or, where it exists only uncompressed, packed for the way.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use content::Blob;
use distribution::{Access, Client, Credentials, Repository, Wanted};
use oci::image::{Descriptor, media_type};
use oci::{Digest, Reference};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::layer::Packing;
use super::progress::Progress;
use super::{Image, Images, Tag, Written, blocking, manifest};
use crate::Error;

/// How many other repositories are asked for a layer before it is sent.
const MAX_MOUNTS: usize = 3;

/// What to push and how.
pub struct Push {
    pub client: Client,
    /// With its tag; without, all tags of the repository.
    pub reference: Reference,
    /// One platform of an image that has several here.
    pub wanted: Option<Wanted>,
    pub credentials: Option<Credentials>,
    /// Layers under way at once.
    pub uploads: u32,
}

/// A push under way.
struct Outgoing {
    reference: Reference,
    repository: Repository,
    uploads: Semaphore,
    /// Layers that the registry is known to have by now: tags and platforms share them.
    given: tokio::sync::Mutex<BTreeSet<Digest>>,
}

impl Outgoing {
    async fn open(push: &Push) -> Result<Arc<Self>, Error> {
        let reference = push.reference.clone();
        let opened = push.client.repository(&reference, Access::Push, push.credentials.as_ref());
        let (repository, uploads) = (opened.await?, Semaphore::new(push.uploads.max(1) as usize));
        Ok(Arc::new(Self { reference, repository, uploads, given: tokio::sync::Mutex::default() }))
    }
}

impl Images {
    /// What has to be refused before anything is said: a platform that the image doesn't have.
    pub fn check_push(&self, push: &Push) -> Result<(), Error> {
        let name = push.reference.familiar();
        match (&push.wanted, push.reference.tag()) {
            (Some(wanted), Some(_)) => self.get_on(&name, Some(wanted)).map(drop),
            _ => Ok(()),
        }
    }

    /// Pushes one tag, or all of a repository. What the last of them is called by its digest.
    pub async fn push(self: &Arc<Self>, push: &Push, progress: &Progress) -> Result<Option<Digest>, Error> {
        let reference = &push.reference;
        progress.say("", format!("The push refers to repository [{}]", reference.repository())).await;
        if reference.digest().is_some() {
            return Err(Error::PushDigest);
        }
        let tags = self.tags_of(reference);
        if tags.is_empty() {
            return Err(self.nothing_to_push(reference));
        }
        let outgoing = Outgoing::open(push).await?;
        let mut last = None;
        for tag in tags {
            last = Some(self.push_tag(&outgoing, &tag, push.wanted.as_ref(), progress).await?);
        }
        self.emit("push", &push.reference.familiar(), &push.reference.familiar_name());
        Ok(last)
    }

    /// Pushes what was built without a tag: in the repository its digest is its name.
    pub(crate) async fn push_by_digest(
        self: &Arc<Self>,
        push: &Push,
        ids: &[Digest],
        written: Option<Written>,
        progress: &Progress,
    ) -> Result<Digest, Error> {
        let Some((image, others)) = ids.split_first() else {
            return Err(self.nothing_to_push(&push.reference));
        };
        let tag = Tag {
            name: push.reference.with_digest(image.clone()).familiar(),
            image: image.clone(),
            others: others.to_vec(),
            at: std::time::SystemTime::now(),
            written: written.map(Box::new),
        };
        let pushed = self.push_tag(&Outgoing::open(push).await?, &tag, None, progress).await?;
        self.emit("push", &push.reference.familiar(), &push.reference.familiar_name());
        Ok(pushed)
    }

    /// The tag that is meant, or all of the repository.
    fn tags_of(&self, reference: &Reference) -> Vec<Tag> {
        let catalogue = self.catalogue();
        if reference.tag().is_some() {
            return catalogue.tags.get(&reference.familiar()).cloned().into_iter().collect();
        }
        let start = format!("{}:", reference.familiar_name());
        let ours = |tag: &&Tag| !tag.is_digest() && tag.name.starts_with(&start);
        catalogue.tags.values().filter(ours).cloned().collect()
    }

    fn nothing_to_push(&self, reference: &Reference) -> Error {
        let repository = reference.repository();
        let catalogue = self.catalogue();
        let mut names = catalogue.tags.keys().filter_map(|name| Reference::parse(name).ok());
        match names.any(|name| name.repository() == repository) {
            true => Error::NoSuchTag(reference.familiar()),
            false => Error::NothingToPush(reference.familiar_name()),
        }
    }

    async fn push_tag(
        self: &Arc<Self>,
        outgoing: &Arc<Outgoing>,
        tag: &Tag,
        wanted: Option<&Wanted>,
        progress: &Progress,
    ) -> Result<Digest, Error> {
        let found = self.catalogue().named(tag);
        let found = found.ok_or_else(|| Error::NoSuchImage(tag.name.clone()))?;
        // Under a digest goes what has that one: nothing else is said to the registry.
        let tagged = Some(tag.name.rsplit(':').next().unwrap_or_default()).filter(|_| !tag.is_digest());
        let short = tagged.unwrap_or("digest");
        let images = match wanted {
            Some(_) => vec![found.on(&tag.name, wanted)?],
            None => found.all,
        };
        let written = tag.written.as_deref().filter(|_| wanted.is_none());
        let mut pushed = Vec::new();
        for image in &images {
            let name = tagged.filter(|_| images.len() == 1 && written.is_none());
            pushed.push(self.push_image(outgoing, image, name, progress).await?);
        }
        let (digest, size) = match (written, &pushed[..]) {
            (Some(written), _) => self.push_written(outgoing, written, tagged).await?,
            (None, [single]) => (single.digest.clone(), single.size),
            (None, several) => {
                let bytes = Bytes::from(manifest::index(several.to_vec())?);
                let digest = Digest::sha256(&bytes);
                let name = tagged.unwrap_or(digest.as_str());
                outgoing.repository.put_manifest(name, media_type::OCI_INDEX, &bytes).await?;
                (digest, bytes.len() as u64)
            }
        };
        let named = outgoing.reference.with_digest(digest.clone()).familiar();
        let this = self.clone();
        let ids: Vec<Digest> = images.iter().map(|image| image.id.clone()).collect();
        blocking(move || this.name(ids, &named)).await?;
        progress.say("", format!("{short}: digest: {digest} size: {size}")).await;
        progress.pushed(short, digest.as_str(), size).await;
        Ok(digest)
    }

    /// Pushes what isn't an image of those that are there by now: what is said about them, and the index of all.
    async fn push_written(
        self: &Arc<Self>,
        outgoing: &Outgoing,
        written: &Written,
        tag: Option<&str>,
    ) -> Result<(Digest, u64), Error> {
        let repository = &outgoing.repository;
        let read = |digest: &Digest, size: u64| {
            let (this, digest) = (self.clone(), digest.clone());
            blocking(move || Ok(Bytes::from(this.content.read(&digest, size)?)))
        };
        for attestation in &written.attestations {
            for part in &attestation.layers {
                if !repository.has_blob(&part.digest).await? {
                    repository.send_blob(&self.content, &part.digest, &|_| {}).await?;
                }
            }
            let bytes = read(&attestation.digest, attestation.size).await?;
            repository.put_manifest(attestation.digest.as_str(), &attestation.media_type, &bytes).await?;
        }
        let Descriptor { digest, size, media_type, .. } = &written.index;
        let bytes = read(digest, *size).await?;
        repository.put_manifest(tag.unwrap_or(digest.as_str()), media_type, &bytes).await?;
        Ok((digest.clone(), *size))
    }

    /// Pushes an image's layers, config and manifest, the last under `tag` or under its digest.
    async fn push_image(
        self: &Arc<Self>,
        outgoing: &Arc<Outgoing>,
        image: &Arc<Image>,
        tag: Option<&str>,
        progress: &Progress,
    ) -> Result<Descriptor, Error> {
        let layers = self.push_layers(outgoing, image, progress).await?;
        let (this, id) = (self.clone(), image.id.clone());
        let found = blocking(move || Ok(this.content.find(&id)?)).await?;
        let config: Blob = found.ok_or_else(|| Error::NoSuchImage(image.id.to_string()))?;
        if !outgoing.repository.has_blob(&config.digest).await? {
            outgoing.repository.send_blob(&self.content, &config.digest, &|_| {}).await?;
        }
        let (kind, bytes) = self.manifest_of(image, &config, layers).await?;
        let digest = Digest::sha256(&bytes);
        outgoing.repository.put_manifest(tag.unwrap_or(digest.as_str()), &kind, &bytes).await?;
        Ok(Descriptor {
            media_type: kind,
            digest,
            size: bytes.len() as u64,
            platform: Some(image.config.platform.clone()),
            annotations: Default::default(),
        })
    }

    /// The manifest that the image came with, if its layers went as that one says.
    async fn manifest_of(
        self: &Arc<Self>,
        image: &Image,
        config: &Blob,
        layers: Vec<Descriptor>,
    ) -> Result<(String, Bytes), Error> {
        if let Some(source) = image.manifest.as_ref().filter(|source| source.layers == layers) {
            let (content, digest, size) = (self.content.clone(), source.digest.clone(), source.size);
            let bytes = blocking(move || Ok(content.read(&digest, size)?)).await?;
            return Ok((source.media_type.clone(), bytes.into()));
        }
        let (kind, bytes) = manifest::to_push(config, layers)?;
        Ok((kind, bytes.into()))
    }

    /// All layers at once, as many as are allowed; what they are called in a manifest, lowest first.
    async fn push_layers(
        self: &Arc<Self>,
        outgoing: &Arc<Outgoing>,
        image: &Arc<Image>,
        progress: &Progress,
    ) -> Result<Vec<Descriptor>, Error> {
        let count = image.config.rootfs.diff_ids.len();
        for index in (0..count).rev() {
            progress.milestone(image.diff_id(index).short(), "Preparing").await;
        }
        for index in (0..count.saturating_sub(outgoing.uploads.available_permits())).rev() {
            progress.milestone(image.diff_id(index).short(), "Waiting").await;
        }
        let mut tasks = JoinSet::new();
        for index in (0..count).rev() {
            let (this, outgoing) = (self.clone(), outgoing.clone());
            let (image, progress) = (image.clone(), progress.clone());
            tasks.spawn(async move { (index, this.push_layer(&outgoing, &image, index, &progress).await) });
        }
        let mut layers = vec![None; count];
        while let Some(joined) = tasks.join_next().await {
            let (index, pushed) = joined.map_err(|error| Error::System {
                doing: "push a layer",
                source: io::Error::other(error.to_string()),
            })?;
            // The others end with the set.
            layers[index] = Some(pushed?);
        }
        Ok(layers.into_iter().flatten().collect())
    }

    async fn push_layer(
        self: &Arc<Self>,
        outgoing: &Outgoing,
        image: &Arc<Image>,
        index: usize,
        progress: &Progress,
    ) -> Result<Descriptor, Error> {
        let diff_id = image.diff_id(index);
        let short = diff_id.short();
        // An image may have a layer twice, and two pushes the same layer: one of them sends it.
        let _flight = self.flights.board(diff_id).await;
        let _permit = outgoing.uploads.acquire().await;
        let (this, known) = (self.clone(), image.clone());
        let known = blocking(move || this.known_blob(&known, index)).await?;
        if let Some(layer) = known {
            if outgoing.given.lock().await.contains(&layer.digest)
                || outgoing.repository.has_blob(&layer.digest).await?
            {
                progress.milestone(short, "Layer already exists").await;
                return Ok(layer);
            }
            if let Some(from) = self.mount(outgoing, diff_id, &layer.digest).await {
                progress.milestone(short, &format!("Mounted from {from}")).await;
                outgoing.given.lock().await.insert(layer.digest.clone());
                return Ok(layer);
            }
        }
        if let Some(layer) = self.send_packing(outgoing, image, index, progress).await? {
            progress.milestone(short, "Pushed").await;
            outgoing.given.lock().await.insert(layer.digest.clone());
            return Ok(layer);
        }
        let (this, packing) = (self.clone(), image.clone());
        let (layer, _lent) = blocking(move || this.pack(&packing, index)).await?;
        let meter = progress.meter(short, "Pushing", layer.size);
        let show = |bytes| meter.at(bytes);
        // Only now is it known what a layer is called that was never packed.
        let outcome = match outgoing.repository.has_blob(&layer.digest).await? {
            true => "Layer already exists",
            false => {
                outgoing.repository.send_blob(&self.content, &layer.digest, &show).await?;
                "Pushed"
            }
        };
        progress.milestone(short, outcome).await;
        outgoing.given.lock().await.insert(layer.digest.clone());
        Ok(layer)
    }

    /// Sends a layer that has to be packed while it is packed, where the registry takes it so.
    async fn send_packing(
        self: &Arc<Self>,
        outgoing: &Outgoing,
        image: &Arc<Image>,
        index: usize,
        progress: &Progress,
    ) -> Result<Option<Descriptor>, Error> {
        let (this, asked) = (self.clone(), image.clone());
        if blocking(move || this.is_packed(&asked, index)).await? {
            return Ok(None);
        }
        let meter = progress.meter(image.diff_id(index).short(), "Pushing", image.layer_sizes[index]);
        let show = |bytes| meter.at(bytes);
        let packing = Arc::new(Packing::new(self.clone(), image.clone(), index));
        let Some(blob) = outgoing.repository.send_made(packing, &show).await? else { return Ok(None) };
        let (this, diff_id) = (self.clone(), image.diff_id(index).clone());
        blocking(move || this.remember_packed(&diff_id, &blob)).await.map(Some)
    }

    /// The repository of the same registry that the layer was taken over from.
    async fn mount(&self, outgoing: &Outgoing, diff_id: &Digest, blob: &Digest) -> Option<String> {
        for path in self.repositories_with(diff_id, &outgoing.reference) {
            match outgoing.repository.mount_blob(blob, &path).await {
                Ok(true) => return Some(path),
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(error = diag::chain(&error), path, "a layer can't be mounted from there");
                }
            }
        }
        None
    }

    /// Where else in this registry an image with the layer is known to be.
    fn repositories_with(&self, diff_id: &Digest, target: &Reference) -> Vec<String> {
        let catalogue = self.catalogue();
        let digests = catalogue.tags.values().filter(|tag| tag.is_digest());
        let with_layer = digests.filter(|tag| {
            let mut images = tag.images().filter_map(|id| catalogue.images.get(id));
            images.any(|image| image.config.rootfs.diff_ids.contains(diff_id))
        });
        let references = with_layer.filter_map(|tag| Reference::parse(&tag.name).ok());
        let mut paths: Vec<String> = references
            .filter(|known| known.domain() == target.domain() && known.path() != target.path())
            .map(|known| known.path().to_owned())
            .collect();
        paths.dedup();
        paths.truncate(MAX_MOUNTS);
        paths
    }
}
