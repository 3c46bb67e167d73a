//! The caller's side: a container is created, waits, and is started.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use crate::cgroups::Cgroup;
use crate::credentials::Sets;
use crate::entry::Entry;
use crate::init::Init;
use crate::namespaces::Plan;
use crate::procfs::check_sysctls;
use crate::waiting::Waiting;
use crate::{Error, Filter, compile_seccomp, supported};

/// What a container is made from.
pub struct Request<'a> {
    pub id: &'a str,
    pub spec: &'a Spec,
    /// `linux.seccomp` compiled beforehand. Without it, what the specification says is compiled here.
    pub seccomp: Option<&'a Filter>,
    /// The root file system, a mount that is attached nowhere.
    pub root: BorrowedFd<'a>,
    /// What init gets as descriptors 0, 1 and 2, unless the specification asks for a terminal.
    pub stdio: Stdio,
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

/// Makes a container up to the point where only `execve` is left. After an error nothing of it is left.
pub fn create(request: Request<'_>) -> Result<Created, Error> {
    supported::check(request.spec)?;
    let path = cgroup_path(&request);
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

fn cgroup_path(request: &Request<'_>) -> PathBuf {
    let given = request.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
    given.unwrap_or_else(|| Path::new("ketch").join(request.id))
}

fn set_up(request: Request<'_>, cgroup: &Cgroup) -> Result<Waiting, Error> {
    let missing = |field| Error::Invalid { field, why: "is missing".into() };
    let process = request.spec.process().as_ref().ok_or_else(|| missing("process"))?;
    let linux = request.spec.linux().as_ref().ok_or_else(|| missing("linux"))?;
    if !process.cwd().is_absolute() {
        return Err(Error::Invalid { field: "process.cwd", why: "is not an absolute path".into() });
    }
    let namespaces = Plan::of(linux)?;
    let sysctls: BTreeMap<_, _> =
        linux.sysctl().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    check_sysctls(&sysctls, &namespaces)?;
    let compiled = match (request.seccomp, linux.seccomp()) {
        (None, Some(profile)) => Some(compile_seccomp(profile)?),
        _ => None,
    };
    let sets = Sets::of(process.capabilities().as_ref())?;
    let entrance = cgroup.entrance()?;
    namespaces.join_for_children()?;
    let (new, unified) = (namespaces.new, entrance.unified_copy()?);
    Waiting::clone_into(new, unified.as_ref().map(AsFd::as_fd), |channel| Init {
        spec: request.spec,
        linux,
        sysctls,
        root: request.root,
        namespaces,
        cgroup,
        entrance,
        entry: Entry {
            process,
            sets,
            seccomp: request.seccomp.or(compiled.as_ref()),
            stdio: request.stdio,
            channel,
        },
    })
}
