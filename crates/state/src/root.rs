//! The data root: created private, locked for as long as its engine lives.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::Error;

/// A locked data root. The lock belongs to the open file, so it ends with the process however that ends, and goes
/// along when an engine replaces itself by `execve` with the descriptor kept open.
#[derive(Debug)]
pub struct DataRoot {
    path: PathBuf,
    lock: File,
}

impl DataRoot {
    /// Creates the root if needed and locks it. A root that another engine holds is refused with that engine's pid.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        create_private(path)?;
        let lock_path = path.join("ketch.lock");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|source| Error::File { doing: "open", path: lock_path.clone(), source })?;
        Self::hold(path, lock, &lock_path)
    }

    /// Takes over the lock of the engine that this process was a moment ago.
    pub fn inherit(path: &Path, lock: OwnedFd) -> Result<Self, Error> {
        Self::hold(path, File::from(lock), &path.join("ketch.lock"))
    }

    fn hold(path: &Path, mut lock: File, lock_path: &Path) -> Result<Self, Error> {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let pid = holder(&mut lock);
                if !outlived(&lock, &pid) {
                    return Err(Error::Locked { root: path.to_owned(), pid });
                }
            }
            Err(errno) => {
                return Err(Error::File { doing: "lock", path: lock_path.to_owned(), source: errno.into() });
            }
        }
        write_pid(&mut lock).map_err(|source| Error::File {
            doing: "write",
            path: lock_path.to_owned(),
            source,
        })?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock's descriptor, to be kept open across an `execve`.
    pub fn lock_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

/// How long a process that was just being made may hold what its maker held.
const BETWEEN_FORK_AND_EXEC: Duration = Duration::from_secs(5);

/// Takes the lock of an engine that is gone: a process that it was making when it was killed has it until its own program
/// begins, or it ends.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody tells when a lock is free that others may take as well"
)]
fn outlived(lock: &File, pid: &str) -> bool {
    let is_there = || Path::new("/proc").join(pid).exists();
    let until = Instant::now() + BETWEEN_FORK_AND_EXEC;
    while !is_there() && Instant::now() < until {
        if flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn create_private(path: &Path) -> Result<(), Error> {
    // 0711: nobody lists it, but a container's user may traverse to what a mount of its own shows.
    DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(|source| Error::File {
        doing: "create",
        path: path.to_owned(),
        source,
    })
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    // A pid is short; a file that isn't ours is not read to its end.
    let read = lock.take(32).read_to_string(&mut text);
    match (read, text.trim()) {
        (Ok(_), pid) if !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_engine_is_refused_with_the_pid_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let _first = DataRoot::lock(dir.path()).unwrap();
        let Err(Error::Locked { pid, .. }) = DataRoot::lock(dir.path()) else { panic!("not refused") };
        assert_eq!(pid, std::process::id().to_string());
    }

    #[test]
    fn a_lock_ends_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataRoot::lock(dir.path()).unwrap());
        DataRoot::lock(dir.path()).unwrap();
    }
}
