//! Blobs by digest: manifests, configurations and compressed layers, exactly as they were received.
//!
//! This crate owns `<data root>/blobs`:
//!
//! ```text
//! blobs/sha256/<hex>     a whole blob whose bytes hash to its name; never written again
//! blobs/ingest/<random>  one being received; swept when the engine starts
//! blobs/partial/<digest> one being received that can be gone on with, also by the next engine; swept after a day
//! ```
//!
//! A name below `sha256/` (or `sha512/`) appears by `rename` after the bytes were hashed and synced, so whatever the
//! moment of a crash, what can be opened is complete. Which blobs are still needed is for the caller to know.

mod error;
mod follow;
mod ingest;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use error::Error;
pub use follow::Follower;
pub use ingest::Ingest;
use oci::{Algorithm, Digest};

const INGEST: &str = "ingest";
const PARTIAL: &str = "partial";
/// Nobody comes back for half a blob after this.
const PARTIAL_AGE: Duration = Duration::from_secs(24 * 3600);
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// A blob that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub size: u64,
}

/// The name of a blob on its way in, in the form of a UUID: a safe file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(String);

impl Session {
    /// From 16 random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        let mut bytes = random;
        // Version 4, variant 1.
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex = hex::encode(bytes);
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        Self(parts.join("-"))
    }

    /// The text of one that was minted before.
    pub fn parse(text: &str) -> Option<Self> {
        let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let right = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match byte {
                b'-' => dash(at),
                b'0'..=b'9' | b'a'..=b'f' => !dash(at),
                _ => false,
            });
        right.then(|| Self(text.to_owned()))
    }

    /// The UUID.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The blobs of one data root. Cheap to clone; safe to use from many threads, since every change is one `rename` or
/// `unlink`.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// Another store's blobs, on the same file system.
    beside: Option<PathBuf>,
}

impl Store {
    /// Opens `<data root>/blobs`, making its folders where they are missing.
    pub fn open(data_root: &Path) -> Result<Self, Error> {
        let root = data_root.join("blobs");
        for name in ALGORITHMS.iter().map(|a| a.name()).chain([INGEST, PARTIAL]) {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(|source| Error::MakeFolder { path, source })?;
        }
        Ok(Self { root, beside: None })
    }

    /// Shares bytes with the store of another data root: what comes in and is there already becomes a second name of it,
    /// and no second copy. Each has its own names, and removes no other's; the other may be missing.
    pub fn beside(self, data_root: &Path) -> Self {
        Self { beside: Some(data_root.join("blobs")), ..self }
    }

