//! The receiving side of a client's directory.
//!
//! Everything is done beneath the directory's descriptor, with paths of which every component but the last must be a
//! directory that was told before: nothing that a client names leads out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use build::Error;
use build::session::{Entry, Kind, Receive, Want};
use oci::{Algorithm, Hasher};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, chownat,
    fchmod, fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, openat2, symlinkat, unlinkat,
    utimensat,
};
use rustix::io::Errno;

use super::Place;
use super::index::{Index, Item, What};
use crate::builds::error::work;

/// A directory has no more entries.
const MAX_ENTRIES: usize = 2_000_000;
const MAX_PATH: usize = 4096;
const MAX_DEPTH: usize = 512;
/// A client may tell of all its files before the content of the first one comes.
const MAX_OPEN: usize = 256;

/// A file that is coming in.
struct Incoming {
    path: Vec<u8>,
    item: Item,
    /// Closed where too many others are open: it is opened when its content comes.
    file: Option<File>,
    /// Of what has come.
    hasher: Option<Box<Hasher>>,
    size: u64,
}

/// What was received, for whoever asked.
#[derive(Clone, Default)]
pub(super) struct Outcome(Arc<Mutex<Option<Arc<Index>>>>);

impl Outcome {
    pub(super) fn take(&self) -> Option<Arc<Index>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

pub(super) struct Receiving {
    /// Nobody else's for as long as this goes on, which may be longer than anybody waits for it.
    place: Arc<Place>,
    files: OwnedFd,
    before: Arc<Index>,
    now: BTreeMap<Vec<u8>, Item>,
    incoming: HashMap<u32, Incoming>,
    /// How many of them are open.
    open: usize,
    /// The last number that the names of one file got.
    same: u64,
    changed: bool,
    /// Directories whose attributes are set when everything in them is there.
    late: HashSet<Vec<u8>>,
    outcome: Outcome,
    told: Arc<dyn Fn(u64) + Send + Sync>,
    begun: i64,
}

impl Receiving {
    pub(super) fn begin(
        place: Arc<Place>,
        recent: Option<Arc<Index>>,
        told: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<Self, Error> {
        let folder = place.path.as_path();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let known = folder.join("index").exists();
        let before = match recent.filter(|_| known) {
            Some(recent) => recent,
            None => match Index::read(folder) {
                Some(index) => Arc::new(index),
                None => {
                    clear(folder)?;
                    Arc::new(Index::new(BTreeMap::new(), 0))
                }
            },
        };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let files = rustix::fs::open(folder.join("files"), flags, Mode::empty());
        let files = files.map_err(|e| work("open a build's directory", e))?;
        Ok(Self {
            place,
            files,
            before,
            now: BTreeMap::new(),
            incoming: HashMap::new(),
            open: 0,
            same: 0,
            changed: false,
            late: HashSet::new(),
            outcome: Outcome::default(),
            told,
            begun: i64::try_from(now.as_nanos()).unwrap_or_default(),
        })
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }

    /// Before the first change: what is here is no directory of anybody's until the end.
    fn change(&mut self) -> Result<(), Error> {
        if !std::mem::replace(&mut self.changed, true) {
            Index::forget(&self.place.path)?;
        }
        Ok(())
    }

    /// The directory that a path is in, and the last component.
    fn parent<'p>(&self, path: &'p [u8]) -> Result<(OwnedFd, &'p OsStr), Error> {
        let at = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = match at {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b"."[..], path),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let found = openat2(&self.files, OsStr::from_bytes(parent), flags, Mode::empty(), resolve);
        Ok((found.map_err(|e| failed("open", path, e))?, OsStr::from_bytes(name)))
    }

