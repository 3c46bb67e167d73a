//! Volumes: folders, or what somebody wants mounted in their place, that outlive containers.
//!
//! ```text
//! <data root>/volumes/<name>/_data      what is mounted
//! <data root>/volumes/<name>/filling    it is being filled from an image; begun anew after a crash
//! ```
//!
//! A volume is recorded before it is used, and held by the containers that are made for it, in the transaction that records
//! the container.

mod fill;
mod local;
mod remove;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use diag::{Class, Explain};
use serde::{Deserialize, Serialize};
use state::{Db, Durability, Record, Tx};

pub use remove::{PRUNE_KEYS, Pruned};

use crate::Error;
use crate::containers::config::Labels;
use crate::events::{Events, Kind};

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
}

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
    #[error("create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found")]
    NoSuchDriver { name: String, driver: String },
    #[error("create {name}: {why}")]
    Option { name: String, why: String },
    #[error("remove {name}: volume is in use - [{}]", users.join(", "))]
    InUse { name: String, users: Vec<String> },
    #[error("error while mounting volume '{}': failed to mount local volume: {what}", path.display())]
    Mount { path: PathBuf, what: String, source: std::io::Error },
    #[error("cannot access path {}", path.display())]
    Subpath { path: PathBuf, source: std::io::Error },
}

impl Explain for VolumeError {
    fn class(&self) -> Class {
        match self {
            Self::Unknown(_) | Self::NoSuchDriver { .. } => Class::NotFound,
            Self::Name(_) | Self::ShortName(_) | Self::Option { .. } => Class::Invalid,
            Self::InUse { .. } => Class::Conflict,
            Self::Mount { .. } | Self::Subpath { .. } => Class::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { .. } => Some("remove these containers first".to_owned()),
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
    /// What uses each volume now, one lock for each: who fills one is waited for by those who want the same.
    places: Mutex<HashMap<String, Arc<Mutex<BTreeSet<String>>>>>,
}

impl Volumes {
    pub(crate) fn open(db: Arc<Db>, events: Arc<Events>, data_root: &Path) -> Self {
        Self { db, events, root: data_root.join("volumes"), places: Mutex::default() }
    }

    /// What is mounted.
    pub fn mountpoint(&self, name: &str) -> PathBuf {
        folder(&self.root, name)
    }

    /// Every volume, by name.
    pub fn list(&self) -> Result<Vec<Volume>, Error> {
        Ok(self.db.read(|tx| tx.list())?)
    }

    pub fn get(&self, name: &str) -> Result<Volume, Error> {
        let found: Option<Volume> = self.db.read(|tx| tx.find(name))?;
        Ok(found.ok_or_else(|| VolumeError::Unknown(name.to_owned()))?)
    }

    /// Makes a volume; one that is there already is returned as it is.
    pub fn create(&self, request: CreateVolume) -> Result<Volume, Error> {
        let anonymous = request.name.is_empty();
        let name = if anonymous { crate::id::container_id() } else { request.name };
        if request.cluster_volume_spec.is_some() {
            let feature = "cluster volumes".to_owned();
            return Err(Error::Unsupported { feature, instead: None });
        }
        check_driver(&name, &request.driver)?;
        let mut labels = request.labels;
        if anonymous {
            labels.get_or_insert_default().insert(ANONYMOUS.to_owned(), String::new());
        }
        let volume = settle(name, anonymous, request.driver_opts, labels)?;
        let (volume, is_new) = self.db.write(Durability::Power, |tx| enter(tx, volume))?;
        if is_new {
            self.make_folder(&volume.name)?;
            self.tell(&volume.name, "create", &[]);
        }
        Ok(volume)
    }

    fn make_folder(&self, name: &str) -> Result<(), Error> {
        let path = self.mountpoint(name);
        fs::create_dir_all(&path).map_err(|source| Error::File { doing: "create", path, source })
    }

    pub(crate) fn tell(&self, name: &str, action: &str, more: &[(&str, &str)]) {
        let mut attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.events.emit(Kind::Volume, action, name, attributes);
    }

    /// The containers that are made for a volume.
    pub fn users(&self, name: &str) -> Result<Vec<String>, Error> {
        let holders = self.db.read(|tx| tx.holders(VOLUME, name))?;
        Ok(holders.into_iter().map(|(_, id)| id).collect())
    }

    /// The bytes that each volume takes.
    pub fn measure(&self) -> Result<Vec<(Volume, u64, usize)>, Error> {
        let mut measured = Vec::new();
        for volume in self.list()? {
            let size = crate::disk::written_below(&self.mountpoint(&volume.name));
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

/// What of a volume is mounted, below the folder of all volumes.
fn folder(root: &Path, name: &str) -> PathBuf {
    root.join(name).join("_data")
}

fn check_driver(name: &str, driver: &str) -> Result<(), VolumeError> {
    match driver {
        "" | "local" => Ok(()),
        other => Err(VolumeError::NoSuchDriver { name: name.to_owned(), driver: other.to_owned() }),
    }
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

/// Checks all that was asked for.
pub(crate) fn settle(
    name: String,
    anonymous: bool,
    options: Option<Labels>,
    labels: Option<Labels>,
) -> Result<Volume, VolumeError> {
    check_name(&name)?;
    let options = options.filter(|options| !options.is_empty());
    if let Some(options) = &options {
        local::check(options).map_err(|why| VolumeError::Option { name: name.clone(), why })?;
    }
    let labels = labels.filter(|labels| !labels.is_empty());
    Ok(Volume { name, created: SystemTime::now(), anonymous, options, labels })
}

/// Records a volume unless there is one of that name; whether it is new.
pub(crate) fn enter(tx: &Tx<'_>, volume: Volume) -> Result<(Volume, bool), Error> {
    if let Some(known) = tx.find::<Volume>(&volume.name)? {
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
