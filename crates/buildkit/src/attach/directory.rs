//! A directory of this machine as what is sent to a build.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use build::Error;
use build::session::{Entry, Kind, Tree};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::filter::{Above, Filter, Fits};

/// Walks a directory in the order of the wire, each name under the filter.
pub(super) struct Directory {
    top: PathBuf,
    opened: OwnedFd,
    filter: Filter,
    /// The directories that we are in.
    open: Vec<Open>,
    /// Entries that were found and not yet told: a directory is only told with the first that is in it, where the
    /// filter let through that and not the directory itself.
    found: VecDeque<Entry>,
    /// Files with several names: where the first is.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

struct Open {
    path: Vec<u8>,
    /// Names, last first.
    names: Vec<Vec<u8>>,
    /// Its own entry, as long as it wasn't told.
    untold: Option<Entry>,
    above: Above,
}

impl Directory {
    pub(super) fn open(top: &Path, filter: Filter) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(top, flags, Mode::empty());
        let opened = opened.map_err(|e| unreadable(top, &e.into()))?;
        let names = names(top)?;
        let open = vec![Open { path: Vec::new(), names, untold: None, above: Above::default() }];
        let (found, linked) = (VecDeque::new(), HashMap::new());
        Ok(Self { top: top.to_owned(), opened, filter, open, found, linked })
    }

    /// Goes on until something is found that is told.
    fn advance(&mut self) -> Result<bool, Error> {
        while self.found.is_empty() {
            let Some(open) = self.open.last_mut() else { return Ok(false) };
            let Some(name) = open.names.pop() else {
                self.open.pop();
                continue;
            };
            let path = match open.path.is_empty() {
                true => name,
                false => [&open.path[..], b"/", &name].concat(),
            };
            let (fits, own) = self.filter.fits(&path, &open.above);
            if fits != Fits::NorBelow {
                self.visit(path, fits, own)?;
            }
        }
        Ok(true)
    }

    fn visit(&mut self, path: Vec<u8>, fits: Fits, above: Above) -> Result<(), Error> {
        let full = self.full(&path);
        let metadata = match std::fs::symlink_metadata(&full) {
            Ok(metadata) => metadata,
            // It was there when its directory was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(unreadable(&full, &e)),
        };
        if fits != Fits::Yes && !metadata.is_dir() {
            return Ok(());
        }
        let Some(entry) = self.entry(path, &full, &metadata)? else { return Ok(()) };
        if !metadata.is_dir() {
            self.tell(entry);
            return Ok(());
        }
        let names = names(&full)?;
        let path = entry.path.clone();
        let untold = match fits {
            Fits::Yes => {
                self.tell(entry);
                None
            }
            _ => Some(entry),
        };
        self.open.push(Open { path, names, untold, above });
        Ok(())
    }

    fn tell(&mut self, entry: Entry) {
        let untold = self.open.iter_mut().filter_map(|open| open.untold.take());
        self.found.extend(untold);
        self.found.push_back(entry);
    }

    fn full(&self, path: &[u8]) -> PathBuf {
        self.top.join(std::ffi::OsStr::from_bytes(path))
    }

    fn entry(
        &mut self,
        path: Vec<u8>,
        full: &Path,
        metadata: &std::fs::Metadata,
    ) -> Result<Option<Entry>, Error> {
        let form = metadata.file_type();
        let kind = if form.is_dir() {
            Kind::Directory
        } else if form.is_symlink() {
            let to = std::fs::read_link(full).map_err(|e| unreadable(full, &e))?;
            Kind::Symlink { to: to.into_os_string().into_vec() }
        } else if form.is_file() {
            self.file(&path, metadata)
        } else if form.is_fifo() {
            Kind::Fifo
        } else if form.is_block_device() || form.is_char_device() {
            let device = metadata.rdev();
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            Kind::Device { block: form.is_block_device(), major, minor }
        } else {
            return Ok(None);
        };
        let mtime = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        let mode = metadata.mode() & 0o7777;
        // BuildKit's clients send all as root's: what a step sees is no matter of who checked the sources out.
        let xattrs = if form.is_file() { attributes(full) } else { BTreeMap::new() };
        Ok(Some(Entry { path, kind, mode, uid: 0, gid: 0, mtime, xattrs }))
    }

    fn file(&mut self, path: &[u8], metadata: &std::fs::Metadata) -> Kind {
        let size = metadata.size();
        if metadata.nlink() < 2 {
            return Kind::File { size };
        }
        let key = (metadata.dev(), metadata.ino());
        match self.linked.get(&key) {
            Some(first) => Kind::Hardlink { to: first.clone() },
            None => {
                self.linked.insert(key, path.to_vec());
                Kind::File { size }
            }
        }
    }
}

impl Tree for Directory {
    fn next(&mut self) -> Option<Result<Entry, Error>> {
        match self.advance() {
            Ok(true) => self.found.pop_front().map(Ok),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn open(&self, path: &[u8]) -> Result<Box<dyn Read + Send>, Error> {
        // A directory on the way that became a link meanwhile leads nowhere.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = rustix::fs::openat2(&self.opened, path, flags, Mode::empty(), resolve);
        let file = file.map_err(|e| unreadable(&self.full(path), &e.into()))?;
        Ok(Box::new(File::from(file)))
    }
}

/// The extended attributes that mean the same elsewhere: file capabilities, and users' own.
fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut list = Vec::with_capacity(1024);
    // A file system without them, or with more than fit, has none for us.
    if rustix::fs::llistxattr(path, rustix::buffer::spare_capacity(&mut list)).is_err() {
        return found;
    }
    let carried = |name: &&[u8]| *name == b"security.capability" || name.starts_with(b"user.");
    for name in list.split(|byte| *byte == 0).filter(carried) {
        let mut value = Vec::with_capacity(4096);
        if rustix::fs::lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value)).is_ok() {
            found.insert(name.to_vec(), value);
        }
    }
    found
}

/// A directory's names, last first.
fn names(directory: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let read = || -> io::Result<Vec<Vec<u8>>> {
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().into_vec())).collect()
    };
    let mut names = read().map_err(|e| unreadable(directory, &e))?;
    names.sort_unstable_by(|left, right| right.cmp(left));
    Ok(names)
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Invalid(diag::plain(&format!("open {}: {error}", path.display())))
}
