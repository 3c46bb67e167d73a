//! A container's files, seen from outside: what it changed, all of them, some of them, and an image of them.
//!
//! A running container's root is what its process 1 sees, mounts and all; the root of any other is its layers, mounted
//! for the moment and attached nowhere. Nothing that is in a root is ever looked up but beneath its descriptor.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::exec::root_of;
use super::{Container, Containers, Handle, Shared};
use crate::Error;

mod archive;
mod commit;
mod freeze;
mod path;
mod still;

pub use archive::{Archive, Put};
pub use commit::Commit;
pub(crate) use freeze::Frozen;
pub use path::PathStat;
pub(crate) use path::Wanted;
pub use still::Still;

/// What the engine makes in a root for its mounts. It is nobody's change while it is empty.
const OWN: &[&str] = &[
    ".dockerenv",
    "dev",
    "dev/console",
    "dev/mqueue",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "proc",
    "sys",
];

/// Who writes to the root of a container that doesn't run: it has one mount to write to, or none while it starts.
#[derive(Debug, Default)]
pub(crate) struct Writers(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

/// The right to write to a root.
#[derive(Debug)]
pub struct Writing(#[expect(dead_code, reason = "held, never read")] tokio::sync::OwnedMutexGuard<()>);

impl Writers {
    fn of(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, writer| writer.strong_count() > 0);
        if let Some(known) = all.get(id).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::default();
        all.insert(id.to_owned(), Arc::downgrade(&new));
        new
    }

    /// Waits for its turn.
    async fn write(&self, id: &str) -> Writing {
        Writing(self.of(id).lock_owned().await)
    }

    /// For a start, which doesn't wait for a client that may never end.
    pub(crate) fn try_write(&self, id: &str) -> Result<Writing, Error> {
        self.of(id).try_lock_owned().map(Writing).map_err(|_| Error::BeingWritten(id.to_owned()))
    }
}

/// A whole root on its way into a tar.
#[derive(Debug)]
pub struct Export {
    root: OwnedFd,
    limits: layers::Limits,
}

impl Export {
    /// Writes it. Blocking.
    pub fn write(self, out: &mut dyn Write) -> Result<(), Error> {
        Ok(layers::pack_tree(self.root.as_fd(), b"", out, &self.limits)?)
    }
}

impl Containers {
    /// What differs from the image. Blocking.
    pub fn changes(&self, handle: &Handle) -> Result<Vec<layers::Change>, Error> {
        let container = &handle.view().container;
        let (upper, lower) = self.shared.halves(container)?;
        Ok(layers::changes(upper.as_fd(), lower.as_fd(), OWN, self.shared.layers.limits())?)
    }

    /// The whole root without what is mounted in it. Blocking.
    pub fn export(&self, handle: &Handle) -> Result<Export, Error> {
        let container = &handle.view().container;
        let root = match container.state.live() {
            // Where the host numbers its users otherwise, as it is kept.
            Some(live) if container.identities.is_none() => {
                bare_root(live.pid).or_else(|_| self.shared.seen(container))?
            }
            _ => self.shared.seen(container)?,
        };
        self.shared.emit(container, "export", &[]);
        Ok(Export { root, limits: self.shared.layers.limits().clone() })
    }
}

impl Shared {
    /// The changes and what they are changes of.
    fn halves(&self, container: &Container) -> Result<(OwnedFd, OwnedFd), Error> {
        use rustix::fs::{Mode, OFlags};
        let path = self.places(&container.id).upper();
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let upper = rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| Error::File {
            doing: "open",
            path,
            source: e.into(),
        })?;
        Ok((upper, self.layers.mount_read_only(&container.layers)?))
    }

    /// The root as it is now, to be read.
    fn seen(&self, container: &Container) -> Result<OwnedFd, Error> {
        Ok(self.layers.mount_seen(&container.layers, &self.places(&container.id).upper())?)
    }

    /// The root that process 1 sees, or that it would see.
    fn visible(&self, container: &Container) -> Result<OwnedFd, Error> {
        let running = container.state.live().and_then(|live| root_of(live.pid).ok());
        running.map_or_else(|| self.seen(container), Ok)
    }
}

fn bare_root(pid: i32) -> Result<OwnedFd, Error> {
    let failed = |source| Error::System { doing: "look at the container's root", source };
    let root = root_of(pid).map_err(failed)?;
    let pid = Pid::from_raw(pid).ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| failed(e.into()))?;
    sys::bare_mount(pidfd.as_fd(), root.as_fd()).map_err(failed)
}
