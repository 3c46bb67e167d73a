//! Processes that join a running container: asked for first, run once, and remembered until nobody can ask for them.
//!
//! The container's shim is their parent. What is known of them is this engine's alone: with it goes the record, not the
//! process.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;
use shim::protocol::{self, FailureKind, FromShim, Guest, ToShim};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::attach::{self, Streams};
use super::handle::Handle;
use super::state::State;
use super::{Container, Containers, Shared, link, spec, user};
use crate::{Error, id};

/// Ended or never started ones are remembered for this long, for those who ask how they ended.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// More are never remembered at once.
const MOST: usize = 10_000;

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ExecConfig {
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub detach_keys: String,
    pub tty: bool,
    pub privileged: bool,
    pub env: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub user: String,
    pub working_dir: String,
    pub console_size: Option<[u32; 2]>,
}

impl ExecConfig {
    pub(crate) fn command(&self) -> &[String] {
        self.cmd.as_deref().unwrap_or_default()
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecState {
    Created,
    Starting,
    Running {
        pid: i32,
    },
    /// With the process id that it had, 0 for one that never ran.
    Ended {
        pid: i32,
        code: i32,
    },
}

/// One process that was asked for.
#[derive(Debug)]
pub struct Exec {
    pub id: String,
    pub container: String,
    pub config: ExecConfig,
    state: watch::Sender<ExecState>,
    created: Instant,
}

impl Exec {
    pub(super) fn new(container: &str, config: ExecConfig) -> Arc<Self> {
        let state = watch::Sender::new(ExecState::Created);
        let (id, container) = (id::container_id(), container.to_owned());
        Arc::new(Self { id, container, config, state, created: Instant::now() })
    }

    /// How far it has come.
    pub fn state(&self) -> ExecState {
        *self.state.borrow()
    }

    /// Waits until it has ended, or could not run.
    pub async fn ended(&self) {
        let _ = self.state.subscribe().wait_for(|state| matches!(state, ExecState::Ended { .. })).await;
    }

    fn is_forgettable(&self) -> bool {
        !matches!(self.state(), ExecState::Starting | ExecState::Running { .. })
            && self.created.elapsed() > KEPT
    }

    /// From created to starting, by one caller only.
    fn claim(&self) -> Result<(), Error> {
        let mut refused = None;
        self.state.send_if_modified(|state| match *state {
            ExecState::Created => {
                *state = ExecState::Starting;
                true
            }
            other => {
                refused = Some(other);
                false
            }
        });
        match refused {
            None => Ok(()),
            Some(ExecState::Ended { .. }) => Err(Error::ExecEnded(self.id.clone())),
            Some(_) => Err(Error::ExecRunning(self.id.clone())),
        }
    }
}

/// All that are remembered, by id.
#[derive(Debug, Default)]
pub(crate) struct Execs(Mutex<HashMap<String, Arc<Exec>>>);

impl Execs {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, exec: Arc<Exec>) -> Result<(), Error> {
        let mut all = self.all();
        all.retain(|_, exec| !exec.is_forgettable());
        if all.len() >= MOST {
            return Err(Error::TooManyExecs(MOST));
        }
        all.insert(exec.id.clone(), exec);
        Ok(())
    }

    fn get(&self, id: &str) -> Result<Arc<Exec>, Error> {
        self.all().get(id).cloned().ok_or_else(|| Error::NoSuchExec(id.to_owned()))
    }

    /// Those of a container that have not ended.
    pub(crate) fn of(&self, container: &str) -> Vec<String> {
        let all = self.all();
        let open = |exec: &&Arc<Exec>| !matches!(exec.state(), ExecState::Ended { .. });
        let mut ids: Vec<_> =
            all.values().filter(|e| e.container == container).filter(open).map(|e| e.id.clone()).collect();
        ids.sort_unstable();
        ids
    }
}

/// An exec that is to be started by whoever has this, and has to be.
#[derive(Debug)]
#[must_use]
pub struct Claimed {
    shared: Arc<Shared>,
    handle: Handle,
    exec: Arc<Exec>,
}

impl Claimed {
    /// Runs it, with a connection to its streams where any are wanted. Returns when the program runs.
    pub async fn launch(
        self,
        size: Option<[u32; 2]>,
        streams: Option<Streams>,
    ) -> Result<Option<UnixStream>, Error> {
        let Self { shared, handle, exec } = self;
        match launch(&shared, &handle, &exec, size, streams).await {
            Ok((pid, stream, control)) => {
                exec.state.send_replace(ExecState::Running { pid });
                tasks::spawn(watch_over(shared, handle, exec, pid, control));
                Ok(stream)
            }
            Err(error) => {
                exec.state.send_replace(ExecState::Ended { pid: 0, code: failed_with(&error) });
                Err(error)
            }
        }
    }
}

impl Containers {
    /// Remembers what is to be run in a running container. Blocking: a user's name is looked up there, so that one who
    /// doesn't exist is told at once.
    pub fn exec(&self, container: &str, config: ExecConfig) -> Result<Arc<Exec>, Error> {
        let handle = self.get(container)?;
        if config.command().is_empty() {
            return Err(Error::Invalid("No exec command specified".into()));
        }
        let not_running = || Error::NotRunning(handle.id().to_owned());
        let view = handle.view();
        check_running(&view.container)?;
        let live = view.container.state.live().ok_or_else(not_running)?;
        if !config.user.is_empty() {
            let root = root_of(live.pid).map_err(|_| not_running())?;
            user::resolve(&config.user, root.as_fd())?;
        }
        let exec = Exec::new(handle.id(), config);
        self.execs.insert(exec.clone())?;
        self.tell_of(&handle, &exec, &format!("exec_create: {}", exec.config.command().join(" ")), &[]);
        Ok(exec)
    }

