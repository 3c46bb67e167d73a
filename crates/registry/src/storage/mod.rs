//! Where everything is kept, as narrow as the registry's needs.
//!
//! Two kinds of things are stored. *Documents* are small and written whole: manifests, tags, entries of lists. *Blobs*
//! are large, come in pieces, and are shared: each repository has a name of its own for the same bytes, and without that
//! name nobody reads them from this repository.

mod disk;
pub(crate) mod s3;

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use content::Session;
use oci::{Algorithm, Digest};
use tokio::runtime::Handle;

pub(crate) use disk::Disk;
pub(crate) use s3::S3;

use crate::config::Config;
use crate::error::{Error, Problem};
use crate::route::{Name, Tag};

/// The place of a document. Its parts are checked values, so it is a safe relative path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn manifest(name: &Name, digest: &Digest) -> Self {
        Self(format!("{name}/_manifests/{}", file(digest)))
    }

    pub(crate) fn manifests(name: &Name) -> Self {
        Self(format!("{name}/_manifests"))
    }

    pub(crate) fn tag(name: &Name, tag: &Tag) -> Self {
        Self(format!("{name}/_tags/{tag}"))
    }

    pub(crate) fn tags(name: &Name) -> Self {
        Self(format!("{name}/_tags"))
    }

    pub(crate) fn referrer(name: &Name, subject: &Digest, digest: &Digest) -> Self {
        Self(format!("{name}/_referrers/{}/{}", file(subject), file(digest)))
    }

    pub(crate) fn referrers(name: &Name, subject: &Digest) -> Self {
        Self(format!("{name}/_referrers/{}", file(subject)))
    }

    pub(crate) fn upload(name: &Name, session: &Session) -> Self {
        Self(format!("{name}/_uploads/{}", session.as_str()))
    }

    pub(crate) fn uploads(name: &Name) -> Self {
        Self(format!("{name}/_uploads"))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Opens the storage that a configuration means. What waits for a network does so on `runtime`.
pub(crate) fn open(config: &Config, runtime: Handle) -> Result<Arc<dyn Storage>, Error> {
    match &config.bucket {
        Some(bucket) => Ok(Arc::new(S3::open(bucket, &config.root, runtime)?)),
        None => Ok(Arc::new(Disk::open(&config.root, config.beside.as_deref())?)),
    }
}

/// A digest as the name of a file: some file systems don't like colons.
fn file(digest: &Digest) -> String {
    digest.as_str().replace(':', "-")
}

/// The digest that a file is named after.
pub(crate) fn digest_of(file: &str) -> Option<Digest> {
    file.replacen('-', ":", 1).parse().ok()
}

/// One document of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) modified: SystemTime,
}

/// A blob of a repository.
pub(crate) struct Blob {
    pub(crate) size: u64,
    pub(crate) source: Source,
}

/// Where a blob's bytes are.
pub(crate) enum Source {
    File(File),
    Remote(s3::Remote),
}

/// A blob on its way in, in the hands of one request.
pub(crate) trait Upload: Send {
    /// Bytes taken so far, by earlier requests as well.
    fn size(&self) -> u64;
    /// Takes the next bytes.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Problem>;
    /// Lets another request go on with it.
    fn pause(self: Box<Self>) -> Result<(), Problem>;
    /// Makes it a blob of its repository if it has this digest. It is over, whether it has or not.
    fn commit(self: Box<Self>, digest: &Digest) -> Result<(), Problem>;
    /// Ends it, and forgets what came.
    fn abandon(self: Box<Self>) -> Result<(), Problem>;
}

/// Whether others may change references meanwhile: a collection needs a moment without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold<'a> {
    /// Many may hold it so, and write references to what they saw.
    Shared,
    /// One alone may hold it so, and remove what nothing in this repository refers to.
    Alone(&'a Name),
}

/// References are held while this is.
pub(crate) enum Held {
    Lock {
        _file: File,
    },
    /// Nobody waits for who only adds.
    Nothing,
    Mark(s3::Mark),
}

