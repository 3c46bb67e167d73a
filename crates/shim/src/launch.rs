//! The engine's side: starting a shim, and finding one that runs already.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, Mode, OFlags, memfd_create, open};
use rustix::mount::OpenTreeFlags;
use sys::{MountAttributes, Spawn};

use crate::protocol::{self, FromShim, ToShim};
use crate::{Error, Launch};

/// The descriptors that a shim is born with, in the order of their numbers after 0, 1 and 2.
pub(crate) const CONTROL_FD: i32 = 3;
pub(crate) const ROOT_FD: i32 = 4;
pub(crate) const CONFIG_FD: i32 = 5;
/// Those that it keeps follow.
pub(crate) const FIRST_KEPT_FD: i32 = 6;
/// More than anything needs.
pub(crate) const MAX_KEPT: u32 = 16;
/// And behind them as many sockets as this, from which it passes on what comes: each costs a look in each round.
pub const MAX_RELAYS: usize = 64;
/// A specification is no larger than this: a thousand variables and as many mounts fit many times.
pub(crate) const MAX_CONFIG: u64 = 16 << 20;
const SOCKET: &str = "shim.sock";

/// A shim that was started: our child, to be waited for through `pidfd` when it ends.
#[derive(Debug)]
pub struct Launched {
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// The first connection: `Created` or `Failed` arrives on it.
    pub control: UnixStream,
}

impl Launched {
    /// Waits until the shim has ended and lets the kernel forget it. Blocks; `pidfd` becomes readable at that moment.
    pub fn wait(&self) -> io::Result<()> {
        sys::wait_for(&self.pidfd).map(drop)
    }
}

/// What starts shims: the executable, protected from those who will run in containers.
///
/// A container's first process is a fork of the shim until its `execve`, so a container can get at our executable as
/// `/proc/<pid>/exe` and try to write to it. It is therefore executed through a read-only mount that is attached nowhere:
/// every attempt is refused, at the price of two system calls for each engine instead of a copy of the whole binary for
/// each container.
#[derive(Debug)]
pub struct Launcher {
    program: OwnedFd,
}

impl Launcher {
    /// Shims are this very program, called as `ketch shim <id>`.
    pub fn of_self() -> Result<Self, Error> {
        Self::of(Path::new("/proc/self/exe"))
    }

    /// Shims are another program whose `main` is [`crate::main`].
    pub fn of(program: &Path) -> Result<Self, Error> {
        let program = protect(program).map_err(|source| Error::ProtectExecutable { source })?;
        Ok(Self { program })
    }

    /// Starts a container's shim, which makes its namespaces and process 1 and then waits for `Start`. Takes about a
    /// millisecond and never waits for the container; call it where blocking is allowed.
    /// Along come those that the shim keeps for later engines, as many as `what` says, and behind them those of its relays.
    pub fn launch(
        &self,
        what: &Launch,
        root: BorrowedFd<'_>,
        along: &[BorrowedFd<'_>],
    ) -> Result<Launched, Error> {
        let spawn = |source| Error::Spawn { id: what.id.clone(), source };
        let config = describe(what).map_err(|source| Error::Describe { id: what.id.clone(), source })?;
        let (ours, theirs) = UnixStream::pair().map_err(spawn)?;
        let null = File::options().read(true).write(true).open("/dev/null").map_err(spawn)?;
        let null = null.as_fd();
        let id = CString::new(what.id.as_str()).map_err(|e| spawn(e.into()))?;
        let mut fds = vec![null, null, null, theirs.as_fd(), root, config.as_fd()];
        fds.extend(along);
        let child = sys::spawn(&Spawn {
            program: self.program.as_fd(),
            args: &[c"ketch".to_owned(), c"shim".to_owned(), id],
            env: &[],
            fds: &fds,
        })
        .map_err(spawn)?;
        Ok(Launched { pid: child.pid, pidfd: child.pidfd, control: ours })
    }
}

/// [`Launcher::launch`] with this very program, protected at the first call.
pub fn launch(what: &Launch, root: BorrowedFd<'_>, along: &[BorrowedFd<'_>]) -> Result<Launched, Error> {
    static LAUNCHER: OnceLock<Launcher> = OnceLock::new();
    if let Some(launcher) = LAUNCHER.get() {
        return launcher.launch(what, root, along);
    }
    let launcher = Launcher::of_self()?;
    LAUNCHER.get_or_init(|| launcher).launch(what, root, along)
}

