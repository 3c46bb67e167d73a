//! Containers whose processes another OCI runtime makes, such as runc or crun: the shim has a bundle for it in a mount
//! namespace of its own, calls it, and is the parent of what it made.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oci_spec::runtime::{Process, Spec};
use runtime::{Cgroup, Error};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open, set_child_subreaper};
use serde::Deserialize;

use crate::config::{ForeignRuntime, Launch};

/// What a runtime says of its failure is no longer.
const MAX_LOG: u64 = 64 * 1024;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const CONSOLE: &str = "console.sock";

/// One container, as another runtime has it.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    what: ForeignRuntime,
    id: String,
    /// The bundle, with the runtime's own state and what it says in it.
    folder: PathBuf,
}

/// A process that it made: our child, because its parent has ended.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) console: Option<OwnedFd>,
    /// Who lets it run; nobody where it runs already.
    starter: Option<Foreign>,
}

impl Made {
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        self.starter.take().map_or(Ok(()), |foreign| foreign.run("start", &[&foreign.id]))
    }

    /// Whether it runs before anybody has said so.
    pub(crate) fn is_early(&self) -> bool {
        self.starter.is_none()
    }
}

impl Foreign {
    /// A container up to the point where only its start is left.
    pub(crate) fn create(
        what: &ForeignRuntime,
        launch: &Launch,
        root: BorrowedFd<'_>,
        stdio: runtime::Stdio,
    ) -> Result<(Self, Made, Cgroup), Error> {
        let folder = launch.run_dir.join("bundle");
        let foreign = Self { what: what.clone(), id: launch.id.clone(), folder };
        // What a killed shim left of an earlier run.
        foreign.delete();
        foreign.lay_out(&launch.spec, root).map_err(failed("write the bundle"))?;
        let terminal = launch.spec.process().as_ref().and_then(Process::terminal) == Some(true);
        let bundle = foreign.folder.display().to_string();
        let mut made = foreign.make(&["create", "--bundle", &bundle], stdio, terminal)?;
        made.starter = Some(foreign.clone());
        let cgroup = Cgroup::find(&runtime::cgroup_path(&launch.spec, &launch.id))?;
        Ok((foreign, made, cgroup))
    }

    /// A process that joins the container. It runs at once.
    pub(crate) fn join(&self, process: &Process, stdio: runtime::Stdio) -> Result<Made, Error> {
        let path = self.folder.join("process.json");
        let text = serde_json::to_vec(&without_inheritance(process)).map_err(io::Error::other);
        text.and_then(|text| fs::write(&path, text)).map_err(failed("describe the process"))?;
        let path = path.display().to_string();
        self.make(&["exec", "--detach", "--process", &path], stdio, process.terminal() == Some(true))
    }

