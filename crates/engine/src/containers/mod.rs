//! Containers: which there are and how each one lives.
//!
//! One task owns one container ([`actor`]) and publishes what it is; whoever lists or inspects takes the last
//! published view and waits for nobody. What runs is held by the container's shim, so that this engine may go at any
//! moment.

mod actor;
mod attach;
mod block_io;
pub mod cdi;
pub mod config;
mod create;
mod devices;
mod effect;
mod etc;
mod exec;
mod files;
mod foreign;
mod handle;
pub mod health;
mod identities;
mod link;
mod links;
pub mod logs;
pub mod mounts;
mod namespaces;
mod networking;
mod once;
mod prune;
mod record;
mod resources;
mod restart;
mod spec;
pub mod state;
pub mod stats;
mod top;
mod user;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ::state::{Db, Record as _};
use arc_swap::ArcSwap;
use oci::Digest;

pub use attach::Streams;
pub use create::Created;
pub use exec::{Claimed as ClaimedExec, Exec, ExecConfig, ExecState};
pub use files::{Archive, Commit, Export, PathStat, Put, Still, Writing};
pub(crate) use files::{Wanted, Writers};
pub use handle::{Handle, Purpose, Removal, View, Volumes, WaitFor};
pub use layers::Change;
pub use links::{Link, LinkNames};
pub use networking::check as check_endpoint;
pub(crate) use once::{Ear, Lent, Once, Output, Running as OnceRunning, piece};
pub use prune::{PRUNE_KEYS, Pruned};
pub use record::{Container, Places};
pub use resources::Update;
pub use top::Top;

use crate::Error;
use crate::events::{Events, Kind};
use crate::images::{self, Images};
use crate::security::Filters;
use crate::settings::{Live, Settings};

/// What every container's task needs of the engine.
#[derive(Debug)]
pub struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) db: Arc<Db>,
    pub(crate) layers: Arc<layers::LayerStore>,
    pub(crate) images: Arc<Images>,
    pub(crate) networks: Arc<crate::networks::Networks>,
    pub(crate) volumes: Arc<crate::volumes::Volumes>,
    pub(crate) events: Arc<Events>,
    pub(crate) filters: Filters,
    pub(crate) writers: Writers,
    pub(crate) logs: logs::budget::Budget,
}

impl Shared {
    pub(crate) fn places(&self, id: &str) -> Places {
        Places::new(&self.settings.data_root, &self.settings.run_dir, id)
    }

    pub(crate) fn emit(&self, container: &Container, action: &str, more: &[(&str, String)]) {
        let mut attributes: BTreeMap<String, String> = container.config.labels.clone().unwrap_or_default();
        attributes.insert("image".to_owned(), container.config.image.clone());
        attributes.insert("name".to_owned(), container.name.clone());
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.events.emit(Kind::Container, action, &container.id, attributes);
    }
}

/// All containers.
#[derive(Debug)]
pub struct Containers {
    shared: Arc<Shared>,
    images: Arc<Images>,
    index: Arc<Index>,
    execs: exec::Execs,
}

/// Handles by id and ids by name. Locked for a look-up or an insertion, never across anything that waits.
#[derive(Debug, Default)]
pub(crate) struct Index(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    by_id: HashMap<String, Handle>,
    by_name: HashMap<String, String>,
    /// The first of the users that are a container's own, and whose.
    users: BTreeMap<u32, String>,
}

impl Index {
    fn with<T>(&self, work: impl FnOnce(&mut Tables) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a name for an id, unless somebody has it.
    fn claim(&self, name: &str, id: &str) -> Result<(), Error> {
        self.with(|tables| match tables.by_name.get(name) {
            Some(holder) => Err(Error::NameTaken { name: name.to_owned(), holder: holder.clone() }),
            None => {
                tables.by_name.insert(name.to_owned(), id.to_owned());
                Ok(())
            }
        })
    }

    /// What a person typed: a full id, a name, or an unambiguous beginning of an id.
    pub(crate) fn get(&self, typed: &str) -> Result<Handle, Error> {
        let name = typed.strip_prefix('/').unwrap_or(typed);
        self.with(|tables| {
            if let Some(handle) = tables.by_id.get(typed) {
                return Ok(handle.clone());
            }
            if let Some(handle) = tables.by_name.get(name).and_then(|id| tables.by_id.get(id)) {
                return Ok(handle.clone());
            }
            let mut found = tables.by_id.iter().filter(|(id, _)| !name.is_empty() && id.starts_with(name));
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => Err(Error::AmbiguousPrefix(typed.to_owned())),
                (Some((_, handle)), None) => Ok(handle.clone()),
                (None, _) => Err(Error::NoSuchContainer(typed.to_owned())),
            }
        })
    }

    /// Every container's last published view.
    fn views(&self) -> Vec<Arc<View>> {
        let handles: Vec<Handle> = self.with(|tables| tables.by_id.values().cloned().collect());
        handles.iter().map(Handle::view).collect()
    }

