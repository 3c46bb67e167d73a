//! The caller's side: a container is created, waits, and is started.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, Process, Spec};
use rustix::fs::{FileType, Gid, Uid, fchown, fstat};
use rustix::io::Errno;

use crate::cgroups::Cgroup;
use crate::credentials::Sets;
use crate::entry::Entry;
use crate::error::Doing;
use crate::gate::Gate;
use crate::hooks::{HookState, run_hooks};
use crate::init::Init;
use crate::listener::Listener;
use crate::namespaces::Plan;
use crate::net_devices::NetDevices;
use crate::procfs::check_sysctls;
use crate::waiting::{Birth, Waiting};
use crate::{Error, Filter, compile_seccomp, credentials, identities, mounts, supported};

/// What a container is made from.
pub struct Request<'a> {
    pub id: &'a str,
    pub spec: &'a Spec,
    /// What hooks are told to be the container's folder.
    pub bundle: &'a Path,
    /// `linux.seccomp` compiled beforehand. Without it, what the specification says is compiled here.
    pub seccomp: Option<&'a Filter>,
    /// The root file system, a mount that is attached nowhere.
    pub root: BorrowedFd<'a>,
    /// What init gets as descriptors 0, 1 and 2, unless the specification asks for a terminal.
    pub stdio: Stdio,
    pub manner: Manner,
}

/// What those who make processes in containers may want differently.
#[derive(Debug, Default)]
pub struct Manner {
    pub gate: Gate,
    /// So many descriptors after 0, 1 and 2 are the program's, too. They must be open.
    pub preserved: u32,
    pub keyring: Keyring,
    pub way_in: WayIn,
}

/// Whose keys the program has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keyring {
    #[default]
    New,
    Callers,
}

/// How the root file system becomes `/`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WayIn {
    #[default]
    Pivot,
    /// Where the host's root can't be left behind, because it is the first file system of the kernel.
    Chroot,
}

/// The program's standard streams. The caller's copies are closed as soon as init has its own.
pub struct Stdio {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// A container whose first process is set up and waits.
pub struct Created {
    pub process: Waiting,
    pub cgroup: Cgroup,
}

impl Stdio {
    /// Who has no name for the owner of his streams can't open them again. The host's `/dev/null` stays the host's.
    pub(crate) fn give_to(&self, (uid, gid): (Option<u32>, Option<u32>)) -> Result<(), Error> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        for stream in [&self.stdin, &self.stdout, &self.stderr] {
            let stat = fstat(stream).doing("look at a standard stream")?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
                match fchown(stream, uid, gid) {
                    // Not ours to give.
                    Err(Errno::PERM | Errno::INVAL) => {}
                    other => other.doing("give a standard stream to the container's user")?,
                }
            }
        }
        Ok(())
    }
}

/// Makes a container up to the point where only `execve` is left. After an error nothing of it is left.
pub fn create(request: Request<'_>) -> Result<Created, Error> {
    supported::check(request.spec)?;
    let path = cgroup_path(request.spec, request.id);
    let resources = request.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let cgroup = Cgroup::create(&path, resources)?;
    match set_up(request, &cgroup) {
        Ok(process) => Ok(Created { process, cgroup }),
        Err(error) => {
            // The first failure is the one to tell.
            let _ = cgroup.delete();
            Err(error)
        }
    }
}

/// Where a container's cgroups are, below each hierarchy's root.
pub fn cgroup_path(spec: &Spec, id: &str) -> PathBuf {
    let given = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
    given.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| Path::new("ketch").join(id))
}

