//! The `git` program of a host, bounded: what a stranger's repository may take of time and of the disk.
//!
//! Which program it is, with which environment, and what it is to do is the callers' business. It is watched while it runs:
//! the folder that it fills is measured, and one that hardly fills it any more is taken for one that waits for a server that
//! says nothing. What it started goes with it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use diag::{Class, Explain};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpgid, kill_process_group, pidfd_open, pidfd_send_signal};

/// git's own variable for the seconds that a server may say nothing.
pub const PATIENCE: &str = "GIT_HTTP_LOW_SPEED_TIME";
/// A repository may be packed for so long before its first byte comes.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(600);
/// A server that says less than this in a second says nothing.
const SLOWEST: u64 = 1024;
/// No program's own output is longer.
const LONGEST_OUTPUT: u64 = 64 << 20;
/// The first look at the folder; later ones take at most a tenth of the time.
const LOOK: Duration = Duration::from_millis(100);
/// One that was killed and is still there after this waits for a disk.
const DYING: Duration = Duration::from_secs(5);
/// A file takes at least a block, whatever is in it.
const BLOCK: u64 = 4096;

/// What a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes in the folder that it fills.
    pub bytes: u64,
    /// Files and folders in there.
    pub entries: u64,
    /// How long nothing may come.
    pub patience: Duration,
}

impl Bounds {
    /// With so much time as [`PATIENCE`] says.
    pub fn new(bytes: u64, entries: u64) -> Self {
        let said = std::env::var(PATIENCE).ok().and_then(|text| text.parse().ok());
        let patience = said.filter(|seconds| *seconds > 0).map_or(DEFAULT_PATIENCE, Duration::from_secs);
        Self { bytes, entries, patience }
    }
}

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error("there is no program git on this host")]
    Missing,
    /// It can't be run.
    #[error("cannot run git")]
    Run(#[source] io::Error),
    /// It ended with a failure.
    #[error("{said}")]
    Failed {
        /// Its exit code.
        code: Option<i32>,
        /// What it wrote on its error stream.
        said: String,
    },
    /// Nothing came any more.
    #[error("nothing came for {seconds} seconds")]
    Silent {
        /// How long that was waited for.
        seconds: u64,
    },
    /// More came than may.
    #[error("it is larger than {bytes} bytes")]
    TooLarge {
        /// The limit.
        bytes: u64,
    },
    /// More files came than may.
    #[error("it has more than {entries} files and folders")]
    TooMany {
        /// The limit.
        entries: u64,
    },
    /// It said more than anybody would read.
    #[error("it has more to say than {LONGEST_OUTPUT} bytes")]
    TooMuchSaid,
    /// Nobody waits for it any more.
    #[error("it was given up")]
    GivenUp,
}

impl Explain for Error {
    fn class(&self) -> Class {
        match self {
            Self::Missing => Class::NotImplemented,
            Self::Run(_) => Class::Internal,
            Self::Failed { .. } | Self::GivenUp => Class::NotFound,
            Self::Silent { .. } => Class::Unavailable,
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::TooMuchSaid => Class::TooLarge,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Silent { .. } => Some(format!("{PATIENCE} says how many seconds to wait")),
            _ => None,
        }
    }
}

/// Runs git to its end, or until it takes more than it may or nobody waits any more; what it wrote on its output.
pub fn run(
    command: &mut Command,
    folder: Option<&Path>,
    bounds: &Bounds,
    given_up: &dyn Fn() -> bool,
) -> Result<String, Error> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Missing,
        _ => Error::Run(error),
    })?;
    let heard = Arc::new(AtomicU64::new(0));
    let output = child.stdout.take().map(|stream| listen(stream.into(), heard.clone()));
    let errors = child.stderr.take().map(|stream| listen(stream.into(), heard.clone()));
    let watched = watch(&child, folder, bounds, &heard, given_up);
    if let Err(error) = watched {
        end(&mut child);
        return Err(error);
    }
    let status = child.wait().map_err(Error::Run)?;
    let bytes =
        |heard: Option<JoinHandle<Vec<u8>>>| heard.and_then(|heard| heard.join().ok()).unwrap_or_default();
    let (output, errors) = (bytes(output), bytes(errors));
    if let Some(folder) = folder {
        // One that was faster than every look.
        size_of(folder, bounds)?;
    }
    match status.success() {
        true => Ok(String::from_utf8_lossy(&output).into_owned()),
        false => Err(Error::Failed {
            code: status.code(),
            said: diag::printable(&String::from_utf8_lossy(&errors)),
        }),
    }
}

/// Reads a stream of the program's beside it.
fn listen(stream: OwnedFd, heard: Arc<AtomicU64>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut stream, mut kept, mut buffer) = (std::fs::File::from(stream), Vec::new(), [0; 16 << 10]);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            // Beyond the limit it is counted only, and the program goes.
            if heard.fetch_add(count as u64, Ordering::Relaxed) <= LONGEST_OUTPUT {
                kept.extend_from_slice(&buffer[..count]);
            }
        }
        kept
    })
}

