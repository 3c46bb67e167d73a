//! Starting a program from a threaded process: exact descriptors, a session of its own, a pidfd, no copied memory.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What to start. The child has exactly `fds`, as descriptors 0, 1, 2 … in that order, and is the leader of a new
/// session, so no terminal and no signal to our process group reaches it.
pub struct Spawn<'a> {
    /// The program's file, so that no path is looked up.
    pub program: BorrowedFd<'a>,
    pub args: &'a [CString],
    pub env: &'a [CString],
    pub fds: &'a [BorrowedFd<'a>],
}

/// A child of this process. Somebody must wait for it.
#[derive(Debug)]
pub struct Spawned {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

const STACK: usize = 64 * 1024;

/// What the child reads; it writes only `errno` and, in their place, other numbers of the same descriptors. Everything is prepared by the parent because the child may not
/// allocate.
struct Plan {
    program: c_int,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    fds: Vec<c_int>,
    mask: libc::sigset_t,
    errno: c_int,
}

/// Starts a program like `posix_spawn`: the child shares our memory until its `execve`, and we wait that long, so the
/// size of this process doesn't matter.
pub fn spawn(what: &Spawn<'_>) -> io::Result<Spawned> {
    let quiet = Quiet::now();
    let mut plan = Plan {
        program: what.program.as_raw_fd(),
        argv: pointers(what.args),
        envp: pointers(what.env),
        fds: what.fds.iter().map(|fd| fd.as_raw_fd()).collect(),
        mask: quiet.before,
        errno: 0,
    };
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    let mut pidfd: c_int = -1;
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    // SAFETY: `top` is the end of a stack that outlives the child's use of it, since CLONE_VFORK suspends us until the
    // child has exec'ed or exited; for the same reason `plan` lives. With all signals blocked no handler of ours runs
    // in the child, and `child` calls only async-signal-safe functions. CLONE_PIDFD stores into `pidfd`.
    let pid = unsafe {
        libc::clone(
            child,
            top,
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            (&raw mut plan).cast(),
            &raw mut pidfd,
        )
    };
    let cloned = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) };
    drop(quiet);
    let pid = cloned?;
    // SAFETY: the call succeeded, so `pidfd` is a new descriptor that only we own.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if plan.errno != 0 {
        let _ = crate::wait_for(&pidfd);
        return Err(io::Error::from_raw_os_error(plan.errno));
    }
    Ok(Spawned { pid, pidfd })
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// No signal reaches this thread, nor a child that it makes, while this lives.
pub(crate) struct Quiet {
    before: libc::sigset_t,
}

impl Quiet {
    pub(crate) fn now() -> Self {
        let (all, mut before) = (all_signals(), all_signals());
        // SAFETY: both sets are initialised; the previous mask is stored into the second.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
        Self { before }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: restores the mask that was stored when this was made.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

fn all_signals() -> libc::sigset_t {
    // SAFETY: a signal set is plain bits, and `sigfillset` initialises all of them.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid signal set.
    unsafe { libc::sigfillset(&raw mut set) };
    set
}

extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: the parent passed its `Plan` and is suspended, so nobody else touches it.
    let plan = unsafe { &mut *plan.cast::<Plan>() };
    // SAFETY: this is the child between `clone` and `execve`.
    plan.errno = unsafe { become_program(plan) };
    // SAFETY: ends only this process, running nothing of the parent's.
    unsafe { libc::_exit(127) }
}

/// Returns only when something failed, with its errno.
///
/// # Safety
/// Only for the vforked child: it changes descriptors, the session and the signal mask of the calling process.
unsafe fn become_program(plan: &mut Plan) -> c_int {
    const EMPTY: &CStr = c"";
    let count = plan.fds.len() as c_int;
    // First out of the way: a source, and the program, may have a number that is another's target.
    for source in plan.fds.iter_mut().chain([&mut plan.program]) {
        // SAFETY: duplicates a descriptor that the parent holds open, to whatever free number is no target.
        *source = unsafe { libc::fcntl(*source, libc::F_DUPFD_CLOEXEC, count) };
        if *source < 0 {
            return errno_or(libc::EMFILE);
        }
    }
    for (target, source) in (0..).zip(&plan.fds) {
        // SAFETY: replaces descriptors of this process only; nothing here relies on those that go.
        if unsafe { libc::dup2(*source, target) } < 0 {
            return errno_or(libc::EBADF);
        }
    }
    // SAFETY: only marks descriptors. Before 5.11 the flag is unknown; all of ours are close-on-exec anyhow.
    unsafe { libc::syscall(libc::SYS_close_range, count, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    // SAFETY: a new child leads no process group, so this can't fail.
    unsafe { libc::setsid() };
    // SAFETY: the mask was stored by the parent.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const plan.mask, std::ptr::null_mut()) };
    // SAFETY: both arrays end with a null pointer and point to strings that the suspended parent keeps alive.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            plan.program,
            EMPTY.as_ptr(),
            plan.argv.as_ptr(),
            plan.envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    errno_or(libc::ENOEXEC)
}

fn errno_or(fallback: c_int) -> c_int {
    io::Error::last_os_error().raw_os_error().filter(|errno| *errno != 0).unwrap_or(fallback)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_child_has_exactly_the_descriptors_and_leads_its_session() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let shell = File::open("/bin/busybox").unwrap();
        let script =
            "ls /proc/self/fd | tr '\\n' ' '; test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leader";
        let args = ["busybox", "sh", "-c", script].map(|a| CString::new(a).unwrap());
        let env = [c"PATH=/bin:/usr/bin".to_owned()];
        let fds = [null.as_fd(), writer.as_fd(), null.as_fd(), null.as_fd()];
        let child = spawn(&Spawn { program: shell.as_fd(), args: &args, env: &env, fds: &fds }).unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        crate::wait_for(&child.pidfd).unwrap();
        // `ls` has one more: the directory that it lists.
        assert_eq!(text, "0 1 2 3 4 leader\n");
    }

    /// An engine with hundreds of containers has.
    #[test]
    fn any_number_of_descriptors_may_be_open() {
        let null = File::open("/dev/null").unwrap();
        let many: Vec<_> = (0..700).map(|_| null.try_clone().unwrap()).collect();
        let shell = File::open("/bin/busybox").unwrap();
        let args = [c"busybox".to_owned(), c"true".to_owned()];
        let fds = [null.as_fd(), many[699].as_fd(), many[1].as_fd()];
        let child = spawn(&Spawn { program: shell.as_fd(), args: &args, env: &[], fds: &fds }).unwrap();
        assert_eq!(crate::wait_for(&child.pidfd).unwrap().exit_status(), Some(0));
    }

    #[test]
    fn what_can_t_be_executed_is_an_error_and_no_process() {
        let null = File::open("/etc/passwd").unwrap();
        let what = Spawn { program: null.as_fd(), args: &[c"x".to_owned()], env: &[], fds: &[null.as_fd()] };
        assert_eq!(spawn(&what).unwrap_err().raw_os_error(), Some(libc::EACCES));
    }
}
