//! What a step may know and nobody else: secrets in memory, and the client's ssh agent.
//!
//! A secret's file is in a tmpfs that is attached nowhere but in the step's container. The agent is a socket there; each
//! connection to it is one to the client's agent.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;

use build::Error;
use build::graph::{Exec, MountKind, SecretFile, SshMount};
use build::session::{Secret, Session};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, fchmod, fchown, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::Running;
use super::mounts::absolute;
use crate::builds::error::work;

/// No secret is longer, as BuildKit has it.
const MAX_SECRET: usize = 500 << 10;

/// Files to be mounted, by their targets.
pub(super) struct SecretFiles {
    pub(super) sources: Vec<(String, InMemory)>,
}

/// A file in a file system of its own.
pub(super) struct InMemory {
    folder: OwnedFd,
    name: &'static str,
}

impl InMemory {
    /// The file as a mount. `at` is a directory that nobody uses.
    pub(super) fn mount(&self, at: &std::path::Path) -> Result<OwnedFd, Error> {
        sys::part_of_mount(self.folder.as_fd(), at, self.name.as_ref()).map_err(|e| work("mount a secret", e))
    }
}

/// All that a step's secrets come to.
pub(super) struct Secrets {
    pub(super) env: Vec<String>,
    pub(super) files: SecretFiles,
    pub(super) agents: Vec<Agent>,
}

/// A socket that leads to the client's agent, for as long as this lives.
pub(super) struct Agent(tokio::task::JoinHandle<()>);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The same for a program of this host's.
pub(in crate::builds) struct AgentSocket {
    place: InMemory,
    _agent: Agent,
}

impl AgentSocket {
    pub(in crate::builds) fn new(id: &str, session: Arc<dyn Session>) -> Result<Self, Error> {
        let wanted = SshMount { id: id.to_owned(), uid: 0, gid: 0, mode: 0o600, optional: false };
        let (place, agent) = agent(&wanted, session)?;
        Ok(Self { place, _agent: agent })
    }

    /// Where it is, for other processes too: its file system is attached nowhere.
    pub(in crate::builds) fn path(&self) -> String {
        let folder = self.place.folder.as_raw_fd();
        format!("/proc/{}/fd/{folder}/{}", std::process::id(), self.place.name)
    }
}

impl Running {
    /// Asks the client for all. What is optional and isn't there is left out.
    pub(super) async fn secrets(&self, exec: &Exec) -> Result<Secrets, Error> {
        let mut secrets =
            Secrets { env: Vec::new(), files: SecretFiles { sources: Vec::new() }, agents: Vec::new() };
        for wanted in &exec.secret_env {
            if let Some(secret) = self.secret(&wanted.id, wanted.optional).await? {
                let value = String::from_utf8_lossy(&secret.0).into_owned();
                secrets.env.push(format!("{}={value}", wanted.name));
            }
        }
        for mount in &exec.mounts {
            let target = absolute(&exec.cwd, &mount.target);
            let source = match &mount.kind {
                MountKind::Secret(wanted) => {
                    let secret = self.secret(&wanted.id, wanted.optional).await?;
                    let Some(secret) = secret else { continue };
                    file(wanted, &secret)?
                }
                MountKind::Ssh(wanted) => match self.session.has_ssh(&wanted.id).await {
                    Ok(true) => {
                        let (socket, agent) = agent(wanted, self.session.clone())?;
                        secrets.agents.push(agent);
                        socket
                    }
                    _ if wanted.optional => continue,
                    Ok(false) => return Err(no_agent(&wanted.id)),
                    Err(error) => return Err(error),
                },
                _ => continue,
            };
            secrets.files.sources.push((target, source));
        }
        Ok(secrets)
    }

    pub(super) async fn secret(&self, id: &str, optional: bool) -> Result<Option<Secret>, Error> {
        match self.session.secret(id).await? {
            Some(secret) if secret.0.len() > MAX_SECRET => {
                Err(Error::Invalid(format!("invalid secret size {}", secret.0.len())))
            }
            None if !optional => Err(Error::NotFound(format!("secret {id}: not found"))),
            found => Ok(found),
        }
    }
}

fn no_agent(id: &str) -> Error {
    let id = if id.is_empty() { "default" } else { id };
    Error::NotFound(format!("unset ssh forward key {id}"))
}

/// An empty file system in memory.
fn memory() -> Result<OwnedFd, Error> {
    let failed = |e: rustix::io::Errno| work("make a file system for a secret", e);
    let fs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    fsconfig_set_string(&fs, "mode", "0700").map_err(failed)?;
    // Never in the host's swap, where the kernel knows how: 6.4.
    let _ = rustix::mount::fsconfig_set_flag(&fs, "noswap");
    fsconfig_create(&fs).map_err(failed)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed)
}

fn file(wanted: &SecretFile, secret: &Secret) -> Result<InMemory, Error> {
    let failed = |e: std::io::Error| work("write a secret", e);
    let folder = memory()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let made = openat(&folder, "secret", flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
    let mut made = File::from(made);
    made.write_all(&secret.0).map_err(failed)?;
    fchown(&made, Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid)))
        .and_then(|()| fchmod(&made, Mode::from_raw_mode(wanted.mode & 0o777)))
        .map_err(|e| failed(e.into()))?;
    Ok(InMemory { folder, name: "secret" })
}

fn agent(wanted: &SshMount, session: Arc<dyn Session>) -> Result<(InMemory, Agent), Error> {
    let failed = |e: std::io::Error| work("make a socket for the ssh agent", e);
    let folder = memory()?;
    // A socket's address is a path, and this one is short whatever the folder is.
    let path = format!("/proc/self/fd/{}/agent", folder.as_raw_fd());
    let listener = StdListener::bind(path).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let owner = (Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid)));
    chownat(&folder, "agent", owner.0, owner.1, AtFlags::empty())
        .and_then(|()| {
            rustix::fs::chmodat(&folder, "agent", Mode::from_raw_mode(wanted.mode & 0o777), AtFlags::empty())
        })
        .map_err(|e| failed(e.into()))?;
    let listener = UnixListener::from_std(listener).map_err(failed)?;
    let id = wanted.id.clone();
    let serving = tasks::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut inside, _)) = listener.accept().await {
            let (session, id) = (session.clone(), id.clone());
            connections.spawn(async move {
                if let Ok(mut outside) = session.ssh(&id).await {
                    // Either side ends it.
                    let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                }
            });
        }
    });
    Ok((InMemory { folder, name: "agent" }, Agent(serving)))
}
