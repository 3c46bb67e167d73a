//! Starting the local engine when nobody named another one and nothing listens on the built-in socket.
//!
//! The engine's own lock on its data root decides between two that were started at once: the loser ends, and both
//! clients connect to the winner.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;

use crate::connect::{Io, connect};
use crate::resolve::{Endpoint, Env};
use crate::{Error, files};

/// How long an engine may take until it listens; it takes tens of milliseconds unless it upgrades its data.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an engine that ended may still turn out to have lost to another one that doesn't listen yet.
const GRACE: Duration = Duration::from_millis(300);
/// The longest wait between two attempts, for what inotify doesn't tell: a bound socket that begins to listen.
const STEP: Duration = Duration::from_millis(5);

/// The local engine's folder for sockets and pids.
pub fn run_dir(env: Env) -> PathBuf {
    env("KETCH_RUN_DIR").unwrap_or_else(|| "/run/ketch".into()).into()
}

/// The built-in socket.
pub fn default_socket(env: Env) -> PathBuf {
    run_dir(env).join("ketch.sock")
}

/// Where the local engine writes its process id.
pub fn pid_file(env: Env) -> PathBuf {
    run_dir(env).join("ketch.pid")
}

/// Whether this failure means that no engine runs.
pub(crate) fn is_absent(error: &Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    matches!(error, Error::Unreachable { source, .. } if matches!(source.kind(), NotFound | ConnectionRefused))
}

/// Starts the engine and returns the first connection that it accepts.
pub(crate) async fn start(endpoint: &Endpoint, socket: &Path) -> Result<Io, Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NeedsRoot { host: endpoint.address.clone() });
    }
    // `/proc/self/exe` also works where the file was replaced by an upgrade; the name is for `ps`.
    let program = Path::new("/proc/self/exe");
    let named = fs::read_link(program).ok().filter(|path| path.exists());
    let mut command = Command::new(named.as_deref().unwrap_or(program));
    command.arg("__detach");
    start_with(command, endpoint, socket).await
}

async fn start_with(command: Command, endpoint: &Endpoint, socket: &Path) -> Result<Io, Error> {
    let dir = socket.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(files::at("make folder", dir))?;
    let watch = Watch::new(dir).map_err(files::at("watch", dir))?;
    let log = dir.join("daemon.log");
    let (mut child, log_start) = spawn(command, &log)?;
    let mut deadline = Instant::now() + PATIENCE;
    let mut over = false;
    loop {
        match connect(endpoint).await {
            Err(e) if is_absent(&e) => {}
            other => return other,
        }
        let ended = child.try_wait().map_err(files::at("wait for", Path::new("ketch daemon")))?;
        if ended.is_some() && !over {
            over = true;
            let said = said_since(&log, log_start);
            // The one that we started may have lost to another client's, which is about to listen.
            if !said.as_deref().is_some_and(lost_the_race) {
                deadline = deadline.min(Instant::now() + GRACE);
            }
        }
        if Instant::now() > deadline {
            return Err(Error::NotStarted { said: said_since(&log, log_start), log });
        }
        watch.wait(STEP).map_err(files::at("watch", dir))?;
    }
}

/// The engine names the holder of the lock in these words.
fn lost_the_race(said: &str) -> bool {
    said.contains("is in use by") || said.contains("already running") || said.contains("already in use")
}

fn spawn(mut command: Command, log: &Path) -> Result<(Child, u64), Error> {
    let mut options = fs::OpenOptions::new();
    let file = options.append(true).create(true).mode(0o640).open(log).map_err(files::at("open", log))?;
    let start = file.metadata().map_err(files::at("read", log))?.len();
    let errors = file.try_clone().map_err(files::at("open", log))?;
    command.current_dir("/").stdin(Stdio::null()).stdout(file).stderr(errors);
    Ok((command.spawn().map_err(files::at("start", Path::new("the engine")))?, start))
}

/// The last line that the engine wrote since `start`.
fn said_since(log: &Path, start: u64) -> Option<String> {
    let mut file = fs::File::open(log).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut text = Vec::new();
    file.take(64 << 10).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    text.lines().last().map(str::to_owned)
}

/// Something happened in a folder.
struct Watch(rustix::fd::OwnedFd);

impl Watch {
    fn new(dir: &Path) -> io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&fd, dir, inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO)?;
        Ok(Self(fd))
    }

    /// Waits until a file appears, or so long. Blocks: while an engine starts, a client has nothing else to do.
    fn wait(&self, longest: Duration) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(longest.subsec_nanos()) };
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&timeout))?;
        let mut events = [0; 4096];
        while rustix::io::read(&self.0, &mut events).is_ok_and(|size| size > 0) {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Host;

    fn endpoint(socket: &Path) -> Endpoint {
        Endpoint {
            context: "default".into(),
            address: format!("unix://{}", socket.display()),
            host: Host::Unix(socket.to_owned()),
            tls: None,
            builtin: true,
            api_version: None,
            headers: Vec::new(),
            proxies: dial::Proxies::default(),
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn the_first_connection_is_taken_as_soon_as_somebody_listens() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/ketch.sock");
        let bound = socket.clone();
        // The engine of this test is a thread.
        let engine = std::thread::spawn(move || {
            while !bound.with_file_name("daemon.log").exists() {
                std::thread::yield_now();
            }
            std::os::unix::net::UnixListener::bind(&bound).unwrap().accept().map(drop).unwrap();
        });
        // It loses the race against the thread, which is one more way to come to a connection.
        let script = "echo the data root is in use by another engine";
        start_with(shell(script), &endpoint(&socket), &socket).await.map(drop).unwrap();
        engine.join().unwrap();
    }

    #[tokio::test]
    async fn an_engine_that_ends_is_reported_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("ketch.sock");
        let error =
            start_with(shell("echo one; echo the disk is full; exit 1"), &endpoint(&socket), &socket).await;
        let text = error.map(drop).unwrap_err().to_string();
        assert_eq!(text, "the engine did not start: the disk is full");
    }
}