    fn check(&self, path: &[u8]) -> Result<(), Error> {
        let refused = |why: &str| {
            let name = diag::printable(&String::from_utf8_lossy(path));
            Err(Error::Invalid(format!("the client sent a path that {why}: {name}")))
        };
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        if parts.iter().any(|part| matches!(*part, b"" | b"." | b"..")) || path.contains(&0) {
            return refused("leads elsewhere");
        }
        if path.len() > MAX_PATH || parts.len() > MAX_DEPTH {
            return refused("is too long");
        }
        if self.now.contains_key(path) {
            return refused("was sent before");
        }
        if let Some(at) = path.iter().rposition(|byte| *byte == b'/')
            && !self.now.get(&path[..at]).is_some_and(Item::is_directory)
        {
            return refused("is in no directory that was sent");
        }
        match self.now.len() >= MAX_ENTRIES {
            true => {
                Err(Error::Invalid(format!("the client's directory has more than {MAX_ENTRIES} entries")))
            }
            false => Ok(()),
        }
    }

    /// Takes away what is on the disk under a name, whatever it is.
    fn clear(&self, path: &[u8]) -> Result<(), Error> {
        let Some(there) = self.before.get(path) else { return Ok(()) };
        let (parent, name) = self.parent(path)?;
        match there.is_directory() {
            true => remove_all(parent.as_fd(), name),
            false => unlinkat(&parent, name, AtFlags::empty()).or_else(absent),
        }
        .map_err(|e| failed("replace", path, e))
    }

    fn directory(&mut self, path: Vec<u8>, item: Item) -> Result<(), Error> {
        if self.before.get(&path) != Some(&item) {
            self.change()?;
            if !self.before.get(&path).is_some_and(Item::is_directory) {
                self.clear(&path)?;
                let (parent, name) = self.parent(&path)?;
                mkdirat(&parent, name, Mode::RWXU).map_err(|e| failed("create", &path, e))?;
            }
        }
        self.late.insert(path.clone());
        self.now.insert(path, item);
        Ok(())
    }

    fn file(&mut self, number: u32, path: Vec<u8>, item: Item, size: u64) -> Result<Want, Error> {
        if let Some(before) = self.before.get(&path)
            && let What::File { size: before_size, digest, same: 0 } = &before.what
            && *before_size == size
            && self.before.can_tell(item.mtime)
            && (Item { what: What::Directory, ..before.clone() } == item)
        {
            let what = What::File { size, digest: digest.clone(), same: 0 };
            self.now.insert(path, Item { what, ..item });
            return Ok(Want::Nothing);
        }
        self.change()?;
        self.clear(&path)?;
        let (parent, name) = self.parent(&path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&parent, name, flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(|e| failed("create", &path, e))?);
        let file = (self.open < MAX_OPEN).then_some(file);
        self.open += usize::from(file.is_some());
        let what = What::File { size, digest: String::new(), same: 0 };
        self.now.insert(path.clone(), Item { what, ..item.clone() });
        self.incoming.insert(number, Incoming { path, item, file, hasher: None, size: 0 });
        Ok(Want::Content)
    }

    fn write(&mut self, incoming: &mut Incoming, bytes: &[u8]) -> Result<(), Error> {
        incoming.size += bytes.len() as u64;
        incoming.hasher.get_or_insert_with(new_hasher).update(bytes);
        let mut file = match incoming.file.take() {
            Some(file) => {
                self.open -= 1;
                file
            }
            None => self.reopen(&incoming.path)?,
        };
        file.write_all(bytes).map_err(|e| failed("write", &incoming.path, e))?;
        if self.open < MAX_OPEN {
            self.open += 1;
            incoming.file = Some(file);
        }
        Ok(())
    }

