//! What this protocol needs of an engine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use build::Job;
use build::frontend::Frontend;
use build::progress::Progress;
use build::request::{Outcome, Request};
use build::session::Session;
use oci::image::Platform;

/// An engine that builds.
pub trait Engine: Send + Sync + 'static {
    /// Builds. Dropping the job ends it.
    fn build(&self, request: Request, session: Arc<dyn Session>, progress: Progress) -> Job<'_, Outcome>;

    /// A language that is built in: `dockerfile.v0`.
    fn frontend(&self, name: &str) -> Option<Arc<dyn Frontend>>;

    /// A folder for what is remembered of builds.
    fn records(&self) -> PathBuf;

    /// How many builds are remembered whatever their age, and for how long others are, where somebody says so.
    fn remembers(&self) -> (Option<usize>, Option<Duration>) {
        (None, None)
    }

    /// Who it is.
    fn worker(&self) -> Worker;

    /// What it keeps of builds.
    fn usage(&self) -> Job<'_, Vec<Usage>>;

    /// Removes what fits of it, and says what.
    fn prune(&self, wanted: Prune) -> Job<'_, Vec<Usage>>;
}

/// An engine as builders introduce themselves.
#[derive(Debug, Clone, Default)]
pub struct Worker {
    /// The engine's id.
    pub id: String,
    /// BuildKit's labels.
    pub labels: BTreeMap<String, String>,
    /// What it builds for, the host's first.
    pub platforms: Vec<Platform>,
    /// Its name, version and commit.
    pub version: (String, String, String),
    /// By which rules it removes what it keeps.
    pub rules: Vec<Rule>,
    /// The host's devices that steps may ask for.
    pub devices: Vec<Device>,
}

/// A device that a file of the host's describes.
#[derive(Debug, Clone, Default)]
pub struct Device {
    pub name: String,
    /// Whether steps have it without a client's leave.
    pub auto_allow: bool,
    pub annotations: BTreeMap<String, String>,
}

/// What is removed after a build.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    pub what: Prune,
    /// For how long it has to be unused, and which kinds it has to be.
    pub unused_for: Duration,
    pub filters: Vec<String>,
}

/// One thing that is kept.
#[derive(Debug, Clone)]
pub struct Usage {
    pub id: String,
    /// `regular`, `source.local`, `exec.cachemount`, …
    pub kind: String,
    pub description: String,
    pub size: u64,
    pub in_use: bool,
    pub shared: bool,
    pub mutable: bool,
    pub made: SystemTime,
    pub used: Option<SystemTime>,
    pub uses: u64,
    pub parents: Vec<String>,
}

/// What is to be removed.
#[derive(Debug, Clone, Default)]
pub struct Prune {
    /// Also what images share.
    pub all: bool,
    /// So many bytes stay, whatever else is said.
    pub keep: u64,
    /// No more than so many may stay; 0: any number.
    pub max_used: u64,
    /// So much of the disk has to be free, as far as removing helps.
    pub min_free: u64,
    /// Nothing but these.
    pub ids: Vec<String>,
}
