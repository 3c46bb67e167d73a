//! Receiving one blob: a temporary file, hashed while it is written.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use oci::{Algorithm, Digest, Hasher};
use sys::Writeback;
use tempfile::{NamedTempFile, TempPath};

use crate::follow::{Feed, Follower};
use crate::{Blob, Error, INGEST, PARTIAL, Store};

/// A blob on its way in. Dropping it removes what was written, unless it was begun by [`Store::resume`];
/// [`Ingest::commit`] and [`Ingest::finish`] are the only ways into the store.
pub struct Ingest {
    store: Store,
    file: File,
    place: Place,
    hasher: Hasher,
    size: u64,
    limit: u64,
    writeback: Writeback,
    /// Whoever reads along.
    feed: Option<Feed>,
}

/// Where the bytes are until they have their name.
enum Place {
    /// Unlinked when dropped.
    Temporary(TempPath),
    /// Stays, so that a later attempt can go on where this one ended.
    Partial(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(path) => path,
            Self::Partial(path) => path,
        }
    }

    fn rename(self, target: &Path) -> io::Result<()> {
        match self {
            Self::Temporary(path) => path.persist(target).map_err(|e| e.error),
            Self::Partial(path) => fs::rename(path, target),
        }
    }
}

impl Ingest {
    pub(crate) fn begin(store: Store, algorithm: Algorithm, limit: u64) -> Result<Self, Error> {
        let folder = store.root.join(INGEST);
        let (file, path) = NamedTempFile::new_in(&folder)
            .map_err(|source| Error::Write { path: folder, source })?
            .into_parts();
        Ok(Self::new(store, file, Place::Temporary(path), algorithm, limit))
    }

    pub(crate) fn resume(store: Store, name: &str, algorithm: Algorithm, limit: u64) -> Result<Self, Error> {
        let path = store.root.join(PARTIAL).join(name);
        let failed = |source| Error::Write { path: path.clone(), source };
        let opened = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(name.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut ingest = Self::new(store, file, Place::Partial(path), algorithm, limit);
        ingest.reread()?;
        Ok(ingest)
    }

    fn new(store: Store, file: File, place: Place, algorithm: Algorithm, limit: u64) -> Self {
        let (hasher, writeback) = (Hasher::new(algorithm), Writeback::default());
        Self { store, file, place, hasher, size: 0, limit, writeback, feed: None }
    }

    /// Somebody who reads the blob from its beginning while it comes in. There is one at a time: an earlier one hears
    /// that its blob is lost, as it does where [`Ingest::restart`] forgets what it has read.
    pub fn follow(&mut self) -> Result<Follower, Error> {
        let mut feed = Feed::default();
        let follower = feed.follower(&self.file).map_err(|source| self.write_error(source))?;
        feed.grown(self.size);
        self.feed = Some(feed);
        Ok(follower)
    }

    /// Hashes what an earlier attempt has written; what can't be the beginning of this blob is dropped.
    fn reread(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.hasher.update(&buffer[..count]);
                    self.size += count as u64;
                }
                Err(source) => return Err(self.write_error(source)),
            }
            if self.size > self.limit {
                return self.restart();
            }
        }
    }

    /// Forgets what was taken so far.
    pub fn restart(&mut self) -> Result<(), Error> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map_err(|source| self.write_error(source))?;
        self.hasher = Hasher::new(self.hasher.algorithm());
        self.size = 0;
        self.writeback = Writeback::default();
        self.feed = None;
        Ok(())
    }

    /// Hashes what was taken so far by another algorithm, and all that comes.
    pub fn rehash(&mut self, algorithm: Algorithm) -> Result<(), Error> {
        if algorithm == self.hasher.algorithm() {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.write_error(source))?;
        self.hasher = Hasher::new(algorithm);
        self.size = 0;
        self.reread()
    }

    /// Forgets all of it, for good.
    pub fn abandon(self) -> Result<(), Error> {
        match &self.place {
            Place::Partial(path) => fs::remove_file(path).map_err(|source| self.write_error(source)),
            Place::Temporary(_) => Ok(()),
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.file.write_all(bytes).map_err(|source| self.write_error(source))?;
        self.size = size;
        // Who reads along has work as soon as the bytes are there.
        if let Some(feed) = &mut self.feed {
            feed.grown(size);
        }
        self.hasher.update(bytes);
        self.writeback.grown(self.file.as_fd(), size);
        Ok(())
    }

    /// Brings what was taken to the disk, so that finishing is quick.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|source| self.write_error(source))
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes the blob visible if it is what was expected.
    pub fn commit(mut self, expected: &Digest) -> Result<Blob, Error> {
        let found = self.hasher.clone().finish();
        if found != *expected {
            if let Place::Partial(path) = &self.place {
                // Going on from wrong bytes can't end well.
                fs::remove_file(path).map_err(|source| self.write_error(source))?;
            }
            return Err(Error::Mismatch { expected: expected.clone(), found });
        }
        // It reads on while we sync.
        if let Some(feed) = &mut self.feed {
            feed.whole(self.size);
        }
        self.publish(found)
    }

    /// Makes the blob visible under whatever digest it has: for content that we make ourselves.
    pub fn finish(self) -> Result<Blob, Error> {
        let found = self.hasher.clone().finish();
        self.publish(found)
    }

    fn publish(self, digest: Digest) -> Result<Blob, Error> {
        let target = self.store.path(&digest);
        // The same bytes are there already, perhaps under more names than ours: theirs stay.
        if self.store.find(&digest)?.is_some_and(|blob| blob.size == self.size) {
            let size = self.size;
            self.abandon()?;
            return Ok(Blob { digest, size });
        }
        if self.store.adopt(&digest, self.size) {
            sync_folder(&target).map_err(|source| Error::Write { path: target, source })?;
            let size = self.size;
            self.abandon()?;
            return Ok(Blob { digest, size });
        }
        // The bytes must be down before the name is: after a power cut a name promises its content.
        self.file.sync_all().map_err(|source| self.write_error(source))?;
        let Self { place, size, .. } = self;
        place.rename(&target).map_err(|source| Error::Write { path: target.clone(), source })?;
        sync_folder(&target).map_err(|source| Error::Write { path: target, source })?;
        Ok(Blob { digest, size })
    }

    fn write_error(&self, source: io::Error) -> Error {
        Error::Write { path: self.place.path().to_owned(), source }
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn sync_folder(file: &std::path::Path) -> io::Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::File::open(folder)?.sync_all()
}