    /// One that was asked for.
    pub fn find_exec(&self, id: &str) -> Result<Arc<Exec>, Error> {
        self.execs.get(id)
    }

    /// The ids of a container's that have not ended.
    pub fn execs_of(&self, container: &str) -> Vec<String> {
        self.execs.of(container)
    }

    /// Takes it for a start that nobody else may make.
    pub fn claim_exec(&self, exec: &Arc<Exec>) -> Result<Claimed, Error> {
        let handle = self.get(&exec.container)?;
        check_running(&handle.view().container)?;
        exec.claim()?;
        self.tell_of(&handle, exec, &format!("exec_start: {}", exec.config.command().join(" ")), &[]);
        Ok(Claimed { shared: self.shared.clone(), handle, exec: exec.clone() })
    }

    /// A client left it by its escape keys.
    pub fn detached_exec(&self, exec: &Exec) {
        if let Ok(handle) = self.get(&exec.container) {
            self.tell_of(&handle, exec, "exec_detach", &[]);
        }
    }

    /// A client left a container by its escape keys.
    pub fn detached(&self, handle: &Handle) {
        self.shared.emit(&handle.view().container, "detach", &[]);
    }

    /// Changes its terminal's size.
    pub async fn resize_exec(&self, exec: &Exec, rows: u16, columns: u16) -> Result<(), Error> {
        // A client resizes as soon as it has asked for the start.
        let mut state = exec.state.subscribe();
        let started = state.wait_for(|state| !matches!(state, ExecState::Created | ExecState::Starting));
        let _ = tokio::time::timeout(Duration::from_secs(10), started).await;
        if !matches!(exec.state(), ExecState::Running { .. }) {
            return Err(Error::NoSuchExec(exec.id.clone()));
        }
        let folder = self.shared.places(&exec.container).volatile;
        let resize = ToShim::ResizeExec { exec: exec.id.clone(), rows, columns };
        match link::ask(folder, &exec.container, &resize).await {
            Err(Error::ShimRefused { message, .. }) => Err(Error::Invalid(message)),
            other => other.map(drop),
        }
    }

