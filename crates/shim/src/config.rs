//! What the engine tells a shim when it starts one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
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
    /// Who makes its processes, where that isn't the shim itself.
    #[serde(default)]
    pub runtime: Option<ForeignRuntime>,
    /// How many descriptors come along that the shim keeps for engines, and lends them.
    #[serde(default)]
    pub kept: u32,
    /// Whose sockets come behind those.
    #[serde(default)]
    pub relays: Vec<Relay>,
    /// Whether nobody is let in by those until an engine says so.
    #[serde(default)]
    pub closed: bool,
    /// Whether the container goes with its end: how it ended outlives a killed engine, and needn't outlive the machine's power.
    #[serde(default)]
    pub fleeting: bool,
}

/// A socket of the host's that leads to the container by way of its shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    pub carries: Carries,
    pub to: SocketAddr,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carries {
    Streams,
    Datagrams,
}

/// Another OCI runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignRuntime {
    /// A path, or a name to be looked up.
    pub program: PathBuf,
    /// What comes before everything else on its command line.
    pub arguments: Vec<String>,
    /// Whether it has systemd make the cgroups.
    pub systemd: bool,
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

/// Where output goes. Both may be missing: then it is kept nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// What `logs` reads.
    pub file: Option<LogFile>,
    /// Who else gets it.
    pub forward: Option<Forward>,
}

/// Files `<path>`, `<path>.1`, `<path>.2` … from new to old; those that were rotated away end in `.gz` if they are
/// compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    pub path: PathBuf,
    pub format: LogFormat,
    /// A file that would grow beyond this is rotated away.
    pub max_size: u64,
    /// How many files there are at most, the one being written included.
    pub max_files: u32,
    pub compress: bool,
    /// So many bytes may wait for the disk, and what doesn't fit is dropped; none where the container waits.
    #[serde(default)]
    pub buffer: Option<usize>,
}

/// How a line is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Docker's `json-file`: one JSON object a line, with these attributes in each.
    Json { attributes: BTreeMap<String, String> },
    /// Docker's `local`: protocol buffers, each between its length and its length.
    Local,
}

impl LogFile {
    /// Logs are bounded unless told otherwise: five files of twenty megabytes.
    pub fn bounded(path: PathBuf, format: LogFormat) -> Self {
        Self { path, format, max_size: 20_000_000, max_files: 5, compress: false, buffer: None }
    }
}

/// A log server, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    pub to: Server,
    pub language: Language,
    /// What of a line waits for the server when it takes nothing, in bytes.
    pub buffer: usize,
    pub when_full: WhenFull,
    /// Whether the container is started although the server can't be reached.
    pub connect_later: bool,
    /// How long until the next attempt to reach a server that went away, in milliseconds.
    pub retry_after: u64,
    /// After so many failed attempts in a row what waits is given up.
    pub attempts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    Udp(SocketAddr),
    Tcp(SocketAddr),
    UnixDatagram(PathBuf),
    UnixStream(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The container waits, as long as the server is connected.
    Wait,
    /// What comes is lost.
    Drop,
}

/// A log server's protocol, with what is the same for all lines of this container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    Syslog {
        format: SyslogFormat,
        facility: u8,
        host: String,
        tag: String,
    },
    /// Fields that are the same in every entry, as journald takes them.
    Journald {
        fields: BTreeMap<String, String>,
    },
    /// Keys with what they have in every message.
    Gelf {
        fields: serde_json::Map<String, serde_json::Value>,
        packing: Packing,
    },
    Fluentd {
        tag: String,
        record: BTreeMap<String, String>,
        nanoseconds: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyslogFormat {
    /// Without a host, as on a machine's own socket.
    Unix,
    Rfc3164,
    Rfc5424,
    Rfc5424Micro,
}

/// How a GELF message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// One after the other, each with a zero behind it.
    Zeros,
    /// In datagrams, cut into chunks where it is too long for one.
    Plain,
    Gzip {
        level: u32,
    },
    Zlib {
        level: u32,
    },
}
