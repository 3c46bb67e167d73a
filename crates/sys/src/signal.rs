//! Signals to descriptors, and which signals reach us.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Sends a signal to the process behind a pidfd: never to another one that got its number since. Any number that the
/// kernel takes, also real-time signals, which `rustix` has no safe type for.
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for the call; a null `siginfo` asks for the usual one.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The signals that we neither can block nor should: they say that this very program is broken.
const FAULTS: [i32; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP];

fn all_but_faults() -> libc::sigset_t {
    // SAFETY: a signal set is plain bits, and `sigfillset` initialises all of them.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid signal set.
    unsafe { libc::sigfillset(&raw mut set) };
    for fault in FAULTS {
        // SAFETY: as above; the numbers are constants of the kernel's.
        unsafe { libc::sigdelset(&raw mut set, fault) };
    }
    set
}

/// Blocks every signal but those that report a fault, in this thread and those it makes: nothing that a group or a
/// terminal is sent can end or stop this process.
pub fn block_signals() {
    let set = all_but_faults();
    // SAFETY: the set is initialised and no old mask is asked for; blocking has no memory effects.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
}

/// Every signal as a program expects to find it after `execve`: not blocked, not ignored.
pub fn restore_default_signals() {
    // SIGKILL and SIGSTOP are refused, and so are the C library's own two: all of them are at their default already.
    for signal in 1..=64 {
        // SAFETY: installs no handler, only the default.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: as in `all_but_faults`.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `none` is a valid signal set.
    unsafe { libc::sigemptyset(&raw mut none) };
    // SAFETY: the set is initialised.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// Signals as something to read: they arrive here instead of interrupting.
#[derive(Debug)]
pub struct SignalDescriptor(OwnedFd);

impl SignalDescriptor {
    /// Takes every signal that may be blocked and reports no fault of this very program.
    pub fn of_all() -> io::Result<Self> {
        let set = all_but_faults();
        block_signals();
        // SAFETY: the set is initialised and lives across the call; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call returned a new descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal that has arrived; nothing when there is none now.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut buffer = [0; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.0, &mut buffer) {
            // The number is the structure's first field.
            Ok(count) if count >= 4 => {
                Ok(Some(i32::from_ne_bytes([buffer[0], buffer[1], buffer[2], buffer[3]])))
            }
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for SignalDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Lets a child begin with every signal at its default, whatever this process blocks.
pub fn with_default_signals(command: &mut std::process::Command) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt as _;
    let restore = || {
        restore_default_signals();
        Ok(())
    };
    // SAFETY: between fork and execve it calls only `signal`, `sigemptyset` and `pthread_sigmask`, which are async-signal-safe,
    // and allocates nothing.
    unsafe { command.pre_exec(restore) }
}
