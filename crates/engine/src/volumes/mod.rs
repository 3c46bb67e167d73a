//! Volumes: folders, or what somebody wants mounted in their place, that outlive containers.
//!
//! ```text
//! <data root>/volumes/<name>/_data      what is mounted
//! <data root>/volumes/<name>/filling    it is being filled from an image; begun anew after a crash
//! <data root>/volumes/.new-<random>/    one that is to be a volume when all of it is there, or whose folder has just been made
//! ```
//!
//! What a plugin keeps is mounted where the plugin says ([`plugin`]); here is only what is remembered of it.
//!
//! A volume is recorded before it is used, and held by the containers that are made for it, in the transaction that records
//! the container.

mod fill;
mod lent;
mod local;
mod plugin;
mod remove;
mod rename;
mod staged;
mod twin;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use diag::{Class, Explain};
use serde::{Deserialize, Serialize};
use state::{Db, Durability, Record, Tx};

pub use layers::Overwrite;
pub use lent::{Export, Part};
pub use plugin::PluginError;
use plugin::{Plugin, Plugins};
pub use remove::{PRUNE_KEYS, Pruned};
pub use twin::{CopyBetween, Twin};

use crate::Error;
use crate::containers::config::Labels;
use crate::containers::mounts::Making;
use crate::events::{Events, Kind};
use crate::settings::Settings;

/// The kind of record, and of what containers hold.
pub(crate) const VOLUME: &str = "volume";

/// The label by which clients know a volume that nobody named.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// What is remembered of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub name: String,
    pub created: SystemTime,
    /// Nobody named it.
    pub anonymous: bool,
    /// What is mounted in its place, if it isn't a folder: `type`, `device`, `o`.
    #[serde(default)]
    pub options: Option<Labels>,
    #[serde(default)]
    pub labels: Option<Labels>,
    /// The plugin that keeps it; nothing if that is this engine.
    #[serde(default)]
    pub plugin: Option<String>,
    /// Its folder still has this name: an engine died while it renamed the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
}

impl Volume {
    /// As the API spells it.
    pub fn driver(&self) -> &str {
        self.plugin.as_deref().unwrap_or(LOCAL)
    }
}

/// The driver whose volumes are this engine's own.
const LOCAL: &str = "local";

impl Record for Volume {
    const KIND: &'static str = VOLUME;
    fn key(&self) -> &str {
        &self.name
    }
}

/// The body of `POST /volumes/create`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateVolume {
    pub name: String,
    pub driver: String,
    pub driver_opts: Option<Labels>,
    pub labels: Option<Labels>,
    pub cluster_volume_spec: Option<serde_json::Value>,
}

