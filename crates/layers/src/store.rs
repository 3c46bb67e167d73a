//! The folder of layers: how one comes in, is found and goes.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::{Algorithm, Digest, Hasher};
use rustix::fs::{Mode, OFlags, open, openat};

use crate::mount::{Keeping, Overlay, Strategy, failed};
use crate::shown::shown_to;
use crate::{Choice, Directories, Driver, Error, IndexedTars, Limits};

const TEMPORARY: &str = "tmp";
/// A folder with nothing in it.
const EMPTY: &str = "empty";
/// overlayfs takes no more lower layers than this.
const MAX_LAYERS: usize = 500;

/// A layer that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the uncompressed tar, which is the layer's name.
    pub diff_id: Digest,
    /// The uncompressed tar's bytes.
    pub tar_size: u64,
}

/// The layers of one data root. Safe to share between threads: each change is one `rename`.
pub struct LayerStore {
    root: PathBuf,
    driver: Box<dyn Driver>,
    limits: Limits,
    strategy: Strategy,
    /// Each layer is made ready once and lent to every root: one superblock, one page cache.
    ready: Mutex<HashMap<Digest, Arc<OwnedFd>>>,
}

impl std::fmt::Debug for LayerStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "LayerStore({}, {})", self.root.display(), self.driver.name())
    }
}

impl LayerStore {
    /// Opens `<data root>/layers` with the driver that was chosen.
    pub fn open(data_root: &Path, choice: Choice, limits: Limits) -> Result<Self, Error> {
        let strategy = Strategy::detect();
        let plain = Self::with(data_root, Box::new(Directories), limits, strategy)?;
        let indexed = choice != Choice::Overlay && plain.mounts_indexes()?;
        match (choice, indexed) {
            (Choice::Erofs, false) => Err(Error::NoErofs),
            (_, true) => Ok(Self { driver: Box::new(IndexedTars), ..plain }),
            _ => Ok(plain),
        }
    }

    /// overlayfs takes an index's mount only as a descriptor.
    fn mounts_indexes(&self) -> Result<bool, Error> {
        let folder = self.scratch()?;
        Ok(self.strategy == Strategy::Descriptors
            && IndexedTars::work_in(open_folder(folder.path())?.as_fd()))
    }

    /// Opens `<data root>/layers` with everything chosen by the caller.
    pub fn with(
        data_root: &Path,
        driver: Box<dyn Driver>,
        limits: Limits,
        strategy: Strategy,
    ) -> Result<Self, Error> {
        let root = data_root.join("layers");
        for path in [root.join(TEMPORARY), root.join(EMPTY)] {
            fs::create_dir_all(&path).map_err(|source| Error::Store { doing: "create", path, source })?;
        }
        Ok(Self { root, driver, limits, strategy, ready: Mutex::default() })
    }

    /// Removes what an engine that died was unpacking; only for the engine that holds the data root's lock, before it
    /// applies anything.
    pub fn sweep(&self) -> Result<(), Error> {
        let folder = self.root.join(TEMPORARY);
        for path in entries(&folder)? {
            remove_tree(&path)?;
        }
        Ok(())
    }

    /// Unpacks an uncompressed layer tar. Its diff id is computed as the bytes pass; with `expected` given, another one
    /// is an error and nothing is kept. A layer that is here already is not replaced.
    pub fn apply(&self, tar: impl Read, expected: Option<&Digest>) -> Result<Layer, Error> {
        self.unpack(tar, expected)?.publish()
    }

