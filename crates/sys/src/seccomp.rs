//! Filters on system calls.

use std::ffi::c_void;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// `SECCOMP_FILTER_FLAG_LOG`: what is refused is logged.
pub const SECCOMP_LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: the filter doesn't bring the speculation barrier of older kernels with it.
pub const SECCOMP_SPEC_ALLOW: u32 = 1 << 2;

/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: a call that a listener looks at is interrupted by nothing but its end.
pub const SECCOMP_WAIT_KILLABLE: u32 = 1 << 5;
const NEW_LISTENER: u32 = 1 << 3;

const SET_MODE_FILTER: libc::c_uint = 1;

/// Puts a filter on this thread, for as long as it and its children live. Each instruction is the kernel's
/// `struct sock_filter` as one number.
pub fn load_seccomp_filter(program: &[u64], flags: u32) -> io::Result<()> {
    load(program, flags).map(drop)
}

/// The same, and gives the descriptor on which the calls arrive that the filter leaves to somebody else.
pub fn load_seccomp_listener(program: &[u64], flags: u32) -> io::Result<OwnedFd> {
    let listener = load(program, flags | NEW_LISTENER)?;
    // SAFETY: with that flag the kernel returns a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

fn load(program: &[u64], flags: u32) -> io::Result<libc::c_int> {
    let too_long = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let len = u16::try_from(program.len()).map_err(too_long)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast::<libc::sock_filter>() };
    let argument: *const c_void = (&raw const program).cast();
    // SAFETY: the kernel reads `len` instructions of eight bytes from `filter`, which are the elements of a slice that
    // lives across the call, and checks what they say; it writes to neither. A `u64` is at least as aligned as
    // `sock_filter`, whose fields fill its eight bytes.
    let rc = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, argument) };
    if rc >= 0 { Ok(rc as libc::c_int) } else { Err(io::Error::last_os_error()) }
}