/// Why a volume isn't as asked, in dockerd's words.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("get {0}: no such volume")]
    Unknown(String),
    #[error(
        "create {0}: \"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" \
         are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Name(String),
    #[error("create {0}: volume name is too short, names should be at least two alphanumeric characters")]
    ShortName(String),
    #[error("{doing} {name}: error looking up volume plugin {driver}")]
    Plugin { doing: &'static str, name: String, driver: String, source: Box<PluginError> },
    #[error("{doing} {name}")]
    Asked { doing: &'static str, name: String, source: Box<PluginError> },
    #[error("create {name}: conflict: volume name must be unique: it is the driver {driver}'s already")]
    OtherDriver { name: String, driver: String },
    #[error("create {name}: {why}")]
    Option { name: String, why: String },
    #[error("create {name}: {}", local::NO_QUOTA)]
    NoQuota { name: String, missing: crate::quota::Missing },
    #[error("remove {name}: volume is in use - [{}]", users.join(", "))]
    InUse { name: String, users: Vec<String> },
    #[error("rename {name}: volume is in use - [{}]", users.join(", "))]
    Renamed { name: String, users: Vec<String> },
    #[error("create {0}: a volume of that name exists already")]
    Exists(String),
    #[error("volume {0} has never been filled whole: start a container with it")]
    Filling(String),
    #[error("Could not find the file {path} in volume {volume}")]
    NoSuchFile { path: String, volume: String },
    #[error("error while mounting volume '{}': failed to mount local volume: {what}", path.display())]
    Mount { path: PathBuf, what: String, source: std::io::Error },
    #[error("error resolving passed in network volume address: {name}")]
    Address { name: String, source: std::io::Error },
    #[error("cannot access path {}", path.display())]
    Subpath { path: PathBuf, source: std::io::Error },
}

impl Explain for VolumeError {
    fn class(&self) -> Class {
        match self {
            Self::Unknown(_) | Self::NoSuchFile { .. } => Class::NotFound,
            Self::Plugin { source, .. } if matches!(**source, PluginError::NotFound(_)) => Class::NotFound,
            Self::Name(_) | Self::ShortName(_) | Self::Option { .. } | Self::NoQuota { .. } => Class::Invalid,
            Self::InUse { .. }
            | Self::Renamed { .. }
            | Self::Exists(_)
            | Self::Filling(_)
            | Self::OtherDriver { .. } => Class::Conflict,
            Self::Plugin { .. }
            | Self::Asked { .. }
            | Self::Mount { .. }
            | Self::Address { .. }
            | Self::Subpath { .. } => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { .. } | Self::Renamed { .. } => Some("remove these containers first".to_owned()),
            Self::Option { why, .. } if why == local::NO_QUOTA => Some(local::INSTEAD_OF_QUOTA.to_owned()),
            Self::NoQuota { missing, .. } => Some(format!("{missing}; or {}", local::INSTEAD_OF_QUOTA)),
            _ => None,
        }
    }
}

/// All volumes.
#[derive(Debug)]
pub struct Volumes {
    db: Arc<Db>,
    events: Arc<Events>,
    root: PathBuf,
    limits: layers::Limits,
    /// What uses each volume now, one lock for each: who fills one is waited for by those who want the same.
    places: Mutex<HashMap<String, Arc<Mutex<BTreeSet<String>>>>>,
    plugins: Plugins,
    /// Where plugins have mounted volumes.
    elsewhere: Mutex<HashMap<String, PathBuf>>,
}

impl Volumes {
    pub(crate) fn open(db: Arc<Db>, events: Arc<Events>, settings: &Settings) -> Self {
        Self {
            db,
            events,
            root: settings.data_root.join("volumes"),
            limits: settings.layer_limits.clone(),
            places: Mutex::default(),
            plugins: Plugins::new(&settings.run_dir, settings.plugin_patience),
            elsewhere: Mutex::default(),
        }
    }

    /// What is mounted; nothing for a plugin's volume that no container has.
    pub fn mountpoint(&self, volume: &Volume) -> PathBuf {
        match volume.plugin {
            None => folder(&self.root, &volume.name),
            Some(_) => self.elsewhere().get(&volume.name).cloned().unwrap_or_default(),
        }
    }

    /// Where a plugin has a volume mounted now, if it has.
    pub fn mounted_elsewhere(&self, name: &str) -> Option<PathBuf> {
        self.elsewhere().get(name).cloned()
    }

    fn elsewhere(&self) -> MutexGuard<'_, HashMap<String, PathBuf>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every volume, by name.
    pub fn list(&self) -> Result<Vec<Volume>, Error> {
        Ok(self.db.read(|tx| tx.list())?)
    }

    pub fn get(&self, name: &str) -> Result<Volume, Error> {
        Ok(self.find(name)?.ok_or_else(|| VolumeError::Unknown(name.to_owned()))?)
    }

    pub(crate) fn find(&self, name: &str) -> Result<Option<Volume>, Error> {
        Ok(self.db.read(|tx| tx.find(name))?)
    }

    /// Makes a volume; one that is there already is returned as it is.
    pub fn create(&self, request: CreateVolume) -> Result<Volume, Error> {
        let anonymous = request.name.is_empty();
        let name = if anonymous { crate::id::container_id() } else { request.name };
        if request.cluster_volume_spec.is_some() {
            let feature = "cluster volumes".to_owned();
            return Err(Error::Unsupported { feature, instead: None });
        }
        let mut labels = request.labels;
        if anonymous {
            labels.get_or_insert_default().insert(ANONYMOUS.to_owned(), String::new());
        }
        let make = Making { driver: request.driver, options: request.driver_opts, labels, anonymous };
        let volume = settle(name, make)?;
        let asked = self.prepare(&volume)?;
        // What is being removed or renamed under this name has gone then, folder and all.
        let place = self.place(&volume.name);
        let _alone = if self.find(&volume.name)?.is_none() { Some(lock(&place)) } else { None };
        let entered = self.db.write(Durability::Power, |tx| enter(tx, volume.clone()));
        if asked && entered.is_err() {
            self.forget_at_plugin(&volume);
        }
        let (volume, is_new) = entered?;
        if is_new {
            if let Err(error) = self.make_folder(&volume) {
                self.db.write(Durability::Power, |tx| tx.delete::<Volume>(&volume.name))?;
                self.discard(&volume.name);
                return Err(error);
            }
            self.tell(&volume, "create", &[]);
        }
        Ok(volume)
    }

    /// What has to be before a volume is recorded: room that can be measured, or a plugin that has made it. Whether a plugin
    /// was asked.
    pub(crate) fn prepare(&self, volume: &Volume) -> Result<bool, Error> {
        let is_sized = size_of_folder(volume).is_some();
        if (!is_sized && volume.plugin.is_none()) || self.find(&volume.name)?.is_some() {
            return Ok(false);
        }
        if is_sized {
            let name = volume.name.clone();
            let missing = |missing| VolumeError::NoQuota { name, missing };
            crate::quota::check(self.root.parent().unwrap_or(&self.root)).map_err(missing)?;
        }
        let Some(driver) = &volume.plugin else { return Ok(false) };
        let plugin = self.plugin("create", &volume.name, driver)?;
        let made = plugin.create(&volume.name, volume.options.as_ref().unwrap_or(&Labels::new()));
        made.map_err(|source| VolumeError::Asked {
            doing: "create",
            name: volume.name.clone(),
            source: Box::new(source),
        })?;
        Ok(true)
    }

    pub(crate) fn forget_at_plugin(&self, volume: &Volume) {
        let Some(driver) = &volume.plugin else { return };
        let asked = self.plugins.get(driver).and_then(|plugin| plugin.remove(&volume.name));
        if let Err(error) = asked {
            tracing::warn!(
                volume = volume.name,
                driver,
                error = diag::chain(&error),
                "a plugin keeps a volume"
            );
        }
    }

    fn plugin(&self, doing: &'static str, name: &str, driver: &str) -> Result<Plugin, VolumeError> {
        self.plugins.get(driver).map_err(|source| VolumeError::Plugin {
            doing,
            name: name.to_owned(),
            driver: driver.to_owned(),
            source: Box::new(source),
        })
    }

    /// What its plugin says of a volume: its status, if it has one to tell, and how far it is known.
    pub fn told(
        &self,
        volume: &Volume,
    ) -> Result<(Option<serde_json::Map<String, serde_json::Value>>, String), Error> {
        let Some(driver) = &volume.plugin else { return Ok((None, LOCAL.to_owned())) };
        let plugin = self.plugin("get", &volume.name, driver)?;
        let told = plugin.tell(&volume.name);
        let told = told.map_err(|source| VolumeError::Asked {
            doing: "get",
            name: volume.name.clone(),
            source: Box::new(source),
        })?;
        Ok((told.status, plugin.scope()))
    }

    fn make_folder(&self, volume: &Volume) -> Result<(), Error> {
        let path = folder(&self.root, &volume.name);
        let failed = |source| Error::File { doing: "create", path: path.clone(), source };
        staged::make_apart(&self.root, &volume.name)
            .and_then(|()| fs::create_dir_all(&path))
            .map_err(failed)?;
        if let Some(size) = size_of_folder(volume) {
            crate::quota::limit(&[&path], size)?;
        }
        Ok(())
    }

    pub(crate) fn tell(&self, volume: &Volume, action: &str, more: &[(&str, &str)]) {
        let mut attributes = BTreeMap::from([("driver".to_owned(), volume.driver().to_owned())]);
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.events.emit(Kind::Volume, action, &volume.name, attributes);
    }

    /// The containers that are made for a volume.
    pub fn users(&self, name: &str) -> Result<Vec<String>, Error> {
        let holders = self.db.read(|tx| tx.holders(VOLUME, name))?;
        Ok(holders.into_iter().map(|(_, id)| id).collect())
    }

    /// The names of all volumes that containers are made for.
    pub fn held(&self) -> Result<HashSet<String>, Error> {
        Ok(self.db.read(|tx| tx.held(VOLUME))?)
    }

    /// The bytes that each volume takes.
    pub fn measure(&self) -> Result<Vec<(Volume, u64, usize)>, Error> {
        let mut measured = Vec::new();
        // What a plugin keeps takes room elsewhere.
        for volume in self.list()?.into_iter().filter(|volume| volume.plugin.is_none()) {
            let size = crate::disk::written_below(&self.mountpoint(&volume));
            let users = self.users(&volume.name)?.len();
            measured.push((volume, size, users));
        }
        Ok(measured)
    }

    fn place(&self, name: &str) -> Arc<Mutex<BTreeSet<String>>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(name.to_owned()).or_default().clone()
    }
}