    /// Takes users for a container that is to have its own.
    fn claim_users(&self, id: &str) -> Result<u32, Error> {
        self.with(|tables| {
            let first = identities::free(|first| tables.users.contains_key(&first))?;
            tables.users.insert(first, id.to_owned());
            Ok(first)
        })
    }

    fn release(&self, name: &str) {
        self.with(|tables| tables.by_name.remove(name));
    }

    fn release_users(&self, id: &str) {
        self.with(|tables| tables.users.retain(|_, holder| holder != id));
    }

    fn insert(&self, handle: Handle) {
        let users = handle.view().container.identities.as_ref().map(identities::Identities::first);
        self.with(|tables| {
            tables.users.extend(users.map(|first| (first, handle.id().to_owned())));
            tables.by_id.insert(handle.id().to_owned(), handle);
        });
    }

    /// The container is gone, name and all.
    pub(crate) fn forget(&self, id: &str, name: &str) {
        self.with(|tables| {
            tables.by_id.remove(id);
            tables.by_name.remove(name);
            tables.users.retain(|_, holder| holder != id);
        });
    }
}

impl Containers {
    /// Takes up the containers that are recorded: those that run are found again through their shims.
    pub fn open(shared: Arc<Shared>, images: Arc<Images>) -> Result<Self, Error> {
        let records: Vec<Container> = shared.db.read(|tx| tx.list())?;
        let containers = Self { shared, images, index: Arc::default(), execs: exec::Execs::default() };
        containers.shared.networks.adopt(&records);
        for container in records.iter().filter(|container| container.state.is_active()) {
            for name in container.mounts.iter().filter_map(mounts::volume_of) {
                containers.shared.volumes.adopt(&container.id, name);
            }
        }
        containers.sweep(&records);
        let settings = &containers.shared.settings;
        let folder = settings.data_root.join("containers");
        std::fs::create_dir_all(&folder).map_err(|source| Error::File {
            doing: "create",
            path: folder.clone(),
            source,
        })?;
        crate::disk::spread(&folder);
        containers.shared.logs.keep(folder, settings.log_budget);
        for record in records {
            containers.index.claim(&record.name, &record.id)?;
            containers.adopt(record);
        }
        Ok(containers)
    }

    fn adopt(&self, record: Container) -> Handle {
        actor::spawn(record, self.shared.clone(), &self.index)
    }

    /// Makes a container. Blocking: it writes files and commits.
    pub fn create(&self, request: config::Create) -> Result<Created, Error> {
        let (record, warnings) = create::create(request, &self.shared, &self.images, &self.index)?;
        let id = record.id.clone();
        self.shared.emit(&record, "create", &[]);
        self.adopt(record);
        Ok(Created { id, warnings })
    }

    /// Every container's last published view, newest first.
    pub fn list(&self) -> Vec<Arc<View>> {
        let mut views = self.index.views();
        views.sort_by_key(|view| std::cmp::Reverse(view.container.created));
        views
    }

    /// What a person typed: a full id, a name, or an unambiguous beginning of an id.
    pub fn get(&self, typed: &str) -> Result<Handle, Error> {
        self.index.get(typed)
    }

    /// Waits until every container that was recorded as running is known to run or to have ended.
    pub async fn settled(&self) {
        let handles: Vec<Handle> = self.index.with(|tables| tables.by_id.values().cloned().collect());
        for handle in handles {
            handle.settled().await;
        }
    }

    /// Where a container's files are.
    pub fn places(&self, id: &str) -> Places {
        self.shared.places(id)
    }

    /// Folders that no record names: an engine died between making one and recording it, or the other way round.
    fn sweep(&self, records: &[Container]) {
        // Whoever still runs there ends before its files go.
        for base in [&self.shared.settings.run_dir, &self.shared.settings.data_root] {
            for folder in folders(&base.join("containers")) {
                let known = folder.file_name().is_some_and(|name| records.iter().any(|r| r.key() == name));
                if !known {
                    once::end_orphan(&folder);
                }
                if !known && let Err(error) = std::fs::remove_dir_all(&folder) {
                    tracing::warn!(path = %folder.display(), %error, "cannot remove what a crash left");
                }
            }
        }
    }
}

fn folders(path: &std::path::Path) -> Vec<PathBuf> {
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

impl images::Users for Containers {
    fn container_of(&self, image: &Digest) -> Option<(String, bool)> {
        let views = self.list();
        let users = || views.iter().filter(|view| view.container.image == *image);
        let running = users().find(|view| view.container.state.is_active());
        running
            .or_else(|| users().next())
            .map(|view| (view.container.id.clone(), view.container.state.is_active()))
    }
}

/// The first numbers of users that a container could get, as far as the host's other owners of such numbers let it.
pub(crate) fn free_identities() -> Result<u32, Error> {
    identities::free(|_| false)
}
