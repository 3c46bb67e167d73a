//! `clone3`: one call that makes a process in new namespaces, in its cgroup, with a descriptor of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// `libc`'s constant is of a type too small for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which namespaces a new process gets for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Namespaces {
    pub mount: bool,
    pub pid: bool,
    pub network: bool,
    pub ipc: bool,
    pub uts: bool,
    pub cgroup: bool,
    /// The others are then owned by it.
    pub user: bool,
}

impl Namespaces {
    fn flags(self) -> u64 {
        [
            (self.mount, libc::CLONE_NEWNS),
            (self.pid, libc::CLONE_NEWPID),
            (self.network, libc::CLONE_NEWNET),
            (self.ipc, libc::CLONE_NEWIPC),
            (self.uts, libc::CLONE_NEWUTS),
            (self.cgroup, libc::CLONE_NEWCGROUP),
            (self.user, libc::CLONE_NEWUSER),
        ]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |flags, (_, flag)| flags | flag as u64)
    }
}

/// Which side of the call one is on.
#[derive(Debug)]
pub enum Cloned {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// Forks into new namespaces and, on cgroup v2, straight into a cgroup (its directory's descriptor), which spares the
/// move that would stall for an RCU grace period.
///
/// The child goes on in a copy of this process, so it is refused in a process with several threads: a lock that another
/// thread held would stay locked in the child for ever.
pub fn clone3(namespaces: Namespaces, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    refuse_threads()?;
    clone_with(namespaces.flags(), libc::SIGCHLD, cgroup)
}

/// The same in a user namespace that exists: the new namespaces are its. The child is this process' own, as ever.
pub fn clone3_as_guest(
    users: BorrowedFd<'_>,
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
) -> io::Result<Cloned> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // Whoever has entered the namespace can't return: so somebody else enters it and makes a sibling of itself.
    match clone3(Namespaces::default(), cgroup)? {
        Cloned::Child => {
            drop(ours);
            match enter_and_clone(users, namespaces) {
                Ok(Cloned::Child) => {
                    // Not ours any more: its end is what the parent waits for if the other fails.
                    drop(theirs);
                    Ok(Cloned::Child)
                }
                Ok(Cloned::Parent { pidfd, .. }) => {
                    let _ = crate::send_with_fd(&theirs, b"made", Some(pidfd.as_fd()));
                    crate::exit_now(0)
                }
                Err(error) => {
                    let number = error.raw_os_error().unwrap_or(libc::EIO);
                    let _ = crate::send_with_fd(&theirs, &number.to_ne_bytes(), None);
                    crate::exit_now(1)
                }
            }
        }
        Cloned::Parent { pidfd: go_between, .. } => {
            drop(theirs);
            let mut errno = [0; 4];
            let heard = crate::receive_with_fd(&ours, &mut errno);
            crate::wait_for(&go_between)?;
            match heard? {
                (_, Some(pidfd)) => Ok(Cloned::Parent { pid: number_of(pidfd.as_fd())?, pidfd }),
                (_, None) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            }
        }
    }
}

fn enter_and_clone(users: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<Cloned> {
    rustix::thread::move_into_link_name_space(users, Some(rustix::thread::LinkNameSpaceType::User))?;
    // A sibling's end is told by the signal that ours is told by, which is what zero stands for.
    clone_with(namespaces.flags() | libc::CLONE_PARENT as u64, 0, None)
}

/// The number by which this process knows the one behind a pidfd.
pub fn number_of(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let number = about.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.ok_or_else(|| io::Error::other("a process descriptor without a process"))
}

fn clone_with(flags: u64, exit_signal: libc::c_int, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: `clone_args` is a plain struct of integers for which zero means "not given".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = exit_signal as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM and no stack, so this is `fork`: the child has a copy of everything and returns here. There
    // is one thread (both callers saw to it), hence no lock is held by somebody who doesn't exist in the child. The
    // kernel writes only to `pidfd`, which lives across the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        // SAFETY: on success the kernel stored a new descriptor that nobody else owns.
        _ => Ok(Cloned::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

fn refuse_threads() -> io::Result<()> {
    // The link count of the task directory is two and one for each thread.
    let threads = rustix::fs::stat("/proc/self/task")?.st_nlink.saturating_sub(2);
    if threads == 1 {
        return Ok(());
    }
    Err(io::Error::other(format!("fork in a process of {threads} threads")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threaded_process_may_not_fork_on() {
        // The test harness runs each test in a thread of its own.
        let error = clone3(Namespaces::default(), None).unwrap_err();
        assert!(error.to_string().starts_with("fork in a process of"), "{error}");
    }
}