/// Waits for the end, and for what may not be.
fn watch(
    child: &Child,
    folder: Option<&Path>,
    bounds: &Bounds,
    heard: &AtomicU64,
    given_up: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let pid = Pid::from_child(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| Error::Run(error.into()))?;
    let (mut pause, mut since, mut before) = (LOOK, Instant::now(), (0, 0));
    while !has_ended(&pidfd, pause)? {
        if given_up() {
            return Err(Error::GivenUp);
        }
        let said = heard.load(Ordering::Relaxed);
        if said > LONGEST_OUTPUT {
            return Err(Error::TooMuchSaid);
        }
        let begun = Instant::now();
        let size = folder.map(|folder| size_of(folder, bounds)).transpose()?.unwrap_or(0);
        pause = LOOK.max(begun.elapsed() * 10).min(bounds.patience);
        if since.elapsed() >= bounds.patience {
            // Files that only pass through the folder make it smaller as well.
            let moved = size.abs_diff(before.0) + (said - before.1);
            if moved < SLOWEST.saturating_mul(bounds.patience.as_secs()) {
                return Err(Error::Silent { seconds: bounds.patience.as_secs() });
            }
            (since, before) = (Instant::now(), (size, said));
        }
    }
    Ok(())
}

fn has_ended(pidfd: &OwnedFd, within: Duration) -> Result<bool, Error> {
    let mut waited = [PollFd::new(pidfd, PollFlags::IN)];
    let within = Timespec::try_from(within).ok();
    match poll(&mut waited, within.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(Error::Run(error.into())),
    }
}

/// What a folder takes; an error as soon as that is more than it may. What goes meanwhile isn't counted.
fn size_of(folder: &Path, bounds: &Bounds) -> Result<u64, Error> {
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else { continue };
            entries += 1;
            bytes = bytes.saturating_add(about.size().max(BLOCK));
            if bytes > bounds.bytes {
                return Err(Error::TooLarge { bytes: bounds.bytes });
            }
            if entries > bounds.entries {
                return Err(Error::TooMany { entries: bounds.entries });
            }
            if about.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

/// Ends the program and what it started, and waits until nothing writes into the folder any more. What leads a group of
/// processes of its own ends with all that came into that meanwhile; otherwise, as where it stays within the reach of a
/// terminal's keys, only those end that are found.
fn end(child: &mut Child) {
    let pid = Pid::from_child(child);
    let open = |pid| pidfd_open(pid, PidfdFlags::empty()).ok();
    let started: Vec<OwnedFd> = descendants(pid).into_iter().filter_map(open).collect();
    // Whoever has ended by itself can't be ended.
    if getpgid(Some(pid)) == Ok(pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.kill();
    for one in &started {
        let _ = pidfd_send_signal(one, Signal::KILL);
    }
    let _ = child.wait();
    for one in &started {
        let _ = has_ended(one, DYING);
    }
}

fn descendants(of: Pid) -> Vec<Pid> {
    let mut children = BTreeMap::<i32, Vec<i32>>::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in parentheses may have any letters in it.
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
        if let Some(parent) = fields.split_whitespace().nth(1).and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![of.as_raw_nonzero().get()];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        found.extend(children.remove(&pid).into_iter().flatten());
        at += 1;
    }
    found.into_iter().skip(1).filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: Bounds = Bounds { bytes: 1 << 30, entries: 1 << 20, patience: Duration::from_secs(600) };

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_was_said_is_handed_on() {
        assert_eq!(run(&mut shell("echo yes"), None, &MANY, &|| false).unwrap(), "yes\n");
        match run(&mut shell("echo no >&2; exit 3"), None, &MANY, &|| false) {
            Err(Error::Failed { code: Some(3), said }) => assert_eq!(said, "no\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_that_fills_the_folder_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let filling =
            format!("cd {}; sh -c 'echo $$ > pid; while :; do echo x >> a; done'", folder.path().display());
        let bounds = Bounds { bytes: 64 << 10, ..MANY };
        let ended = run(&mut shell(&filling), Some(folder.path()), &bounds, &|| false);
        assert!(matches!(ended, Err(Error::TooLarge { bytes: 65_536 })), "{ended:?}");
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let alive = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        assert!(alive.is_err() || alive.is_ok_and(|stat| stat.contains(") Z ")), "nothing of it goes on");
        let many = format!("cd {}; while :; do i=$((i + 1)); : > f$i; done", folder.path().display());
        let bounds = Bounds { entries: 100, ..MANY };
        let ended = run(&mut shell(&many), Some(folder.path()), &bounds, &|| false);
        assert!(matches!(ended, Err(Error::TooMany { entries: 100 })), "{ended:?}");
    }

    #[test]
    fn one_that_does_nothing_is_ended() {
        let bounds = Bounds { patience: Duration::from_secs(1), ..MANY };
        let ended = run(&mut shell("read -r x < /proc/self/fd/0; sleep infinity"), None, &bounds, &|| false);
        assert!(matches!(ended, Err(Error::Silent { seconds: 1 })), "{ended:?}");
        let ended = run(&mut shell("sleep infinity"), None, &MANY, &|| true);
        assert!(matches!(ended, Err(Error::GivenUp)), "{ended:?}");
    }

    #[test]
    fn one_that_says_too_much_is_ended() {
        let ended = run(
            &mut shell("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done | cat"),
            None,
            &MANY,
            &|| false,
        );
        assert!(matches!(ended, Err(Error::TooMuchSaid)), "{ended:?}");
    }
}
