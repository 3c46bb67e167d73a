//! Namespaces without anybody who does something in them.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::Namespaces;
use crate::spawn::Quiet;

/// The child calls two functions of the kernel's.
const STACK: usize = 16 * 1024;

/// Makes a process that only stands in new namespaces and lets `look`, which is told its number, do with them what is to be
/// done from outside. It is gone when this returns: a namespace lives on in the descriptors that were opened of it.
///
/// For threaded processes, too: the process does nothing, and nothing of ours is copied for it.
pub fn in_new_namespaces<T>(
    namespaces: Namespaces,
    look: impl FnOnce(i32) -> io::Result<T>,
) -> io::Result<T> {
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    let flags = namespaces.flags() as c_int | libc::CLONE_VM | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: c_int = -1;
    let quiet = Quiet::now();
    // SAFETY: `top` is the end of a stack that lives until the child has been waited for below. The child shares our
    // memory, but `stand` touches nothing except that stack; no handler of ours runs in it, because it starts with all
    // signals blocked and never unblocks them. CLONE_PIDFD stores into `pidfd`.
    let pid = unsafe { libc::clone(stand, top, flags, std::ptr::null_mut(), &raw mut pidfd) };
    let pid = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    drop(quiet);
    let pid = pid?;
    // SAFETY: the call succeeded, so `pidfd` is a new descriptor that only we own.
    let standing = Standing { pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) }, _stack: stack };
    let looked = look(pid);
    drop(standing);
    looked
}

/// Ends the process before its stack goes, whatever happens in between.
struct Standing {
    pidfd: OwnedFd,
    _stack: Vec<u128>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        // It is our child and can't have been waited for by anybody else, so neither can fail for long.
        let _ = crate::send_signal(&self.pidfd, libc::SIGKILL);
        let _ = crate::wait_for(&self.pidfd);
    }
}

extern "C" fn stand(_: *mut c_void) -> c_int {
    // SAFETY: both calls take plain numbers. With the thread that made it, the process ends, too.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0, 0, 0) };
    loop {
        // SAFETY: waits for a signal; the only ones that come through end the process.
        unsafe { libc::syscall(libc::SYS_ppoll, 0, 0, 0, 0, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_outlive_who_stood_in_them() {
        let wanted = Namespaces { user: true, network: true, ..Namespaces::default() };
        let (users, number) = in_new_namespaces(wanted, |pid| {
            std::fs::write(format!("/proc/{pid}/uid_map"), "0 1000000 10\n")?;
            Ok((std::fs::File::open(format!("/proc/{pid}/ns/user"))?, pid))
        })
        .unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{number}")).exists());
        let own = std::fs::metadata("/proc/self/ns/user").unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_ne!(users.metadata().unwrap().ino(), own.ino());
    }

    #[test]
    fn what_went_wrong_is_told_and_nobody_stays() {
        let mut number = 0;
        let wanted = Namespaces { user: true, ..Namespaces::default() };
        let failed = in_new_namespaces(wanted, |pid| {
            number = pid;
            std::fs::write(format!("/proc/{pid}/uid_map"), "nonsense")
        });
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert!(!std::path::Path::new(&format!("/proc/{number}")).exists());
    }
}