    /// Takes away what there is of the container; what isn't there is no failure.
    pub(crate) fn delete(&self) {
        if self.folder.exists() {
            let _ = self.run("delete", &["--force", &self.id]);
            // What is mounted in it is gone with our mount namespace.
            let _ = fs::remove_dir_all(self.state());
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// The bundle: what it consists of is mounted there and nowhere in the host's mount table.
    fn lay_out(&self, spec: &Spec, root: BorrowedFd<'_>) -> io::Result<()> {
        let mut spec = spec.clone();
        let sources = self.open_sources(&mut spec)?;
        fs::create_dir_all(self.folder.join("rootfs"))?;
        sys::enter_new_mounts()?;
        attach(root, &self.folder.join("rootfs"))?;
        for (path, source) in sources {
            attach(source.as_fd(), &path)?;
        }
        if let Some(process) = spec.process() {
            let process = without_inheritance(process);
            spec.set_process(Some(process));
        }
        fs::write(self.folder.join("config.json"), serde_json::to_vec(&spec)?)
    }

    /// Sources that are the engine's descriptors become places below the bundle.
    fn open_sources(&self, spec: &mut Spec) -> io::Result<Vec<(PathBuf, OwnedFd)>> {
        let mut mounts = spec.mounts().clone().unwrap_or_default();
        let mut opened = Vec::new();
        for mount in &mut mounts {
            let Some(source) = mount.source().as_ref().filter(|source| is_descriptor(source)) else {
                continue;
            };
            let (tree, place) = (open_source(source)?, self.folder.join(format!("source{}", opened.len())));
            let is_folder = fs::metadata(source)?.is_dir();
            fs::create_dir_all(&self.folder)?;
            match is_folder {
                true => fs::create_dir_all(&place)?,
                false => drop(File::create(&place)?),
            }
            mount.set_source(Some(place.clone()));
            opened.push((place, tree));
        }
        spec.set_mounts(Some(mounts));
        Ok(opened)
    }

    /// Has a process made and becomes its parent.
    fn make(&self, words: &[&str], stdio: runtime::Stdio, terminal: bool) -> Result<Made, Error> {
        let pid_file = self.folder.join("pid");
        let console = terminal
            .then(|| Console::listen(&self.folder))
            .transpose()
            .map_err(failed("make the console's socket"))?;
        let mut command = self.command();
        command.args(words).arg("--pid-file").arg(&pid_file);
        if let Some(console) = &console {
            command.args(["--console-socket", &console.address()]);
        }
        command.arg(&self.id).stdin(stdio.stdin).stdout(stdio.stdout).stderr(stdio.stderr);
        // Its parent ends, and we are next: but only of this one, other orphans are the system's.
        let step = "become the parent of the container's processes";
        set_child_subreaper(Some(getpid())).map_err(|e| failed(step)(e.into()))?;
        let ran = self.finish(&mut command, words[0]);
        // The command holds our copies of the streams, which are only the process' from here on.
        drop(command);
        set_child_subreaper(None).map_err(|e| failed(step)(e.into()))?;
        ran?;
        let take = || -> io::Result<Made> {
            let pid = fs::read_to_string(&pid_file)?.trim().parse().map_err(io::Error::other)?;
            let number = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
            let pidfd = pidfd_open(number, PidfdFlags::empty())?;
            let console = console.map(Console::receive).transpose()?;
            Ok(Made { pid, pidfd, console, starter: None })
        };
        take().map_err(failed("take over the process"))
    }

    fn run(&self, verb: &str, words: &[&str]) -> Result<(), Error> {
        let mut command = self.command();
        command.arg(verb).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.finish(&mut command, verb)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.what.program);
        command.args(&self.what.arguments).arg("--root").arg(self.state());
        command.arg("--log").arg(self.log()).args(["--log-format", "json"]);
        if self.what.systemd {
            command.arg("--systemd-cgroup");
        }
        command.env_clear().env("PATH", PATH);
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log.json")
    }

    fn finish(&self, command: &mut Command, verb: &str) -> Result<(), Error> {
        let _ = fs::remove_file(self.log());
        let program = self.what.program.display();
        let status = command.status().map_err(failed(&format!("execute the runtime {program}")))?;
        if status.success() {
            return Ok(());
        }
        let said =
            last_words(&self.log()).unwrap_or_else(|| format!("it ended with {status} and said nothing"));
        Err(judge(&format!("execute {program} {verb}"), said))
    }
}

/// One whose score nobody set would have ours, with which nothing is killed for memory.
fn without_inheritance(process: &Process) -> Process {
    let mut process = process.clone();
    process.set_oom_score_adj(process.oom_score_adj().or(Some(0)));
    process
}

fn is_descriptor(path: &Path) -> bool {
    let mut parts = path.iter().skip(1);
    parts.next().is_some_and(|part| part == "proc") && parts.nth(1).is_some_and(|part| part == "fd")
}

/// Before we have mounts of our own: what isn't of our namespace can't be copied.
fn open_source(path: &Path) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    match open_tree(CWD, path, flags) {
        // A mount that is attached nowhere can't be copied by every kernel; it is taken itself.
        Err(Errno::INVAL) => Ok(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?),
        other => Ok(other?),
    }
}

