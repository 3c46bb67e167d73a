//! Receiving one blob: a temporary file, hashed while it is written.

use std::fs::{self, File};
use std::io::{self, Write};

use oci::{Algorithm, Digest, Hasher};
use tempfile::{NamedTempFile, TempPath};

use crate::{Blob, Error, INGEST, Store};

/// A blob on its way in. Dropping it removes what was written; [`Ingest::commit`] is the only way into the store.
pub struct Ingest {
    store: Store,
    file: File,
    /// Unlinks the temporary name when dropped.
    path: TempPath,
    hashers: [Hasher; 2],
    wanted: Option<Algorithm>,
    size: u64,
    limit: u64,
}

impl Ingest {
    pub(crate) fn begin(store: Store, limit: u64) -> Result<Self, Error> {
        let folder = store.root.join(INGEST);
        let (file, path) = NamedTempFile::new_in(&folder)
            .map_err(|source| Error::Write { path: folder, source })?
            .into_parts();
        let hashers = [Hasher::new(Algorithm::Sha256), Hasher::new(Algorithm::Sha512)];
        Ok(Self { store, file, path, hashers, wanted: Some(Algorithm::Sha256), size: 0, limit })
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.file.write_all(bytes).map_err(|source| self.write_error(source))?;
        self.hashers.update(bytes);
        self.size = size;
        Ok(())
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }
}
