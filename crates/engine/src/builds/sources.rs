//! Where steps get what they don't make: images, clients' directories, files from the web, git repositories.

mod git;
mod http;
mod layout;
mod lent;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use build::Error;
use build::frontend::{Known, ResolvedImage};
use build::graph::{Image as ImageSource, LENT, OciLayout, Pull as When, Source, Vertex};
use build::progress::{Event, Progress, Status};
use build::session::Session;
use build::solver::Looked;
use distribution::Kept;
use oci::image::Platform;
use oci::{Digest, Reference};

use self::lent::Lent;
use super::error::{blocking, engine, work};
use super::tree::{Layer, Layers, Tree};
use super::worker::Works;
use super::{Parts, clients};
use crate::images::progress::{Bar, Progress as Pulling};
use crate::images::{Credentials, Image, Pull, Wanted};

/// One build's way to sources.
#[derive(Clone)]
pub(super) struct Sources {
    parts: Arc<Parts>,
    session: Arc<dyn Session>,
    progress: Progress,
    /// Which commits repositories' references were found to mean.
    commits: Arc<std::sync::Mutex<BTreeMap<String, String>>>,
}

impl Sources {
    pub(super) fn new(parts: Arc<Parts>, session: Arc<dyn Session>, progress: Progress) -> Self {
        Self { parts, session, progress, commits: Arc::default() }
    }

    /// The same for a step that was lent by these sessions.
    pub(super) fn lent_by(&self, lenders: &[String]) -> Self {
        Self { session: clients::of(&self.session, lenders), ..self.clone() }
    }

    pub(super) fn session(&self) -> &Arc<dyn Session> {
        &self.session
    }

    /// The session that a source names, if it is there: what several of a client's builds share, each of them has, too. But
    /// what was lent is to be had from its lender alone.
    fn session_named(&self, id: &str) -> Result<Arc<dyn Session>, Error> {
        let lent = id.strip_prefix(LENT);
        let name = lent.unwrap_or(id);
        if name.is_empty() || name == self.session.id() {
            return Ok(self.session.clone());
        }
        let gone =
            || Error::NotFound("the client whose directory is in another build's result has left".into());
        match (self.session.named(name), lent) {
            (Some(named), _) => Ok(named),
            (None, None) => Ok(self.session.clone()),
            (None, Some(_)) => Err(gone()),
        }
    }

    pub(super) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    pub(super) async fn look(
        &self,
        works: &Works,
        source: &Source,
        vertex: &Vertex,
    ) -> Result<Looked<Tree>, Error> {
        match source {
            Source::Local(local) => {
                let session = self.session_named(&local.session)?;
                let meter =
                    Meter::new(&self.progress, vertex.digest(), &format!("transferring {}:", local.name));
                let told = meter.clone();
                let told = Arc::new(move |bytes| told.add(bytes));
                let folder = self.parts.contexts.receive(local, &session, told).await?;
                meter.end();
                Ok(Looked::Hit(vec![Tree::Folder(folder)]))
            }
            Source::Image(image) => {
                let tree = self.image(image, vertex.platform.as_ref(), vertex.digest()).await?;
                Ok(Looked::Hit(vec![tree]))
            }
            Source::Http(http) => self.look_http(works, http, vertex).await,
            Source::Git(git) => self.look_git(works, git, vertex).await,
            Source::OciLayout(layout) => {
                Ok(Looked::Hit(vec![self.bring_layout(layout, vertex.platform.as_ref()).await?]))
            }
        }
    }

    pub(super) async fn run(
        &self,
        works: &Works,
        source: &Source,
        name: &str,
        remember: impl FnOnce(&[Tree]) -> Result<(), Error> + Send + 'static,
    ) -> Result<Vec<Tree>, Error> {
        match source {
            Source::Git(git) => self.run_git(works, git, name, remember).await,
            _ => Err(Error::Invalid("a source that was there was fetched".into())),
        }
    }

    // ── images ──

