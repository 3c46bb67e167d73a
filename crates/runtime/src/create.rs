//! The caller's side: a container is created, waits, and is started.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use sys::Cloned;

use crate::cgroups::Cgroup;
use crate::credentials::Sets;
use crate::error::Doing;
use crate::handshake::{Channel, FromInit, ToInit};
use crate::init::Init;
use crate::namespaces::Plan;
use crate::procfs::check_sysctls;
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

/// A container whose first process is set up and waits to become its program. Our child: somebody must wait for it.
pub struct Created {
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// The terminal's master, where the specification asked for one.
    pub console: Option<OwnedFd>,
    pub cgroup: Cgroup,
    channel: Channel,
}

/// Makes a container up to the point where only `execve` is left. After an error nothing of it is left.
pub fn create(request: Request<'_>) -> Result<Created, Error> {
    supported::check(request.spec)?;
    let path = cgroup_path(&request);
    let resources = request.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let cgroup = Cgroup::create(&path, resources)?;
    match set_up(request, &cgroup) {
        Ok((pid, pidfd, channel, console)) => Ok(Created { pid, pidfd, console, cgroup, channel }),
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

type Waiting = (i32, OwnedFd, Channel, Option<OwnedFd>);

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
    let (ours, theirs) = Channel::pair().doing("make a channel to init")?;
    let init = Init {
        spec: request.spec,
        process,
        linux,
        sysctls,
        sets: Sets::of(process.capabilities().as_ref())?,
        seccomp: request.seccomp.or(compiled.as_ref()),
        root: request.root,
        namespaces,
        cgroup,
        entrance: cgroup.entrance()?,
        stdio: request.stdio,
        channel: theirs,
    };
    match sys::clone3(init.namespaces.new, init.entrance.unified())
        .doing("create the container's first process")?
    {
        Cloned::Child => {
            drop(ours);
            init.run()
        }
        Cloned::Parent { pid, pidfd } => {
            // Init's end of the channel and the streams must be init's alone, or their closing is never seen.
            drop(init);
            match wait_until_ready(&ours) {
                Ok(console) => Ok((pid, pidfd, ours, console)),
                Err(error) => {
                    end(pidfd.as_fd());
                    Err(error)
                }
            }
        }
    }
}

fn wait_until_ready(channel: &Channel) -> Result<Option<OwnedFd>, Error> {
    let mut console = None;
    loop {
        match channel.receive::<FromInit>().doing("hear from init")? {
            Some((FromInit::Console, fd)) => console = fd,
            Some((FromInit::Ready, _)) => return Ok(console),
            Some((FromInit::Failed(fault), _)) => return Err(fault.into()),
            None => return Err(Error::InitLost),
        }
    }
}

/// Ends a child for good, with everything in its process namespace.
fn end(pidfd: BorrowedFd<'_>) {
    // It may have ended already; in any case it is reaped here.
    let _ = sys::send_signal(pidfd, 9);
    let _ = sys::wait_for(pidfd);
}

impl Created {
    /// Lets init become the program and returns when it has.
    pub fn start(&mut self) -> Result<(), Error> {
        let gone = |e: io::Error| match e.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::InitLost,
            _ => Error::Setup { doing: "tell init to start".into(), source: e },
        };
        self.channel.send(&ToInit::Exec, None).map_err(gone)?;
        match self.channel.receive::<FromInit>().doing("hear from init")? {
            None => Ok(()),
            Some((FromInit::Failed(fault), _)) => Err(fault.into()),
            Some(_) => Err(Error::InitLost),
        }
    }
}