    fn tell_of(&self, handle: &Handle, exec: &Exec, action: &str, more: &[(&str, String)]) {
        tell_of(&self.shared, handle, exec, action, more);
    }
}

/// Whether a process can join it now.
fn check_running(container: &Container) -> Result<(), Error> {
    match *container.state.shown() {
        State::Running(_) => Ok(()),
        State::Paused(_) => Err(Error::PausedFor { name: container.name.clone(), what: "exec" }),
        State::Restarting { .. } => Err(Error::IsRestarting(container.id.clone())),
        _ => Err(Error::NotRunning(container.id.clone())),
    }
}

/// Runs a process that nobody asks for by its id: its streams, and the connection that tells how it ends.
pub(super) async fn run_unlisted(
    shared: &Arc<Shared>,
    handle: &Handle,
    exec: &Arc<Exec>,
) -> Result<(UnixStream, UnixStream), Error> {
    let line = exec.config.command().join(" ");
    tell_of(shared, handle, exec, &format!("exec_create: {line}"), &[]);
    tell_of(shared, handle, exec, &format!("exec_start: {line}"), &[]);
    let streams = Streams { stdin: false, stdout: true, stderr: true };
    match launch(shared, handle, exec, None, Some(streams)).await? {
        (_, Some(stream), control) => Ok((stream, control)),
        _ => Err(Error::ShimLost(exec.container.clone())),
    }
}

pub(super) fn tell_of(shared: &Shared, handle: &Handle, exec: &Exec, action: &str, more: &[(&str, String)]) {
    let mut attributes = vec![("execID", exec.id.clone())];
    attributes.extend(more.iter().cloned());
    shared.emit(&handle.view().container, action, &attributes);
}

async fn launch(
    shared: &Arc<Shared>,
    handle: &Handle,
    exec: &Arc<Exec>,
    size: Option<[u32; 2]>,
    streams: Option<Streams>,
) -> Result<(i32, Option<UnixStream>, UnixStream), Error> {
    let lost = || Error::ShimLost(exec.container.clone());
    let guest = {
        let (shared, view, exec) = (shared.clone(), handle.view(), exec.clone());
        let described = tasks::blocking(move || describe(&shared, &view.container, &exec, size));
        described
            .await
            .map_err(|source| Error::System { doing: "finish a task", source: source.into() })??
    };
    let folder = shared.places(&exec.container).volatile;
    let mut control = link::greet(folder.clone(), &exec.container).await?;
    let message = ToShim::Join(Box::new(guest));
    if protocol::encode(&message).is_err() {
        return Err(Error::Invalid(
            "the command and its environment are longer than the kernel takes".into(),
        ));
    }
    link::send(&mut control, &message).await.map_err(|_| lost())?;
    let pid = match answer(&mut control, exec).await? {
        FromShim::Created { pid } => pid,
        _ => return Err(lost()),
    };
    let stream = match streams {
        Some(streams) => Some(attach::open(folder, &exec.container, Some(&exec.id), streams).await?),
        None => None,
    };
    link::send(&mut control, &ToShim::Start).await.map_err(|_| lost())?;
    match answer(&mut control, exec).await? {
        FromShim::Started => Ok((pid, stream, control)),
        _ => Err(lost()),
    }
}

/// The shim's next word; what says that it failed as the error it is.
async fn answer(control: &mut UnixStream, exec: &Exec) -> Result<FromShim, Error> {
    match link::receive::<FromShim>(control).await {
        Ok(FromShim::Failed { message, kind, .. }) => Err(Error::Exec { message, kind }),
        Ok(FromShim::Refused { message }) => Err(Error::Exec { message, kind: FailureKind::Setup }),
        Ok(message) => Ok(message),
        Err(_) => Err(Error::ShimLost(exec.container.clone())),
    }
}

/// Hears how it ends.
async fn watch_over(shared: Arc<Shared>, handle: Handle, exec: Arc<Exec>, pid: i32, mut control: UnixStream) {
    let code = loop {
        match link::receive::<FromShim>(&mut control).await {
            Ok(FromShim::Exited(exit)) => break exit.code,
            Ok(_) => {}
            // The shim is gone, and everything of its container with it.
            Err(_) => break 137,
        }
    };
    exec.state.send_replace(ExecState::Ended { pid, code });
    tell_of(&shared, &handle, &exec, "exec_die", &[("exitCode", code.to_string())]);
}

/// The process, decided where the container's own is. Blocking: it reads the container's user tables.
fn describe(
    shared: &Shared,
    container: &Container,
    exec: &Exec,
    size: Option<[u32; 2]>,
) -> Result<Guest, Error> {
    let not_running = || Error::NotRunning(container.id.clone());
    let folder = &exec.config.working_dir;
    if !folder.is_empty() && !folder.starts_with('/') {
        let message = format!("the working directory '{folder}' is invalid, it needs to be an absolute path");
        return Err(Error::Exec { message, kind: FailureKind::Setup });
    }
    let live = container.state.live().ok_or_else(not_running)?;
    let root = root_of(live.pid).map_err(|_| not_running())?;
    let size = size.or(exec.config.console_size);
    let process = spec::guest(container, &exec.config, size, root.as_fd(), &shared.settings)?;
    let stdin = if exec.config.attach_stdin { shim::Stdin::Once } else { shim::Stdin::Closed };
    Ok(Guest { id: exec.id.clone(), process, stdin })
}

/// The root that a process sees. Its number may have been given to another one: so it must be alive, as the same, after
/// the root was opened.
pub(super) fn root_of(pid: i32) -> std::io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(std::io::ErrorKind::NotFound)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let path = format!("/proc/{}/root", pid.as_raw_nonzero());
    let root = open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    sys::send_signal(&pidfd, 0)?;
    Ok(root)
}

/// The exit code by which docker tells why a process never ran.
fn failed_with(error: &Error) -> i32 {
    match error {
        Error::Exec { kind: FailureKind::NotFound, .. } => 127,
        Error::Exec { kind: FailureKind::NotExecutable, .. } => 126,
        Error::Exec { message, .. } if message.contains("o such file or directory") => 127,
        Error::Exec { message, .. } if message.contains("ermission denied") => 126,
        _ => 128,
    }
}
