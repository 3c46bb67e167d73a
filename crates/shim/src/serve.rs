//! The shim's one loop: output to the log and to clients, input to the container, requests from engines, the exit.

use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connection::{Attachment, Connection, Mode};
use crate::exit;
use crate::log::{Log, Stream, now};
use crate::outbox::PATIENCE;
use crate::protocol::{Exit, FromShim, ShimState, ToShim};
use crate::start::failure;
use crate::streams::Streams;
use crate::{Launch, Stdin};

/// More at once are not let in: each may hold a file and some memory.
const MAX_CONNECTIONS: usize = 256;
/// How long processes that outlived process 1 are waited for after they were killed.
const LEFTOVERS: Duration = Duration::from_secs(2);
const CHUNK: usize = 64 * 1024;

/// One container.
pub(crate) struct Shim {
    id: String,
    run_dir: PathBuf,
    container_dir: PathBuf,
    stdin: Stdin,
    created: runtime::Created,
    state: ShimState,
    streams: Streams,
    log: Log,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// When to leave at the latest, once the container is over and nobody waits for us.
    leave_at: Option<Instant>,
}

/// What a descriptor in the poll set stands for.
#[derive(Debug, Clone, Copy)]
enum Source {
    Process,
    Listener,
    Output(Stream),
    Input,
    Connection(usize),
}

impl Shim {
    pub(crate) fn new(launch: &Launch, created: runtime::Created, streams: Streams, log: Log) -> Self {
        Self {
            id: launch.id.clone(),
            run_dir: launch.run_dir.clone(),
            container_dir: launch.container_dir.clone(),
            stdin: launch.stdin,
            state: ShimState::Created { pid: created.pid },
            created,
            streams,
            log,
            connections: Vec::new(),
            buffer: vec![0; CHUNK],
            leave_at: None,
        }
    }

    /// Serves until the container is over and those who should know do. Returns the exit code of the shim itself.
    pub(crate) fn serve(mut self, first: UnixStream, listener: &UnixListener) -> i32 {
        if let Ok(mut connection) = Connection::new(first, &self.container_dir) {
            connection.tell(&FromShim::Created { pid: self.created.pid });
            self.connections.push(connection);
        }
        while !self.is_done() {
            for (source, flags) in self.wait(listener) {
                self.handle(source, flags, listener);
            }
            self.drop_gone();
        }
        if let Ok(folder) = std::fs::File::open(&self.run_dir) {
            let _ = crate::launch::unlink_socket(folder.as_fd());
        }
        0
    }

    /// Over, everything sent, and nobody connected who might still ask.
    fn is_done(&self) -> bool {
        matches!(self.state, ShimState::Exited(_))
            && (self.connections.is_empty() || self.leave_at.is_some_and(|at| Instant::now() >= at))
    }

