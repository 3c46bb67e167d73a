//! What a build asks of its client while it goes on.
//!
//! BuildKit's session implements [`Session`] over gRPC; the classic `POST /build` over the tar in its body, with the
//! registry credentials of its headers and nothing else. Methods that a client has nothing for answer with
//! [`Error::Unsupported`] or nothing, as each says. Every method may be called at any time, several at once, and is
//! dropped when the build is cancelled. What comes from the client is a stranger's: names, sizes and counts are
//! bounded and checked by the side that receives.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use oci::Digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::graph::Local;
use crate::{Error, Job};

/// The host that is no host: what is there, the client uploads.
pub const UPLOADS: &str = "http://buildkit-session/";

/// One client, for as long as its build.
pub trait Session: Send + Sync {
    /// BuildKit's session id; unique among those that live.
    fn id(&self) -> &str;

    /// What tells this client's working directory from others', so that what it sent is found again by its next
    /// session (`X-Docker-Expose-Session-Sharedkey`). Empty if it says nothing.
    fn shared_key(&self) -> &str;

    /// Another client that is there now: a build may take directories of several.
    fn named(&self, _: &str) -> Option<Arc<dyn Session>> {
        None
    }

    /// Sends a directory: every entry that `wanted` lets through is told to `into`, in any order but each directory
    /// before what is in it; where the answer is [`Want::Content`], the file's bytes follow at any later time. The
    /// patterns are applied by the client (`include-patterns`, `exclude-patterns`, `followpaths` of BuildKit's
    /// `DiffCopy`); who can't leave that to the client applies them itself. Returns when everything was told and all
    /// wanted content given; calls [`Receive::end`] as the last thing.
    ///
    /// `into` blocks for the disk's time: call it where that is allowed (`spawn_blocking`).
    /// [`Error::NotFound`] where the client has no directory of this name.
    fn send<'a>(&'a self, wanted: &'a Local, into: Box<dyn Receive>) -> Job<'a, ()>;

    /// A secret's bytes; nothing if the client has none of this name. Never logged, never written to a disk.
    fn secret<'a>(&'a self, id: &'a str) -> Job<'a, Option<Secret>>;

    /// Whether there is an agent (`CheckAgent`); an empty id is `default`.
    fn has_ssh<'a>(&'a self, id: &'a str) -> Job<'a, bool>;

    /// A new connection to the client's ssh agent.
    fn ssh<'a>(&'a self, id: &'a str) -> Job<'a, Box<dyn Duplex>>;

    /// A token of a registry's service that the client fetches itself, so that nobody else sees what it logs in with;
    /// nothing from a client that leaves that to whom it gives its credentials.
    fn token<'a>(&'a self, _: &'a TokenRequest) -> Job<'a, Option<Token>> {
        Box::pin(async { Ok(None) })
    }

    /// What to say to a registry; nothing to be anonymous.
    fn credentials<'a>(&'a self, registry: &'a str) -> Job<'a, Option<Credentials>>;

    /// What the client sends when it is asked for under this name, once: its standard input, as a rule (BuildKit's
    /// `Upload`, which addresses below [`UPLOADS`] mean).
    fn upload<'a>(&'a self, name: &'a str) -> Job<'a, Box<dyn AsyncRead + Send + Unpin>> {
        let what = format!("the upload {name:?} by such a client");
        Box::pin(async move { Err(Error::Unsupported { what }) })
    }

    /// A blob of one of the client's content stores, piece by piece; a receiver that is gone ends it. Whether it is
    /// what its digest says, the receiver checks. [`Error::NotFound`] where there is none.
    fn blob<'a>(&'a self, store: &'a str, _: &'a Digest, _: mpsc::Sender<Vec<u8>>) -> Job<'a, ()> {
        let what = format!("the content store {store:?} of such a client");
        Box::pin(async move { Err(Error::Unsupported { what }) })
    }

    /// Gives one of the client's content stores a blob of this size, unless it has it.
    fn give_blob<'a>(&'a self, store: &'a str, _: (&'a Digest, u64), _: Box<dyn Read + Send>) -> Job<'a, ()> {
        let what = format!("the content store {store:?} of such a client");
        Box::pin(async move { Err(Error::Unsupported { what }) })
    }

    /// Where an exported archive goes: `FileSend` with the exporter's number. Everything that was written counts only
    /// after a successful shutdown of the writer.
    fn take_archive<'a>(
        &'a self,
        exporter: usize,
        metadata: BTreeMap<String, String>,
    ) -> Job<'a, Box<dyn AsyncWrite + Send + Unpin>>;

    /// Gives the client an exported directory. `tree` blocks as it is read.
    fn take_tree<'a>(&'a self, exporter: usize, tree: Box<dyn Tree>) -> Job<'a, ()>;
}

/// A connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The receiving side of a directory: it knows what is here from earlier builds.
pub trait Receive: Send {
    /// An entry, and what is wanted of it. `number` is the sender's name for it, by which its content comes.
    fn entry(&mut self, number: u32, entry: Entry) -> Result<Want, Error>;
    /// A piece of a wanted file's content, in order within the file; files may take turns.
    fn data(&mut self, number: u32, bytes: &[u8]) -> Result<(), Error>;
    /// A wanted file is complete.
    fn file_end(&mut self, number: u32) -> Result<(), Error>;
    /// The directory is complete: what was here and wasn't named is gone there. Not called if sending failed.
    fn end(&mut self) -> Result<(), Error>;
}

/// What is wanted of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Its bytes. Only answered for [`Kind::File`].
    Content,
    Nothing,
}

/// What is under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative, without a leading or trailing slash, `.` or `..`; the receiver refuses others.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// The twelve permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Nanoseconds since 1970.
    pub mtime: i64,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File {
        size: u64,
    },
    /// The same file as one that was told before.
    Hardlink {
        to: Vec<u8>,
    },
    Symlink {
        to: Vec<u8>,
    },
    Fifo,
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
}

/// A directory that the engine has, to be sent away.
pub trait Tree: Send {
    /// The next entry, in the order of BuildKit's walks: by path, where `/` sorts before all other bytes. A file's
    /// content stays readable by its path until the tree is dropped.
    fn next(&mut self) -> Option<Result<Entry, Error>>;
    /// A file's content.
    fn open(&self, path: &[u8]) -> Result<Box<dyn Read + Send>, Error>;
}

/// A secret. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The registry.
    pub host: String,
    /// Its service's address.
    pub realm: String,
    /// What the registry is to the service.
    pub service: String,
    pub scopes: Vec<String>,
}

/// A token for a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    /// How many seconds it lives, if its giver says so.
    pub seconds: Option<u64>,
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// For a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Empty with an identity token in `secret`, as docker has it.
    pub username: String,
    pub secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} [redacted]", self.username)
    }
}
