//! `create`, `start`, and `run`, which is both.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use flags::Matches;
use oci_spec::runtime::Spec;
use runtime::{Cgroup, Gate, Keyring, Manner, Request, Stdio, Waiting, WayIn, run_hooks};

use crate::container::{Container, Status, began};
use crate::error::{Doing, Error};
use crate::files::{Bundle, duplicate_stream, write_whole};
use crate::store::{Folder, Init, Record};
use crate::{Context, console, foreground, protect};

pub(crate) fn create(context: &Context, flags: &Matches) -> Result<i32, Error> {
    protect::ensure()?;
    let made = make(context, flags, Starting::Later, preserved(flags)?)?;
    context.log.debug(&format!("created {}", made.id));
    Ok(0)
}

pub(crate) fn start(context: &Context, flags: &Matches) -> Result<i32, Error> {
    let (container, _lock) = Container::lock(&context.root, &flags.args[0])?;
    container.require("start", &[Status::Created])?;
    let gate = container.folder.gate();
    let started = runtime::start(&gate);
    // Whatever came of it, there is no second start.
    let _ = std::fs::remove_file(&gate);
    started?;
    started_hooks(&container)?;
    Ok(0)
}

pub(crate) fn run(context: &Context, flags: &Matches) -> Result<i32, Error> {
    protect::ensure()?;
    let preserved = preserved(flags)?;
    let signals = if flags.bool("detach") { None } else { Some(foreground::take_signals()?) };
    let mut made = make(context, flags, Starting::Now, preserved)?;
    let id = &made.id;
    let started = made.waiting.start().map_err(Error::from).and_then(|()| {
        let (container, _lock) = Container::lock(&context.root, id)?;
        started_hooks(&container)
    });
    if let Err(error) = started {
        let _ = sys::send_signal(&made.waiting.pidfd, 9);
        let _ = sys::wait_for(&made.waiting.pidfd);
        remove(context, id)?;
        return Err(error);
    }
    let Some(signals) = signals else { return Ok(0) };
    let code = foreground::wait(&made.waiting.pidfd, made.terminal, &signals)?;
    if !flags.bool("keep") {
        remove(context, id)?;
    }
    Ok(code)
}

fn remove(context: &Context, id: &str) -> Result<(), Error> {
    let (container, _lock) = Container::lock(&context.root, id)?;
    container.remove(&|warning| context.log.warning(warning))
}