    fn wait(&self, listener: &UnixListener) -> Vec<(Source, PollFlags)> {
        let mut sources = vec![Source::Listener];
        let mut fds = vec![PollFd::new(listener, PollFlags::IN)];
        let mut add = |source, fd| {
            sources.push(source);
            fds.push(fd);
        };
        if !matches!(self.state, ShimState::Exited(_)) {
            add(Source::Process, PollFd::new(&self.created.pidfd, PollFlags::IN));
        }
        // While a client can't take more, the container waits, as it would for a full pipe.
        if !self.connections.iter().any(Connection::is_full) {
            for (stream, fd) in self.streams.outputs() {
                add(Source::Output(stream), PollFd::from_borrowed_fd(fd, PollFlags::IN));
            }
        }
        if let Some(fd) = self.streams.pending_input() {
            add(Source::Input, PollFd::from_borrowed_fd(fd, PollFlags::OUT));
        }
        for (index, connection) in self.connections.iter().enumerate() {
            add(Source::Connection(index), PollFd::new(connection, self.interest(connection)));
        }
        let timeout = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|t| Timespec::try_from(t + Duration::from_millis(1)).ok());
        // An interruption or a time-out: nothing is ready, and the callers look at the clock.
        let _ = poll(&mut fds, timeout.as_ref());
        let flags = fds.iter().map(PollFd::revents);
        sources.iter().copied().zip(flags).filter(|(_, flags)| !flags.is_empty()).collect()
    }

    fn interest(&self, connection: &Connection) -> PollFlags {
        let reads = match connection.mode {
            Mode::Control => true,
            Mode::Attached(attachment) => attachment.stdin && self.streams.takes_input(),
        };
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, reads);
        flags.set(PollFlags::OUT, connection.wants_to_send());
        flags
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.connections.iter().filter_map(Connection::deadline).chain(self.leave_at).min()
    }

    fn handle(&mut self, source: Source, flags: PollFlags, listener: &UnixListener) {
        match source {
            Source::Process => self.process_ended(),
            Source::Listener => self.accept(listener),
            Source::Output(stream) => drop(self.pump(stream)),
            Source::Input => self.streams.flush_input(),
            Source::Connection(index) => self.connection_ready(index, flags),
        }
    }

    fn accept(&mut self, listener: &UnixListener) {
        let Ok((socket, _)) = listener.accept() else { return };
        if self.connections.len() >= MAX_CONNECTIONS {
            return;
        }
        if let Ok(mut connection) = Connection::new(socket, &self.container_dir) {
            connection.tell(&FromShim::Hello { id: self.id.clone(), state: self.state.clone() });
            self.connections.push(connection);
        }
    }

    /// Reads once from an output and passes it on; whether there may be more.
    fn pump(&mut self, stream: Stream) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let count = self.streams.read(stream, &mut buffer);
        match count {
            Some(0) => self.log.end(stream),
            Some(count) => {
                self.log.write(stream, &buffer[..count]);
                for connection in &mut self.connections {
                    connection.output(stream, &buffer[..count]);
                }
            }
            None => {}
        }
        self.buffer = buffer;
        count.is_some_and(|count| count > 0)
    }

    fn connection_ready(&mut self, index: usize, flags: PollFlags) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        if flags.contains(PollFlags::OUT) {
            connection.flush();
        }
        match connection.mode {
            Mode::Control if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) => {
                for request in connection.requests() {
                    self.request(index, request);
                }
            }
            Mode::Attached(attachment) if attachment.stdin && flags.contains(PollFlags::IN) => {
                self.client_input(index);
            }
            // Both directions closed: the client has gone.
            Mode::Attached(_) if flags.intersects(PollFlags::HUP | PollFlags::ERR) => connection.gone = true,
            _ => {}
        }
    }

    fn client_input(&mut self, index: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        match self.connections[index].read(&mut buffer) {
            Some(0) => self.client_input_ended(index),
            Some(count) => self.streams.feed(&buffer[..count]),
            None => {}
        }
        self.buffer = buffer;
    }

    fn client_input_ended(&mut self, index: usize) {
        if let Mode::Attached(attachment) = &mut self.connections[index].mode {
            attachment.stdin = false;
        }
        if self.stdin == Stdin::Once {
            self.streams.end_input();
        }
    }

    fn request(&mut self, index: usize, request: ToShim) {
        let reply = match (request, &self.state) {
            (ToShim::Status, state) => Some(FromShim::Hello { id: self.id.clone(), state: state.clone() }),
            (ToShim::Start, ShimState::Created { pid }) => {
                let pid = *pid;
                Some(self.start(pid))
            }
            (ToShim::Signal { signal }, ShimState::Created { .. } | ShimState::Running { .. }) => {
                let sent = sys::send_signal(&self.created.pidfd, signal);
                sent.err().map(|e| refused(&format!("cannot send signal {signal}: {e}")))
            }
            (ToShim::Resize { rows, columns }, ShimState::Created { .. } | ShimState::Running { .. }) => {
                let resized = self.streams.resize(rows, columns);
                resized.err().map(|e| refused(&format!("cannot resize the terminal: {e}")))
            }
            (
                ToShim::Attach { stdin, stdout, stderr },
                ShimState::Created { .. } | ShimState::Running { .. },
            ) => {
                self.attach(index, stdin, stdout, stderr);
                None
            }
            (ToShim::Release, ShimState::Exited(_)) => {
                self.release();
                None
            }
            (request, state) => Some(refused(&format!("{request:?} is not possible in state {state:?}"))),
        };
        if let Some(reply) = reply {
            self.connections[index].tell(&reply);
        }
    }

    fn start(&mut self, pid: i32) -> FromShim {
        match self.created.start() {
            Ok(()) => {
                self.state = ShimState::Running { pid };
                // All that making a container took is needed no more; what is left is one small loop.
                sys::forget_program_pages();
                FromShim::Started
            }
            // Init has ended itself; its exit comes through the process' descriptor.
            Err(error) => failure(&error),
        }
    }

    fn attach(&mut self, index: usize, stdin: bool, stdout: bool, stderr: bool) {
        let raw = self.streams.is_terminal();
        let stdin = stdin && self.streams.has_input();
        self.connections[index].tell(&FromShim::Attached);
        self.connections[index].mode = Mode::Attached(Attachment { stdin, stdout, stderr, raw });
        let rest = self.connections[index].take_rest();
        if stdin && !rest.is_empty() {
            self.streams.feed(&rest);
        }
    }

    /// Whoever read the exit lets us go; clients get what they have yet to read, within reason.
    fn release(&mut self) {
        for connection in &mut self.connections {
            connection.finish();
        }
        self.leave_at = Some(Instant::now() + PATIENCE);
    }

    fn process_ended(&mut self) {
        let status = sys::wait_for(&self.created.pidfd).ok();
        let started = matches!(self.state, ShimState::Running { .. });
        // Without a process namespace of its own it may have left others behind.
        let _ = self.created.cgroup.kill(LEFTOVERS);
        self.drain();
        let signal = status.as_ref().and_then(|s| s.terminating_signal());
        let code = status.and_then(|s| s.exit_status());
        let exit = Exit {
            code: code.or(signal.map(|s| 128 + s)).unwrap_or(255),
            signal,
            oom_killed: self.created.cgroup.oom_killed(),
            at: now(),
        };
        // Nothing of the container's is left in there; if the kernel takes its time, the engine removes it later.
        let _ = self.created.cgroup.delete();
        // A container that never ran has no exit: its failure was told to who asked for the start.
        if started {
            self.record(&exit);
        }
        self.state = ShimState::Exited(exit.clone());
        for connection in &mut self.connections {
            match connection.mode {
                Mode::Control if started => connection.tell(&FromShim::Exited(exit.clone())),
                Mode::Control => connection.finish(),
                Mode::Attached(_) => connection.finish(),
            }
        }
    }

    /// On disk before anybody is told. A disk that takes nothing can't be waited for: those who are connected are told
    /// all the same.
    fn record(&self, exit: &Exit) {
        let _ = exit::write(&self.container_dir, exit);
    }

    /// Everything that the container wrote is in the pipes by now, because all its processes are gone.
    fn drain(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.pump(stream) {}
        }
        for stream in self.streams.close() {
            self.log.end(stream);
        }
    }

    fn drop_gone(&mut self) {
        let late = Instant::now();
        let mut attached_input_went = false;
        self.connections.retain_mut(|connection| {
            connection.gone |= connection.deadline().is_some_and(|at| at <= late);
            attached_input_went |= connection.gone && connection.attachment().is_some_and(|a| a.stdin);
            !connection.gone
        });
        if attached_input_went && self.stdin == Stdin::Once {
            self.streams.end_input();
        }
        // Nobody listens any more: what is on disk is what the next engine reads.
        let heard = self.connections.iter().any(|connection| connection.mode == Mode::Control);
        if matches!(self.state, ShimState::Exited(_)) && !heard && self.leave_at.is_none() {
            self.leave_at = Some(late + PATIENCE);
        }
    }
}

fn refused(message: &str) -> FromShim {
    FromShim::Refused { message: message.to_owned() }
}
