//! Builds: steps that are done by this engine, what they made, and what becomes of it.
//!
//! ```text
//! <data root>/builds/contexts/   clients' directories (context)
//! <data root>/builds/mounts/     cache mounts (cachemounts)
//! <data root>/builds/made-of/    what steps were made of (explain)
//! <data root>/builds/tmp/        what is at work; swept at the start
//! <data root>/builds/history/    records of builds; `buildkit` has them
//! ```
//!
//! What steps made lies among the layers, and in records that hold them (cache).

mod archives;
mod attest;
mod cache;
mod cachemounts;
mod classic;
mod clients;
mod context;
mod error;
mod exec;
mod explain;
mod export;
mod files;
mod gateway;
mod remote;
mod sources;
mod tree;
mod usage;
mod worker;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use build::Error;
use build::frontend::{Built, Gateway};
use build::progress::Progress;
use build::request::{Allowed, Outcome, Request, What};
use build::session::Session;
use build::solver::{Flights, Solver};
use tokio::sync::Notify;

use crate::containers::Shared;
use cache::Cache;
use cachemounts::CacheMounts;
pub use classic::Classic;
use context::Contexts;
use error::work;
use exec::Running;
use gateway::Bridge;
use remote::{Others, Remote};
use sources::Sources;
use tree::Tree;
pub use usage::{Entry as UsageEntry, Kind as UsageKind, PRUNE_KEYS, Pruned, What as PruneWhat};
use worker::Works;

/// What every build needs.
#[derive(Debug)]
pub(crate) struct Parts {
    shared: Arc<Shared>,
    cache: Cache,
    contexts: Contexts,
    caches: Arc<CacheMounts>,
    /// For what is at work.
    temporary: PathBuf,
    making_room: Mutex<()>,
    /// Bytes that steps made since room was made.
    grown: AtomicU64,
}

/// All builds.
pub struct Builds {
    parts: Arc<Parts>,
    flights: Arc<Flights<Tree>>,
    /// Those that go on, and how each is told to end.
    running: Mutex<HashMap<String, Arc<Notify>>>,
    /// Steps that may run at once in one build.
    places: usize,
}

impl std::fmt::Debug for Builds {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Builds({:?})", self.parts.temporary)
    }
}

impl Parts {
    fn registries(&self) -> distribution::Client {
        let (settings, live) = (&self.shared.settings, self.shared.live.load());
        distribution::Client::new(crate::images::registry_config(settings, &live))
    }

    fn web(&self) -> distribution::Client {
        let (settings, live) = (&self.shared.settings, self.shared.live.load());
        let config = crate::images::registry_config(settings, &live);
        distribution::Client::new(distribution::Config { plain_http: true, ..config })
    }

    /// A step made so many bytes. A build that makes many doesn't get to its end before others' make room for them.
    fn grow(self: &Arc<Self>, bytes: u64) {
        let grown = self.grown.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if grown > usage::limit(self) / 8 {
            self.make_room();
        }
    }

    /// Removes what was used longest ago, if there is more than there may be. Nobody waits for it; a failure is for the log.
    fn make_room(self: &Arc<Self>) {
        let parts = self.clone();
        parts.grown.store(0, Ordering::Relaxed);
        tasks::blocking(move || {
            let Ok(_one) = parts.making_room.try_lock() else { return };
            if let Err(error) = usage::make_room(&parts) {
                tracing::error!(error = diag::chain(&error), "cannot make room in the build cache");
            }
        });
    }

    /// A folder of ours that goes with its guard.
    fn scratch(&self) -> Result<Scratch, Error> {
        let path = self.temporary.join(crate::id::container_id());
        std::fs::create_dir(&path).map_err(|e| work("create a folder for a build", e))?;
        Ok(Scratch(path))
    }
}

/// A folder that is removed with this.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a build's folder");
        }
    }
}

impl Builds {
    /// Opens what is remembered of builds.
    pub(crate) fn open(shared: Arc<Shared>) -> Result<Self, crate::Error> {
        let builds = shared.settings.data_root.join("builds");
        let temporary = builds.join("tmp");
        let failed = |source| crate::Error::File { doing: "create", path: temporary.clone(), source };
        match std::fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::create_dir_all(&temporary).map_err(failed)?;
        let cannot = |error: Error| crate::Error::Build(Box::new(error));
        let parts = Parts {
            cache: Cache::open(shared.db.clone(), shared.images.clone(), builds.join("made-of"))?,
            contexts: Contexts::open(&builds).map_err(cannot)?,
            caches: Arc::new(CacheMounts::open(&builds).map_err(cannot)?),
            temporary,
            making_room: Mutex::default(),
            grown: AtomicU64::new(0),
            shared,
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Steps wait for networks and disks as often as they compute.
        let places = (2 * cores).max(4);
        Ok(Self { parts: Arc::new(parts), flights: Arc::default(), running: Mutex::default(), places })
    }

    /// Builds. What goes on is told to `progress`, which ends with it. Dropped, everything that was begun ends.
    pub async fn solve(
        &self,
        request: Request,
        session: Arc<dyn Session>,
        progress: Progress,
    ) -> Result<Outcome, Error> {
        let _told = Told(progress.clone());
        export::check(&request)?;
        let attest = attest::Wanted::read(&request.asked)?;
        let (_known, end) = self.enter(&request.id)?;
        tokio::select! {
            outcome = Box::pin(self.build(request, attest, session, progress)) => outcome,
            () = end.notified() => Err(Error::Cancelled),
        }
    }

    /// Ends a build. Nothing for one that isn't there.
    pub fn cancel(&self, id: &str) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = running.get(id) {
            end.notify_one();
        }
    }

