//! One `ketch daemon` process of a test: started, waited for, stopped.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::ketch_binary;
use crate::scratch::Scratch;
use crate::waiting::{DEADLINE, eventually, pause};

/// How to start an engine below a scratch directory. Every start of the same plan finds the same data.
#[derive(Debug, Clone)]
pub struct Plan {
    pub root: PathBuf,
    pub run: PathBuf,
    pub socket: PathBuf,
    pub pidfile: PathBuf,
    home: PathBuf,
    pub arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    /// What starts the engine, in surroundings of its own.
    under: Vec<OsString>,
}

impl Plan {
    pub fn below(scratch: &Scratch) -> Self {
        Self {
            root: scratch.join("data"),
            run: scratch.join("run"),
            socket: scratch.join("run/ketch.sock"),
            pidfile: scratch.join("run/ketch.pid"),
            home: scratch.join("home"),
            arguments: Vec::new(),
            variables: Vec::new(),
            under: Vec::new(),
        }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Has the engine started by this program, which is to `exec` the words that follow its own.
    #[must_use]
    pub fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(OsString::from).collect();
        self
    }

    /// Sets a variable of the engine's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Adds `--config-file` with this content.
    #[must_use]
    pub fn config(self, scratch: &Scratch, keys: &serde_json::Value) -> Self {
        let file = scratch.write("daemon.json", keys.to_string());
        self.arg("--config-file").arg(file)
    }

    /// The command line of this engine, for tests that start it in their own way.
    pub fn command(&self) -> Command {
        let mut words = self.under.iter().cloned().chain([ketch_binary().into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .arg("daemon")
            .arg("--data-root")
            .arg(&self.root)
            .arg("--exec-root")
            .arg(&self.run);
        command.arg("--pidfile").arg(&self.pidfile).args(&self.arguments);
        // The whole suite with an optimisation switched off: KETCH_TEST_DAEMON_ARGS="--storage-driver overlay".
        let more = std::env::var("KETCH_TEST_DAEMON_ARGS").unwrap_or_default();
        command.args(more.split_whitespace());
        if !self.arguments.iter().any(|argument| argument == "-H" || argument == "--validate") {
            command.arg("-H").arg(format!("unix://{}", self.socket.display()));
        }
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.home);
        command.env("KETCH_RUN_DIR", &self.run).env("KETCH_DATA_ROOT", &self.root);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// A running engine process and what it has logged.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    ready: Receiver<()>,
}

impl Daemon {
    /// Starts the process and waits until it says that it listens.
    #[track_caller]
    pub fn start(plan: &Plan) -> Self {
        let mut daemon = Self::spawn(&mut plan.command());
        daemon.wait_ready();
        daemon
    }

    /// Starts a command line of the test's own, without waiting. Standard error has to be piped.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().expect("the plan pipes standard error");
        let log = Arc::new(Mutex::new(String::new()));
        let (announce, ready) = mpsc::channel();
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let listening = line.contains("API listen on");
                let mut log = copy.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
                drop(log);
                if listening {
                    let _ = announce.send(());
                }
            }
        });
        Self { child, log, ready }
    }

    #[track_caller]
    pub fn wait_ready(&mut self) {
        if self.ready.recv_timeout(DEADLINE).is_err() {
            let state = self.child.try_wait();
            panic!("the engine isn't ready ({state:?}); its log:\n{}", self.log());
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the log contains `text`.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        eventually(DEADLINE, || {
            let log = self.log();
            if log.contains(text) { Ok(()) } else { Err(format!("no {text:?} in:\n{log}")) }
        });
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // A process that has ended already needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end that the test has caused.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually(DEADLINE, || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(other),
        })
    }

    /// Whether the process ends, given the time that a test gives to everything. Never panics.
    pub(crate) fn ends(&mut self) -> bool {
        let end = std::time::Instant::now() + DEADLINE;
        while self.is_running() && std::time::Instant::now() < end {
            pause();
        }
        !self.is_running()
    }

    /// `kill -9`, and the process is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
