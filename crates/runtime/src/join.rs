//! A process that joins a container which runs already: the same confinement, without anything to make.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use oci_spec::runtime::{Linux, Process};
use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::cgroups::{Cgroup, Entrance};
use crate::create::{Manner, Stdio, check_process};
use crate::credentials::Sets;
use crate::devices::Terminal;
use crate::entry::Entry;
use crate::error::Doing;
use crate::hooks::HookState;
use crate::listener::Listener;
use crate::root::Root;
use crate::waiting::{Birth, Enter, Waiting};
use crate::{Error, Filter, home, identities, supported, surroundings};

/// What is to run in a container, and in which.
pub struct Joining<'a> {
    pub process: &'a Process,
    /// The container's own filter.
    pub seccomp: Option<&'a Filter>,
    /// Process 1, whose namespaces and root are joined.
    pub init: BorrowedFd<'a>,
    pub cgroup: &'a Cgroup,
    pub stdio: Stdio,
    /// What the container's specification says of all its processes, and who is told of a seccomp listener.
    pub linux: Option<&'a Linux>,
    pub state: Option<HookState<'a>>,
    pub manner: Manner,
}

/// Makes the process up to the point where only `execve` is left.
///
/// It is born inside, of a go-between that has entered the container and closed what is the host's: whoever may look into
/// processes there never sees one that could lead out.
pub fn join(request: Joining<'_>) -> Result<Waiting, Error> {
    let process = request.process;
    check_process(process)?;
    supported::check_process(process)?;
    let sets = Sets::of(process.capabilities().as_ref())?;
    let entrance = request.cgroup.entrance()?;
    let unified = entrance.unified_copy()?;
    let listener = match (request.linux, &request.state) {
        (Some(linux), Some(state)) => Listener::of(linux, state)?,
        _ => None,
    };
    let different = Different::from_ours(request.init)?;
    if different.users {
        let (pid, user) = (different.pid, process.user());
        let uid = identities::on_host_of(pid, "uid_map", user.uid());
        request.stdio.give_to((uid, identities::on_host_of(pid, "gid_map", user.gid())))?;
    }
    let guest = |channel| Guest {
        init: request.init,
        entrance,
        entry: Entry {
            process,
            sets,
            seccomp: request.seccomp,
            listener,
            linux: request.linux,
            in_user_namespace: different.users,
            start_hooks: None,
            stdio: Cell::new(Some(request.stdio)),
            preserved: request.manner.preserved,
            keyring: request.manner.keyring,
            gate: request.manner.gate,
            channel: RefCell::new(channel),
            pid: Cell::new(0),
        },
        different,
    };
    Waiting::clone_into(Birth::Led, unified.as_ref().map(AsFd::as_fd), guest, &|_| Ok(()))
}

struct Guest<'a> {
    init: BorrowedFd<'a>,
    entrance: Entrance,
    entry: Entry<'a>,
    different: Different,
}

impl Enter for Guest<'_> {
    /// On v1 what is born of the go-between is in its cgroups, too.
    fn lead(&self, kept: BorrowedFd<'_>) -> Result<(), Error> {
        self.entry.hide()?;
        self.entrance.enter()?;
        self.oom_score()?;
        let affinity = self.entry.process.exec_cpu_affinity().as_ref();
        surroundings::set_affinity(affinity.and_then(|a| a.initial().as_ref()))?;
        let kinds = self.different.kinds | ThreadNameSpaceType::PROCESS_ID;
        move_into_thread_name_spaces(self.init, kinds).doing("join the container's namespaces")?;
        self.entry.close_others(vec![kept.as_raw_fd()])
    }

    fn enter(&self) -> ! {
        match self.become_program() {
            Ok(never) => match never {},
            Err(error) => self.entry.fail(error),
        }
    }
}

impl Guest<'_> {
    fn become_program(&self) -> Result<Infallible, Error> {
        rustix::process::setsid().doing("make a session")?;
        if self.entry.listener.is_some() {
            self.entry.wait_for_outside()?;
        }
        if self.different.users {
            sys::become_user(0, 0, &[]).doing("become root of the user namespace")?;
        }
        let (terminal, home) = self.look_around()?;
        let affinity = self.entry.process.exec_cpu_affinity().as_ref();
        surroundings::set_affinity(affinity.and_then(|a| a.cpu_affinity_final().as_ref()))?;
        self.entry.become_program(terminal, &home)
    }

    /// The terminal, if there is to be one, and the user's home directory.
    fn look_around(&self) -> Result<(Option<Terminal>, String), Error> {
        // With the mount namespace came its root, which is the container's since its first process pivoted.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open("/", flags, Mode::empty()).doing("open the container's root")?;
        let root = Root::entered(root.as_fd());
        let owner = self.entry.process.user().uid();
        let terminal = match self.entry.process.terminal() {
            Some(true) => Some(Terminal::open(&root, owner)?),
            _ => None,
        };
        Ok((terminal, home::of(&root, owner)))
    }

    /// Through the host's `/proc`, before anything of the container's is in sight: what we are a copy of is protected.
    fn oom_score(&self) -> Result<(), Error> {
        let score = self.entry.process.oom_score_adj().unwrap_or(0);
        std::fs::write("/proc/self/oom_score_adj", score.to_string()).doing("set the OOM score")
    }
}

/// The namespaces of a process that are not ours: those that are can't be joined, nor need be.
struct Different {
    pid: i32,
    kinds: ThreadNameSpaceType,
    users: bool,
}

impl Different {
    fn from_ours(init: BorrowedFd<'_>) -> Result<Self, Error> {
        const KINDS: [(&str, ThreadNameSpaceType); 7] = [
            ("user", ThreadNameSpaceType::USER),
            ("mnt", ThreadNameSpaceType::MOUNT),
            ("net", ThreadNameSpaceType::NETWORK),
            ("ipc", ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION),
            ("uts", ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME),
            ("cgroup", ThreadNameSpaceType::CONTROL_GROUP),
            ("time", ThreadNameSpaceType::TIME),
        ];
        let pid = sys::number_of(init).doing("look at the container's first process")?;
        let mut different = Self { pid, kinds: ThreadNameSpaceType::empty(), users: false };
        for (name, kind) in KINDS {
            let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{name}"));
            // A kind that this kernel doesn't have.
            let Ok(ours) = of("self") else { continue };
            let theirs = of(&pid.to_string()).doing("look at the container's namespaces")?;
            if ours != theirs {
                different.kinds |= kind;
                different.users |= kind == ThreadNameSpaceType::USER;
            }
        }
        Ok(different)
    }
}
