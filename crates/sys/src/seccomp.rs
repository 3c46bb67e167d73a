//! Filters on system calls.

use std::ffi::c_void;
use std::io;

/// `SECCOMP_FILTER_FLAG_LOG`: what is refused is logged.
pub const SECCOMP_LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: the filter doesn't bring the speculation barrier of older kernels with it.
pub const SECCOMP_SPEC_ALLOW: u32 = 1 << 2;

const SET_MODE_FILTER: libc::c_uint = 1;

/// Puts a filter on this thread, for as long as it and its children live. Each instruction is the kernel's
/// `struct sock_filter` as one number.
pub fn load_seccomp_filter(program: &[u64], flags: u32) -> io::Result<()> {
    let too_long = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let len = u16::try_from(program.len()).map_err(too_long)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast::<libc::sock_filter>() };
    let argument: *const c_void = (&raw const program).cast();
    // SAFETY: the kernel reads `len` instructions of eight bytes from `filter`, which are the elements of a slice that
    // lives across the call, and checks what they say; it writes to neither. A `u64` is at least as aligned as
    // `sock_filter`, whose fields fill its eight bytes.
    let rc = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, argument) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
