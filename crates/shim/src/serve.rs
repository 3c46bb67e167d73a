//! The shim's one loop: output to the log and to clients, input to the container, requests from engines, the exit.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::connection::{Attachment, Connection, Mode};
use crate::foreign::Foreign;
use crate::log::{Log, Stream};
use crate::outbox::PATIENCE;
use crate::protocol::{Exit, FailureKind, FromShim, Guest, ShimState, ToShim};
use crate::relay::{self, Relays};
use crate::start::failure;
use crate::streams::Streams;
use crate::task::{Key, Process, Task};
use crate::{Launch, exit};

/// More at once are not let in: each may hold a file and some memory.
const MAX_CONNECTIONS: usize = 256;
/// How long processes that outlived process 1 are waited for after they were killed.
const LEFTOVERS: Duration = Duration::from_secs(2);
/// How long the kernel may take to hold everything still; nothing else is served meanwhile.
const PATIENCE_WITH_FREEZER: Duration = Duration::from_secs(2);
/// Processes that joined the container and have not ended.
const MAX_GUESTS: usize = 512;
const CHUNK: usize = 64 * 1024;

/// One container.
pub(crate) struct Shim {
    /// The socket's name and inode, as long as they are ours.
    door: Option<(PathBuf, u64)>,
    container_dir: PathBuf,
    /// Whether nobody needs to know after a power cut how it ended.
    fleeting: bool,
    /// What every process of the container is confined by.
    seccomp: Option<runtime::Filter>,
    cgroup: runtime::Cgroup,
    /// Who makes the container's processes, where that isn't us.
    foreign: Option<Foreign>,
    /// Whether all processes of the container are held still.
    frozen: bool,
    /// Process 1 first, for as long as the shim lives; then those that joined it and have not ended.
    tasks: Vec<Task>,
    next_key: u32,
    connections: Vec<Connection>,
    /// What engines borrow, until process 1 has ended.
    kept: Vec<OwnedFd>,
    /// Published ports that need somebody between, until then too.
    relays: Relays,
    buffer: Vec<u8>,
    /// When to leave at the latest, once the container is over and nobody waits for us.
    leave_at: Option<Instant>,
}

/// What a descriptor in the poll set stands for.
#[derive(Debug, Clone, Copy)]
enum Source {
    Listener,
    Process(Key),
    Output(Key, Stream),
    Input(Key),
    Connection(usize),
    LogServer,
    Relay(relay::Place),
}

impl Shim {
    pub(crate) fn new(
        launch: Launch,
        cgroup: runtime::Cgroup,
        foreign: Option<Foreign>,
        init: Task,
        kept: Vec<OwnedFd>,
        relays: Relays,
    ) -> Self {
        Self {
            door: inode(&launch.run_dir).map(|inode| (launch.run_dir, inode)),
            container_dir: launch.container_dir,
            fleeting: launch.fleeting,
            seccomp: launch.seccomp,
            cgroup,
            foreign,
            frozen: false,
            tasks: vec![init],
            next_key: 1,
            connections: Vec::new(),
            kept,
            relays,
            buffer: vec![0; CHUNK],
            leave_at: None,
        }
    }

    /// Serves until the container is over and those who should know do. Returns the exit code of the shim itself.
    pub(crate) fn serve(mut self, first: UnixStream, listener: &UnixListener) -> i32 {
        if let (Ok(mut connection), ShimState::Created { pid }) =
            (Connection::new(first, &self.container_dir), &self.init().state)
        {
            connection.tell(&FromShim::Created { pid: *pid });
            self.connections.push(connection);
        }
        while !self.is_done() {
            for (source, flags) in self.wait(listener) {
                self.handle(source, flags, listener);
            }
            self.work_on_log();
            self.relays.tidy();
            self.drop_gone();
        }
        self.close_door();
        0
    }

    /// Takes the socket's name away, once: after that it may be the next shim's of the same container.
    fn close_door(&mut self) {
        if let Some((folder, own)) = self.door.take()
            && inode(&folder) == Some(own)
            && let Ok(folder) = std::fs::File::open(folder)
        {
            let _ = crate::launch::unlink_socket(folder.as_fd());
        }
    }

