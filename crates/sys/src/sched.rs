//! How the kernel schedules a process, where its memory comes from, and what machine it believes to be on.

use std::io;

/// The kernel's `struct sched_attr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scheduling {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
    pub util_min: u32,
    pub util_max: u32,
}

/// Sets how this thread is scheduled. The size of the structure is filled in here.
pub fn set_scheduling(wanted: Scheduling) -> io::Result<()> {
    let wanted = Scheduling { size: size_of::<Scheduling>() as u32, ..wanted };
    // SAFETY: the kernel reads as many bytes as the first field says, which is the size of the structure that lives
    // across the call.
    done(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) })
}

/// Sets this thread's class (real-time 1, best effort 2, idle 3) and level of input and output.
pub fn set_io_priority(class: u8, level: u8) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    let value = (libc::c_int::from(class) << 13) | libc::c_int::from(level);
    // SAFETY: takes three integers and touches no memory.
    done(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) })
}

/// Sets the execution domain that `uname` and address layouts follow.
pub fn set_personality(domain: u32) -> io::Result<()> {
    // SAFETY: changes a number of this process; the domains that a caller may name move no memory that is mapped already.
    done(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(domain)) })
}

/// Sets which NUMA nodes memory comes from: a mode with its flags, and a bit for each node.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> io::Result<()> {
    let (mask, bits) = match nodes {
        [] => (std::ptr::null(), 0),
        // The kernel takes the number of bits for one more than it is.
        some => (some.as_ptr(), some.len() * 64 + 1),
    };
    // SAFETY: the kernel reads `bits - 1` bits of the mask, which is borrowed for the call.
    done(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) })
}

fn done(rc: libc::c_long) -> io::Result<()> {
    if rc >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