fn set_up(request: Request<'_>, cgroup: &Cgroup) -> Result<Waiting, Error> {
    let spec = request.spec;
    let process = supported::required("process", spec.process().as_ref())?;
    let linux = supported::required("linux", spec.linux().as_ref())?;
    check_process(process)?;
    let namespaces = Plan::of(linux)?;
    let sysctls: BTreeMap<_, _> =
        linux.sysctl().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    check_sysctls(&sysctls, &namespaces)?;
    check_names(spec, &namespaces)?;
    let compiled = match (request.seccomp, linux.seccomp()) {
        (None, Some(profile)) => Some(compile_seccomp(profile)?),
        _ => None,
    };
    let sets = Sets::of(process.capabilities().as_ref())?;
    let devices = NetDevices::plan(linux, &namespaces)?;
    let mounts = mounts::plan(spec.mounts().as_deref().unwrap_or_default(), linux)?;
    let state = HookState::of(spec, request.id, request.bundle, "creating", None);
    let listener = Listener::of(linux, &state)?;
    let entrance = cgroup.first_entrance()?;
    let (new, unified) = (namespaces.new, entrance.unified_copy()?);
    if namespaces.has_own_users() {
        let user = process.user();
        let on_host = |mappings: &Option<Vec<_>>, id| identities::on_host(mappings.as_deref()?, id);
        let user = (on_host(linux.uid_mappings(), user.uid()), on_host(linux.gid_mappings(), user.gid()));
        request.stdio.give_to(user)?;
    }
    // Root of a namespace may not raise what root of the host may.
    let limited_outside =
        namespaces.has_own_users() && process.rlimits().as_ref().is_some_and(|limits| !limits.is_empty());
    let do_outside = |pid| {
        cgroup.take_in(pid, linux.resources().as_ref(), spec.annotations().as_ref())?;
        devices.give(pid, namespaces.network_to_join())?;
        if limited_outside {
            credentials::limit_of(pid, process.rlimits().as_deref().unwrap_or_default())?;
        }
        from_outside(linux, spec, new.user, &HookState { pid: Some(pid), ..state.clone() })
    };
    let outside = new.user
        || limited_outside
        || has_outside_hooks(spec)
        || listener.is_some()
        || cgroup.is_scope()
        || !devices.is_empty();
    namespaces.aim(linux)?;
    let waiting = Waiting::clone_into(
        namespaces.users_to_join().map_or(Birth::Here(new), |users| Birth::Within(users, new)),
        unified.as_ref().map(AsFd::as_fd),
        |channel| Init {
            spec,
            linux,
            sysctls,
            root: request.root,
            mounts,
            outside,
            cgroup,
            entrance,
            state: state.clone(),
            way_in: request.manner.way_in,
            entry: Entry {
                process,
                sets,
                seccomp: request.seccomp.or(compiled.as_ref()),
                listener,
                linux: Some(linux),
                in_user_namespace: namespaces.has_own_users(),
                start_hooks: start_hooks(spec).map(|hooks| (hooks, state.clone())),
                stdio: Cell::new(Some(request.stdio)),
                preserved: request.manner.preserved,
                keyring: request.manner.keyring,
                gate: request.manner.gate,
                channel: RefCell::new(channel),
                pid: Cell::new(0),
            },
            namespaces: &namespaces,
        },
        &do_outside,
    );
    if waiting.is_err() {
        devices.take_back();
    }
    namespaces.aim_back()?;
    waiting
}

/// What both ways into a container ask of a process.
pub(crate) fn check_process(process: &Process) -> Result<(), Error> {
    if !process.cwd().is_absolute() {
        return Err(Error::Invalid { field: "process.cwd", why: "is not an absolute path".into() });
    }
    let user = process.user();
    let groups = user.additional_gids().iter().flatten().copied();
    // The kernel's word for "no change" is no number of anybody's.
    if groups.chain([user.uid(), user.gid()]).any(|number| number == u32::MAX) {
        let why = format!("has the number {}, which nobody can have", u32::MAX);
        return Err(Error::Invalid { field: "process.user", why });
    }
    let limits = process.rlimits().as_deref().unwrap_or_default();
    match (1..limits.len()).find(|at| limits[..*at].iter().any(|other| other.typ() == limits[*at].typ())) {
        Some(at) => Err(Error::Invalid {
            field: "process.rlimits",
            why: format!("has {} more than once", limits[at].typ()),
        }),
        None => Ok(()),
    }
}

fn has_outside_hooks(spec: &Spec) -> bool {
    spec.hooks().as_ref().is_some_and(|hooks| hooks.prestart().is_some() || hooks.create_runtime().is_some())
}

/// Or they would become the host's.
fn check_names(spec: &Spec, namespaces: &Plan) -> Result<(), Error> {
    let why = || "is given without a UTS namespace of the container's own".to_owned();
    match (spec.hostname(), spec.domainname()) {
        _ if namespaces.has_own_names() => Ok(()),
        (Some(name), _) if !name.is_empty() => Err(Error::Invalid { field: "hostname", why: why() }),
        (_, Some(name)) if !name.is_empty() => Err(Error::Invalid { field: "domainname", why: why() }),
        _ => Ok(()),
    }
}

fn start_hooks(spec: &Spec) -> Option<&[oci_spec::runtime::Hook]> {
    spec.hooks().as_ref()?.start_container().as_deref().filter(|hooks| !hooks.is_empty())
}

/// What is done to a container from its caller's namespaces, once it has its own.
fn from_outside(linux: &Linux, spec: &Spec, users: bool, state: &HookState<'_>) -> Result<(), Error> {
    if let (true, Some(pid)) = (users, state.pid) {
        identities::map(pid, linux)?;
    }
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    // By its old name first, as the specification has it.
    run_hooks("prestart", hooks.prestart().as_deref().unwrap_or_default(), state)?;
    run_hooks("createRuntime", hooks.create_runtime().as_deref().unwrap_or_default(), state)
}
