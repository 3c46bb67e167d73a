//! Repositories that are other registries' and are kept here: fetched when they are asked for, checked, served again.
//!
//! What a tag means is believed for a while and then asked again; where the other registry can't be reached, what is here
//! is served for as long as it takes. Bytes never change, and are fetched once. Nobody pushes to such a repository.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use diag::{Class, Explain as _};
use distribution::{Access, Client, Credentials, Secret};
use oci::{Digest, Reference};

use crate::cache::Stored;
use crate::config;
use crate::error::{Error, Problem};
use crate::metrics::Metrics;
use crate::repository::Repositories;
use crate::route::{Name, Tag, Target};
use crate::storage::{Hold, Key};

/// How long another registry may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Blobs that were evicted stay on the disk for who reads them just now.
const EVICTION_GRACE: Duration = Duration::from_secs(60);

/// All the registries that are kept here.
pub(crate) struct Upstreams {
    list: Vec<Arc<Upstream>>,
    repositories: Repositories,
    metrics: Arc<Metrics>,
    /// One fetch for all who want the same.
    fetching: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

/// One of them.
pub(crate) struct Upstream {
    prefix: String,
    authority: String,
    client: Client,
    credentials: Option<Credentials>,
    fresh: Duration,
    limit: Option<u64>,
}

/// A repository here that is one of theirs.
pub(crate) struct Kept {
    upstream: Arc<Upstream>,
    /// What it is called here.
    pub(crate) name: Name,
    /// What it is called there.
    path: String,
}

/// What was found, and whether that may be old.
pub(crate) struct Found {
    pub(crate) stored: Stored,
    pub(crate) stale: bool,
}

impl Upstreams {
    pub(crate) fn new(
        list: Vec<config::Upstream>,
        repositories: &Repositories,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let upstream = |one: config::Upstream| {
            let rest = one.url.split_once("://").map_or(one.url.as_str(), |(_, rest)| rest);
            let authority = rest.split('/').next().unwrap_or_default();
            // With a port it is a registry's name whatever it looks like.
            let port = if one.url.starts_with("http://") { 80 } else { 443 };
            let authority =
                if authority.contains(':') { authority.to_owned() } else { format!("{authority}:{port}") };
            let credentials = one
                .credentials
                .map(|(name, password)| Credentials::Password { name, password: Secret::new(password.0) });
            let client = crate::outgoing::client(&one.url, PATIENCE);
            Arc::new(Upstream {
                prefix: one.prefix,
                authority,
                client,
                credentials,
                fresh: one.fresh,
                limit: one.limit,
            })
        };
        let mut list: Vec<Arc<Upstream>> = list.into_iter().map(upstream).collect();
        // The longest prefix that fits is meant.
        list.sort_by_key(|upstream| std::cmp::Reverse(upstream.prefix.len()));
        Self {
            list,
            repositories: repositories.clone(),
            metrics: metrics.clone(),
            fetching: Mutex::default(),
        }
    }

    /// Whether this repository is another registry's.
    pub(crate) fn find(&self, name: &Name) -> Option<Kept> {
        self.list.iter().find_map(|upstream| {
            let path = match upstream.prefix.as_str() {
                "" => name.as_str(),
                prefix => name.as_str().strip_prefix(prefix)?.strip_prefix('/')?,
            };
            Some(Kept { upstream: upstream.clone(), name: name.clone(), path: path.to_owned() })
        })
    }

    /// What a client means by a repository of that host, as `?ns=` says.
    pub(crate) fn of_host(&self, host: &str, name: &Name) -> Option<Name> {
        let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let known = |upstream: &&Arc<Upstream>| {
            upstream.authority == host
                || upstream.authority.rsplit_once(':').is_some_and(|(name, _)| name == host)
        };
        let upstream = self.list.iter().find(known)?;
        match upstream.prefix.as_str() {
            "" => Some(name.clone()),
            prefix => Name::parse(&format!("{prefix}/{name}")).ok(),
        }
    }