/// What a volume that is a folder of this engine's may take of the disk, if it is held to a size.
fn size_of_folder(volume: &Volume) -> Option<u64> {
    local::folder_size(volume.options.as_ref().filter(|_| volume.plugin.is_none()))
}

/// Limits hold for who writes to a volume that has one, the engine too, for as long as this lives.
fn within_limits(volume: &Volume) -> Result<Option<sys::WithinLimits>, Error> {
    let enter = |_| sys::WithinLimits::enter();
    let failed = |source| Error::System { doing: "keep to a volume's size", source };
    size_of_folder(volume).map(enter).transpose().map_err(failed)
}

fn lock(place: &Mutex<BTreeSet<String>>) -> MutexGuard<'_, BTreeSet<String>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of a volume is mounted, below the folder of all volumes.
fn folder(root: &Path, name: &str) -> PathBuf {
    root.join(name).join("_data")
}

/// Refuses what can't be a volume's name.
pub(crate) fn check_name(name: &str) -> Result<(), VolumeError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    match name.len() {
        1 if first => Err(VolumeError::ShortName(name.to_owned())),
        2..=255 if first && name.bytes().all(allowed) => Ok(()),
        _ => Err(VolumeError::Name(name.to_owned())),
    }
}

/// Checks all that was asked for. What a plugin's options mean is the plugin's business.
pub(crate) fn settle(name: String, make: Making) -> Result<Volume, VolumeError> {
    check_name(&name)?;
    let Making { driver, options, labels, anonymous } = make;
    let plugin = Some(driver).filter(|driver| !matches!(driver.as_str(), "" | LOCAL));
    let options = options.filter(|options| !options.is_empty());
    if let Some(options) = options.as_ref().filter(|_| plugin.is_none()) {
        local::check(options).map_err(|why| VolumeError::Option { name: name.clone(), why })?;
    }
    let labels = labels.filter(|labels| !labels.is_empty());
    Ok(Volume { name, created: SystemTime::now(), anonymous, options, labels, plugin, renamed_from: None })
}

/// Records a volume unless there is one of that name; whether it is new.
pub(crate) fn enter(tx: &Tx<'_>, volume: Volume) -> Result<(Volume, bool), Error> {
    if let Some(known) = tx.find::<Volume>(&volume.name)? {
        // Who names no driver takes what is there.
        if volume.plugin.is_some() && volume.plugin != known.plugin {
            let (name, driver) = (known.name.clone(), known.driver().to_owned());
            return Err(VolumeError::OtherDriver { name, driver }.into());
        }
        return Ok((known, false));
    }
    tx.put(&volume)?;
    Ok((volume, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_safe_component() {
        for good in ["ab", "data-1", "A.b_c", "0x"] {
            check_name(good).unwrap();
        }
        for bad in ["", "a", ".a", "-ab", "a/b", "a b", "../x", "a\0", &"a".repeat(256)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        let told = check_name("a").unwrap_err().to_string();
        assert_eq!(
            told,
            "create a: volume name is too short, names should be at least two alphanumeric characters"
        );
    }
}