    /// The same in two steps: nobody sees the layer before [`Unpacked::publish`].
    pub fn unpack(&self, tar: impl Read, expected: Option<&Digest>) -> Result<Unpacked<'_>, Error> {
        let folder = self.scratch()?;
        let opened = open_folder(folder.path())?;
        let mut tar = HashingReader { inner: tar, hasher: Hasher::new(Algorithm::Sha256), size: 0 };
        self.driver.unpack(&mut tar, opened.as_fd(), &self.limits)?;
        // The diff id is of all bytes, also of padding after the end-of-archive blocks.
        io::copy(&mut tar, &mut io::sink()).map_err(|source| Error::ReadTar { source })?;
        let layer = Layer { diff_id: tar.hasher.finish(), tar_size: tar.size };
        if let Some(expected) = expected.filter(|expected| **expected != layer.diff_id) {
            return Err(Error::Mismatch { expected: expected.clone(), found: layer.diff_id });
        }
        // A name below `layers/` promises that its content is on disk.
        self.driver.sync(opened.as_fd()).map_err(|source| Error::Store {
            doing: "sync",
            path: folder.path().to_owned(),
            source,
        })?;
        Ok(Unpacked { store: self, folder, layer })
    }

    /// A folder that nobody sees and that the next start would sweep.
    fn scratch(&self) -> Result<tempfile::TempDir, Error> {
        let parent = self.root.join(TEMPORARY);
        let made = tempfile::Builder::new().tempdir_in(&parent);
        made.map_err(|source| Error::Store { doing: "create a folder in", path: parent, source })
    }

    /// What a stranger's archive may ask of this host.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn ready(&self) -> MutexGuard<'_, HashMap<Digest, Arc<OwnedFd>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the driver that new layers are kept with.
    pub fn driver(&self) -> &'static str {
        self.driver.name()
    }

    /// Whether new layers' tars can be read again with [`LayerStore::tar`].
    pub fn keeps_tars(&self) -> bool {
        self.driver.keeps_tars()
    }

    /// A layer's uncompressed tar of `size` bytes, where it is kept.
    pub fn tar(&self, diff_id: &Digest, size: u64) -> Result<Option<io::Take<File>>, Error> {
        let folder = self.folder(diff_id)?;
        let opened = crate::erofs::tar(folder.as_fd());
        let tar =
            opened.map_err(|source| Error::Store { doing: "open", path: self.path(diff_id), source })?;
        Ok(tar.map(|tar| tar.take(size)))
    }

    fn publish(&self, folder: tempfile::TempDir, diff_id: &Digest) -> Result<(), Error> {
        let target = self.path(diff_id);
        match fs::rename(folder.path(), &target) {
            Ok(()) => {
                // It has its name for good: nothing is to be removed when the guard goes.
                let _ = folder.keep();
                File::open(&self.root).and_then(|root| root.sync_all()).map_err(|source| Error::Store {
                    doing: "sync",
                    path: self.root.clone(),
                    source,
                })
            }
            // Somebody else unpacked the same bytes meanwhile; ours are removed with the guard.
            Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                drop(folder);
                Ok(())
            }
            Err(source) => Err(Error::Store { doing: "rename a layer to", path: target, source }),
        }
    }

    /// Whether a layer is here.
    pub fn contains(&self, diff_id: &Digest) -> bool {
        self.path(diff_id).is_dir()
    }

    /// Every layer's diff id.
    pub fn list(&self) -> Result<Vec<Digest>, Error> {
        let names = entries(&self.root)?;
        let hex = names.iter().filter_map(|path| path.file_name()?.to_str());
        Ok(hex.filter_map(|hex| format!("sha256:{hex}").parse().ok()).collect())
    }

    /// Removes a layer; one that isn't here is no error. The caller knows that no container uses it.
    pub fn remove(&self, diff_id: &Digest) -> Result<(), Error> {
        let path = self.path(diff_id);
        let grave = self.scratch()?;
        self.ready().remove(diff_id);
        // Out of sight in one step, so that a crash leaves no half of a layer under its name.
        match fs::rename(&path, grave.path()) {
            Ok(()) => remove_tree(&grave.keep()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::Store { doing: "remove", path, source }),
        }
    }

    /// Mounts layers (lowest first) under a writable directory, attached nowhere: the mount lives as long as the
    /// descriptor or until it is attached in a container's mount namespace. `upper` and `work` are empty or from the
    /// same container's earlier run, on one file system.
    pub fn mount_root(&self, layers: &[Digest], upper: &Path, work: &Path) -> Result<OwnedFd, Error> {
        let lowers = self.lowers(layers)?;
        let (upper, work) = (open_folder(upper)?, open_folder(work)?);
        Overlay { lowers: &lowers, writable: Some((upper.as_fd(), work.as_fd())), keeping: Keeping::Lasting }
            .mount(self.strategy)
    }

    /// The same for a container with users of its own: layers and changes keep the owners that they have on disk and are shown
    /// with those that `users`, a user namespace, maps them to; `root` is who its root is on the host. `folder` has the
    /// directories `upper` and `work`.
    pub fn mount_root_for(
        &self,
        users: BorrowedFd<'_>,
        root: (u32, u32),
        layers: &[Digest],
        folder: &Path,
    ) -> Result<OwnedFd, Error> {
        let mut shown = self.lowers(layers)?;
        shown.push(Arc::new(open_folder(folder)?));
        shown_to(users, &shown, self.strategy, &self.root, |shown| {
            let (lowers, folder) = shown.split_at(shown.len() - 1);
            let child = |name| open_child(folder[0].as_fd(), name);
            let (upper, work) = (child("upper")?, child("work")?);
            let writable = Some((upper.as_fd(), work.as_fd()));
            let overlay = Overlay { lowers, writable, keeping: Keeping::Lasting };
            // What overlayfs makes for itself belongs to whoever mounts it, and the host's root is nobody there.
            let mounted = sys::as_owner(root.0, root.1, || overlay.mount(self.strategy));
            mounted.map_err(|e| failed("become the owner of a root file system", e))?
        })
    }

    /// The same without anything to write to: what an image is, for looking at it.
    pub fn mount_read_only(&self, layers: &[Digest]) -> Result<OwnedFd, Error> {
        self.image(&self.over_nothing(layers)?)
    }

    /// The same as a container sees it that has users of its own.
    pub fn mount_read_only_for(&self, users: BorrowedFd<'_>, layers: &[Digest]) -> Result<OwnedFd, Error> {
        let lowers = self.over_nothing(layers)?;
        shown_to(users, &lowers, self.strategy, &self.root, |lowers| self.image(lowers))
    }

    /// What a container's root is at this moment, for reading: the layers with the changes on top, which may go on.
    pub fn mount_seen(&self, layers: &[Digest], upper: &Path) -> Result<OwnedFd, Error> {
        let mut lowers = self.over_nothing(layers)?;
        lowers.push(Arc::new(open_folder(upper)?));
        self.image(&lowers)
    }

    /// The same of layers with a directory of the caller's on top of them, which nobody changes meanwhile; with `writable`
    /// given, an upper and a work directory, what is written goes there, to be read once: no power cut may come in between.
    pub fn mount_over(
        &self,
        layers: &[Digest],
        folder: Option<OwnedFd>,
        writable: Option<(&Path, &Path)>,
    ) -> Result<OwnedFd, Error> {
        let mut lowers = self.over_nothing(layers)?;
        lowers.extend(folder.map(Arc::new));
        let writable = match writable {
            Some((upper, work)) => Some((open_folder(upper)?, open_folder(work)?)),
            // overlayfs wants two; nothing at all is the empty folder itself.
            None if lowers.len() == 1 => return open_folder(&self.root.join(EMPTY)),
            None => None,
        };
        let writable = writable.as_ref().map(|(upper, work)| (upper.as_fd(), work.as_fd()));
        Overlay { lowers: &lowers, writable, keeping: Keeping::Passing }.mount(self.strategy)
    }

    fn image(&self, lowers: &[Arc<OwnedFd>]) -> Result<OwnedFd, Error> {
        Overlay { lowers, writable: None, keeping: Keeping::Lasting }.mount(self.strategy)
    }

    /// Without an upper directory overlayfs wants two lower ones; nothing is below everything.
    fn over_nothing(&self, layers: &[Digest]) -> Result<Vec<Arc<OwnedFd>>, Error> {
        let mut lowers = vec![Arc::new(open_folder(&self.root.join(EMPTY))?)];
        lowers.extend(self.lowers(layers)?);
        Ok(lowers)
    }

    fn lowers(&self, layers: &[Digest]) -> Result<Vec<Arc<OwnedFd>>, Error> {
        if layers.len() > MAX_LAYERS {
            return Err(Error::Limit { of: "layers below it", limit: MAX_LAYERS as u64 });
        }
        // An image may list the same layer twice; overlayfs refuses one directory in two places, and only its
        // uppermost place can be seen, whiteouts included.
        let mut uppermost = BTreeMap::new();
        for (place, diff_id) in layers.iter().enumerate() {
            uppermost.insert(diff_id, place);
        }
        let kept = layers.iter().enumerate().filter(|(place, diff_id)| uppermost.get(diff_id) == Some(place));
        kept.map(|(_, diff_id)| self.lower(diff_id)).collect()
    }

    fn lower(&self, diff_id: &Digest) -> Result<Arc<OwnedFd>, Error> {
        if let Some(lower) = self.ready().get(diff_id) {
            return Ok(lower.clone());
        }
        let folder = self.folder(diff_id)?;
        // A layer stays as it was kept, whichever driver keeps the new ones.
        let lower = match crate::erofs::is_index(folder.as_fd()) {
            true => IndexedTars.lower(folder.as_fd())?,
            false => Directories.lower(folder.as_fd())?,
        };
        Ok(self.ready().entry(diff_id.clone()).or_insert(Arc::new(lower)).clone())
    }

    fn folder(&self, diff_id: &Digest) -> Result<OwnedFd, Error> {
        if !self.contains(diff_id) {
            return Err(Error::NotFound(diff_id.clone()));
        }
        open_folder(&self.path(diff_id))
    }

    fn path(&self, diff_id: &Digest) -> PathBuf {
        self.root.join(diff_id.hex())
    }
}

/// A layer that is whole and not yet in the store; dropping it removes it.
#[derive(Debug)]
pub struct Unpacked<'a> {
    store: &'a LayerStore,
    folder: tempfile::TempDir,
    layer: Layer,
}

impl Unpacked<'_> {
    /// Gives the layer its name.
    pub fn publish(self) -> Result<Layer, Error> {
        self.store.publish(self.folder, &self.layer.diff_id)?;
        Ok(self.layer)
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, Error> {
    open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
        .map_err(|e| Error::Store { doing: "open", path: path.to_owned(), source: e.into() })
}

/// Opens a directory of ours inside another one by its single name.
pub(crate) fn open_child(folder: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Error> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat(folder, name, flags, Mode::empty()).map_err(|e| Error::Store {
        doing: "open",
        path: name.into(),
        source: e.into(),
    })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    list().map_err(|source| Error::Store { doing: "list", path: folder.to_owned(), source })
}

fn remove_tree(path: &Path) -> Result<(), Error> {
    // The standard library removes beneath descriptors and follows no link.
    fs::remove_dir_all(path).map_err(|source| Error::Store { doing: "remove", path: path.to_owned(), source })
}

struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    size: u64,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}
