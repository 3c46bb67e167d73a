//! What the engine tells a shim when it starts one.

use std::path::PathBuf;

use oci_spec::runtime::Spec;
use runtime::Filter;
use serde::{Deserialize, Serialize};

/// Everything about one container that its shim has to know. The root comes beside it, as a descriptor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Launch {
    /// The container's full id.
    pub id: String,
    /// `<run dir>/containers/<id>`: volatile state. Must exist.
    pub run_dir: PathBuf,
    /// `<data root>/containers/<id>`: what outlives a reboot. Must exist.
    pub container_dir: PathBuf,
    /// The process, its namespaces and its limits; `process.terminal` decides between a pty and pipes.
    pub spec: Spec,
    /// `spec.linux.seccomp` compiled, where the engine has done that already.
    #[serde(default)]
    pub seccomp: Option<Filter>,
    pub stdin: Stdin,
    pub log: LogConfig,
    /// How many descriptors come along that the shim keeps for engines, and lends them.
    #[serde(default)]
    pub kept: u32,
}

/// What process 1 finds on its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// `/dev/null`.
    Closed,
    /// Open for as long as the container lives, whoever is attached.
    Open,
    /// Closed when the first client that attached to it goes.
    Once,
}

/// Where output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "driver")]
pub enum LogConfig {
    None,
    JsonFile(JsonFile),
}

/// Docker's `json-file`: one JSON object a line, `<path>`, `<path>.1`, `<path>.2` … from new to old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonFile {
    pub path: PathBuf,
    /// A file that would grow beyond this is rotated away.
    pub max_size: u64,
    /// How many files there are at most, the one being written included.
    pub max_files: u32,
}

impl JsonFile {
    /// Logs are bounded unless told otherwise: five files of twenty megabytes.
    pub fn bounded(path: PathBuf) -> Self {
        Self { path, max_size: 20_000_000, max_files: 5 }
    }
}
