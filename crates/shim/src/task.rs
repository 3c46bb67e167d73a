//! One process of the container that this shim is the parent of, with its streams: process 1, or one that joined it.

use std::os::fd::{AsFd, OwnedFd};

use crate::log::{Log, Stream, now};
use crate::protocol::{Exit, FromShim, ShimState, ToShim};
use crate::serve::refused;
use crate::start::failure;
use crate::streams::Streams;
use crate::{Stdin, foreign};

/// Tells the processes of one shim apart; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) u32);

impl Key {
    /// Process 1's.
    pub(crate) const INIT: Self = Self(0);
}

pub(crate) struct Task {
    pub(crate) key: Key,
    /// What the engine calls it: the container's id, or the one of an exec.
    pub(crate) name: String,
    pub(crate) state: ShimState,
    pub(crate) streams: Streams,
    pub(crate) stdin: Stdin,
    pub(crate) log: Log,
    process: Process,
}

/// Who made it decides how it is started.
pub(crate) enum Process {
    Ours(runtime::Waiting),
    Foreign(foreign::Made),
}

impl Process {
    fn pid(&self) -> i32 {
        match self {
            Self::Ours(waiting) => waiting.pid,
            Self::Foreign(made) => made.pid,
        }
    }

    fn pidfd(&self) -> &OwnedFd {
        match self {
            Self::Ours(waiting) => &waiting.pidfd,
            Self::Foreign(made) => &made.pidfd,
        }
    }

    fn take_console(&mut self) -> Option<OwnedFd> {
        match self {
            Self::Ours(waiting) => waiting.console.take(),
            Self::Foreign(made) => made.console.take(),
        }
    }

    fn start(&mut self) -> Result<(), runtime::Error> {
        match self {
            Self::Ours(waiting) => waiting.start(),
            Self::Foreign(made) => made.start(),
        }
    }
}

impl Task {
    /// A process that was made and waits, with its streams.
    pub(crate) fn new(
        key: Key,
        name: &str,
        mut process: Process,
        (mut streams, stdin): (Streams, Stdin),
        log: Log,
    ) -> std::io::Result<Self> {
        if let Some(master) = process.take_console() {
            streams.set_terminal(master, stdin)?;
        }
        let state = ShimState::Created { pid: process.pid() };
        Ok(Self { key, name: name.to_owned(), state, streams, stdin, log, process })
    }

    pub(crate) fn pidfd(&self) -> impl AsFd {
        self.process.pidfd()
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, ShimState::Exited(_))
    }

    /// It runs although nobody has said so: what it writes, and its end, wait for those who have yet to attach to it.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&self.process, Process::Foreign(made) if made.is_early()) && !self.was_started()
    }

    pub(crate) fn was_started(&self) -> bool {
        !matches!(self.state, ShimState::Created { .. })
    }

    /// Lets the program run; what there is to say about it.
    fn start(&mut self) -> FromShim {
        match self.process.start() {
            Ok(()) => {
                self.state = ShimState::Running { pid: self.process.pid() };
                // All that making a process took is needed no more; what is left is one small loop.
                sys::forget_program_pages();
                FromShim::Started
            }
            // It has ended itself; its exit comes through its descriptor.
            Err(error) => failure(&error),
        }
    }

    /// What is asked of one process; the answer, where there is one.
    pub(crate) fn obey(&mut self, request: ToShim) -> Option<FromShim> {
        match (request, &self.state) {
            (ToShim::Start, ShimState::Created { .. }) => Some(self.start()),
            (ToShim::Signal { signal }, ShimState::Created { .. } | ShimState::Running { .. }) => {
                let sent = self.signal(signal);
                sent.err().map(|e| refused(&format!("cannot send signal {signal}: {e}")))
            }
            (ToShim::Resize { rows, columns }, ShimState::Created { .. } | ShimState::Running { .. }) => {
                let resized = self.streams.resize(rows, columns);
                resized.err().map(|e| refused(&format!("cannot resize the terminal: {e}")))
            }
            (request, state) => Some(refused(&format!("{request:?} is not possible in state {state:?}"))),
        }
    }

    /// Nobody who was attached gives it input any more.
    pub(crate) fn input_went(&mut self) {
        if self.stdin == Stdin::Once {
            self.streams.end_input();
        }
    }

    fn signal(&self, signal: i32) -> std::io::Result<()> {
        sys::send_signal(self.process.pidfd(), signal)
    }

    /// Takes the status of the process, which has ended.
    pub(crate) fn reap(&self) -> Exit {
        let status = sys::wait_for(self.process.pidfd()).ok();
        let signal = status.as_ref().and_then(|s| s.terminating_signal());
        let code = status.and_then(|s| s.exit_status());
        Exit { code: code.or(signal.map(|s| 128 + s)).unwrap_or(255), signal, oom_killed: false, at: now() }
    }

    /// Ends a process that never became a program.
    pub(crate) fn abandon(&mut self) {
        let _ = self.signal(9);
        let exit = self.reap();
        self.state = ShimState::Exited(exit);
    }

    /// Reads once from an output into `buffer`, and logs it: how much came, 0 at its end, nothing for "not now".
    pub(crate) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Option<usize> {
        let wanted = buffer.len().min(self.log.appetite());
        let count = self.streams.read(stream, &mut buffer[..wanted]);
        match count {
            Some(0) => self.log.end(stream),
            Some(count) => self.log.write(stream, &buffer[..count]),
            None => {}
        }
        count
    }

    /// No output is read any more.
    pub(crate) fn close(&mut self) {
        for stream in self.streams.close() {
            self.log.end(stream);
        }
    }
}