    /// A file that was created and closed.
    fn reopen(&self, path: &[u8]) -> Result<File, Error> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&parent, name, flags, Mode::empty()).map(File::from).map_err(|e| failed("open", path, e))
    }

    /// Another name of a file that was sent.
    fn hard_link(&mut self, path: Vec<u8>, to: &[u8]) -> Result<(), Error> {
        let Some(Item { what: What::File { same, .. }, .. }) = self.now.get_mut(to) else {
            let name = diag::printable(&String::from_utf8_lossy(to));
            return Err(Error::Invalid(format!("the client sent a link to what it didn't send: {name}")));
        };
        if *same == 0 {
            self.same += 1;
            *same = self.same;
        }
        self.change()?;
        self.clear(&path)?;
        let ((from, old), (parent, new)) = (self.parent(to)?, self.parent(&path)?);
        linkat(&from, old, &parent, new, AtFlags::empty()).map_err(|e| failed("link", &path, e))?;
        let item = self.now.get(to).cloned();
        self.now.extend(item.map(|item| (path, item)));
        Ok(())
    }

    fn other(&mut self, path: Vec<u8>, item: Item) -> Result<(), Error> {
        if self.before.get(&path) != Some(&item) {
            self.change()?;
            self.clear(&path)?;
            let (parent, name) = self.parent(&path)?;
            let made = match &item.what {
                What::Symlink(to) => symlinkat(OsStr::from_bytes(to), &parent, name),
                What::Fifo => mknodat(&parent, name, FileType::Fifo, Mode::RUSR, 0),
                // A device of a client's host is nothing to this one: its name is kept, and no node made.
                _ => Ok(()),
            };
            made.map_err(|e| failed("create", &path, e))?;
            if matches!(item.what, What::Symlink(_) | What::Fifo) {
                let owner = (Some(Uid::from_raw(item.uid)), Some(Gid::from_raw(item.gid)));
                let times = times(item.mtime);
                chownat(&parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
                    .and_then(|()| utimensat(&parent, name, &times, AtFlags::SYMLINK_NOFOLLOW))
                    .map_err(|e| failed("set the owner of", &path, e))?;
            }
        }
        self.now.insert(path, item);
        Ok(())
    }
}

impl Receive for Receiving {
    fn entry(&mut self, number: u32, entry: Entry) -> Result<Want, Error> {
        self.check(&entry.path)?;
        let item = |what| Item {
            mode: entry.mode & 0o7777,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone().into_iter().collect(),
            what,
        };
        match &entry.kind {
            Kind::Directory => self.directory(entry.path.clone(), item(What::Directory))?,
            Kind::File { size } => {
                return self.file(number, entry.path.clone(), item(What::Directory), *size);
            }
            Kind::Hardlink { to } => self.hard_link(entry.path.clone(), to)?,
            Kind::Symlink { to } => {
                if to.is_empty() || to.len() > MAX_PATH || to.contains(&0) {
                    return Err(Error::Invalid("the client sent a link that leads nowhere".into()));
                }
                self.other(entry.path.clone(), item(What::Symlink(to.clone())))?;
            }
            Kind::Fifo => self.other(entry.path.clone(), item(What::Fifo))?,
            Kind::Device { block, major, minor } => {
                let what = What::Device { block: *block, major: *major, minor: *minor };
                self.other(entry.path.clone(), item(what))?;
            }
        }
        Ok(Want::Nothing)
    }

    fn data(&mut self, number: u32, bytes: &[u8]) -> Result<(), Error> {
        let Some(mut incoming) = self.incoming.remove(&number) else {
            return Err(Error::Invalid("the client sent content that nobody wanted".into()));
        };
        let written = self.write(&mut incoming, bytes);
        // What went wrong is still not whole.
        self.incoming.insert(number, incoming);
        written?;
        (self.told)(bytes.len() as u64);
        Ok(())
    }

