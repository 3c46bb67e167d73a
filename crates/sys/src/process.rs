//! Ends and beginnings of processes.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

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
    if rc == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Linux 5.11 was the first with the flag.
        error if error.raw_os_error() == Some(libc::EINVAL) => set_cloexec_one_by_one(first),
        error => Err(error),
    }
}

/// By procfs' list of them, or, without it, by every number that there may be.
fn set_cloexec_one_by_one(first: u32) -> io::Result<()> {
    let numbers: Vec<i32> = match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => {
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
        }
        Err(_) => {
            let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            (0..most.and_then(|most| i32::try_from(most).ok()).unwrap_or(i32::MAX)).collect()
        }
    };
    for number in numbers.into_iter().filter(|number| i64::from(*number) >= i64::from(first)) {
        // SAFETY: marks one descriptor, if there is one of this number; no memory is touched.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Closes every descriptor from this number up that this program was started with. Only before anything of ours is open:
/// what owned such a number afterwards would own nothing.
pub fn close_inherited(first: u32) -> io::Result<()> {
    // SAFETY: takes three integers and touches no memory; the caller has opened nothing yet.
    let rc = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor but these. Only in a copy of a process that never drops what owned the others: their numbers
/// come to mean something else.
pub fn close_all_but(kept: &mut [i32]) -> io::Result<()> {
    kept.sort_unstable();
    let mut first = 0_u32;
    let kept = kept.iter().filter_map(|number| u32::try_from(*number).ok());
    for end in kept.chain([u32::MAX]) {
        // SAFETY: takes three integers and touches no memory; the caller uses none of the descriptors afterwards.
        if end > first && unsafe { libc::syscall(libc::SYS_close_range, first, end - 1, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        first = first.max(end.saturating_add(1));
    }
    Ok(())
}

/// Leaves these descriptors open over `execve`; one that isn't open is an error.
pub fn pass_on(first: u32, count: u32) -> io::Result<()> {
    for number in first..first.saturating_add(count) {
        let number = i32::try_from(number).map_err(io::Error::other)?;
        // SAFETY: changes a flag of a descriptor of this process, whatever it is; a closed one is an error.
        if unsafe { libc::fcntl(number, libc::F_SETFD, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether this number is an open descriptor.
pub fn is_open(number: i32) -> bool {
    // SAFETY: asks for a flag and changes nothing.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
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

/// Makes the calling process' present cgroups the roots of a new cgroup namespace.
pub fn unshare_cgroup_namespace() -> io::Result<()> {
    // SAFETY: a cgroup namespace changes only what `/proc/<pid>/cgroup` and new cgroup mounts show; no memory and no
    // descriptor is concerned.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWCGROUP) }?)
}

/// Makes a time namespace for the processes that this one makes from now on; this one stays where it is.
pub fn unshare_time_namespace() -> io::Result<()> {
    // SAFETY: a time namespace changes only what clocks show to later children; no memory and no descriptor is concerned.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWTIME) }?)
}

/// Takes real, effective and saved user and group ids and exactly these further groups, for the calling thread.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    let gid = Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    let uid = Uid::from_raw(uid);
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

/// Takes over a descriptor that this program was started with, under a new number that is close-on-exec. The number
/// that it had is closed, so a second call for it fails.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: duplicates whatever the number stands for; a closed one is an error.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 10) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number was open when this program started, so nothing of ours can have been given it since; a value
    // that owned it could only come from an earlier call for it, and that returned the copy.
    unsafe { libc::close(number) };
    // SAFETY: the copy is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Gives back the pages of this program's code and constants that are mapped now; what is needed again comes back from
/// the page cache, a few dozen microseconds at most. For a process that has done much once and little ever after.
pub fn forget_program_pages() {
    /// Called for the program itself first; nothing else is mapped in a static one.
    unsafe extern "C" fn forget(
        info: *mut libc::dl_phdr_info,
        _: usize,
        _: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: `dl_iterate_phdr` passes a valid structure for the duration of the call.
        let info = unsafe { &*info };
        // SAFETY: the C library says where the headers are and how many.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let constant = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0);
        for header in constant {
            let page = rustix::param::page_size() as u64;
            let start = (info.dlpi_addr + header.p_vaddr) & !(page - 1);
            let end = (info.dlpi_addr + header.p_vaddr + header.p_memsz) & !(page - 1);
            if end > start {
                // SAFETY: whole pages of a private, never written mapping of the program's file: reading them again
                // gives the same bytes. The last, partial page stays as it is.
                unsafe {
                    libc::madvise(start as *mut libc::c_void, (end - start) as usize, libc::MADV_DONTNEED)
                };
            }
        }
        0
    }
    // SAFETY: the callback matches the expected signature, keeps nothing and doesn't unwind.
    unsafe { libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    #[test]
    fn descriptors_are_marked_one_by_one_where_the_kernel_knows_no_range() {
        let file = std::fs::File::open("/dev/zero").unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        super::set_cloexec_one_by_one(u32::try_from(file.as_raw_fd()).unwrap()).unwrap();
        assert_eq!(rustix::io::fcntl_getfd(&file).unwrap(), rustix::io::FdFlags::CLOEXEC);
    }
}
