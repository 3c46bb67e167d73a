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
    pub(crate) fn flags(self) -> u64 {
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

/// The same in a place that can be entered but not left again: a go-between, a copy of this process in `cgroup`, enters it by
/// `enter` and makes a sibling of itself there. The child is this process' own, as ever, and has what the go-between had
/// open then; `enter` is told the one descriptor that must stay. Why `enter` failed is the error.
pub fn clone3_by_go_between(
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    enter: &dyn Fn(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<Cloned> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match clone3(Namespaces::default(), cgroup)? {
        Cloned::Child => {
            // Not dropped: `enter` may have closed it, and this process ends or becomes another without it.
            std::mem::forget(ours);
            // A sibling's end is told by the signal that ours is told by, which is what zero stands for.
            let flags = namespaces.flags() | libc::CLONE_PARENT as u64;
            match enter(theirs.as_fd()).and_then(|()| clone_with(flags, 0, None)) {
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
                    let number = error.raw_os_error().unwrap_or(0).to_ne_bytes();
                    let text = error.to_string();
                    let message = [&number, text.as_bytes()].concat();
                    let _ = crate::send_with_fd(&theirs, &message[..message.len().min(MAX_REASON)], None);
                    crate::exit_now(1)
                }
            }
        }
        Cloned::Parent { pidfd: go_between, .. } => {
            drop(theirs);
            let mut reason = [0; MAX_REASON];
            let heard = crate::receive_with_fd(&ours, &mut reason);
            crate::wait_for(&go_between)?;
            match heard? {
                (_, Some(pidfd)) => Ok(Cloned::Parent { pid: number_of(pidfd.as_fd())?, pidfd }),
                (size, None) => Err(reason_of(&reason[..size])),
            }
        }
    }
}

/// How much of a go-between's failure is told.
const MAX_REASON: usize = 512;

fn reason_of(message: &[u8]) -> io::Error {
    match message.split_first_chunk() {
        Some((number, text)) if i32::from_ne_bytes(*number) == 0 => {
            io::Error::other(String::from_utf8_lossy(text).into_owned())
        }
        Some((number, _)) => io::Error::from_raw_os_error(i32::from_ne_bytes(*number)),
        None => io::Error::other("the process that should have made it has ended"),
    }
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

/// How often others get their turn while a thread that was waited for leaves: it is joined before the kernel forgets it.
const TURNS: usize = 1000;

pub(crate) fn refuse_threads() -> io::Result<()> {
    // The link count of the task directory is two and one for each thread.
    let threads = || Ok::<_, io::Error>(rustix::fs::stat("/proc/self/task")?.st_nlink.saturating_sub(2));
    for _ in 0..TURNS {
        if threads()? == 1 {
            return Ok(());
        }
        std::thread::yield_now();
    }
    Err(io::Error::other(format!("a process of {} threads", threads()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threaded_process_may_not_fork_on() {
        // The test harness runs each test in a thread of its own.
        let error = clone3(Namespaces::default(), None).unwrap_err();
        assert!(error.to_string().starts_with("a process of"), "{error}");
    }
}
