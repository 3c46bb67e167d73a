//! Clients' directories, kept between builds so that only what changed is sent again.
//!
//! ```text
//! <data root>/builds/contexts/<key>-<n>/files/   as the client has it: contents, modes, owners, times
//! <data root>/builds/contexts/<key>-<n>/index    what is there, with digests; absent while it changes
//! ```
//!
//! A folder is used by one build at a time; a second one gets another. What has no index after a crash is received from
//! the beginning. The digest of a file is computed while its bytes come in, and stands for them as long as its size,
//! time, mode and owner stay, as BuildKit has it; but a file that was changed just before it was sent may be changed again
//! without a new time, and is sent again.

mod index;
mod receive;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use build::Error;
use build::graph::Local;
use build::session::Session;
use oci::{Algorithm, Digest, Hasher};
use rustix::fs::{Mode, OFlags};

use super::error::{blocking, work};
use super::files::{Seen, SeenKind, join};
pub(crate) use index::Index;
use index::{Item, What};
use receive::Receiving;

/// Clients' directories on this disk.
#[derive(Debug)]
pub(crate) struct Contexts {
    root: PathBuf,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug, Default)]
struct Used {
    /// Which folders are somebody's now.
    names: BTreeMap<String, ()>,
    /// The indexes of those that were used last, so that they needn't be read again.
    recent: HashMap<String, Arc<Index>>,
}

/// How many indexes are kept in memory.
const RECENT: usize = 4;
/// How many entries such an index has at most.
const RECENT_ENTRIES: usize = 100_000;

/// A client's directory as it was when it was received. It doesn't change for as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    index: Arc<Index>,
    files: OwnedFd,
    #[expect(dead_code, reason = "held, never read")]
    place: Arc<Place>,
}

/// A folder on the disk that nobody else uses.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    name: String,
    used: Arc<Mutex<Used>>,
    /// Whether it is for another build, too.
    kept: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a build's directory");
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.names.remove(&self.name);
    }
}

impl Contexts {
    /// Opens the folder of directories, and removes what is no use to anybody.
    pub(crate) fn open(builds: &Path) -> Result<Self, Error> {
        let root = builds.join("contexts");
        fs::create_dir_all(&root).map_err(|e| work("create a folder for builds", e))?;
        crate::disk::spread(&root);
        let contexts = Self { root, used: Arc::default() };
        for path in contexts.folders()? {
            if !path.join("index").exists() {
                fs::remove_dir_all(&path).map_err(|e| work("remove what a crash left of a build", e))?;
            }
        }
        Ok(contexts)
    }

    fn folders(&self) -> Result<Vec<PathBuf>, Error> {
        let list =
            || fs::read_dir(&self.root)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
        list().map_err(|e| work("list builds' directories", e))
    }

    /// A client's directory as it is now. `told` hears how many bytes came.
    pub(crate) async fn receive(
        &self,
        wanted: &Local,
        session: &Arc<dyn Session>,
        told: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<Arc<Folder>, Error> {
        let place = Arc::new(self.place(wanted, &**session)?);
        let (used, own) = (self.used.clone(), place.clone());
        let receiving = blocking(move || {
            let recent = used.lock().unwrap_or_else(PoisonError::into_inner).recent.get(&own.name).cloned();
            Receiving::begin(own, recent, told)
        })
        .await?;
        let outcome = receiving.outcome();
        session.send(wanted, Box::new(receiving)).await?;
        let index = outcome.take().ok_or_else(|| work("receive", "the client sent no end"))?;
        if place.kept && index.len() <= RECENT_ENTRIES {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            if used.recent.len() >= RECENT {
                used.recent.clear();
            }
            used.recent.insert(place.name.clone(), index.clone());
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let files = rustix::fs::open(place.path.join("files"), flags, Mode::empty());
        let files = files.map_err(|e| work("open a build's directory", e))?;
        Ok(Arc::new(Folder { index, files, place }))
    }

    /// A folder of this client's that nobody uses, or a new one.
    fn place(&self, wanted: &Local, session: &dyn Session) -> Result<Place, Error> {
        let shared = session.shared_key();
        // Who says nothing of itself may be anybody: what it sends is for its own build.
        let kept = !shared.is_empty();
        let key = match kept {
            true => format!("{shared}\0{}\0{}", wanted.name, wanted.shared_key),
            false => format!("{}\0{}", session.id(), wanted.name),
        };
        let key = Digest::sha256(key.as_bytes()).hex()[..32].to_owned();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let free = (0..).map(|number| format!("{key}-{number}")).find(|name| !used.names.contains_key(name));
        let name = free.ok_or_else(|| work("find a place", "there is none"))?;
        used.names.insert(name.clone(), ());
        let path = self.root.join(&name);
        let place = Place { path, name, used: self.used.clone(), kept };
        drop(used);
        fs::create_dir_all(place.path.join("files")).map_err(|e| work("create a build's directory", e))?;
        Ok(place)
    }

    /// What is kept that nobody uses now: names, bytes, and when each was used last.
    pub(crate) fn list(&self) -> Result<Vec<(String, u64, SystemTime)>, Error> {
        let mut found = Vec::new();
        for path in self.folders()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let used = fs::metadata(path.join("index")).and_then(|meta| meta.modified());
            let Ok(used) = used else { continue };
            found.push((name, crate::disk::written_below(&path), used));
        }
        Ok(found)
    }

    /// Removes one, unless it is used.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, Error> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.names.contains_key(name) {
            return Ok(false);
        }
        used.recent.remove(name);
        let path = self.root.join(name);
        // The index first: half a directory must not be taken for one.
        let _ = fs::remove_file(path.join("index"));
        fs::remove_dir_all(&path).map_err(|e| work("remove a build's directory", e))?;
        Ok(true)
    }

    /// Whether somebody uses it now.
    pub(crate) fn is_used(&self, name: &str) -> bool {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).names.contains_key(name)
    }
}

