//! The local disk.
//!
//! ```text
//! <root>/blobs/sha256/<hex>                       content's: the shared bytes
//! <root>/blobs/partial/<uuid>                     content's: an upload on its way in
//! <root>/repositories/<name>/_blobs/<digest>      a hard link to the shared bytes
//! <root>/repositories/<name>/_manifests/<digest>  media type, line feed, the manifest's bytes
//! <root>/repositories/<name>/_tags/<tag>          a digest
//! <root>/repositories/<name>/_referrers/<subject>/<digest>   a descriptor
//! <root>/repositories/<name>/_uploads/<uuid>      the repository that an upload belongs to
//! <root>/tmp/<random>                             a document on its way in
//! <root>/lock                                     held alone by a collection, shared by who writes references
//! ```
//!
//! A repository's blob is a hard link: whether it may be read, and reading it, is one `open`; bytes that only the shared
//! name is left of are known by their number of links. No part of a repository's name begins with `_`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use content::Session;
use oci::{Algorithm, Digest};

mod upload;

use super::{Blob, Entry, Freed, Held, Hold, Key, Source, Storage, Upload, digest_of, file};
use crate::error::{Error, Problem};
use crate::route::Name;

/// Half of the shortest grace: a blob that was asked for so recently needn't be touched again.
const TOUCH: Duration = Duration::from_secs(15 * 60);

/// A folder of the local disk. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Disk {
    root: PathBuf,
    content: content::Store,
    kept: Arc<upload::Kept>,
}