    /// An image's layers, pulled if they have to be.
    async fn image(
        &self,
        source: &ImageSource,
        platform: Option<&Platform>,
        vertex: &Digest,
    ) -> Result<Tree, Error> {
        let wanted = wanted(platform);
        let found = self.local(&source.reference, &wanted)?;
        let image = match found {
            Some(image) if source.pull != When::Always || is_pinned(&source.reference) => image,
            _ if source.pull == When::Never => {
                return Err(Error::NotFound(format!("{}: not found", source.reference)));
            }
            _ => self.pull(&source.reference, &wanted, vertex).await?,
        };
        let held = self.parts.shared.images.hold_layers(&image);
        let (layers, kept) = held.ok_or_else(|| work("use an image", "it was removed meanwhile"))?;
        let layer = |(diff_id, size)| Layer { diff_id, size, made: None, by: String::new() };
        let list = layers.into_iter().map(layer).collect();
        Ok(Tree::Layers(Arc::new(Layers { list, kept: vec![kept] })))
    }

    /// An image that is here, for the platform.
    fn local(&self, reference: &str, wanted: &Wanted) -> Result<Option<Arc<Image>>, Error> {
        let found = self.parts.shared.images.catalogue().look_up(reference);
        let found = found.map_err(|e| engine(format!("look for {reference}"), e))?;
        let fits = |image: &&Arc<Image>| wanted.rank(&image.config.platform).is_some();
        Ok(found.and_then(|found| {
            found.all.iter().filter(fits).min_by_key(|image| wanted.rank(&image.config.platform)).cloned()
        }))
    }