/// Connects to a container's shim; it says `Hello` first.
pub fn connect(run_dir: &Path) -> Result<UnixStream, Error> {
    let error = |source| Error::Connect { path: run_dir.join(SOCKET), source };
    // A socket's address ends at 108 bytes and run directories of tests are longer, so the path goes by descriptor.
    let folder = open(run_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let folder = folder.map_err(|e| error(e.into()))?;
    UnixStream::connect(crate::launch::socket_path(folder.as_fd())).map_err(error)
}

/// Borrows the descriptors that a container's shim keeps; none if it keeps none. Blocks for as long as the shim takes.
pub fn borrow_kept(run_dir: &Path) -> Result<Vec<OwnedFd>, Error> {
    let error = |source| Error::Connect { path: run_dir.join(SOCKET), source };
    let stream = connect(run_dir)?;
    let FromShim::Hello { kept, .. } = protocol::receive(&stream).map_err(error)? else {
        return Err(error(io::Error::other("it doesn't greet")));
    };
    (0..kept.min(MAX_KEPT)).map(|which| borrow_one(&stream, which).map_err(error)).collect()
}

/// Borrows the sockets of a container's published ports, in the order in which its shim got them.
pub fn borrow_doors(run_dir: &Path, count: usize) -> Result<Vec<OwnedFd>, Error> {
    let error = |source| Error::Connect { path: run_dir.join(SOCKET), source };
    let stream = connect(run_dir)?;
    let FromShim::Hello { kept, .. } = protocol::receive(&stream).map_err(error)? else {
        return Err(error(io::Error::other("it doesn't greet")));
    };
    let doors = (kept..).take(count.min(MAX_RELAYS));
    doors.map(|which| borrow_one(&stream, which).map_err(error)).collect()
}

fn borrow_one(stream: &UnixStream, which: u32) -> io::Result<OwnedFd> {
    protocol::send(stream, &ToShim::Lend { which })?;
    let mut buffer = [0; 1024];
    let (length, fd) = sys::receive_with_fd(stream, &mut buffer)?;
    match (protocol::decode(&buffer[..length])?, fd) {
        (Some((FromShim::Lent, _)), Some(fd)) => Ok(fd),
        (answer, _) => Err(io::Error::other(format!("the shim lends nothing: {answer:?}"))),
    }
}

/// The socket's path below an open run directory, short whatever that directory is called.
pub(crate) fn socket_path(run_dir: BorrowedFd<'_>) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}/{SOCKET}", run_dir.as_raw_fd())
}

/// The socket's whole path, for those who only look at it.
pub(crate) fn socket_in(run_dir: &Path) -> std::path::PathBuf {
    run_dir.join(SOCKET)
}

/// Removes what an earlier shim of the same container left.
pub(crate) fn unlink_socket(run_dir: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::fs::unlinkat(run_dir, SOCKET, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The configuration travels in memory: an environment with secrets never gets to a disk.
fn describe(what: &Launch) -> io::Result<OwnedFd> {
    let text = serde_json::to_vec(what)?;
    if text.len() as u64 > MAX_CONFIG {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the specification is too large"));
    }
    let mut file = File::from(memfd_create("ketch-shim", MemfdFlags::CLOEXEC)?);
    file.write_all(&text)?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}

/// This program as a mount of its own that is attached nowhere and can't be written to: what a container may have of it.
pub fn program() -> Result<OwnedFd, Error> {
    protect(Path::new("/proc/self/exe")).map_err(|source| Error::ProtectExecutable { source })
}

fn protect(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = rustix::mount::open_tree(rustix::fs::CWD, path, flags)?;
    sys::set_mount_attributes(mount.as_fd(), MountAttributes { set: sys::READ_ONLY, ..Default::default() })?;
    Ok(mount)
}