impl Held {
    /// Whether others still heed it.
    pub(crate) fn lasts(&self) -> bool {
        match self {
            Self::Mark(mark) => mark.lasts(),
            Self::Lock { .. } | Self::Nothing => true,
        }
    }
}

/// What a collection frees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) blobs: usize,
    pub(crate) bytes: u64,
}

/// Everything here blocks. A change that was returned from is on the disk; one that was interrupted hasn't happened.
pub(crate) trait Storage: Send + Sync {
    /// Whether small reads wait for no network, and [`Storage::hold`] keeps other processes out. Where it doesn't, who
    /// relies on something says so, waits until things are settled, and looks once more.
    fn is_local(&self) -> bool {
        true
    }

    /// A document, if there is one.
    fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, Error>;
    /// When a document was written, if there is one.
    fn stamp(&self, key: &Key) -> Result<Option<SystemTime>, Error>;
    /// Writes a document, whole, in the place of the one before.
    fn write(&self, key: &Key, bytes: &[u8]) -> Result<(), Error>;
    /// Writes a document that isn't there; false if it is.
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<bool, Error>;
    /// Removes a document; false if there was none.
    fn remove(&self, key: &Key) -> Result<bool, Error>;
    /// The documents of a folder, by name. Nothing if it has never held one.
    fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, Error>;
    /// Whether [`Storage::list`] would find something.
    fn holds(&self, folder: &Key) -> Result<bool, Error>;
    /// Every repository that has, or had, manifests, by name.
    fn repositories(&self) -> Result<Vec<Name>, Error>;
    /// The same with those that have nothing but blobs or uploads yet.
    fn names(&self) -> Result<Vec<Name>, Error>;
    /// Removes the folders of a repository that holds nothing any more.
    fn prune(&self, name: &Name) -> Result<bool, Error>;

    /// A blob of this repository.
    fn blob(&self, name: &Name, digest: &Digest) -> Result<Option<Blob>, Error>;
    /// The size of a blob of this repository. Who asks may rely on it for a while: it counts as used now.
    fn size(&self, name: &Name, digest: &Digest) -> Result<Option<u64>, Error>;
    /// Gives this repository a blob that the storage has; false if it hasn't.
    fn link(&self, name: &Name, digest: &Digest) -> Result<bool, Error>;
    /// Takes a blob from this repository; false if it hasn't got it.
    fn unlink(&self, name: &Name, digest: &Digest) -> Result<bool, Error>;
    /// The blobs of a repository, with their sizes and when they were last used.
    fn blobs(&self, name: &Name) -> Result<Vec<(Digest, u64, SystemTime)>, Error>;

    /// Begins an upload of this repository.
    fn begin(&self, name: &Name, session: &Session, algorithm: Algorithm) -> Result<(), Error>;
    /// Goes on with an upload that was begun, up to so many bytes.
    fn resume(&self, name: &Name, session: &Session, limit: u64) -> Result<Box<dyn Upload>, Problem>;
    /// For how long an upload has got nothing; none if there is none.
    fn idle(&self, name: &Name, session: &Session) -> Result<Option<Duration>, Error>;

    /// Where bytes of other registries are received. What is there can be given to a repository by [`Storage::link`].
    fn shared(&self) -> &content::Store;

    /// Holds references still, until the guard goes.
    fn hold(&self, hold: Hold<'_>) -> Result<Held, Error>;
    /// Waits for those who hold this repository alone and may not have seen what was written just now.
    fn settle(&self, _: &Name) -> Result<(), Error> {
        Ok(())
    }
    /// Removes the bytes that no repository has had for this long.
    fn collect(&self, grace: Duration, really: bool) -> Result<Freed, Error>;
    /// Whether it can be written, for who asks about its health.
    fn check(&self) -> Result<(), Error>;
    /// The bytes of all blobs, each counted once.
    fn used(&self) -> Result<u64, Error>;
}
