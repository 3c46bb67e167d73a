//! What a build asks of a Dockerfile.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::image::Platform;

use super::context::{Context, Main};
use crate::graph::{ExtraHost, Network, Pull, SourceFile, Ulimit};

/// Everything but the Dockerfile.
#[derive(Debug, Clone)]
pub struct Options {
    /// A stage's name or number; empty for the last.
    pub target: String,
    /// `--build-arg`.
    pub arguments: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// What steps run on.
    pub build_platform: Platform,
    /// What the image is for, if it was said.
    pub target_platform: Option<Platform>,
    /// Names of steps begin with their platform.
    pub several_platforms: bool,
    pub no_cache: NoCache,
    pub pull: Pull,
    /// Of steps that don't say.
    pub network: Network,
    pub extra_hosts: Vec<ExtraHost>,
    pub shm_size: u64,
    pub ulimits: Vec<Ulimit>,
    pub cgroup_parent: String,
    pub hostname: String,
    /// Tells cache mounts of different users apart.
    pub cache_namespace: String,
    /// `SOURCE_DATE_EPOCH`, in seconds.
    pub epoch: Option<i64>,
    /// An SBOM is asked for, which is of the result alone.
    pub sbom: bool,
    /// `--build-context`, by name.
    pub contexts: BTreeMap<String, Context>,
    pub main: Main,
    /// The patterns of the build's own ignore file.
    pub ignore: Vec<String>,
    /// All stages are looked at, not only those that the target needs: for checks.
    pub all_stages: bool,
    pub source: Arc<SourceFile>,
}

/// `--no-cache`, `--no-cache-filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NoCache {
    #[default]
    Nothing,
    All,
    /// Stages' names.
    Stages(Vec<String>),
}

impl Options {
    /// A build of a directory for the platform on which it runs.
    pub fn new(source: Arc<SourceFile>, build_platform: Platform) -> Self {
        Self {
            target: String::new(),
            arguments: BTreeMap::new(),
            labels: BTreeMap::new(),
            build_platform,
            target_platform: None,
            several_platforms: false,
            no_cache: NoCache::Nothing,
            pull: Pull::Missing,
            network: Network::Default,
            extra_hosts: Vec::new(),
            shm_size: 0,
            ulimits: Vec::new(),
            cgroup_parent: String::new(),
            hostname: String::new(),
            cache_namespace: String::new(),
            epoch: None,
            sbom: false,
            contexts: BTreeMap::new(),
            main: Main::local("context"),
            ignore: Vec::new(),
            all_stages: false,
            source,
        }
    }

    pub(super) fn target_platform(&self) -> &Platform {
        self.target_platform.as_ref().unwrap_or(&self.build_platform)
    }

    pub(super) fn ignores_cache_of(&self, stage: &str) -> bool {
        match &self.no_cache {
            NoCache::Nothing => false,
            NoCache::All => true,
            NoCache::Stages(stages) => stages.iter().any(|name| name.eq_ignore_ascii_case(stage)),
        }
    }

    /// Nanoseconds since 1970, as files have it.
    pub(super) fn time(&self) -> Option<i64> {
        self.epoch.map(|seconds| seconds.saturating_mul(1_000_000_000))
    }
}
