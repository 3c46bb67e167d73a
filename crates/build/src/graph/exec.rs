//! Running a program.

use std::net::IpAddr;

use serde::Serialize;

use super::Input;
use crate::Error;

/// A program in a container, what is mounted there, and which of the mounts are kept afterwards.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Exec {
    /// The program and its arguments; at least one.
    pub args: Vec<String>,
    /// `NAME=value`, in this order. Nothing else is in the environment but `PATH` if it is missing, `HOME`, the proxy
    /// and secrets.
    pub env: Vec<String>,
    /// Absolute, or empty for `/`. Made if it isn't there.
    pub cwd: String,
    /// As `USER` takes it; empty for root.
    pub user: String,
    /// Empty: `buildkitsandbox`.
    pub hostname: String,
    pub network: Network,
    pub security: Security,
    /// Exactly one has the target `/`. The order of outputs is theirs.
    pub mounts: Vec<Mount>,
    pub secret_env: Vec<SecretEnv>,
    pub extra_hosts: Vec<ExtraHost>,
    pub ulimits: Vec<Ulimit>,
    pub cgroup_parent: String,
    /// Ends that aren't failures; empty: 0 alone.
    pub valid_exit_codes: Vec<i32>,
    /// Whether directories made for mounts go again with their parents that are empty by then.
    pub remove_mount_stubs: bool,
    /// The host's devices by CDI's names.
    pub devices: Vec<Device>,
    /// In the environment, but never in the definition or a cache's key: another proxy gives the same result.
    #[serde(skip)]
    pub proxy: Proxy,
}

/// `http_proxy` and its kin, each in both spellings where not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    pub http: String,
    pub https: String,
    pub ftp: String,
    pub no: String,
    pub all: String,
}

/// A device of the host's, as a step asks for it: by its whole name, or as the first (`vendor.com/class`) or all
/// (`vendor.com/class=*`) of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Device {
    pub name: String,
    /// Absent is no failure.
    pub optional: bool,
}

/// What a program can reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Network {
    /// A network of its own with a way out.
    #[default]
    Default,
    /// The host's; needs `network.host`.
    Host,
    /// Its own loopback.
    None,
}

/// How far a program is confined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Security {
    /// As a container of `run`.
    #[default]
    Sandbox,
    /// As one of `run --privileged`; needs `security.insecure`.
    Insecure,
}

/// Something at a path in the container.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mount {
    /// Absolute, or relative to `cwd`.
    pub target: String,
    pub kind: MountKind,
    pub read_only: bool,
    /// Which output of the vertex it becomes, with what was written to it; binds only. Numbered without gaps.
    pub output: Option<u32>,
}

impl Mount {
    /// The root, which is output 0.
    pub fn root(from: Option<Input>) -> Self {
        let kind = MountKind::Bind(Bind { from, selector: String::new() });
        Self { target: "/".into(), kind, read_only: false, output: Some(0) }
    }
}

/// What is mounted. `--shm-size` is a [`MountKind::Tmpfs`] at `/dev/shm`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum MountKind {
    Bind(Bind),
    Cache(CacheMount),
    Tmpfs {
        /// In bytes; 0: as the kernel has it.
        size: u64,
    },
    Secret(SecretFile),
    Ssh(SshMount),
}

/// An input, or nothing, with what is written on top. What is written is seen by nobody else unless it is an output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bind {
    pub from: Option<Input>,
    /// Only this file or directory of it.
    pub selector: String,
}

/// A directory that outlives the build and is in no layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheMount {
    /// What it begins with.
    pub from: Option<Input>,
    pub selector: String,
    /// Any text; empty: the target.
    pub id: String,
    pub sharing: Sharing,
}

/// What two steps do with one cache at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Sharing {
    #[default]
    Shared,
    /// Each has its own.
    Private,
    /// The second waits.
    Locked,
}

/// A secret as a file, on no disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SecretFile {
    pub id: String,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    /// Absent is no failure.
    pub optional: bool,
}

/// A secret in the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SecretEnv {
    pub id: String,
    pub name: String,
    pub optional: bool,
}

/// The client's ssh agent as a socket, whose path is in `SSH_AUTH_SOCK` where the lowering says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SshMount {
    pub id: String,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub optional: bool,
}

/// A line in `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExtraHost {
    pub host: String,
    pub ip: IpAddr,
}

/// `--ulimit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// `nofile`.
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

impl Exec {
    /// A program with its arguments and nothing else.
    pub fn new<T: Into<String>>(args: impl IntoIterator<Item = T>) -> Self {
        Self { args: args.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    pub(super) fn inputs(&self) -> impl Iterator<Item = Input> {
        self.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Bind(bind) => bind.from,
            MountKind::Cache(cache) => cache.from,
            _ => None,
        })
    }

    pub(super) fn outputs(&self) -> u32 {
        self.mounts.iter().filter(|mount| mount.output.is_some()).count() as u32
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let refused = |why: &str| Err(Error::Invalid(format!("a step that runs a program {why}")));
        if self.args.is_empty() {
            return refused("names none");
        }
        if self.mounts.iter().filter(|mount| mount.target == "/").count() != 1 {
            return refused("has to have one root");
        }
        let mut outputs: Vec<u32> = self.mounts.iter().filter_map(|mount| mount.output).collect();
        outputs.sort_unstable();
        if outputs.iter().enumerate().any(|(at, output)| at != *output as usize) {
            return refused("has outputs that aren't numbered from 0");
        }
        let kept = self.mounts.iter().filter(|mount| mount.output.is_some());
        if kept.into_iter().any(|mount| !matches!(mount.kind, MountKind::Bind(_))) {
            return refused("can keep what was bound alone");
        }
        Ok(())
    }
}
