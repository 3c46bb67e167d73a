//! How a language becomes a graph.
//!
//! A frontend gets attributes and a [`Gateway`], and answers with what is to be built. BuildKit's `LLBBridge` is the
//! same interface over gRPC: a client that brings its own frontend calls the gateway from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::Digest;
use oci::image::Platform;

use crate::container::{Container, Room};
use crate::graph::{Graph, Output, Pull, Source};
use crate::progress::Warning;
use crate::{Error, Job};

/// Something that can be built: an output of a graph, or nothing at all (`FROM scratch` alone).
#[derive(Debug, Clone)]
pub struct Ref {
    pub graph: Arc<Graph>,
    pub output: Option<Output>,
}

/// What a frontend made.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// Platforms by their keys (`linux/amd64`), or one ref under the empty key. Empty where there is nothing to export
    /// (`--check`).
    pub refs: BTreeMap<String, Ref>,
    /// BuildKit's result metadata: `containerimage.config` (with `/<platform>` if there are several),
    /// `refs.platforms`, `result.txt`, `result.json`, …
    pub metadata: BTreeMap<String, Vec<u8>>,
}

/// A language.
pub trait Frontend: Send + Sync {
    /// Reads what it needs through the gateway and says what is to be built. `attributes` as BuildKit's frontend
    /// options (`filename`, `target`, `build-arg:*`, `context:*`, …); one that it doesn't know it refuses by name.
    fn build<'a>(
        &'a self,
        attributes: &'a BTreeMap<String, String>,
        inputs: &'a BTreeMap<String, Ref>,
        gateway: &'a dyn Gateway,
    ) -> Job<'a, Built>;
}

/// What an image is, without its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The name with what it resolved to: `docker.io/library/busybox:latest@sha256:…`; without a digest where the
    /// image is only here and has no manifest's.
    pub reference: String,
    pub digest: Digest,
    /// The config's bytes.
    pub config: Vec<u8>,
}

/// What something from outside is at this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// What a repository's reference means: its full name, the object that it names, and a tag's commit.
    Git { name: String, object: String, commit: Option<String> },
    /// A file of the web; seconds since 1970, or 0 where nobody says.
    Http { digest: Digest, name: String, modified: i64 },
}

/// What a frontend may ask the engine.
pub trait Gateway: Send + Sync {
    /// The session's id, for local sources.
    fn session(&self) -> &str;

    /// What the engine builds for where nothing is said; the first is the host's.
    fn platforms(&self) -> Vec<Platform>;

    /// An image's config, for a platform, as `FROM` needs it. `name` is what progress shows (`[internal] load metadata
    /// for docker.io/library/busybox:latest`).
    fn image<'a>(
        &'a self,
        reference: &'a str,
        platform: Option<&'a Platform>,
        pull: Pull,
        name: &'a str,
    ) -> Job<'a, ResolvedImage>;

    /// What a repository or a file of the web is now, and what is taken instead if somebody says so.
    fn known<'a>(&'a self, source: &'a Source, _: &'a str) -> Job<'a, (Source, Known)> {
        let what = format!("to resolve {source:?}");
        Box::pin(async move { Err(Error::Unsupported { what }) })
    }

    /// Builds something now.
    fn solve<'a>(&'a self, wanted: &'a Ref) -> Job<'a, Arc<dyn Files>>;

    /// Tells people.
    fn warn(&self, warning: Warning);

    /// Makes a container.
    fn container<'a>(&'a self, _: Room) -> Job<'a, Arc<dyn Container>> {
        Box::pin(async { Err(Error::Unsupported { what: "a frontend's own container".into() }) })
    }

    /// Asks the frontend that is in an image, `attributes`' `source`.
    fn forward<'a>(
        &'a self,
        attributes: &'a BTreeMap<String, String>,
        _: &'a BTreeMap<String, Ref>,
    ) -> Job<'a, Built> {
        let image = attributes.get("source").cloned().unwrap_or_default();
        let what = format!("the frontend {image:?} for a client without BuildKit's protocol");
        Box::pin(async move { Err(Error::Unsupported { what }) })
    }
}

/// What was built, to be looked at. Paths are resolved beneath it, links too.
pub trait Files: Send + Sync {
    /// A file's bytes, or a range of them. [`Error::NotFound`] where it isn't; longer than 64 MiB is refused.
    fn read<'a>(&'a self, path: &'a str, range: Option<(u64, u64)>) -> Job<'a, Vec<u8>>;
    /// What is in a directory, by name; only what matches the pattern, if there is one.
    fn list<'a>(&'a self, path: &'a str, pattern: Option<&'a str>) -> Job<'a, Vec<crate::session::Entry>>;
    /// What something is; a link itself.
    fn stat<'a>(&'a self, path: &'a str) -> Job<'a, crate::session::Entry>;
}

impl Built {
    /// One result for no platform in particular.
    pub fn single(built: Ref) -> Self {
        Self { refs: BTreeMap::from([(String::new(), built)]), metadata: BTreeMap::new() }
    }

    /// The config of the image that a ref becomes, with the key under which it stands in `refs`.
    pub fn config(&self, key: &str) -> Option<&[u8]> {
        self.about("containerimage.config", key)
    }

    /// The config of the image that it is made from.
    pub fn base_config(&self, key: &str) -> Option<&[u8]> {
        self.about("containerimage.base.config", key)
    }

    fn about(&self, name: &str, key: &str) -> Option<&[u8]> {
        let found = self.metadata.get(&format!("{name}/{key}")).or_else(|| self.metadata.get(name));
        found.map(Vec::as_slice)
    }
}

impl Ref {
    /// Refuses a reference to what the graph doesn't have.
    pub fn new(graph: Arc<Graph>, output: Option<Output>) -> Result<Self, Error> {
        let made = |output: Output| {
            let vertex = graph.iter().nth(output.vertex.index());
            vertex.is_some_and(|(_, vertex)| output.index < vertex.op.outputs())
        };
        match output.is_none_or(made) {
            true => Ok(Self { graph, output }),
            false => Err(Error::Invalid("the result is made by no step".into())),
        }
    }
}