impl Folder {
    /// The same for directories with the same files, whatever their times.
    pub(crate) fn id(&self) -> &Digest {
        self.index.id()
    }

    /// Its files, to be read beneath.
    pub(crate) fn files(&self) -> BorrowedFd<'_> {
        self.files.as_fd()
    }

    pub(crate) fn look(&self, path: &[Vec<u8>]) -> Option<Seen> {
        match path.is_empty() {
            true => Some(Seen { about: self.index.root(), kind: SeenKind::Directory }),
            false => self.index.get(&join(path)).map(Item::seen),
        }
    }

    pub(crate) fn names(&self, path: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.index.names(&join(path))
    }

    pub(crate) fn digest(&self, path: &[Vec<u8>]) -> Option<String> {
        match &self.index.get(&join(path))?.what {
            What::File { digest, .. } => Some(digest.clone()),
            _ => None,
        }
    }

    /// What is below a path but directories, each with what tells one state from another. No more than `limit`.
    pub(crate) fn states_below(&self, path: &[Vec<u8>], limit: usize) -> Vec<(String, String)> {
        let top = join(path);
        let below = [&top[..], b"/"].concat();
        let items = self.index.items().range(top.clone()..).take_while(|(path, _)| path.starts_with(&top));
        let within = items.filter(|(path, _)| top.is_empty() || **path == top || path.starts_with(&below));
        let state = |(path, item): (&Vec<u8>, &Item)| {
            let id = identify(&BTreeMap::from([(path.clone(), item.clone())]));
            (String::from_utf8_lossy(path).into_owned(), id.hex()[..16].to_owned())
        };
        within.filter(|(_, item)| !item.is_directory()).take(limit).map(state).collect()
    }

    /// The same for what is below a path, whatever is beside it.
    pub(crate) fn id_below(&self, path: &[Vec<u8>]) -> Digest {
        if path.is_empty() {
            return self.id().clone();
        }
        let top = join(path);
        let below = [&top[..], b"/"].concat();
        let items = self.index.items().range(top.clone()..);
        let within = items.take_while(|(path, _)| path.starts_with(&top));
        let within = within.filter(|(path, _)| **path == top || path.starts_with(&below));
        identify(&within.map(|(path, item)| (path.clone(), item.clone())).collect())
    }
}

/// The digest of everything that is known of a directory, but for times.
fn identify(items: &BTreeMap<Vec<u8>, Item>) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(b"folder\0");
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (path, item) in items {
        field(path);
        field(format!("{:o} {} {} {}", item.mode, item.uid, item.gid, item.xattrs.len()).as_bytes());
        for (name, value) in &item.xattrs {
            field(name);
            field(value);
        }
        match &item.what {
            What::Directory => field(b"directory"),
            What::File { size, digest, .. } => field(format!("file {size} {digest}").as_bytes()),
            What::Symlink(to) => {
                field(b"symlink");
                field(to);
            }
            What::Fifo => field(b"fifo"),
            What::Device { block, major, minor } => {
                field(format!("device {block} {major} {minor}").as_bytes());
            }
        }
    }
    hasher.finish()
}
