//! What the administrator decided. [`Settings`] hold for the engine's life; [`Live`] can change under it.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Fixed once the engine runs.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data_root: PathBuf,
    /// Sockets, pids and shims' state; gone after a reboot.
    pub run_dir: PathBuf,
    /// The executable that shims are started from.
    pub executable: PathBuf,
    /// Below which cgroup containers are put.
    pub cgroup_parent: String,
    pub log_driver: String,
    pub log_options: BTreeMap<String, String>,
    pub no_new_privileges: bool,
    pub default_shm_size: i64,
    pub default_stop_timeout: i32,
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
    pub experimental: bool,
}

/// What a reload may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub debug: bool,
    pub labels: Vec<String>,
    pub default_runtime: String,
    pub runtimes: BTreeMap<String, Runtime>,
    pub registry_mirrors: Vec<String>,
    pub insecure_registries: Vec<String>,
    pub live_restore: bool,
    pub max_concurrent_downloads: u32,
    pub max_concurrent_uploads: u32,
    pub max_download_attempts: u32,
    pub shutdown_timeout: u32,
    pub features: BTreeMap<String, bool>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            debug: false,
            labels: Vec::new(),
            default_runtime: BUILT_IN_RUNTIME.to_owned(),
            runtimes: BTreeMap::new(),
            registry_mirrors: Vec::new(),
            insecure_registries: Vec::new(),
            live_restore: false,
            max_concurrent_downloads: 3,
            max_concurrent_uploads: 5,
            max_download_attempts: 5,
            shutdown_timeout: 15,
            features: BTreeMap::new(),
        }
    }
}

/// An OCI runtime that the administrator registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    pub path: String,
    pub arguments: Vec<String>,
}

/// The runtime that is part of this binary.
pub const BUILT_IN_RUNTIME: &str = "ketch";
