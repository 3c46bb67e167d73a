//! The shim's first steps: from inherited descriptors to a created container.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::Launch;
use crate::foreign::Foreign;
use crate::launch::{
    CONFIG_FD, CONTROL_FD, FIRST_KEPT_FD, MAX_CONFIG, MAX_KEPT, MAX_RELAYS, ROOT_FD, socket_path,
    unlink_socket,
};
use crate::log::Log;
use crate::protocol::{self, FailureKind, FromShim};
use crate::relay::Relays;
use crate::serve::Shim;
use crate::streams::Streams;
use crate::task::{Key, Process, Task};

/// The role `ketch shim <id>`: returns the process' exit code when the container is over. Only [`crate::launch`] starts
/// it in the right way; by hand it says so. With `--log` it is the writer of a log for another shim.
pub fn main(args: &[String]) -> i32 {
    if args.first().is_some_and(|word| word == "--log") {
        return crate::log::behind::main();
    }
    let Ok(control) = sys::inherited(CONTROL_FD).map(UnixStream::from) else { return refuse() };
    let Ok(root) = sys::inherited(ROOT_FD) else { return refuse() };
    let Ok(config) = sys::inherited(CONFIG_FD).map(File::from) else { return refuse() };
    // The engine's terminal, process group and supervisor have no say here.
    sys::block_signals();
    let _ = rustix::thread::set_name(c"ketch-shim");
    let told = |step: &str, error: io::Error| tell(&control, step, error.to_string(), FailureKind::Setup);
    let launch = match read(config) {
        Ok(launch) => launch,
        Err(error) => return told("read the container's description", error),
    };
    let kept = match keep(launch.kept) {
        Ok(kept) => kept,
        Err(error) => return told("take over descriptors", error),
    };
    let relays = match take_relays(&launch) {
        Ok(relays) => relays,
        Err(error) => return told("take over published ports", error),
    };
    match create(launch, &root, kept, relays) {
        Ok((shim, listener)) => shim.serve(control, &listener),
        Err(Failure::Io(step, error)) => told(step, error),
        Err(Failure::Runtime(error)) => {
            let _ = protocol::send(&control, &failure(&error));
            1
        }
    }
}

/// The step whose failure is the log server's, mostly.
pub(crate) const OPEN_LOG: &str = "initialize logging driver";

enum Failure {
    Io(&'static str, io::Error),
    Runtime(runtime::Error),
}

fn refuse() -> i32 {
    // Standard error may be anything here, also closed.
    let _ = rustix::io::write(
        rustix::stdio::stderr(),
        b"ketch shim is started by the engine, one for each container\n",
    );
    125
}

fn read(config: File) -> io::Result<Launch> {
    // All at once: read in the sizes that a vector grows by, it would be ten calls.
    let size = config.metadata()?.len().min(MAX_CONFIG);
    let mut text = Vec::with_capacity(size as usize + 1);
    config.take(MAX_CONFIG).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn keep(count: u32) -> io::Result<Vec<OwnedFd>> {
    (FIRST_KEPT_FD..).take(count.min(MAX_KEPT) as usize).map(sys::inherited).collect()
}

fn take_relays(launch: &Launch) -> io::Result<Relays> {
    let first = FIRST_KEPT_FD.saturating_add_unsigned(launch.kept.min(MAX_KEPT));
    let count = launch.relays.len().min(MAX_RELAYS);
    let sockets = (first..).take(count).map(sys::inherited).collect::<io::Result<_>>()?;
    Relays::new(&launch.relays, sockets, launch.closed)
}

fn create(
    mut launch: Launch,
    root: &OwnedFd,
    kept: Vec<OwnedFd>,
    relays: Relays,
) -> Result<(Shim, UnixListener), Failure> {
    let failed = |step| move |error| Failure::Io(step, error);
    // Init is a copy of this process: hidden from the container it is in already before it hides itself.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| Failure::Io("hide memory", e.into()))?;
    let listener = listen(&launch).map_err(failed("listen for later engines"))?;
    let log = Log::open(std::mem::take(&mut launch.log)).map_err(failed(OPEN_LOG))?;
    let terminal = launch.spec.process().as_ref().and_then(|p| p.terminal()) == Some(true);
    let made = Streams::make(terminal, launch.stdin);
    let (streams, stdio) = made.map_err(failed("make the standard streams"))?;
    let (process, cgroup, foreign) = match &launch.runtime {
        Some(what) => {
            let made = Foreign::create(what, &launch, root.as_fd(), stdio);
            let (foreign, made, cgroup) = made.map_err(Failure::Runtime)?;
            (Process::Foreign(made), cgroup, Some(foreign))
        }
        None => {
            let runtime::Created { process, cgroup } =
                runtime::create(request(&launch, root, stdio)).map_err(Failure::Runtime)?;
            (Process::Ours(process), cgroup, None)
        }
    };
    let init = Task::new(Key::INIT, &launch.id, process, (streams, launch.stdin), log);
    let init = init.map_err(failed("take the terminal"))?;
    // After the clone, so that the container doesn't inherit it: rather anything is killed for memory than the process
    // that knows how the container ended. Fails where we are not root over ourselves, which is no reason to stop.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    Ok((Shim::new(launch, cgroup, foreign, init, kept, relays), listener))
}

fn request<'a>(launch: &'a Launch, root: &'a OwnedFd, stdio: runtime::Stdio) -> runtime::Request<'a> {
    runtime::Request {
        id: &launch.id,
        spec: &launch.spec,
        seccomp: launch.seccomp.as_ref(),
        root: root.as_fd(),
        stdio,
        bundle: &launch.container_dir,
        manner: runtime::Manner::default(),
    }
}

fn listen(launch: &Launch) -> io::Result<UnixListener> {
    let folder = open(&launch.run_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    unlink_socket(folder.as_fd())?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(socket_path(folder.as_fd()));
    rustix::process::umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn describe(error: &runtime::Error) -> (String, FailureKind) {
    match error {
        runtime::Error::NotFound(_) => ("find the program".into(), FailureKind::NotFound),
        runtime::Error::NotExecutable(_) => ("execute the program".into(), FailureKind::NotExecutable),
        runtime::Error::Setup { doing, .. } => (doing.clone(), FailureKind::Setup),
        _ => ("create the container".into(), FailureKind::Setup),
    }
}

/// The message for a failure that a person will read.
pub(crate) fn failure(error: &runtime::Error) -> FromShim {
    let (step, kind) = describe(error);
    FromShim::Failed { step, message: diag::chain(error), kind }
}

fn tell(control: &UnixStream, step: &str, message: String, kind: FailureKind) -> i32 {
    // An engine that is gone finds no shim and reports that.
    let _ = protocol::send(control, &FromShim::Failed { step: step.to_owned(), message, kind });
    1
}