    /// Process 1. It is never taken out of the list.
    fn init(&self) -> &Task {
        &self.tasks[0]
    }

    fn task(&self, key: Key) -> Option<&Task> {
        self.tasks.iter().find(|task| task.key == key)
    }

    fn task_mut(&mut self, key: Key) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.key == key)
    }

    fn hello(&self, task: &Task) -> FromShim {
        FromShim::Hello {
            id: task.name.clone(),
            state: task.state.clone(),
            frozen: self.frozen,
            kept: self.kept.len() as u32,
        }
    }

    /// Over, everything sent, and nobody connected who might still ask.
    fn is_done(&self) -> bool {
        let waits = !self.connections.is_empty() || self.init().log.has_more_to_send();
        self.init().is_over() && (!waits || self.leave_at.is_some_and(|at| Instant::now() >= at))
    }

    /// What the log has to do beside taking lines, and who has to know of it.
    fn work_on_log(&mut self) {
        self.tasks[0].log.work();
        if self.tasks[0].log.has_rotated() {
            let controls = self.connections.iter_mut().filter(|c| c.mode == Mode::Control);
            controls.filter(|c| c.task == Key::INIT).for_each(|c| c.tell(&FromShim::Rotated));
        }
    }

    fn wait(&self, listener: &UnixListener) -> Vec<(Source, PollFlags)> {
        let mut sources = vec![Source::Listener];
        let mut fds = vec![PollFd::new(listener, PollFlags::IN)];
        let mut add = |source, fd| {
            sources.push(source);
            fds.push(fd);
        };
        let pidfds: Vec<_> = self.tasks.iter().map(|task| (task, task.pidfd())).collect();
        for (task, pidfd) in pidfds.iter().filter(|(task, _)| !task.is_over() && !task.is_held()) {
            add(Source::Process(task.key), PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN));
            // While a client can't take more, the process waits, as it would for a full pipe.
            if !task.log.is_full() && !self.connections.iter().any(|c| c.task == task.key && c.is_full()) {
                for (stream, fd) in task.streams.outputs() {
                    add(Source::Output(task.key, stream), PollFd::from_borrowed_fd(fd, PollFlags::IN));
                }
            }
            if let Some(fd) = task.streams.pending_input() {
                add(Source::Input(task.key), PollFd::from_borrowed_fd(fd, PollFlags::OUT));
            }
        }
        if let Some((fd, flags)) = self.init().log.interest() {
            add(Source::LogServer, PollFd::from_borrowed_fd(fd, flags));
        }
        for (index, connection) in self.connections.iter().enumerate() {
            add(Source::Connection(index), PollFd::new(connection, self.interest(connection)));
        }
        for (place, fd, flags) in self.relays.interests() {
            add(Source::Relay(place), PollFd::from_borrowed_fd(fd, flags));
        }
        let timeout = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        // A little later, so that it has come by then; what is to be done now is done now.
        let later = |t: Duration| if t.is_zero() { t } else { t + Duration::from_millis(1) };
        let timeout = timeout.and_then(|t| Timespec::try_from(later(t)).ok());
        // An interruption or a time-out: nothing is ready, and the callers look at the clock.
        let _ = poll(&mut fds, timeout.as_ref());
        let flags = fds.iter().map(PollFd::revents);
        sources.iter().copied().zip(flags).filter(|(_, flags)| !flags.is_empty()).collect()
    }

    fn interest(&self, connection: &Connection) -> PollFlags {
        let reads = match connection.mode {
            Mode::Control => true,
            Mode::Attached(attachment) => {
                attachment.stdin && self.task(connection.task).is_some_and(|t| t.streams.takes_input())
            }
        };
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, reads);
        flags.set(PollFlags::OUT, connection.wants_to_send());
        flags
    }

    fn next_deadline(&self) -> Option<Instant> {
        let clients = self.connections.iter().filter_map(Connection::deadline);
        clients.chain(self.leave_at).chain(self.init().log.deadline()).min()
    }

    fn handle(&mut self, source: Source, flags: PollFlags, listener: &UnixListener) {
        match source {
            Source::Listener => self.accept(listener),
            Source::Process(Key::INIT) => self.container_ended(),
            Source::Process(key) => self.guest_ended(key),
            Source::Output(key, stream) => drop(self.pump(key, stream)),
            Source::Input(key) => self.task_mut(key).into_iter().for_each(|t| t.streams.flush_input()),
            Source::Connection(index) => self.connection_ready(index, flags),
            // It is looked at after everything else.
            Source::LogServer => {}
            Source::Relay(place) => self.relays.ready(place, flags, &mut self.buffer),
        }
    }

    fn accept(&mut self, listener: &UnixListener) {
        let Ok((socket, _)) = listener.accept() else { return };
        if self.connections.len() >= MAX_CONNECTIONS {
            return;
        }
        if let Ok(mut connection) = Connection::new(socket, &self.container_dir) {
            connection.tell(&self.hello(self.init()));
            self.connections.push(connection);
        }
    }

    /// Reads once from an output and passes it on; whether there may be more.
    fn pump(&mut self, key: Key, stream: Stream) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let count = self.task_mut(key).and_then(|task| task.read(stream, &mut buffer)).unwrap_or(0);
        for connection in self.connections.iter_mut().filter(|c| c.task == key && count > 0) {
            connection.output(stream, &buffer[..count]);
        }
        self.buffer = buffer;
        count > 0
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
        let key = self.connections[index].task;
        match self.connections[index].read(&mut buffer) {
            Some(0) => self.client_input_ended(index),
            Some(count) => self.task_mut(key).into_iter().for_each(|t| t.streams.feed(&buffer[..count])),
            None => {}
        }
        self.buffer = buffer;
    }

    fn client_input_ended(&mut self, index: usize) {
        let key = self.connections[index].task;
        if let Mode::Attached(attachment) = &mut self.connections[index].mode {
            attachment.stdin = false;
        }
        self.task_mut(key).into_iter().for_each(Task::input_went);
    }

    fn request(&mut self, index: usize, request: ToShim) {
        let key = self.connections[index].task;
        let reply = match (request, self.tasks.iter().position(|task| task.key == key)) {
            (ToShim::Release, _) if self.init().is_over() => {
                self.release();
                None
            }
            (ToShim::Join(guest), _) => Some(self.join(index, &guest)),
            (ToShim::Attach { exec, stdin, stdout, stderr }, _) => {
                self.attach(index, exec.as_deref(), Attachment { stdin, stdout, stderr, raw: false })
            }
            (ToShim::ResizeExec { exec, rows, columns }, _) => Some(self.resize(&exec, rows, columns)),
            (ToShim::Freeze { frozen }, _) => Some(self.freeze(frozen)),
            (ToShim::Processes, _) => Some(match self.cgroup.process_ids() {
                Ok(pids) => FromShim::Processes { pids },
                Err(error) => refused(&diag::chain(&error)),
            }),
            (ToShim::Limit(resources), _) => Some(self.limit(&resources)),
            (ToShim::Lend { which }, _) => self.lend(index, which),
            (ToShim::Doors { open }, Some(at)) => {
                self.relays.open(open);
                Some(self.hello(&self.tasks[at]))
            }
            (ToShim::Status, Some(at)) => Some(self.hello(&self.tasks[at])),
            // It would be held still before it has said that it runs.
            (ToShim::Start, _) if self.frozen => Some(refused("the container is paused")),
            (request, Some(at)) => self.tasks[at].obey(request),
            // What joined the container has ended, and its exit was told.
            (request, None) => Some(refused(&format!("{request:?} is not possible any more"))),
        };
        if let Some(reply) = reply {
            self.connections[index].tell(&reply);
        }
    }

    fn lend(&mut self, index: usize, which: u32) -> Option<FromShim> {
        let door = || self.relays.socket((which as usize).checked_sub(self.kept.len())?);
        match self.kept.get(which as usize).map(AsFd::as_fd).or_else(door) {
            Some(kept) => {
                self.connections[index].lend(&FromShim::Lent, kept);
                None
            }
            None => Some(refused("no such descriptor is kept")),
        }
    }

    fn resize(&mut self, exec: &str, rows: u16, columns: u16) -> FromShim {
        let Some(at) = self.tasks.iter().position(|task| task.name == exec) else {
            return refused("it has ended");
        };
        let refused = self.tasks[at].obey(ToShim::Resize { rows, columns });
        refused.unwrap_or_else(|| self.hello(&self.tasks[at]))
    }

    fn freeze(&mut self, frozen: bool) -> FromShim {
        if !matches!(self.init().state, ShimState::Running { .. }) {
            return refused("the container doesn't run");
        }
        match self.cgroup.set_frozen(frozen, PATIENCE_WITH_FREEZER) {
            Ok(()) => {
                self.frozen = frozen;
                self.hello(self.init())
            }
            Err(error) => refused(&diag::chain(&error)),
        }
    }

    fn limit(&self, resources: &LinuxResources) -> FromShim {
        if self.init().is_over() {
            return refused("the container doesn't run");
        }
        match self.cgroup.limit(resources) {
            Ok(()) => self.hello(self.init()),
            Err(error) => refused(&diag::chain(&error)),
        }
    }

    /// A process that joins the container; this connection is about it from here on.
    fn join(&mut self, index: usize, guest: &Guest) -> FromShim {
        if !matches!(self.init().state, ShimState::Running { .. })
            || self.connections[index].task != Key::INIT
        {
            return refused("a process joins a container that runs, one on each connection");
        }
        if self.frozen {
            return refused("the container is paused");
        }
        if self.tasks.len() > MAX_GUESTS {
            return refused(&format!("more than {MAX_GUESTS} processes have joined the container"));
        }
        let key = Key(self.next_key);
        match self.make_guest(key, guest) {
            Ok(task) => {
                let ShimState::Created { pid } = task.state else { return refused("it has ended already") };
                self.next_key += 1;
                self.tasks.push(task);
                self.connections[index].task = key;
                FromShim::Created { pid }
            }
            Err(failure) => failure,
        }
    }

    fn make_guest(&self, key: Key, guest: &Guest) -> Result<Task, FromShim> {
        let failed = |step: &str, error: std::io::Error| FromShim::Failed {
            step: step.to_owned(),
            message: error.to_string(),
            kind: FailureKind::Setup,
        };
        let terminal = guest.process.terminal() == Some(true);
        let made = Streams::make(terminal, guest.stdin);
        let (streams, stdio) = made.map_err(|e| failed("make the standard streams", e))?;
        let process = match &self.foreign {
            Some(foreign) => foreign.join(&guest.process, stdio).map(Process::Foreign),
            None => self.join_as_ours(guest, stdio).map(Process::Ours),
        };
        let process = process.map_err(|error| failure(&error))?;
        Task::new(key, &guest.id, process, (streams, guest.stdin), Log::default())
            .map_err(|e| failed("take the terminal", e))
    }

    fn join_as_ours(&self, guest: &Guest, stdio: runtime::Stdio) -> Result<runtime::Waiting, runtime::Error> {
        let init = self.init().pidfd();
        runtime::join(runtime::Joining {
            process: &guest.process,
            seccomp: self.seccomp.as_ref(),
            init: init.as_fd(),
            cgroup: &self.cgroup,
            stdio,
            linux: None,
            state: None,
            manner: runtime::Manner::default(),
        })
    }

    fn attach(&mut self, index: usize, exec: Option<&str>, wanted: Attachment) -> Option<FromShim> {
        let named = |task: &&Task| exec.map_or(task.key == Key::INIT, |exec| task.name == exec);
        let Some(task) = self.tasks.iter_mut().find(|task| named(&&**task)).filter(|task| !task.is_over())
        else {
            return Some(refused("what is to be attached to has ended"));
        };
        let stdin = wanted.stdin && task.streams.has_input();
        let connection = &mut self.connections[index];
        connection.tell(&FromShim::Attached);
        connection.task = task.key;
        connection.mode = Mode::Attached(Attachment { stdin, raw: task.streams.is_terminal(), ..wanted });
        let rest = connection.take_rest();
        if stdin && !rest.is_empty() {
            task.streams.feed(&rest);
        }
        None
    }

    /// Whoever read the exit lets us go; clients get what they have yet to read, within reason.
    fn release(&mut self) {
        for connection in &mut self.connections {
            connection.finish();
        }
        self.leave_at = Some(Instant::now() + PATIENCE);
    }

    fn container_ended(&mut self) {
        let mut exit = self.init().reap();
        // They hold the container's network, whose addresses are others' as soon as somebody is told.
        self.kept.clear();
        self.relays = Relays::default();
        // Without a process namespace of its own it may have left others behind.
        let _ = self.cgroup.kill(LEFTOVERS);
        exit.oom_killed = self.cgroup.oom_killed();
        for key in self.tasks.iter().skip(1).map(|task| task.key).collect::<Vec<_>>() {
            self.guest_ended(key);
        }
        self.drain(Key::INIT);
        self.tasks[0].log.close_files();
        // Nothing of the container's is left in there; if the kernel takes its time, the engine removes it later.
        let _ = self.cgroup.delete();
        self.foreign.iter().for_each(Foreign::delete);
        // A container that never ran has no exit: its failure was told to who asked for the start.
        let started = self.init().was_started();
        // As soon as somebody is told, the container may be started again with another shim.
        if !started || self.record(&exit) {
            self.close_door();
        }
        self.end(Key::INIT, &exit, started);
    }

    /// One that joined the container has ended. Others that it left behind are the container's; what they write from here
    /// on goes nowhere.
    fn guest_ended(&mut self, key: Key) {
        let Some(task) = self.task(key).filter(|task| !task.is_over()) else { return };
        let (exit, started) = (task.reap(), task.was_started());
        self.drain(key);
        self.end(key, &exit, started);
    }

    /// Tells the end of a process to those who are connected to it.
    fn end(&mut self, key: Key, exit: &Exit, started: bool) {
        for connection in self.connections.iter_mut().filter(|connection| connection.task == key) {
            match connection.mode {
                Mode::Control if started => connection.tell(&FromShim::Exited(exit.clone())),
                Mode::Control | Mode::Attached(_) => connection.finish(),
            }
        }
        self.task_mut(key).into_iter().for_each(|task| task.state = ShimState::Exited(exit.clone()));
    }

    /// On disk before anybody is told. A disk that takes nothing can't be waited for: those who are connected are told
    /// all the same, and the next engine may ask.
    fn record(&self, exit: &Exit) -> bool {
        exit::write(&self.container_dir, exit, !self.fleeting).is_ok()
    }

    /// Everything that a process wrote before it ended is in its pipes by now.
    fn drain(&mut self, key: Key) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.pump(key, stream) {}
        }
        self.task_mut(key).into_iter().for_each(Task::close);
    }

    fn drop_gone(&mut self) {
        let late = Instant::now();
        let mut inputs_gone = Vec::new();
        let mut controls_gone = Vec::new();
        self.connections.retain_mut(|connection| {
            connection.gone |= connection.deadline().is_some_and(|at| at <= late);
            match connection.mode {
                Mode::Attached(attachment) if connection.gone && attachment.stdin => {
                    inputs_gone.push(connection.task);
                }
                Mode::Control if connection.gone => controls_gone.push(connection.task),
                _ => {}
            }
            !connection.gone
        });
        for task in &mut self.tasks {
            if inputs_gone.contains(&task.key) {
                task.input_went();
            }
            // Whoever had it made has gone before it wanted it to run, and nobody else can.
            if task.key != Key::INIT && controls_gone.contains(&task.key) && !task.was_started() {
                task.abandon();
            }
        }
        self.tasks.retain(|task| task.key == Key::INIT || !task.is_over());
        // Nobody listens any more: what is on disk is what the next engine reads.
        let heard = self.connections.iter().any(|connection| connection.mode == Mode::Control);
        if self.init().is_over() && !heard && self.leave_at.is_none() {
            self.leave_at = Some(late + PATIENCE);
        }
    }
}

/// Of the socket in a run directory.
fn inode(run_dir: &std::path::Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(crate::launch::socket_in(run_dir)).ok().map(|meta| meta.ino())
}

pub(crate) fn refused(message: &str) -> FromShim {
    FromShim::Refused { message: message.to_owned() }
}
