//! Staying with a process until it ends: signals go to it, and its terminal is ours.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::WaitIdStatus;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use sys::SignalDescriptor;

use crate::error::{Doing, Error};

const CHUNK: usize = 16 * 1024;
const SIGCHLD: i32 = 17;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// Our signals, which are the process' from the moment there is one: taken before, or they would end us in between.
pub(crate) fn take_signals() -> Result<SignalDescriptor, Error> {
    SignalDescriptor::of_all().doing("take the signals")
}

/// Waits for a child of ours and returns its exit code.
pub(crate) fn wait(
    pidfd: &OwnedFd,
    terminal: Option<OwnedFd>,
    signals: &SignalDescriptor,
) -> Result<i32, Error> {
    let relay = terminal.map(Relay::new).transpose().doing("take over the terminal")?;
    let mut relay = relay;
    loop {
        if poll_once(pidfd, signals, relay.as_mut()).doing("wait for the process")? {
            break;
        }
    }
    if let Some(relay) = relay {
        relay.finish();
    }
    Ok(code(&sys::wait_for(pidfd).doing("wait for the process")?))
}

fn code(status: &WaitIdStatus) -> i32 {
    status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
}

/// Whether the process has ended.
fn poll_once(pidfd: &OwnedFd, signals: &SignalDescriptor, relay: Option<&mut Relay>) -> io::Result<bool> {
    let stdin = rustix::stdio::stdin();
    let mut fds = vec![PollFd::new(pidfd, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    if let Some(relay) = &relay {
        let writable = if relay.pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        fds.push(PollFd::new(&relay.master, PollFlags::IN | writable));
        if relay.input && relay.pending.is_empty() {
            fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
        }
    }
    match poll(&mut fds, None) {
        Err(Errno::INTR) => return Ok(false),
        other => other?,
    };
    let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    drop(fds);
    if ready[1] {
        while let Some(signal) = signals.next()? {
            forward(pidfd, signal, relay.as_deref());
        }
    }
    if let Some(relay) = relay {
        relay.write_pending();
        if ready[2] {
            relay.output();
        }
        if ready.get(3) == Some(&true) {
            relay.take_input(stdin);
        }
    }
    Ok(ready[0])
}

fn forward(pidfd: &OwnedFd, signal: i32, relay: Option<&Relay>) {
    match (signal, relay) {
        (SIGCHLD | SIGURG, _) => {}
        (SIGWINCH, Some(relay)) => relay.resize(),
        // It may have ended meanwhile.
        _ => drop(sys::send_signal(pidfd, signal)),
    }
}

/// Our terminal and the container's.
struct Relay {
    master: OwnedFd,
    before: Option<Termios>,
    /// What the container's terminal had no room for yet.
    pending: Vec<u8>,
    input: bool,
}

impl Relay {
    fn new(master: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(stdin, OptionalActions::Now, &raw)?;
        }
        let relay = Self { master, before, pending: Vec::new(), input: true };
        relay.resize();
        Ok(relay)
    }

    fn resize(&self) {
        if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    fn output(&self) -> bool {
        let mut buffer = [0; CHUNK];
        // At the end, when nobody has the other side open, it is an error.
        let Ok(count) = rustix::io::read(&self.master, &mut buffer) else { return false };
        let mut rest = &buffer[..count];
        while let Ok(written @ 1..) = rustix::io::write(rustix::stdio::stdout(), rest) {
            rest = &rest[written..];
        }
        count > 0
    }

    fn take_input(&mut self, stdin: BorrowedFd<'_>) {
        let mut buffer = [0; CHUNK];
        match rustix::io::read(stdin, &mut buffer) {
            Ok(0) => {
                self.input = false;
                // What a terminal takes for the end of its input.
                self.pending.push(4);
            }
            Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.input = false,
        }
        self.write_pending();
    }

    fn write_pending(&mut self) {
        if let Ok(count) = rustix::io::write(&self.master, &self.pending) {
            self.pending.drain(..count);
        }
    }

    fn finish(self) {
        while self.output() {}
        if let Some(before) = &self.before {
            let _ = tcsetattr(rustix::stdio::stdin().as_fd(), OptionalActions::Now, before);
        }
    }
}
