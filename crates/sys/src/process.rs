//! Ends and beginnings of processes.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus};

/// Waits for one child by its descriptor and takes its status.
pub fn wait_for(pidfd: impl AsFd) -> io::Result<WaitIdStatus> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => return Ok(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Marks every descriptor from this number up as closing at `execve`, so that none leaks into a program.
pub fn set_cloexec_from(first: u32) -> io::Result<()> {
    // SAFETY: takes three integers and touches no memory.
    let rc = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Replaces this process by the program in an open file. Returns only the reason why it could not.
pub fn exec_at(program: BorrowedFd<'_>, args: &[CString], env: &[CString]) -> io::Error {
    exec(program, c"", args, env, libc::AT_EMPTY_PATH)
}

/// Replaces this process by the program at a path. Returns only the reason why it could not.
pub fn exec_path(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    exec(rustix::fs::CWD, path, args, env, 0)
}

fn exec(
    dir: BorrowedFd<'_>,
    path: &CStr,
    args: &[CString],
    env: &[CString],
    flags: libc::c_int,
) -> io::Error {
    use std::os::fd::AsRawFd;
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(args), pointers(env));
    // SAFETY: both arrays end with a null pointer; their strings and the path are borrowed for the whole call. On
    // success nothing of this program exists any more.
    unsafe {
        libc::syscall(libc::SYS_execveat, dir.as_raw_fd(), path.as_ptr(), argv.as_ptr(), envp.as_ptr(), flags)
    };
    io::Error::last_os_error()
}

/// Ends this process without running destructors or exit handlers: for a forked child, whose copies of them are the
/// parent's business.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no precondition.
    unsafe { libc::_exit(code) }
}

/// Gives this process an empty session keyring, so that it does not hold the keys of whoever started it.
pub fn join_new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is touched.
    let rc = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<c_char>(), 0, 0, 0)
    };
    if rc >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
