//! A process that is set up inside a container and waits to become its program.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use sys::{Cloned, Namespaces};

/// Where a new process is born.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Birth<'a> {
    /// Here, in these new namespaces.
    Here(Namespaces),
    /// In a user namespace that exists, which owns the new ones.
    Within(BorrowedFd<'a>, Namespaces),
    /// Where [`Enter::lead`] leads.
    Led,
}

fn give_birth<C: Enter>(child: &C, birth: Birth<'_>, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    match birth {
        Birth::Here(namespaces) => sys::clone3(namespaces, cgroup),
        Birth::Within(users, namespaces) => sys::clone3_by_go_between(namespaces, cgroup, &|_| {
            let kind = Some(rustix::thread::LinkNameSpaceType::User);
            Ok(rustix::thread::move_into_link_name_space(users, kind)?)
        }),
        Birth::Led => sys::clone3_by_go_between(Namespaces::default(), cgroup, &|kept| {
            child.lead(kept).map_err(|error| io::Error::other(diag::chain(&error)))
        }),
    }
}

use crate::Error;
use crate::error::Doing;
use crate::gate;
use crate::handshake::{Channel, FromInit, ToInit};

/// Our child: somebody must wait for it.
pub struct Waiting {
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// The terminal's master, where one was asked for.
    pub console: Option<OwnedFd>,
    channel: Channel,
}

impl Waiting {
    /// Clones this process. `make` gets the child's end of the channel and says what the child has and does; the parent
    /// drops its copies of all that, or the closing of the streams would never be seen. `outside` is what has to be done
    /// from here once the child's namespaces exist.
    pub(crate) fn clone_into<C: Enter>(
        birth: Birth<'_>,
        cgroup: Option<BorrowedFd<'_>>,
        make: impl FnOnce(Channel) -> C,
        outside: &dyn Fn(i32) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let (ours, theirs) = Channel::pair().doing("make a channel to the new process")?;
        let child = make(theirs);
        match give_birth(&child, birth, cgroup).doing("create a process in the container")? {
            Cloned::Child => {
                match birth {
                    // Where everything else was closed, so was this.
                    Birth::Led => std::mem::forget(ours),
                    _ => drop(ours),
                }
                child.enter()
            }
            Cloned::Parent { pid, pidfd } => {
                drop(child);
                let ready = wait_until_ready(&ours, &|| {
                    outside(pid)?;
                    ours.send(&ToInit::Go { pid }, None).doing("let the new process go on")
                });
                match ready {
                    Ok(console) => Ok(Self { pid, pidfd, console, channel: ours }),
                    Err(error) => {
                        end(pidfd.as_fd());
                        Err(error)
                    }
                }
            }
        }
    }

    /// Lets it become the program and returns when it has.
    pub fn start(&mut self) -> Result<(), Error> {
        start_over(&self.channel)
    }
}

/// Starts a container that was created with a [`crate::Gate::Socket`], from any process. Returns when it is the program.
pub fn start(socket: &Path) -> Result<(), Error> {
    let connection = gate::connect(socket).doing("reach the container's first process")?;
    start_over(&Channel::over(connection))
}

fn start_over(channel: &Channel) -> Result<(), Error> {
    let gone = |e: io::Error| match e.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::InitLost,
        _ => Error::Setup { doing: "tell init to start".into(), source: e },
    };
    channel.send(&ToInit::Exec, None).map_err(gone)?;
    match channel.receive::<FromInit>().doing("hear from init")? {
        None => Ok(()),
        Some((FromInit::Failed(fault), _)) => Err(fault.into()),
        Some(_) => Err(Error::InitLost),
    }
}

/// What a new process does.
pub(crate) trait Enter {
    /// For [`Birth::Led`]: a go-between goes where the process is to be born. But for the descriptor that is kept and what
    /// the process itself has, it may close everything.
    fn lead(&self, _kept: BorrowedFd<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Never returns: it becomes the program, or says why not and ends.
    fn enter(&self) -> !;
}

fn wait_until_ready(
    channel: &Channel,
    outside: &dyn Fn() -> Result<(), Error>,
) -> Result<Option<OwnedFd>, Error> {
    let mut console = None;
    loop {
        match channel.receive::<FromInit>().doing("hear from init")? {
            Some((FromInit::Made, _)) => outside()?,
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
