//! Network namespaces and what netlink sockets are asked for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Gives the calling thread a network of its own, with nothing but a loopback that is down, and returns it. Threads and
/// processes that this thread makes from here on are in it.
pub fn enter_new_network() -> io::Result<OwnedFd> {
    // SAFETY: a network namespace belongs to one thread alone; no memory and no descriptor table is unshared, so nothing
    // that other threads hold changes its meaning.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }?;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open("/proc/thread-self/ns/net", flags, rustix::fs::Mode::empty())?)
}

/// Lets the kernel say in words why it refuses a netlink message.
pub fn explain_netlink_errors(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open for the call, and the option's value is an integer of the length that is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_EXT_ACK,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