impl Disk {
    /// Opens the folder, making what is missing and removing what was left half-written.
    /// What the data root `beside` has is shared with it.
    pub(crate) fn open(root: &Path, beside: Option<&Path>) -> Result<Self, Error> {
        for name in ["repositories", "tmp"] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(|source| Error::Store { doing: "create", path, source })?;
        }
        let mut content = content::Store::open(root)?;
        if let Some(beside) = beside {
            content = content.beside(beside);
        }
        let disk = Self { root: root.to_owned(), content, kept: Arc::default() };
        disk.sweep()?;
        Ok(disk)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join("repositories").join(&key.0)
    }

    fn folder(&self, name: &Name) -> PathBuf {
        self.root.join("repositories").join(name.as_str())
    }

    fn blob_path(&self, name: &Name, digest: &Digest) -> PathBuf {
        self.folder(name).join("_blobs").join(file(digest))
    }

    /// Every repository with such a folder of ours, by name.
    fn holding(&self, wanted: fn(&str) -> bool) -> Result<Vec<Name>, Error> {
        let base = self.root.join("repositories");
        let mut names = Vec::new();
        let mut folders = vec![base.clone()];
        while let Some(folder) = folders.pop() {
            let Some(found) = absent(fs::read_dir(&folder)).map_err(failed("list", &folder))? else {
                continue;
            };
            let mut holds = false;
            for entry in found {
                let path = entry.map_err(failed("list", &folder))?.path();
                match name_of(&path) {
                    part if part.starts_with('_') => holds |= wanted(part),
                    _ => folders.push(path),
                }
            }
            let relative = folder.strip_prefix(&base).ok().and_then(Path::to_str).unwrap_or_default();
            if holds && let Ok(name) = Name::parse(relative) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn lock(&self, lock: fn(&File) -> io::Result<()>) -> Result<Held, Error> {
        let path = self.root.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let locked = file.and_then(|file| lock(&file).map(|()| Held::Lock { _file: file }));
        locked.map_err(failed("lock", &path))
    }

    /// Removes what a process that died was writing. Others may be writing too: only what is old.
    fn sweep(&self) -> Result<(), Error> {
        let folder = self.root.join("tmp");
        for (path, meta) in entries(&folder)?.unwrap_or_default() {
            if age(&meta) > Duration::from_secs(3600) {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Store { doing, path: path.to_owned(), source }
}

fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A part of the path that is a file: there is nothing below it.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn age(meta: &fs::Metadata) -> Duration {
    meta.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}

/// A folder's files with what is known of them; those that go meanwhile are left out.
fn entries(folder: &Path) -> Result<Option<Vec<(PathBuf, fs::Metadata)>>, Error> {
    let Some(list) = absent(fs::read_dir(folder)).map_err(failed("list", folder))? else { return Ok(None) };
    let mut found = Vec::new();
    for entry in list {
        let entry = entry.map_err(failed("list", folder))?;
        if let Some(meta) = absent(entry.metadata()).map_err(failed("list", folder))? {
            found.push((entry.path(), meta));
        }
    }
    Ok(Some(found))
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

/// Makes a folder, and what is above it, so that they outlast a power cut. Somebody may be pruning them meanwhile.
fn make(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(folder);
    make(above)?;
    match fs::create_dir(folder) {
        Ok(()) => sync(above),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::Store { doing: "create", path: folder.to_owned(), source }),
    }
}

impl Storage for Disk {
    fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        let path = self.path(key);
        absent(fs::read(&path)).map_err(failed("read", &path))
    }

    fn stamp(&self, key: &Key) -> Result<Option<SystemTime>, Error> {
        let path = self.path(key);
        let meta = absent(fs::metadata(&path)).map_err(failed("read", &path))?;
        Ok(meta.map(|meta| meta.modified().unwrap_or(SystemTime::UNIX_EPOCH)))
    }

    fn write(&self, key: &Key, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&path);
        make(folder)?;
        let written = tempfile::NamedTempFile::new_in(self.root.join("tmp")).and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        });
        written.map_err(failed("write", &path))?;
        sync(folder)
    }

    /// For who holds it alone.
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<bool, Error> {
        let absent = self.stamp(key)?.is_none();
        if absent {
            self.write(key, bytes)?;
        }
        Ok(absent)
    }

    fn remove(&self, key: &Key) -> Result<bool, Error> {
        let path = self.path(key);
        let removed = absent(fs::remove_file(&path)).map_err(failed("remove", &path))?.is_some();
        if removed && let Some(folder) = path.parent() {
            sync(folder)?;
        }
        Ok(removed)
    }

    fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, Error> {
        let Some(found) = entries(&self.path(folder))? else { return Ok(None) };
        let entry = |(path, meta): &(PathBuf, fs::Metadata)| Entry {
            name: name_of(path).to_owned(),
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        };
        let mut list: Vec<Entry> = found.iter().map(entry).collect();
        list.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(list))
    }

    fn holds(&self, folder: &Key) -> Result<bool, Error> {
        Ok(self.path(folder).is_dir())
    }

    fn repositories(&self) -> Result<Vec<Name>, Error> {
        self.holding(|part| part == "_manifests")
    }

    fn names(&self) -> Result<Vec<Name>, Error> {
        self.holding(|_| true)
    }

    fn prune(&self, name: &Name) -> Result<bool, Error> {
        let folder = self.folder(name);
        let referrers = folder.join("_referrers");
        let below = entries(&referrers)?.unwrap_or_default();
        let parts = ["_manifests", "_tags", "_uploads", "_blobs"].map(|part| folder.join(part));
        let empty = |path: &Path| entries(path).is_ok_and(|found| found.is_none_or(|found| found.is_empty()));
        if !parts.iter().all(|path| empty(path)) {
            return Ok(false);
        }
        // Only empty folders go: whatever appears meanwhile stays.
        let all =
            below.into_iter().map(|(path, _)| path).chain([referrers]).chain(parts).chain([folder.clone()]);
        for path in all {
            let _ = fs::remove_dir(path);
        }
        Ok(!folder.exists())
    }

    fn blob(&self, name: &Name, digest: &Digest) -> Result<Option<Blob>, Error> {
        let path = self.blob_path(name, digest);
        let Some(file) = absent(File::open(&path)).map_err(failed("read", &path))? else { return Ok(None) };
        let size = file.metadata().map_err(failed("read", &path))?.len();
        Ok(Some(Blob { size, source: Source::File(file) }))
    }

    fn size(&self, name: &Name, digest: &Digest) -> Result<Option<u64>, Error> {
        let path = self.blob_path(name, digest);
        let Some(meta) = absent(fs::metadata(&path)).map_err(failed("read", &path))? else { return Ok(None) };
        if age(&meta) > TOUCH {
            // One that may not be written is one that no collection will remove either.
            let _ =
                File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        }
        Ok(Some(meta.len()))
    }

    fn link(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        let path = self.blob_path(name, digest);
        if path.exists() {
            return Ok(true);
        }
        let folder = path.parent().unwrap_or(&path);
        make(folder)?;
        let linked = self.content.link(digest, &path)?;
        if linked {
            sync(folder)?;
        }
        Ok(linked)
    }

    fn unlink(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        let path = self.blob_path(name, digest);
        let removed = absent(fs::remove_file(&path)).map_err(failed("remove", &path))?.is_some();
        if removed && let Some(folder) = path.parent() {
            sync(folder)?;
        }
        Ok(removed)
    }

    fn blobs(&self, name: &Name) -> Result<Vec<(Digest, u64, SystemTime)>, Error> {
        let found = entries(&self.folder(name).join("_blobs"))?.unwrap_or_default();
        let blob = |(path, meta): (PathBuf, fs::Metadata)| {
            Some((digest_of(name_of(&path))?, meta.len(), meta.modified().ok()?))
        };
        Ok(found.into_iter().filter_map(blob).collect())
    }

    fn begin(&self, name: &Name, session: &Session, algorithm: Algorithm) -> Result<(), Error> {
        self.write(&Key::upload(name, session), algorithm.name().as_bytes())
    }

    fn resume(&self, name: &Name, session: &Session, limit: u64) -> Result<Box<dyn Upload>, Problem> {
        upload::resume(self, name, session, limit)
    }

    fn idle(&self, name: &Name, session: &Session) -> Result<Option<Duration>, Error> {
        let path = self.path(&Key::upload(name, session));
        let begun = absent(fs::metadata(&path)).map_err(failed("read", &path))?;
        Ok(begun.map(|meta| self.content.session_age(session).unwrap_or_else(|| age(&meta))))
    }

    fn shared(&self) -> &content::Store {
        &self.content
    }

    fn hold(&self, hold: Hold<'_>) -> Result<Held, Error> {
        self.lock(match hold {
            Hold::Shared => File::lock_shared,
            Hold::Alone(_) => File::lock,
        })
    }

    fn collect(&self, grace: Duration, really: bool) -> Result<Freed, Error> {
        let mut freed = Freed::default();
        for blob in self.content.list()? {
            // Short holds: who pushes waits for one blob's removal at most.
            let _alone = self.lock(File::lock)?;
            let Some((names, age)) = self.content.names(&blob.digest)? else { continue };
            if names > 1 || age < grace {
                continue;
            }
            if really {
                self.content.remove(&blob.digest)?;
            }
            freed.blobs += 1;
            freed.bytes += blob.size;
        }
        Ok(freed)
    }

    fn check(&self) -> Result<(), Error> {
        let path = self.root.join("tmp");
        let written = tempfile::NamedTempFile::new_in(&path).and_then(|mut file| file.write_all(b"healthy"));
        written.map_err(failed("write", &path))
    }

    fn used(&self) -> Result<u64, Error> {
        Ok(self.content.list()?.iter().map(|blob| blob.size).sum())
    }
}
