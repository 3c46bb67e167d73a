//! Directories that steps share over builds: `RUN --mount=type=cache`.
//!
//! ```text
//! <data root>/builds/mounts/<digest of the id>-<n>/files/   what is in it; -0 is the shared one
//! <data root>/builds/mounts/<digest of the id>-<n>/id       the id, for people
//! ```

use std::collections::HashMap;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use build::Error;
use build::graph::Sharing;
use oci::Digest;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::error::work;

/// All cache mounts.
#[derive(Debug)]
pub(crate) struct CacheMounts {
    root: PathBuf,
    known: Mutex<HashMap<String, Arc<RwLock<()>>>>,
}

/// A cache mount that is in use.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    id: String,
    path: PathBuf,
    new: bool,
    _use: Arc<Use>,
}

#[derive(Debug)]
enum Use {
    With(#[expect(dead_code, reason = "held, never read")] OwnedRwLockReadGuard<()>),
    Alone(#[expect(dead_code, reason = "held, never read")] OwnedRwLockWriteGuard<()>),
}

impl CacheMounts {
    pub(crate) fn open(builds: &Path) -> Result<Self, Error> {
        let root = builds.join("mounts");
        fs::create_dir_all(&root).map_err(|e| work("create a folder for cache mounts", e))?;
        Ok(Self { root, known: Mutex::default() })
    }

    fn lock(&self, name: &str) -> Arc<RwLock<()>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, lock| Arc::strong_count(lock) > 1);
        known.entry(name.to_owned()).or_default().clone()
    }

    /// The directory of an id, as it may be shared. Waits where another one has it alone.
    pub(crate) async fn take(&self, id: &str, sharing: Sharing) -> Result<Taken, Error> {
        let key = key(id);
        let (name, held) = match sharing {
            Sharing::Shared => {
                let name = format!("{key}-0");
                (name.clone(), Use::With(self.lock(&name).read_owned().await))
            }
            Sharing::Locked => {
                let name = format!("{key}-0");
                (name.clone(), Use::Alone(self.lock(&name).write_owned().await))
            }
            Sharing::Private => {
                // The first one that nobody has.
                let mut number = 0;
                loop {
                    let name = format!("{key}-{number}");
                    match self.lock(&name).try_write_owned() {
                        Ok(alone) => break (name, Use::Alone(alone)),
                        Err(_) => number += 1,
                    }
                }
            }
        };
        let path = self.root.join(name);
        let new = !path.join("files").exists();
        let make = || {
            fs::create_dir_all(path.join("files"))?;
            fs::write(path.join("id"), id)
        };
        make().map_err(|e| work("create a cache mount", e))?;
        Ok(Taken { id: id.to_owned(), path, new, _use: Arc::new(held) })
    }

    /// The shared directory of an id, if there is one. Waits where another one has it alone.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Taken>, Error> {
        match self.root.join(format!("{}-0", key(id))).exists() {
            true => self.take(id, Sharing::Shared).await.map(Some),
            false => Ok(None),
        }
    }

    /// Names, ids, bytes, and when each was used last.
    pub(crate) fn list(&self) -> Result<Vec<(String, String, u64, SystemTime)>, Error> {
        let entries = fs::read_dir(&self.root).map_err(|e| work("list cache mounts", e))?;
        let mut found = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let id = fs::read_to_string(path.join("id")).unwrap_or_default();
            let used = fs::metadata(path.join("id")).and_then(|meta| meta.modified());
            let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((name, id, crate::disk::written_below(&path), used));
        }
        Ok(found)
    }

    pub(crate) fn is_used(&self, name: &str) -> bool {
        self.lock(name).try_write().is_err()
    }

    /// Removes one, unless it is used.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, Error> {
        let lock = self.lock(name);
        let Ok(_alone) = lock.try_write() else { return Ok(false) };
        fs::remove_dir_all(self.root.join(name)).map_err(|e| work("remove a cache mount", e))?;
        Ok(true)
    }
}

/// How the folders of an id begin.
fn key(id: &str) -> String {
    Digest::sha256(id.as_bytes()).hex()[..32].to_owned()
}

impl Taken {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether nothing was in it before.
    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// The same with something in it.
    pub(crate) fn filled(self) -> Self {
        Self { new: false, ..self }
    }

    /// The directory.
    pub(crate) fn open(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::open(self.path.join("files"), flags, Mode::empty())
            .map_err(|e| work("open a cache mount", e))
    }

    /// A directory in it, which steps before have made. Its links lead nowhere else.
    pub(crate) fn open_part(&self, path: &str) -> Result<OwnedFd, Error> {
        let files = self.open()?;
        let inside = path.trim_matches('/');
        if inside.is_empty() {
            return Ok(files);
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&files, inside, flags, Mode::empty(), resolve).map_err(|e| match e {
            rustix::io::Errno::NOENT => Error::NotFound(format!("open /{inside}: no such file or directory")),
            e => work(format!("open /{inside} of a cache mount"), e),
        })
    }

    /// Copies a directory into it, with the directory's own mode and owner.
    pub(crate) fn fill(&self, from: BorrowedFd<'_>, limits: &layers::Limits) -> Result<(), Error> {
        let failed = |e: layers::Error| work("fill a cache mount", e);
        let from = from.try_clone_to_owned().map_err(|e| work("fill a cache mount", e))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let from = rustix::fs::openat(&from, ".", flags, Mode::empty());
        let from = from.map_err(|e| work("fill a cache mount", e))?;
        let into = self.open()?;
        let stat = rustix::fs::fstat(&from).map_err(|e| work("fill a cache mount", e))?;
        let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(&into, Some(uid), Some(gid))
            .and_then(|()| rustix::fs::fchmod(&into, Mode::from_raw_mode(stat.st_mode & 0o7777)))
            .map_err(|e| work("fill a cache mount", e))?;
        let limits_there = limits.clone();
        let tar = layers::Written::by(move |out| layers::pack_tree(from.as_fd(), b"", out, &limits_there));
        let how = layers::Extract {
            owner: layers::Owner::Archive,
            overwrite: layers::Overwrite::Anything,
            rename: None,
            shown: "a cache mount".into(),
        };
        layers::extract(tar.map_err(|e| work("fill a cache mount", e))?, into.as_fd(), &how, limits)
            .map_err(failed)
    }
}