    /// The client's credentials for a registry, which are asked for when the registry has said what it wants.
    pub(super) fn credentials_for(&self, reference: &Reference) -> Credentials {
        let host = match reference.domain() {
            // What BuildKit calls it.
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        Credentials::Kept(Kept(Arc::new(Lent { session: self.session.clone(), host: host.to_owned() })))
    }

    async fn pull(&self, reference: &str, wanted: &Wanted, vertex: &Digest) -> Result<Arc<Image>, Error> {
        let parsed = parse(reference)?;
        let pull = Pull {
            client: self.parts.registries(),
            reference: parsed.clone(),
            wanted: wanted.clone(),
            credentials: Some(self.credentials_for(&parsed)),
            downloads: self.parts.shared.live.load().max_concurrent_downloads,
        };
        let (pulling, mut updates) = Pulling::channel();
        let (progress, vertex) = (self.progress.clone(), vertex.clone());
        let telling = tasks::spawn(async move {
            let mut meters: BTreeMap<String, Meter> = BTreeMap::new();
            while let Some(update) = updates.recv().await {
                if let Bar::Bytes { current, total } = update.bar {
                    let meter = meters.entry(update.id.clone());
                    meter.or_insert_with(|| Meter::new(&progress, &vertex, &update.id)).at(current, total);
                }
            }
            meters.values().for_each(Meter::end);
        });
        let pulled = self.parts.shared.images.pull(&pull, &pulling).await;
        drop(pulling);
        let _ = telling.await;
        pulled.map_err(|e| engine(format!("pull {reference}"), e))?;
        let found = self.local(reference, wanted)?;
        found.ok_or_else(|| Error::NotFound(format!("{reference}: not found")))
    }

    /// What a repository or a file of the web is now.
    pub(super) async fn known(&self, source: &Source) -> Result<Known, Error> {
        match source {
            Source::Git(git) => self.known_git(git).await,
            Source::Http(http) => self.known_http(http).await,
            _ => Err(Error::Invalid("only images, repositories and files of the web can be resolved".into())),
        }
    }

    /// What an image is, without its layers.
    pub(super) async fn resolve(
        &self,
        reference: &str,
        platform: Option<&Platform>,
        pull: When,
    ) -> Result<ResolvedImage, Error> {
        if let Some(layout) = OciLayout::at(reference) {
            return self.resolve_layout(&layout, platform).await;
        }
        let wanted = wanted(platform);
        let local = self.local(reference, &wanted)?;
        if let Some(image) = local.filter(|_| pull != When::Always || is_pinned(reference)) {
            let images = self.parts.shared.images.clone();
            let parsed = parse(reference)?;
            let here = image.clone();
            let config = blocking(move || images.config_bytes(&here).map_err(|e| engine("read a config", e)));
            let config = config.await?;
            let known = self.parts.shared.images.catalogue().digests_of(&image.id);
            let same = |name: &&String| {
                Reference::parse(name).is_ok_and(|known| known.repository() == parsed.repository())
            };
            let digest = known.iter().find(same).and_then(|name| name.split_once('@'));
            let digest = digest.and_then(|(_, digest)| digest.parse::<Digest>().ok());
            let named = full(&parsed, digest.as_ref());
            return Ok(ResolvedImage {
                reference: named,
                digest: digest.unwrap_or(image.id.clone()),
                config,
            });
        }
        if pull == When::Never {
            return Err(Error::NotFound(format!("{reference}: not found")));
        }
        let parsed = parse(reference)?;
        let credentials = self.credentials_for(&parsed);
        let failed =
            |e: distribution::Error| engine(format!("resolve source metadata for {reference}"), e.into());
        let client = self.parts.registries();
        let (repository, resolved) =
            client.resolve(&parsed, &wanted, Some(&credentials)).await.map_err(failed)?;
        let config = repository.config(&resolved.single.manifest.config).await.map_err(failed)?;
        let digest = resolved.named.clone();
        Ok(ResolvedImage { reference: full(&parsed, Some(&digest)), digest, config: config.to_vec() })
    }
}

fn wanted(platform: Option<&Platform>) -> Wanted {
    platform.map_or_else(Wanted::host, Wanted::of)
}

fn parse(reference: &str) -> Result<Reference, Error> {
    let invalid = |e| Error::Invalid(format!("failed to parse image name {reference:?}: {e}"));
    Reference::parse(reference).map(Reference::or_latest).map_err(invalid)
}

fn is_pinned(reference: &str) -> bool {
    reference.contains('@')
}

/// The whole name, with its digest if there is one.
fn full(reference: &Reference, digest: Option<&Digest>) -> String {
    let tag = reference.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = digest.or(reference.digest()).map(|digest| format!("@{digest}")).unwrap_or_default();
    format!("{}{tag}{digest}", reference.repository())
}

/// Shows bytes, rarely enough.
#[derive(Clone)]
pub(super) struct Meter(Arc<std::sync::Mutex<Shown>>);

struct Shown {
    progress: Progress,
    status: Status,
    told: SystemTime,
}

/// A status is told no more often than this.
const INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

impl Meter {
    pub(super) fn new(progress: &Progress, vertex: &Digest, id: &str) -> Self {
        let now = SystemTime::now();
        let status = Status {
            vertex: vertex.clone(),
            id: id.to_owned(),
            name: String::new(),
            current: 0,
            total: 0,
            at: now,
            started: Some(now),
            completed: None,
        };
        progress.tell(Event::Status(status.clone()));
        Self(Arc::new(std::sync::Mutex::new(Shown { progress: progress.clone(), status, told: now })))
    }

    fn with(&self, change: impl FnOnce(&mut Status)) {
        let mut shown = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut shown.status);
        let now = SystemTime::now();
        let rarely = now.duration_since(shown.told).is_ok_and(|since| since >= INTERVAL);
        if rarely || shown.status.completed.is_some() {
            shown.told = now;
            shown.status.at = now;
            shown.progress.tell(Event::Status(shown.status.clone()));
        }
    }

    pub(super) fn add(&self, bytes: u64) {
        self.with(|status| status.current += bytes);
    }

    pub(super) fn at(&self, current: u64, total: u64) {
        self.with(|status| (status.current, status.total) = (current, total));
    }

    pub(super) fn end(&self) {
        self.with(|status| status.completed = Some(SystemTime::now()));
    }
}
