//! What the administrator decided. [`Settings`] hold for the engine's life; [`Live`] can change under it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Error;
use crate::security::Seccomp;
pub use layers::{Choice as Storage, Limits as LayerLimits};

/// Fixed once the engine runs.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data_root: PathBuf,
    /// Sockets, pids and shims' state; gone after a reboot.
    pub run_dir: PathBuf,
    /// The executable that shims are started from.
    pub executable: PathBuf,
    pub cgroup_driver: CgroupDriver,
    /// Below which cgroup containers are put; a slice where systemd keeps them.
    pub cgroup_parent: String,
    pub storage: Storage,
    /// What images may take of the disk before unused ones go; nothing is no limit.
    pub image_limit: Option<u64>,
    /// What a container may write to its root, unless it is made for another size.
    pub root_size: Option<u64>,
    /// What a stranger's layer may ask of this host.
    pub layer_limits: LayerLimits,
    pub log_driver: String,
    pub log_options: BTreeMap<String, String>,
    pub log_budget: LogBudget,
    /// Where devices by name are described.
    pub cdi_folders: Vec<PathBuf>,
    pub no_new_privileges: bool,
    /// Containers that don't say otherwise have users of their own.
    pub private_users: bool,
    /// For containers that don't say whether they want an init.
    pub init: bool,
    /// For containers that don't choose a profile themselves.
    pub seccomp: Seccomp,
    /// As `info` names it: `builtin`, `unconfined` or the file that it came from.
    pub seccomp_name: String,
    /// Which resolvers the host has.
    pub resolv_conf: PathBuf,
    pub default_shm_size: i64,
    pub default_stop_timeout: i32,
    pub http_proxy: String,
    pub https_proxy: String,
    pub no_proxy: String,
    pub experimental: bool,
    /// TCP addresses at which nobody is asked who they are; `info` warns of them.
    pub open_hosts: Vec<String>,
    pub bridge: crate::networks::BridgeSettings,
    /// How long a volume plugin may take for an answer.
    pub plugin_patience: std::time::Duration,
    pub builder: Builder,
}

/// What builds may keep and be allowed.
#[derive(Debug, Clone)]
pub struct Builder {
    /// What is removed after builds, one rule after the other; nothing where our own limit holds.
    pub rules: Option<Vec<crate::builds::PruneWhat>>,
    pub network_host: bool,
    pub security_insecure: bool,
    /// Whether steps may have the host's devices.
    pub device: bool,
    /// How many builds are remembered whatever their age, and for how long others are, if somebody says so.
    pub history_entries: Option<usize>,
    pub history_age: Option<std::time::Duration>,
}

/// As dockerd has it: what is insecure has to be allowed by both sides.
impl Default for Builder {
    fn default() -> Self {
        Self {
            rules: None,
            network_host: true,
            security_insecure: false,
            device: false,
            history_entries: None,
            history_age: None,
        }
    }
}

/// Who makes the containers' cgroups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    #[default]
    Cgroupfs,
    Systemd,
}

impl CgroupDriver {
    /// As `info` and `native.cgroupdriver` have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroupfs => "cgroupfs",
            Self::Systemd => "systemd",
        }
    }

    /// Whether this machine has it.
    pub fn check(self) -> Result<(), Error> {
        match self {
            Self::Cgroupfs => Ok(()),
            Self::Systemd => {
                runtime::check_systemd().map_err(|source| Error::CgroupDriver { driver: self.name(), source })
            }
        }
    }

    /// Whether a text can be the parent of containers' cgroups.
    pub fn check_parent(self, parent: &str) -> Result<(), Error> {
        let is_slice = parent.len() > ".slice".len() && parent.ends_with(".slice") && !parent.contains('/');
        match self {
            Self::Systemd if !is_slice => Err(Error::Invalid(
                "cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"".into(),
            )),
            _ => Ok(()),
        }
    }
}

/// What all logs together may take of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogBudget {
    /// A fiftieth of the file system that they are on, and no less than a gigabyte.
    OfDisk,
    Bytes(u64),
    None,
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

impl Live {
    /// What the `reload` event tells: the values in force.
    pub fn attributes(&self, host_name: &str) -> BTreeMap<String, String> {
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        let runtimes: BTreeMap<_, _> =
            self.runtimes.iter().map(|(name, runtime)| (name, &runtime.path)).collect();
        [
            ("name", host_name.to_owned()),
            ("debug", self.debug.to_string()),
            ("labels", json(serde_json::to_string(&self.labels))),
            ("default-runtime", self.default_runtime.clone()),
            ("runtimes", json(serde_json::to_string(&runtimes))),
            ("registry-mirrors", json(serde_json::to_string(&self.registry_mirrors))),
            ("insecure-registries", json(serde_json::to_string(&self.insecure_registries))),
            ("live-restore", self.live_restore.to_string()),
            ("max-concurrent-downloads", self.max_concurrent_downloads.to_string()),
            ("max-concurrent-uploads", self.max_concurrent_uploads.to_string()),
            ("max-download-attempts", self.max_download_attempts.to_string()),
            ("shutdown-timeout", self.shutdown_timeout.to_string()),
            ("features", json(serde_json::to_string(&self.features))),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
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