fn attach(tree: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
    Ok(move_mount(tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// The socket that a terminal comes through. Its path may be too long for an address, so that leads through its folder's
/// descriptor.
struct Console {
    folder: OwnedFd,
    listener: UnixListener,
}

impl Console {
    fn listen(folder: &Path) -> io::Result<Self> {
        let _ = fs::remove_file(folder.join(CONSOLE));
        let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{CONSOLE}", folder.as_raw_fd()))?;
        listener.set_nonblocking(true)?;
        Ok(Self { folder, listener })
    }

    /// Where the runtime finds it, for as long as this lives.
    fn address(&self) -> String {
        format!("/proc/{}/fd/{}/{CONSOLE}", std::process::id(), self.folder.as_raw_fd())
    }

    /// After the runtime has ended: by then the terminal is there.
    fn receive(self) -> io::Result<OwnedFd> {
        let (connection, _) = self.listener.accept()?;
        let (_, console) = sys::receive_with_fd(&connection, &mut [0; 256])?;
        console.ok_or_else(|| io::Error::other("the runtime handed no terminal over"))
    }
}

/// The last error of a log of JSON objects, one in each line or, as crun has them since 1.28, in several.
fn last_words(log: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        level: String,
        msg: String,
    }
    let mut text = String::new();
    File::open(log).ok()?.take(MAX_LOG).read_to_string(&mut text).ok()?;
    let mut objects = text.match_indices('{').rev().filter_map(|(at, _)| {
        let mut objects = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Line>();
        objects.next()?.ok()
    });
    objects.find(|line| line.level == "error").map(|line| line.msg)
}

/// Runtimes say in words what decides about the exit code, and clients look for runc's.
fn judge(doing: &str, said: String) -> Error {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["executable file not found"]) {
        Error::NotFound(said)
    } else if has(&["executable file `"]) {
        Error::NotFound(format!("executable file not found: {said}"))
    } else if has(&["permission denied", "is a directory", "exec format error"]) {
        Error::NotExecutable(said)
    } else if has(&["open executable"]) {
        Error::NotExecutable(format!("permission denied: {said}"))
    } else {
        Error::Setup { doing: doing.to_owned(), source: io::Error::other(said) }
    }
}

fn failed(doing: &str) -> impl FnOnce(io::Error) -> Error {
    let doing = doing.to_owned();
    move |source| Error::Setup { doing, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runtime_says_decides_about_the_exit_code() {
        let of = |text: &str| judge("x", text.to_owned());
        assert!(matches!(of("exec: \"a\": executable file not found in $PATH"), Error::NotFound(_)));
        assert!(matches!(of("executable file `a` not found in $PATH"), Error::NotFound(_)));
        assert!(matches!(of("exec: \"/etc\": is a directory: permission denied"), Error::NotExecutable(_)));
        assert!(matches!(of("no space left on device"), Error::Setup { .. }));
    }

    #[test]
    fn descriptors_are_told_from_paths() {
        assert!(is_descriptor(Path::new("/proc/12/fd/7")));
        for path in ["/proc/12", "/proc", "/a/b/fd/c", "proc/12/fd/7", "/"] {
            assert!(!is_descriptor(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn the_last_error_of_a_log_is_what_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(last_words(&path), None);
        let text = "no json\n{\"level\":\"error\",\"msg\":\"a\"}\n{\"level\":\"error\",\"msg\":\"b\",\"time\":\"x\"}\n{\"level\":\"debug\",\"msg\":\"c\"}\n";
        fs::write(&path, text).unwrap();
        assert_eq!(last_words(&path).as_deref(), Some("b"));
        fs::write(&path, "{\n  \"msg\": \"of {several}\",\n  \"level\": \"error\",\n  \"time\": \"x\"\n}\n")
            .unwrap();
        assert_eq!(last_words(&path).as_deref(), Some("of {several}"));
    }
}
