//! Where things come from.

use oci::Digest;
use serde::Serialize;

/// Something from outside of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Source {
    Image(Image),
    Local(Local),
    Git(Git),
    Http(Http),
    OciLayout(OciLayout),
}

/// When a registry is asked about an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Pull {
    /// When it isn't here.
    #[default]
    Missing,
    /// Always, what a name means now.
    Always,
    /// Never.
    Never,
}

/// An image's root file system, for the vertex' platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// `docker.io/library/busybox:latest`, with or without a digest. Who lowers has resolved it where the result must
    /// be the one whose config it read.
    pub reference: String,
    pub pull: Pull,
}

/// Before a session's id: what comes from it was lent by another build, and is to be had from nobody else.
pub const LENT: &str = "lent:";

/// A directory of the client's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Local {
    /// The name by which the session knows it: `context`, `dockerfile`.
    pub name: String,
    /// Only what matches one of these (patterns as in `.dockerignore`); everything if there are none.
    pub include: Vec<String>,
    /// Not what matches these: `.dockerignore`, with its exceptions.
    pub exclude: Vec<String>,
    /// Only these paths, and what their symbolic links lead to.
    pub follow: Vec<String>,
    /// Tells directories of the same name apart between builds, so that what was sent is found again. A hint: a wrong
    /// one costs time, never a wrong file.
    #[serde(skip)]
    pub shared_key: String,
    /// LLB's `local.session`: which session, if not the build's. Each has directories of its own. After [`LENT`] it is
    /// another build's client, whose directory is no other client's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session: String,
}

/// A checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Git {
    /// An address as git takes it, without a fragment, credentials taken out.
    pub remote: String,
    /// A branch, tag, commit or full reference; empty for the remote's HEAD.
    pub reference: String,
    /// Only this directory below the checkout, which may not lead out of it.
    pub subdir: String,
    pub keep_git_dir: bool,
    pub skip_submodules: bool,
    /// The commit that it has to be, or its beginning.
    pub checksum: Option<String>,
    /// The names of secrets with a token or a whole header, tried if the session has them.
    pub auth_token_secret: String,
    pub auth_header_secret: String,
    /// The session's agent for `ssh`.
    pub mount_ssh: String,
    pub known_hosts: String,
}

/// One file, fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Http {
    pub url: String,
    /// What its bytes have to be.
    pub checksum: Option<Digest>,
    /// What it is called; else what the answer or the address says.
    pub filename: Option<String>,
    /// Its mode; 0600 if none is given, as BuildKit's.
    pub mode: Option<u32>,
    pub uid: u32,
    pub gid: u32,
    /// More request headers (lower case), besides those with secrets.
    pub headers: Vec<(String, String)>,
    pub auth_header_secret: String,
}

/// An image in a client's OCI layout, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OciLayout {
    /// `name@sha256:…`.
    pub reference: String,
    /// Which of the session's content stores. What is in it is known by its digest.
    #[serde(skip)]
    pub store: String,
    #[serde(skip)]
    pub session: String,
}

impl Source {
    /// Whether it is of another build's client.
    pub fn is_lent(&self) -> bool {
        match self {
            Self::Local(local) => local.session.starts_with(LENT),
            Self::OciLayout(layout) => layout.session.starts_with(LENT),
            _ => false,
        }
    }
}

impl OciLayout {
    const SCHEME: &str = "oci-layout://";

    /// The image that a frontend means by `oci-layout://store@sha256:…`: a store has names as repositories have.
    pub fn at(address: &str) -> Option<Self> {
        let reference = address.strip_prefix(Self::SCHEME)?;
        let path = reference.split('@').next().unwrap_or_default();
        let name = path.rfind('/').map_or(0, |slash| slash + 1);
        let store = path[name..].find(':').map_or(path, |colon| &path[..name + colon]);
        Some(Self { reference: reference.to_owned(), store: store.to_owned(), session: String::new() })
    }

    /// The same, of a store.
    pub fn address(&self) -> String {
        format!("{}{}@{}", Self::SCHEME, self.store, self.digest())
    }

    /// What follows the name; nothing where there is none.
    pub fn digest(&self) -> &str {
        self.reference.rsplit_once('@').map_or("", |(_, digest)| digest)
    }

    /// The same image by a name that doesn't change from one session to the next.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { reference: format!("{name}@{}", self.digest()), ..self }
    }
}
