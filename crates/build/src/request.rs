//! What a client wants built, and what becomes of it.
//!
//! The engine's entry point is `engine.builds.solve(request, session, progress)`; it returns an [`Outcome`] when
//! everything is exported. Dropping the future, or `engine.builds.cancel(id)`, ends the build with all its steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Job;
use crate::frontend::{Built, Frontend, Gateway, Ref};

/// One build.
pub struct Request {
    /// BuildKit's `ref`, chosen by the client; two that live can't have the same.
    pub id: String,
    pub what: What,
    /// What the frontend is told, whoever calls it: attestations say it (`attest:*` asks for them).
    pub asked: BTreeMap<String, String>,
    pub exports: Vec<Export>,
    pub cache: Cache,
    pub allowed: Allowed,
    /// For what builds allow themselves by default (`--network`, limits of the classic builder): see [`Limits`].
    pub limits: Limits,
    /// Whether each step that runs tells why the cache didn't answer.
    pub explain: bool,
}

/// What is built.
pub enum What {
    /// What a language says.
    Frontend {
        frontend: Arc<dyn Frontend>,
        attributes: BTreeMap<String, String>,
        inputs: BTreeMap<String, Ref>,
    },
    /// A graph as it stands, without an image's config.
    Graph(Ref),
    /// What a client's own frontend says over the gateway, which is lent to it.
    Outside(Box<dyn FnOnce(Arc<dyn Gateway>) -> Job<'static, Built> + Send>),
}

/// What a result becomes. `attributes` are BuildKit's exporters' (`name`, `push`, `compression`, `annotation.*`,
/// `dest`, …); the engine refuses one that it doesn't know by name, before anything is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub kind: ExportKind,
    pub attributes: BTreeMap<String, String>,
}

/// Where a result goes. No export at all leaves it in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportKind {
    /// Into the engine's images (`image`, `moby`), and to a registry if `push` says so.
    Image,
    /// An archive for the session.
    Oci,
    Docker,
    /// The files, for the session: one by one, or as a tar.
    Local,
    Tar,
}

/// What of the cache is used, and who else gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    pub from: Vec<CacheEntry>,
    pub to: Vec<CacheEntry>,
}

/// `--cache-from`, `--cache-to`: the kind (`registry`, `local`, `inline`, …) and its attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheEntry {
    pub kind: String,
    pub attributes: BTreeMap<String, String>,
}

/// What steps may do beyond the default: `--allow`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    pub network_host: bool,
    pub security_insecure: bool,
    pub devices: Option<Devices>,
}

/// Which of the host's devices: `--allow device[=name[,alias=other]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices {
    pub all: bool,
    /// By the name that steps use: nothing, or the device that an alias means.
    pub names: BTreeMap<String, Option<String>>,
}

/// The classic builder's limits for each container: 0 is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    pub memory: i64,
    pub memory_swap: i64,
    pub cpu_shares: i64,
    pub cpu_period: i64,
    pub cpu_quota: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// BuildKit's exporter response: `containerimage.digest`, `containerimage.config.digest`, `image.name`,
    /// `containerimage.descriptor` (base64 of JSON), and the frontend's metadata that clients are shown.
    pub response: BTreeMap<String, String>,
    /// What the engine says of how it came to be, whoever asked.
    pub said: Vec<Said>,
    /// Steps that ran, and steps that the cache answered.
    pub ran: u64,
    pub cached: u64,
}

/// A statement about one result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The result's key.
    pub platform: String,
    /// in-toto's type of it.
    pub predicate: &'static str,
    /// JSON.
    pub bytes: Vec<u8>,
}

impl Export {
    /// BuildKit's names for exporters.
    pub fn kind(name: &str) -> Result<ExportKind, crate::Error> {
        Ok(match name {
            "image" | "moby" => ExportKind::Image,
            "oci" => ExportKind::Oci,
            "docker" => ExportKind::Docker,
            "local" => ExportKind::Local,
            "tar" => ExportKind::Tar,
            _ => return Err(crate::Error::Unsupported { what: format!("exporter {name:?}") }),
        })
    }
}