    /// A manifest: from here while it is fresh, from there otherwise, from here again where there is nobody.
    pub(crate) async fn manifest(&self, kept: &Kept, target: &Target) -> Result<Option<Found>, Problem> {
        let here = self.here(kept, target).await?;
        if let Some((stored, fresh)) = here {
            if fresh {
                self.metrics.cached.fetch_add(1, Relaxed);
                return Ok(Some(Found { stored, stale: false }));
            }
            return match self.ask(kept, target, Some(&stored)).await {
                Ok(found) => Ok(found.map(|stored| Found { stored, stale: false })),
                Err(error) if is_absence(&error) => Ok(None),
                Err(error) => {
                    tracing::warn!(error = diag::chain(&error), repository = %kept.name, "what is here is served");
                    Ok(Some(Found { stored, stale: true }))
                }
            };
        }
        match self.ask(kept, target, None).await {
            Ok(found) => Ok(found.map(|stored| Found { stored, stale: false })),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(away(&error)),
        }
    }

    async fn here(&self, kept: &Kept, target: &Target) -> Result<Option<(Stored, bool)>, Problem> {
        let (repositories, name, target) = (self.repositories.clone(), kept.name.clone(), target.clone());
        let fresh = kept.upstream.fresh;
        crate::serve::blocking(move || {
            let Some(digest) = repositories.digest(&name, &target)? else { return Ok(None) };
            let Some(stored) = repositories.manifest(&name, &digest)? else { return Ok(None) };
            let age = match &target {
                Target::Digest(_) => return Ok(Some((stored, true))),
                Target::Tag(tag) => repositories.storage.stamp(&Key::tag(&name, tag))?,
            };
            let age = age.and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default();
            Ok(Some((stored, age < fresh)))
        })
        .await
    }

    /// Asks there, and keeps the answer.
    async fn ask(
        &self,
        kept: &Kept,
        target: &Target,
        known: Option<&Stored>,
    ) -> Result<Option<Stored>, distribution::Error> {
        let reference = kept.reference(target)?;
        let repository = kept.open(&reference).await?;
        if let (Some(known), Target::Tag(tag)) = (known, target)
            && repository.current(&reference).await?.as_ref() == Some(&known.digest)
        {
            self.keep(kept, known.clone(), Some(tag.clone())).await;
            return Ok(Some(known.clone()));
        }
        self.metrics.fetched.fetch_add(1, Relaxed);
        let document = repository.manifest(&reference).await?;
        let stored =
            Stored { digest: document.digest, media_type: document.media_type, bytes: document.bytes };
        let tag = if let Target::Tag(tag) = target { Some(tag.clone()) } else { None };
        self.keep(kept, stored.clone(), tag).await;
        Ok(Some(stored))
    }

    /// What can't be kept is served all the same.
    async fn keep(&self, kept: &Kept, stored: Stored, tag: Option<Tag>) {
        let (repositories, name) = (self.repositories.clone(), kept.name.clone());
        let done = crate::serve::blocking(move || Ok(repositories.keep(&name, &stored, tag.as_ref())?)).await;
        if let Err(problem) = done {
            tracing::warn!(problem = problem.message, repository = %kept.name, "a manifest can't be kept");
        }
    }

    /// Makes a blob of theirs ours; false if they haven't got it.
    pub(crate) async fn fetch(&self, kept: &Kept, digest: &Digest) -> Result<bool, Problem> {
        let lock = self.lock(digest);
        let _one = lock.lock().await;
        let (storage, name, wanted) = (self.repositories.storage.clone(), kept.name.clone(), digest.clone());
        if crate::serve::blocking(move || Ok(storage.size(&name, &wanted)?)).await?.is_some() {
            return Ok(true);
        }
        self.metrics.fetched.fetch_add(1, Relaxed);
        match self.transfer(kept, digest).await {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            Err(error) if is_absence(&error) => return Ok(false),
            Err(error) => return Err(away(&error)),
        }
        let (storage, name, wanted) = (self.repositories.storage.clone(), kept.name.clone(), digest.clone());
        let (prefix, limit) = (kept.upstream.prefix.clone(), kept.upstream.limit);
        let repositories = self.repositories.clone();
        crate::serve::blocking(move || {
            let linked = {
                let _hold = storage.hold(Hold::Shared)?;
                storage.link(&name, &wanted)?
            };
            if let Some(limit) = limit {
                repositories.shrink(&prefix, limit, &wanted)?;
            }
            Ok(linked)
        })
        .await
    }