    /// Removes what an engine that died was receiving; only for the engine that holds the data root's lock, before it
    /// ingests anything. Returns how many there were.
    pub fn sweep(&self) -> Result<usize, Error> {
        let folder = self.root.join(INGEST);
        let mut swept = 0;
        for path in entries(&folder)? {
            fs::remove_file(&path).map_err(|source| Error::Sweep { path, source })?;
            swept += 1;
        }
        for path in entries(&self.root.join(PARTIAL))? {
            let written = fs::metadata(&path).and_then(|meta| meta.modified());
            let sweep = |source| Error::Sweep { path: path.clone(), source };
            let age = SystemTime::now().duration_since(written.map_err(sweep)?).unwrap_or_default();
            if age > PARTIAL_AGE {
                fs::remove_file(&path).map_err(sweep)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Begins to receive the blob of this name, or goes on where an earlier attempt ended: [`Ingest::size`] tells.
    /// Blocking: what is there is hashed again.
    pub fn resume(&self, digest: &Digest, limit: u64) -> Result<Ingest, Error> {
        let name = format!("{}-{}", digest.algorithm().name(), digest.hex());
        Ingest::resume(self.clone(), &name, digest.algorithm(), limit)
    }

    /// The same for a blob whose digest isn't known before its end: the name is the caller's, from a session that it
    /// minted, and nobody else's.
    pub fn resume_session(&self, name: &Session, algorithm: Algorithm, limit: u64) -> Result<Ingest, Error> {
        Ingest::resume(self.clone(), name.as_str(), algorithm, limit)
    }

    /// When a session last received something; none if it has received nothing.
    pub fn session_age(&self, name: &Session) -> Option<Duration> {
        let meta = fs::metadata(self.root.join(PARTIAL).join(name.as_str())).ok()?;
        Some(SystemTime::now().duration_since(meta.modified().ok()?).unwrap_or_default())
    }

    /// Gives a blob another name, of the caller's, on the same file system: no bytes are copied. It counts as written
    /// now. False if it isn't here.
    pub fn link(&self, digest: &Digest, to: &Path) -> Result<bool, Error> {
        let from = self.path(digest);
        let linked = File::options().write(true).open(&from).and_then(|file| {
            file.set_modified(SystemTime::now())?;
            fs::hard_link(&from, to)
        });
        match linked {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(false),
            // One file can have 65,000 names on ext4; who comes after that gets bytes of its own.
            Err(e) if e.kind() == io::ErrorKind::TooManyLinks => {
                self.copy(&from, to).map_err(|source| Error::Write { path: to.to_owned(), source })?;
                Ok(true)
            }
            Err(source) => Err(Error::Write { path: to.to_owned(), source }),
        }
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut copy = tempfile::NamedTempFile::new_in(self.root.join(INGEST))?;
        io::copy(&mut File::open(from)?, copy.as_file_mut())?;
        copy.as_file().sync_all()?;
        copy.persist(to).map(drop).map_err(|error| error.error)
    }

    /// How many names a blob has, ours included, and for how long it has had its last.
    pub fn names(&self, digest: &Digest) -> Result<Option<(u64, Duration)>, Error> {
        use std::os::unix::fs::MetadataExt as _;
        match fs::metadata(self.path(digest)) {
            Ok(meta) => {
                let age = meta.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
                Ok(Some((meta.nlink(), age.unwrap_or_default())))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { digest: digest.clone(), source }),
        }
    }

    /// Begins to receive a blob of at most `limit` bytes, to be named by this kind of digest.
    pub fn ingest(&self, algorithm: Algorithm, limit: u64) -> Result<Ingest, Error> {
        Ingest::begin(self.clone(), algorithm, limit)
    }

    /// Stores bytes at hand, under the digest that they have.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob, Error> {
        let digest = Digest::sha256(bytes);
        if let Some(blob) = self.find(&digest)? {
            return Ok(blob);
        }
        let mut ingest = self.ingest(Algorithm::Sha256, bytes.len() as u64)?;
        ingest.push(bytes)?;
        ingest.commit(&digest)
    }

    /// Opens a blob for reading.
    pub fn get(&self, digest: &Digest) -> Result<File, Error> {
        File::open(self.path(digest)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound(digest.clone()),
            _ => Error::Read { digest: digest.clone(), source },
        })
    }

    /// Reads a whole small blob (a manifest, a configuration) and checks it against its digest once more.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, Error> {
        use io::Read as _;
        let read = |source| Error::Read { digest: digest.clone(), source };
        let mut bytes = Vec::new();
        self.get(digest)?.take(limit + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLarge { limit });
        }
        let mut hasher = oci::Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        match hasher.finish() {
            found if found == *digest => Ok(bytes),
            found => Err(Error::Mismatch { expected: digest.clone(), found }),
        }
    }

    /// The blob's size, if it is here.
    pub fn find(&self, digest: &Digest) -> Result<Option<Blob>, Error> {
        match fs::metadata(self.path(digest)) {
            Ok(meta) => Ok(Some(Blob { digest: digest.clone(), size: meta.len() })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { digest: digest.clone(), source }),
        }
    }

    /// Removes a blob; one that isn't here is no error. Who has it open reads on.
    pub fn remove(&self, digest: &Digest) -> Result<(), Error> {
        match fs::remove_file(self.path(digest)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Remove { digest: digest.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// Every blob. A file that isn't named like a digest is none of ours and is left out.
    pub fn list(&self) -> Result<Vec<Blob>, Error> {
        let mut blobs = Vec::new();
        for algorithm in ALGORITHMS {
            for path in entries(&self.root.join(algorithm.name()))? {
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                if let Ok(digest) = format!("{}:{name}", algorithm.name()).parse() {
                    blobs.extend(self.find(&digest)?);
                }
            }
        }
        Ok(blobs)
    }

    /// Takes over a blob that has just come in from the store beside; false if it hasn't got it.
    fn adopt(&self, digest: &Digest, size: u64) -> bool {
        let Some(beside) = &self.beside else { return false };
        let theirs = beside.join(digest.algorithm().name()).join(digest.hex());
        let same = fs::metadata(&theirs).is_ok_and(|meta| meta.is_file() && meta.len() == size);
        same && fs::hard_link(theirs, self.path(digest)).is_ok()
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.algorithm().name()).join(digest.hex())
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let list = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    list().map_err(|source| Error::List { path: folder.to_owned(), source })
}

#[cfg(test)]
mod tests;