/// A hook that fails here ends the container.
fn started_hooks(container: &Container) -> Result<(), Error> {
    let hooks = container.record.spec.hooks().as_ref().and_then(|hooks| hooks.poststart().as_deref());
    let ran =
        run_hooks("poststart", hooks.unwrap_or_default(), &container.hook_state("running", container.pid()));
    if ran.is_err() {
        container.kill()?;
    }
    Ok(ran?)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Starting {
    Now,
    Later,
}

struct Made {
    id: String,
    waiting: Waiting,
    /// The terminal, where nobody else was given it.
    terminal: Option<OwnedFd>,
}

fn make(context: &Context, flags: &Matches, starting: Starting, preserved: u32) -> Result<Made, Error> {
    let id = &flags.args[0];
    let mut bundle = Bundle::open(flags.find("bundle"))?;
    check_console(flags, &bundle, starting)?;
    let compiled = bundle.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let seccomp = compiled.map(runtime::compile_seccomp).transpose()?;
    let root = bundle.mount_root()?;
    let cgroup = place(context, &mut bundle.spec, id)?;
    let folder = Folder::create(&context.root, id)?;
    let record = Record {
        id: id.clone(),
        rootfs: bundle.rootfs()?,
        bundle: bundle.path.clone(),
        created: jiff::Timestamp::now().to_string(),
        cgroup,
        spec: bundle.spec,
        seccomp,
    };
    let made = folder.write_record(&record).and_then(|()| {
        let gate = match starting {
            Starting::Now => Gate::Maker,
            Starting::Later => Gate::at(&folder.gate()).doing("make the socket for the start")?,
        };
        let created = runtime::create(Request {
            id,
            spec: &record.spec,
            bundle: &record.bundle,
            seccomp: record.seccomp.as_ref(),
            root: root.as_fd(),
            stdio: streams()?,
            manner: Manner { gate, preserved, ..manner(flags) },
        })?;
        hand_over(flags, &folder, created.process, &created.cgroup)
    });
    match made {
        Ok((waiting, terminal)) => Ok(Made { id: id.clone(), waiting, terminal }),
        Err(error) => {
            // The first failure is the one to tell.
            let _ = folder.remove();
            Err(error)
        }
    }
}

/// Tells whoever wants to know of the new process; after an error it is gone.
fn hand_over(
    flags: &Matches,
    folder: &Folder,
    mut waiting: Waiting,
    cgroup: &Cgroup,
) -> Result<(Waiting, Option<OwnedFd>), Error> {
    let mut terminal = waiting.console.take();
    let told = tell(flags, &waiting, &mut terminal).and_then(|()| {
        let began = began(waiting.pid).ok_or(Error::NotRunning)?;
        folder.write_init(Init { pid: waiting.pid, began })
    });
    match told {
        Ok(()) => Ok((waiting, terminal)),
        Err(error) => {
            let _ = sys::send_signal(&waiting.pidfd, 9);
            let _ = sys::wait_for(&waiting.pidfd);
            let _ = cgroup.delete();
            Err(error)
        }
    }
}

/// What `create`, `run` and `exec` have in common: sockets and the file with the number.
pub(crate) fn tell(flags: &Matches, process: &Waiting, terminal: &mut Option<OwnedFd>) -> Result<(), Error> {
    if let (Some(socket), Some(master)) = (flags.find("console-socket"), terminal.as_ref()) {
        console::send(socket, "/dev/ptmx", master.as_fd())?;
        *terminal = None;
    }
    if let Some(socket) = flags.find("pidfd-socket") {
        console::send(socket, "pidfd", process.pidfd.as_fd())?;
    }
    match flags.find("pid-file") {
        Some(path) => write_whole(Path::new(path), process.pid.to_string().as_bytes()),
        None => Ok(()),
    }
}

/// A terminal needs somebody at its other end.
fn check_console(flags: &Matches, bundle: &Bundle, starting: Starting) -> Result<(), Error> {
    let terminal = bundle.spec.process().as_ref().and_then(|process| process.terminal()) == Some(true);
    let leaves = starting == Starting::Later || flags.bool("detach");
    check_terminal(terminal, leaves, flags.find("console-socket").is_some())
}

pub(crate) fn check_terminal(terminal: bool, leaves: bool, socket: bool) -> Result<(), Error> {
    match (terminal, leaves, socket) {
        (true, true, false) => {
            Err(Error::Invalid("cannot allocate a terminal and leave without --console-socket".into()))
        }
        (false, _, true) => Err(Error::Invalid("--console-socket is for a process with a terminal".into())),
        _ => Ok(()),
    }
}

/// Where the container's cgroup is to be. As for runc, the flag says in which of its two forms the specification names it.
fn place(context: &Context, spec: &mut Spec, id: &str) -> Result<PathBuf, Error> {
    let path = runtime::cgroup_path(spec, id);
    let given = spec
        .linux()
        .as_ref()
        .is_some_and(|linux| linux.cgroups_path().as_ref().is_some_and(|path| !path.as_os_str().is_empty()));
    match (context.systemd, path.to_string_lossy().split(':').count() == 3) {
        (true, false) if given => Err(Error::Invalid(format!(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {:?} instead",
            path.to_string_lossy()
        ))),
        (true, false) => {
            let path = PathBuf::from(format!(":ketch:{id}"));
            if let Some(linux) = spec.linux_mut() {
                linux.set_cgroups_path(Some(path.clone()));
            }
            Ok(path)
        }
        (false, true) => {
            Err(Error::Unsupported(format!("the cgroupsPath {} without --systemd-cgroup", path.display())))
        }
        _ => Ok(path),
    }
}

pub(crate) fn streams() -> Result<Stdio, Error> {
    use rustix::stdio::{stderr, stdin, stdout};
    Ok(Stdio {
        stdin: duplicate_stream(stdin())?,
        stdout: duplicate_stream(stdout())?,
        stderr: duplicate_stream(stderr())?,
    })
}

pub(crate) fn manner(flags: &Matches) -> Manner {
    let given = |name| flags.changed(name) && flags.bool(name);
    Manner {
        keyring: if given("no-new-keyring") { Keyring::Callers } else { Keyring::New },
        way_in: if given("no-pivot") { WayIn::Chroot } else { WayIn::Pivot },
        ..Manner::default()
    }
}

/// How many descriptors after the standard streams are the program's: those of socket activation, and those asked for.
/// All others that we were given are closed, so this comes before anything is opened.
pub(crate) fn preserved(flags: &Matches) -> Result<u32, Error> {
    let listening = std::env::var("LISTEN_FDS").ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let wanted = u32::try_from(flags.uint("preserve-fds")).unwrap_or(u32::MAX);
    let count = listening.saturating_add(wanted);
    let closed = (3..count.saturating_add(3)).find(|n| !i32::try_from(*n).is_ok_and(sys::is_open));
    match closed {
        Some(number) => Err(Error::Invalid(format!("--preserve-fds: descriptor {number} is not open"))),
        None => {
            sys::close_inherited(3 + count).doing("close descriptors")?;
            Ok(count)
        }
    }
}
