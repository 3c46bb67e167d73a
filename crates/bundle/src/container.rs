//! A container as it is found: its record, its first process, and what state that makes.

use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use runtime::{Cgroup, HookState, run_hooks};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Serialize;

use crate::error::{Doing, Error};
use crate::store::{Folder, Init, Record};

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) record: Record,
    pub(crate) folder: Folder,
    init: Option<Init>,
}

impl Container {
    pub(crate) fn load(root: &Path, id: &str) -> Result<Self, Error> {
        let folder = Folder::find(root, id)?;
        Ok(Self { record: folder.record()?, init: folder.init(), folder })
    }

    /// For a command that changes it: nobody else does until the lock is dropped.
    pub(crate) fn lock(root: &Path, id: &str) -> Result<(Self, OwnedFd), Error> {
        let lock = Folder::find(root, id)?.lock()?;
        // Whoever had the lock before may have removed it.
        Ok((Self::load(root, id)?, lock))
    }

    pub(crate) fn status(&self) -> Result<Status, Error> {
        let Some(init) = self.init else { return Ok(Status::Creating) };
        if began(init.pid) != Some(init.began) {
            return Ok(Status::Stopped);
        }
        if fs::exists(self.folder.gate()).unwrap_or(false) {
            return Ok(Status::Created);
        }
        Ok(if self.cgroup()?.is_frozen() { Status::Paused } else { Status::Running })
    }

    pub(crate) fn require(&self, doing: &'static str, allowed: &[Status]) -> Result<Status, Error> {
        let status = self.status()?;
        match allowed.contains(&status) {
            true => Ok(status),
            false => Err(Error::Status { doing, id: self.record.id.clone(), status }),
        }
    }

    /// The number of process 1 while there is one.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.init.filter(|init| began(init.pid) == Some(init.began)).map(|init| init.pid)
    }

    pub(crate) fn cgroup(&self) -> Result<Cgroup, Error> {
        Ok(Cgroup::find(&self.record.cgroup)?)
    }

    /// Process 1, whoever gets its number later.
    pub(crate) fn pidfd(&self) -> Result<OwnedFd, Error> {
        let init = self.init.ok_or(Error::NotRunning)?;
        let pid = Pid::from_raw(init.pid).ok_or(Error::NotRunning)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| Error::NotRunning)?;
        // Only now is it sure that the number is still its.
        if began(init.pid) != Some(init.began) {
            return Err(Error::NotRunning);
        }
        Ok(pidfd)
    }

    /// Ends whatever of it still runs.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        let cgroup = self.cgroup()?;
        if let Ok(pidfd) = self.pidfd() {
            let _ = sys::send_signal(&pidfd, 9);
            if cgroup.is_frozen() {
                cgroup.set_frozen(false, PATIENCE)?;
            }
            let patience = Timespec::try_from(PATIENCE).ok();
            poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], patience.as_ref())
                .doing("wait for the container's end")?;
        }
        Ok(cgroup.kill(PATIENCE)?)
    }

    /// Removes all that is left of it, and tells its `poststop` hooks. What fails is said, and doesn't stop the rest.
    pub(crate) fn remove(&self, warn: &dyn Fn(&str)) -> Result<(), Error> {
        let cgroup = self.cgroup()?;
        cgroup.kill(PATIENCE)?;
        cgroup.delete_all()?;
        self.folder.remove()?;
        let hooks = self.record.spec.hooks().as_ref().and_then(|hooks| hooks.poststop().as_deref());
        for hook in hooks.unwrap_or_default() {
            let state = self.hook_state("stopped", None);
            if let Err(error) = run_hooks("poststop", std::slice::from_ref(hook), &state) {
                warn(&diag::chain(&error));
            }
        }
        Ok(())
    }

    pub(crate) fn hook_state(&self, status: &'static str, pid: Option<i32>) -> HookState<'_> {
        HookState::of(&self.record.spec, &self.record.id, &self.record.bundle, status, pid)
    }
}

/// When a process began, in ticks since the machine did; nothing for one that has ended.
pub(crate) fn began(pid: i32) -> Option<u64> {
    // One call reads it: the kernel says no size, and a growing buffer would be filled 32 bytes first.
    let mut stat = String::with_capacity(1024);
    File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read_to_string(&mut stat)).ok()?;
    // The name, in parentheses, may contain anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

impl Container {
    /// Whether its processes end with its first one.
    pub(crate) fn has_own_processes(&self) -> bool {
        let namespaces = self.record.spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref());
        namespaces.unwrap_or_default().iter().any(|namespace| {
            namespace.typ() == oci_spec::runtime::LinuxNamespaceType::Pid
                && namespace.path().as_ref().is_none_or(|path| path.as_os_str().is_empty())
        })
    }
}