    fn file_end(&mut self, number: u32) -> Result<(), Error> {
        let Some(incoming) = self.incoming.remove(&number) else {
            return Err(Error::Invalid("the client ended a file that nobody wanted".into()));
        };
        let Incoming { path, item, file, hasher, size: come } = incoming;
        self.open -= usize::from(file.is_some());
        let file = match file {
            Some(file) => file,
            None => self.reopen(&path)?,
        };
        let fail = |e: Errno| failed("set the owner of", &path, e);
        attributes(&file, &item).map_err(fail)?;
        let digest = hasher.unwrap_or_else(new_hasher).finish().hex().to_owned();
        if let Some(Item { what: What::File { size, digest: known, .. }, .. }) = self.now.get_mut(&path) {
            // One that grew or shrank is what came.
            *size = come;
            *known = digest;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        if !self.incoming.is_empty() {
            return Err(Error::Invalid("the client ended before all files had come".into()));
        }
        self.copy_digests();
        let gone: Vec<Vec<u8>> =
            self.before.items().keys().filter(|path| !self.now.contains_key(*path)).cloned().collect();
        for path in gone {
            self.change()?;
            // With its directory, it may be gone already.
            if let Ok((parent, name)) = self.parent(&path) {
                remove_all(parent.as_fd(), name).map_err(|e| failed("remove", &path, e))?;
            }
        }
        let before = self.before.clone();
        if !self.changed && before.len() == self.now.len() && self.place.path.join("index").exists() {
            Index::touch(&self.place.path);
            *self.outcome.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
            return Ok(());
        }
        for path in &self.late {
            let Some(item) = self.now.get(path) else { continue };
            let (parent, name) = self.parent(path)?;
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = openat(&parent, name, flags, Mode::empty()).map_err(|e| failed("open", path, e))?;
            attributes(&folder, item).map_err(|e| failed("set the owner of", path, e))?;
        }
        let index = Index::new(std::mem::take(&mut self.now), self.begun);
        index.write(&self.place.path)?;
        *self.outcome.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(index));
        Ok(())
    }
}

/// What didn't come to its end is no use to anybody, and may be what filled the disk.
impl Drop for Receiving {
    fn drop(&mut self) {
        if self.changed
            && !self.place.path.join("index").exists()
            && let Err(error) = clear(&self.place.path)
        {
            tracing::warn!(error = diag::chain(&error), "cannot remove what a client sent of a directory");
        }
    }
}

impl Receiving {
    /// The names of one file have one digest.
    fn copy_digests(&mut self) {
        let mut known: HashMap<u64, (u64, String)> = HashMap::new();
        for item in self.now.values() {
            if let What::File { size, digest, same } = &item.what
                && *same > 0
                && !digest.is_empty()
            {
                known.insert(*same, (*size, digest.clone()));
            }
        }
        for item in self.now.values_mut() {
            if let What::File { size, digest, same } = &mut item.what
                && let Some((known_size, known_digest)) = known.get(same)
            {
                *size = *known_size;
                digest.clone_from(known_digest);
            }
        }
    }
}

fn new_hasher() -> Box<Hasher> {
    Box::new(Hasher::new(Algorithm::Sha256))
}

fn attributes(file: impl AsFd, item: &Item) -> Result<(), Errno> {
    let file = file.as_fd();
    fchown(file, Some(Uid::from_raw(item.uid)), Some(Gid::from_raw(item.gid)))?;
    fchmod(file, Mode::from_raw_mode(item.mode))?;
    for (name, value) in &item.xattrs {
        // What this file system doesn't take, it doesn't take; what overlayfs would read is not a client's to set.
        if !name.starts_with(b"trusted.") && !name.starts_with(b"user.overlay.") {
            let _ = fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty());
        }
    }
    futimens(file, &times(item.mtime))
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime.div_euclid(1_000_000_000), tv_nsec: mtime.rem_euclid(1_000_000_000) };
    Timestamps { last_access: time, last_modification: time }
}

fn clear(folder: &Path) -> Result<(), Error> {
    let files = folder.join("files");
    let cleared = std::fs::remove_dir_all(&files).and_then(|()| std::fs::create_dir(&files));
    cleared.map_err(|e| work("clear a build's directory", e))
}

/// Removes a file or a whole directory by its single name.
fn remove_all(parent: std::os::fd::BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other.or_else(absent),
    }
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(parent, name, flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    for name in names {
        remove_all(folder.as_fd(), OsStr::from_bytes(name.to_bytes()))?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

fn absent(e: Errno) -> Result<(), Errno> {
    if e == Errno::NOENT { Ok(()) } else { Err(e) }
}

fn failed(doing: &str, path: &[u8], source: impl Into<std::io::Error>) -> Error {
    let name = diag::printable(&String::from_utf8_lossy(path));
    work(format!("{doing} {name} of a build's directory"), source.into())
}

#[cfg(test)]
mod tests;
