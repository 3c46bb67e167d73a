//! A process that joins a container which runs already: the same confinement, without anything to make.

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};

use oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::cgroups::{Cgroup, Entrance};
use crate::create::Stdio;
use crate::credentials::Sets;
use crate::devices::Terminal;
use crate::entry::Entry;
use crate::error::Doing;
use crate::root::Root;
use crate::waiting::{Enter, Waiting};
use crate::{Error, Filter, home};

/// What is to run in a container, and in which.
pub struct Joining<'a> {
    pub process: &'a Process,
    /// The container's own filter.
    pub seccomp: Option<&'a Filter>,
    /// Process 1, whose namespaces and root are joined.
    pub init: BorrowedFd<'a>,
    pub cgroup: &'a Cgroup,
    pub stdio: Stdio,
}

/// Makes the process up to the point where only `execve` is left.
///
/// The caller itself is put into the container's process namespace as far as its further children are concerned: so one
/// `clone3` is enough. It must be a process that serves this container alone.
pub fn join(request: Joining<'_>) -> Result<Waiting, Error> {
    let process = request.process;
    if !process.cwd().is_absolute() {
        return Err(Error::Invalid { field: "process.cwd", why: "is not an absolute path".into() });
    }
    let sets = Sets::of(process.capabilities().as_ref())?;
    move_into_thread_name_spaces(request.init, ThreadNameSpaceType::PROCESS_ID)
        .doing("join the container's process namespace")?;
    let entrance = request.cgroup.entrance()?;
    let unified = entrance.unified_copy()?;
    let namespaces = sys::Namespaces::default();
    Waiting::clone_into(namespaces, unified.as_ref().map(AsFd::as_fd), |channel| Guest {
        init: request.init,
        entrance,
        entry: Entry { process, sets, seccomp: request.seccomp, stdio: request.stdio, channel },
    })
}

struct Guest<'a> {
    init: BorrowedFd<'a>,
    entrance: Entrance,
    entry: Entry<'a>,
}

impl Enter for Guest<'_> {
    fn enter(&self) -> ! {
        match self.join_and_execute() {
            Ok(never) => match never {},
            Err(error) => self.entry.fail(error),
        }
    }
}

impl Guest<'_> {
    fn join_and_execute(&self) -> Result<Infallible, Error> {
        self.entry.hide()?;
        self.entrance.enter()?;
        self.oom_score()?;
        let all = ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::CONTROL_GROUP;
        move_into_thread_name_spaces(self.init, all).doing("join the container's namespaces")?;
        // With the mount namespace comes its root, which is the container's since its first process pivoted.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open("/", flags, Mode::empty()).doing("open the container's root")?;
        let root = Root::entered(root.as_fd());
        let owner = self.entry.process.user().uid();
        let terminal = match self.entry.process.terminal() {
            Some(true) => Some(Terminal::open(&root, owner)?),
            _ => None,
        };
        self.entry.become_program(terminal, &home::of(&root, owner))
    }

    /// Through the host's `/proc`, before anything of the container's is in sight: what we are a copy of is protected.
    fn oom_score(&self) -> Result<(), Error> {
        let score = self.entry.process.oom_score_adj().unwrap_or(0);
        std::fs::write("/proc/self/oom_score_adj", score.to_string()).doing("set the OOM score")
    }
}