    /// What may go beyond the default has to be allowed by both sides.
    fn check_allowed(&self, asked: &Allowed) -> Result<(), Error> {
        let builder = &self.parts.shared.settings.builder;
        match asked {
            Allowed { network_host: true, .. } if !builder.network_host => {
                Err(Error::Withheld("network.host"))
            }
            Allowed { security_insecure: true, .. } if !builder.security_insecure => {
                Err(Error::Withheld("security.insecure"))
            }
            Allowed { devices: Some(_), .. } if !builder.device => Err(Error::Withheld("device")),
            _ => Ok(()),
        }
    }

    fn enter(&self, id: &str) -> Result<(Known<'_>, Arc<Notify>), Error> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(id) {
            return Err(Error::Invalid(format!("a build {id:?} goes on already")));
        }
        let end = Arc::new(Notify::new());
        running.insert(id.to_owned(), end.clone());
        Ok((Known { builds: self, id: id.to_owned() }, end))
    }

    async fn build(
        &self,
        request: Request,
        attest: attest::Wanted,
        session: Arc<dyn Session>,
        progress: Progress,
    ) -> Result<Outcome, Error> {
        self.check_allowed(&request.allowed)?;
        let about = attest::About::new(&request);
        let sources = Sources::new(self.parts.clone(), session.clone(), progress.clone());
        let remote = Arc::new(Remote::open(&request.cache.from, &sources, &progress).await?);
        let running = Running {
            shared: self.parts.shared.clone(),
            caches: self.parts.caches.clone(),
            others: Others::new(self.parts.clone(), remote.clone()),
            session: session.clone(),
            progress: progress.clone(),
            allowed: request.allowed.clone(),
            limits: request.limits.clone(),
        };
        let explain = explain::Account::open(
            self.parts.clone(),
            progress.clone(),
            session.shared_key(),
            &request.asked,
            request.explain,
        );
        let explain = Arc::new(explain);
        let works = Works::new(self.parts.clone(), running, sources, remote.clone(), explain.clone());
        // However it ends: what was made is what the next build begins with.
        let _left = Left(explain);
        let flights = self.flights.clone();
        let solver = Solver::new(request.id, Arc::new(works.clone()), flights, progress.clone(), self.places);
        let solver = Arc::new(solver);
        // A frontend outside may hold the gateway for longer than its build goes on.
        let _end = End(solver.clone());
        let bridge = Arc::new(Bridge {
            works: works.clone(),
            solver: solver.clone(),
            session: session.id().to_owned(),
            progress: progress.clone(),
        });
        let built = match request.what {
            What::Frontend { frontend, attributes, inputs } => {
                frontend.build(&attributes, &inputs, &*bridge).await?
            }
            What::Graph(wanted) => Built::single(wanted),
            What::Outside(frontend) => frontend(bridge as Arc<dyn Gateway>).await?,
        };
        let solving =
            built.refs.iter().map(|(key, wanted)| {
                let solver = &solver;
                async move {
                    Ok::<_, Error>((key.clone(), solver.solve(wanted).await?.unwrap_or_else(Tree::scratch)))
                }
            });
        let trees = futures_util::future::try_join_all(solving).await?;
        let exporting = export::Exporting {
            parts: &self.parts,
            works: &works,
            solver: &solver,
            session: &session,
            progress: &progress,
            attest: &attest,
            about: &about,
            inline: request.cache.to.iter().any(|entry| entry.kind == "inline").then_some(&*remote),
        };
        let mut response = exporting.export(&request.exports, &built, &trees).await?;
        if let Some(given) = exporting.give_caches(&remote, &request.cache.to, &trees).await? {
            let text = serde_json::to_string(&given).map_err(|e| work("tell of a cache", e))?;
            response.insert("cache.manifest".into(), text);
        }
        let counts = solver.counts();
        if counts.ran > 0 {
            self.parts.make_room();
        }
        let said = exporting.provenance(&built, &trees)?;
        Ok(Outcome { response, said, ran: counts.ran, cached: counts.cached })
    }

    /// Where BuildKit's protocol keeps what it remembers of builds.
    pub fn records(&self) -> PathBuf {
        self.parts.shared.settings.data_root.join("builds/history")
    }

    /// By which rules what builds keep is removed.
    pub fn rules(&self) -> Vec<PruneWhat> {
        let own =
            || vec![PruneWhat { all: false, max_used: usage::limit(&self.parts), ..PruneWhat::default() }];
        self.parts.shared.settings.builder.rules.clone().unwrap_or_else(own)
    }

    /// What is built for where nothing is said, the host's first.
    pub fn platforms(&self) -> Vec<oci::image::Platform> {
        vec![crate::images::Wanted::host().platform().clone()]
    }

    /// What the cache has. Blocking.
    pub fn usage(&self) -> Result<Vec<UsageEntry>, crate::Error> {
        usage::list(&self.parts)
    }

    /// Removes what nobody uses. Blocking.
    pub fn prune(&self, what: &PruneWhat) -> Result<Pruned, crate::Error> {
        let pruned = usage::prune(&self.parts, what)?;
        let reclaimed =
            std::collections::BTreeMap::from([("reclaimed".to_owned(), pruned.bytes.to_string())]);
        self.parts.shared.events.emit(crate::events::Kind::Builder, "prune", "", reclaimed);
        Ok(pruned)
    }
}

/// Leaves what was built for the next build to be compared with.
struct Left(Arc<explain::Account>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Err(error) = self.0.close() {
            tracing::warn!(error = diag::chain(&error), "cannot write down what was built");
        }
    }
}

/// Ends what a solver has under way.
struct End(Arc<Solver<Works>>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A build that goes on.
struct Known<'a> {
    builds: &'a Builds,
    id: String,
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.builds.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Those who listen hear of the end, whatever it is.
struct Told(Progress);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.end();
    }
}