    async fn transfer(&self, kept: &Kept, digest: &Digest) -> Result<bool, distribution::Error> {
        let reference = kept.reference(&Target::Digest(digest.clone()))?;
        let repository = kept.open(&reference).await?;
        let Some(size) = repository.blob_size(digest).await? else { return Ok(false) };
        repository.fetch_blob(self.repositories.storage.shared(), digest, size, &|_| {}).await?;
        Ok(true)
    }

    fn lock(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = fetching.get(digest).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        fetching.insert(digest.clone(), Arc::downgrade(&lock));
        lock
    }

    /// Their tags; none where they can't be asked.
    pub(crate) async fn tags(&self, kept: &Kept) -> Option<Vec<Tag>> {
        let reference = Reference::parse(&format!("{}/{}", kept.upstream.authority, kept.path)).ok()?;
        let tags = kept.upstream.client.tags(&reference, kept.upstream.credentials.as_ref()).await;
        let mut tags: Vec<Tag> = tags.ok()?.iter().filter_map(|tag| Tag::parse(tag).ok()).collect();
        tags.sort_unstable();
        Some(tags)
    }
}

impl Kept {
    fn reference(&self, target: &Target) -> Result<Reference, distribution::Error> {
        let separator = if matches!(target, Target::Tag(_)) { ":" } else { "@" };
        let text = format!("{}/{}{separator}{target}", self.upstream.authority, self.path);
        Reference::parse(&text)
            .map_err(|_| distribution::Error::Address { what: "a repository's name", value: text })
    }

    async fn open(&self, reference: &Reference) -> Result<distribution::Repository, distribution::Error> {
        self.upstream.client.repository(reference, Access::Pull, self.upstream.credentials.as_ref()).await
    }
}

/// Whether the other registry answered that there is no such thing.
fn is_absence(error: &distribution::Error) -> bool {
    error.class() == Class::NotFound || matches!(error, distribution::Error::Status { status: 404, .. })
}

fn away(error: &distribution::Error) -> Problem {
    tracing::warn!(error = diag::chain(error), "another registry does not help");
    match error {
        distribution::Error::Status { status: 429, retry_after, .. } => {
            let problem = Problem::new(
                http::StatusCode::TOO_MANY_REQUESTS,
                "TOOMANYREQUESTS",
                "the registry behind this cache limits requests",
            );
            problem.header("retry-after", retry_after.map_or(60, |time| time.as_secs()).to_string())
        }
        _ => Problem::new(
            http::StatusCode::BAD_GATEWAY,
            "UNKNOWN",
            "the registry behind this cache does not answer",
        ),
    }
}

impl Repositories {
    /// Keeps a manifest as it came, whatever of what it names is here.
    fn keep(&self, name: &Name, stored: &Stored, tag: Option<&Tag>) -> Result<(), Error> {
        let _hold = self.storage.hold(Hold::Shared)?;
        if !self.has(name, &stored.digest)? {
            let document = [stored.media_type.as_bytes(), b"\n", &stored.bytes].concat();
            self.storage.write(&Key::manifest(name, &stored.digest), &document)?;
        }
        match tag {
            Some(tag) => self.storage.write(&Key::tag(name, tag), stored.digest.as_str().as_bytes()),
            None => Ok(()),
        }
    }

    /// Takes away what was used longest ago until the repositories below a prefix fit. The newest stays in any case.
    fn shrink(&self, prefix: &str, limit: u64, newest: &Digest) -> Result<(), Error> {
        let ours = |name: &Name| prefix.is_empty() || name.as_str().starts_with(&format!("{prefix}/"));
        let mut blobs = Vec::new();
        for name in self.storage.names()?.into_iter().filter(ours) {
            let all = self.storage.blobs(&name)?.into_iter();
            blobs.extend(all.map(|(digest, size, used)| (used, size, digest, name.clone())));
        }
        let mut total: u64 = blobs.iter().map(|(_, size, _, _)| size).sum();
        blobs.sort_unstable();
        for (_, size, digest, name) in blobs {
            if total <= limit {
                break;
            }
            if digest != *newest && self.storage.unlink(&name, &digest)? {
                total -= size;
            }
        }
        self.storage.collect(EVICTION_GRACE, true)?;
        Ok(())
    }
}
