//! Receiving one blob: a temporary file, hashed while it is written.

use std::fs::{self, File};
use std::io::{self, Write};

use oci::{Algorithm, Digest, Hasher};
use tempfile::{NamedTempFile, TempPath};

use crate::{Blob, Error, INGEST, Store};

/// A blob on its way in. Dropping it removes what was written; [`Ingest::commit`] and [`Ingest::finish`] are the only
/// ways into the store.
pub struct Ingest {
    store: Store,
    file: File,
    /// Unlinks the temporary name when dropped.
    path: TempPath,
    hasher: Hasher,
    size: u64,
    limit: u64,
}

impl Ingest {
    pub(crate) fn begin(store: Store, algorithm: Algorithm, limit: u64) -> Result<Self, Error> {
        let folder = store.root.join(INGEST);
        let (file, path) = NamedTempFile::new_in(&folder)
            .map_err(|source| Error::Write { path: folder, source })?
            .into_parts();
        Ok(Self { store, file, path, hasher: Hasher::new(algorithm), size: 0, limit })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.file.write_all(bytes).map_err(|source| self.write_error(source))?;
        self.hasher.update(bytes);
        self.size = size;
        Ok(())
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes the blob visible if it is what was expected.
    pub fn commit(self, expected: &Digest) -> Result<Blob, Error> {
        let found = self.hasher.clone().finish();
        if found != *expected {
            return Err(Error::Mismatch { expected: expected.clone(), found });
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
        // The bytes must be down before the name is: after a power cut a name promises its content.
        self.file.sync_all().map_err(|source| self.write_error(source))?;
        let Self { path, size, .. } = self;
        path.persist(&target).map_err(|e| Error::Write { path: target.clone(), source: e.error })?;
        sync_folder(&target).map_err(|source| Error::Write { path: target, source })?;
        Ok(Blob { digest, size })
    }

    fn write_error(&self, source: io::Error) -> Error {
        Error::Write { path: self.path.to_path_buf(), source }
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
