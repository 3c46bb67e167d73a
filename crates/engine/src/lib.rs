//! The engine: it decides. Stores and drivers do the work; what a running container needs is held by its shim.
//!
//! [`Engine`] only wires the parts together; behaviour lives on the parts.

pub mod builds;
pub mod containers;
pub mod disk;
mod error;
pub mod events;
pub mod filters;
mod id;
pub mod images;
pub mod networks;
pub mod nulls;
mod quota;
mod ready;
pub mod security;
pub mod settings;
pub mod signal;
pub mod system;
pub mod volumes;

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use build::progress::Progress;
use build::request::{Outcome, Request};
use build::session::Session;
use state::{DataRoot, Db};

pub use error::Error;

use builds::Builds;
use containers::Containers;
use events::Events;
use images::Images;
use networks::Networks;
use security::Filters;
use settings::{Live, Settings};
use system::{Cgroups, Host};
use volumes::Volumes;

/// One running engine.
#[derive(Debug)]
pub struct Engine {
    pub id: String,
    pub settings: Arc<Settings>,
    pub live: Arc<ArcSwap<Live>>,
    pub host: Host,
    pub cgroups: Cgroups,
    pub events: Arc<Events>,
    pub images: Arc<Images>,
    pub networks: Arc<Networks>,
    pub volumes: Arc<Volumes>,
    pub containers: Containers,
    pub builds: Arc<Builds>,
    /// How layers are kept: `erofs` or `overlay`.
    pub storage_driver: &'static str,
    root: DataRoot,
}

impl Engine {
    /// Opens a locked data root and takes up what is in it. Returns when every container is as its shim says.
    pub async fn open(settings: Settings, live: Live, root: DataRoot) -> Result<Arc<Self>, Error> {
        let settings = Arc::new(settings);
        if settings.root_size.is_some() {
            quota::check(&settings.data_root).map_err(Error::NoQuotaForDefault)?;
        }
        let db = Arc::new(Db::open(&root)?);
        let events = Arc::new(Events::default());
        let limits = settings.layer_limits.clone();
        let layers = layers::LayerStore::open(&settings.data_root, settings.storage, limits)?;
        let layers = Arc::new(layers);
        let storage_driver = layers.driver();
        let content = content::Store::open(&settings.data_root)?;
        // What a registry in this engine has needn't be here twice.
        let content = content.beside(&settings.data_root.join("registry"));
        let images = Arc::new(Images::open(db.clone(), content, layers.clone(), events.clone())?);
        let host = Host::read();
        let live = Arc::new(ArcSwap::from_pointee(live));
        let id = system::engine_id(&settings.data_root)?;
        let networks = Arc::new(Networks::open(db.clone(), events.clone(), &settings, &id)?);
        let volumes = Arc::new(Volumes::open(db.clone(), events.clone(), &settings));
        volumes.sweep()?;
        let shared = containers::Shared {
            settings: settings.clone(),
            live: live.clone(),
            db,
            layers,
            images: images.clone(),
            networks: networks.clone(),
            volumes: volumes.clone(),
            events: events.clone(),
            filters: Filters::new(&host, settings.seccomp.clone()),
            writers: containers::Writers::default(),
            logs: Default::default(),
        };
        let shared = Arc::new(shared);
        let containers = Containers::open(shared.clone(), images.clone())?;
        containers.settled().await;
        quota::sweep(&settings.data_root);
        networks.restore(&containers.list())?;
        networks.guard_firewall();
        let builds = Arc::new(Builds::open(shared)?);
        let engine = Arc::new(Self {
            id,
            settings,
            live,
            host,
            cgroups: Cgroups::detect(),
            events,
            images,
            networks,
            volumes,
            containers,
            builds,
            storage_driver,
            root,
        });
        // The limit may have been another for the engine before.
        engine.make_room(SystemTime::now()).await;
        Ok(engine)
    }

    /// The lock on the data root, to be handed to the engine that replaces this one.
    pub fn root(&self) -> &DataRoot {
        &self.root
    }

    /// After images came: makes room if there is a limit and it is passed. What came after `since` stays. A failure is
    /// for the log: the images that came are there.
    pub async fn make_room(self: &Arc<Self>, since: SystemTime) {
        let Some(limit) = self.settings.image_limit else { return };
        let engine = self.clone();
        let made =
            tasks::blocking(move || engine.images.make_room(limit, since, &engine.containers).map(drop));
        match made.await {
            Ok(Err(error)) => tracing::error!(error = diag::chain(&error), "cannot make room for images"),
            Err(error) => tracing::error!(%error, "making room for images crashed"),
            Ok(Ok(())) => {}
        }
    }

    /// Builds, and makes room for what was built. A large context was much memory, which other work on the machine may have.
    pub async fn build(
        self: &Arc<Self>,
        request: Request,
        session: Arc<dyn Session>,
        progress: Progress,
    ) -> Result<Outcome, build::Error> {
        let since = SystemTime::now();
        let outcome = self.builds.solve(request, session, progress).await;
        drop(tasks::blocking(sys::give_back_memory));
        let outcome = outcome?;
        self.make_room(since).await;
        Ok(outcome)
    }

    /// Takes over what a reload may change, and says so to those who watch.
    pub fn reload(&self, live: Live) {
        let attributes = live.attributes(&self.host.name);
        self.live.store(Arc::new(live));
        self.events.emit(events::Kind::Daemon, "reload", &self.id, attributes);
    }
}
