//! A client's path, and what is there: Go's rules for slashes and dots, the kernel's for links.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, openat2};
use rustix::io::Errno;

use crate::Error;

const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
/// The kernel asks to try again when something was renamed meanwhile; somebody may do nothing else.
const TRIES: u32 = 1000;
/// As many links as Go follows.
const MAX_LINKS: u32 = 255;

/// What `HEAD /containers/{id}/archive` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    pub name: String,
    pub size: i64,
    /// Go's `FileMode`.
    pub mode: u32,
    pub modified: SystemTime,
    /// Where a link leads in the end; empty for anything else.
    pub target: String,
}

/// A path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// As the client wrote it.
    pub(super) given: String,
    /// From the root, without `.` and `..` but for a `.` at the end, which means something.
    pub(super) path: String,
}

impl Wanted {
    pub(crate) fn read(given: &str) -> Result<Self, Error> {
        if given.is_empty() {
            return Err(Error::Invalid("bad parameter: pathcannot be empty".into()));
        }
        if given.contains('\0') {
            return Err(Error::Invalid("a path cannot have a NUL byte".into()));
        }
        let mut path = clean(given);
        let last = given.rsplit('/').next().unwrap_or_default();
        if last == "." {
            path.push_str(if path.ends_with('/') { "." } else { "/." });
        } else if given.ends_with('/') && !path.ends_with('/') {
            path.push('/');
        }
        Ok(Self { given: given.to_owned(), path })
    }

    /// Its last component, as Go's `filepath.Base` has it.
    pub(super) fn base(&self) -> &str {
        match self.path.trim_end_matches('/').rsplit('/').next() {
            Some("") | None => "/",
            Some(base) => base,
        }
    }

    /// A link at its end is followed, and something else than a directory is an error.
    pub(super) fn means_directory(&self) -> bool {
        self.path.ends_with('/') || self.path.ends_with("/.")
    }

    /// Opens what is there, to be looked at. A link at the end is itself.
    pub(super) fn open(&self, root: BorrowedFd<'_>, container: &str) -> Result<OwnedFd, Error> {
        let flags = if self.means_directory() { OFlags::DIRECTORY } else { OFlags::NOFOLLOW };
        look(root, &self.path, flags).map_err(|e| match e {
            Errno::NOENT => self.missing(container),
            e => Error::Path(format!("lstat {}: {}", self.path, words(e))),
        })
    }

    /// Opens the directory that is there in the end.
    pub(crate) fn open_directory(&self, root: BorrowedFd<'_>, container: &str) -> Result<OwnedFd, Error> {
        let found = look(root, self.path.trim_end_matches(['/', '.']), OFlags::empty());
        let found = found.map_err(|e| match e {
            Errno::NOENT => self.missing(container),
            e => Error::Path(words(e)),
        })?;
        let stat = rustix::fs::fstat(&found).map_err(|e| Error::Path(words(e)))?;
        match (FileType::from_raw_mode(stat.st_mode), self.means_directory()) {
            (FileType::Directory, _) => Ok(found),
            (_, true) => Err(Error::Path(format!("lstat {}: not a directory", self.path))),
            (_, false) => Err(Error::Invalid("extraction point is not a directory".into())),
        }
    }

    fn missing(&self, container: &str) -> Error {
        Error::NoSuchFile { path: self.given.clone(), container: container.to_owned() }
    }

    pub(super) fn stat(&self, root: BorrowedFd<'_>, found: &OwnedFd) -> Result<PathStat, Error> {
        let stat = rustix::fs::fstat(found)
            .map_err(|e| Error::Path(format!("lstat {}: {}", self.path, words(e))))?;
        let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        Ok(PathStat {
            name: self.base().to_owned(),
            size: stat.st_size,
            mode: go_mode(&stat),
            modified: modified(&stat),
            target: if link { final_target(root, &self.path) } else { String::new() },
        })
    }
}

fn look(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    };
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    for _ in 0..TRIES {
        match openat2(root, path, flags, Mode::empty(), INSIDE) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Go's word for it.
fn words(error: Errno) -> String {
    diag::plain(&std::io::Error::from(error).to_string())
}

/// From the root, without `.`, `..` and empty components.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Where a link leads, as far as it can be told: for people and for `cp -L`, which asks again.
fn final_target(root: BorrowedFd<'_>, path: &str) -> String {
    let reversed = |path: &str| path.split('/').rev().map(str::to_owned).collect::<Vec<_>>();
    let (mut rest, mut here, mut links) = (reversed(path), Vec::<String>::new(), 0);
    while let Some(part) = rest.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                here.pop();
                continue;
            }
            _ => here.push(part),
        }
        let Ok(found) = look(root, &here.join("/"), OFlags::NOFOLLOW) else { continue };
        let Ok(target) = rustix::fs::readlinkat(&found, "", Vec::new()) else { continue };
        links += 1;
        if target.is_empty() || links > MAX_LINKS {
            continue;
        }
        here.pop();
        let target = target.to_string_lossy().into_owned();
        if target.starts_with('/') {
            here.clear();
        }
        rest.extend(reversed(&target));
    }
    format!("/{}", here.join("/"))
}

fn modified(stat: &Stat) -> SystemTime {
    let nanoseconds = Duration::from_nanos(stat.st_mtime_nsec);
    let seconds = Duration::from_secs(stat.st_mtime.unsigned_abs());
    let whole = match stat.st_mtime < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(seconds),
        false => SystemTime::UNIX_EPOCH.checked_add(seconds),
    };
    whole.and_then(|time| time.checked_add(nanoseconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn go_mode(stat: &Stat) -> u32 {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let bit = |raw: u32, go: u32| if stat.st_mode & raw != 0 { go } else { 0 };
    stat.st_mode & 0o777 | kind | bit(0o4000, 1 << 23) | bit(0o2000, 1 << 22) | bit(0o1000, 1 << 20)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn slashes_and_dots_at_the_end_stay() {
        for (given, path, base) in [
            ("/d", "/d", "d"),
            ("d/", "/d/", "d"),
            ("/d/.", "/d/.", "."),
            (".", "/.", "."),
            ("/", "/", "/"),
            ("/a/../../b//c", "/b/c", "c"),
            ("..", "/", "/"),
        ] {
            let wanted = Wanted::read(given).unwrap();
            assert_eq!((wanted.path.as_str(), wanted.base()), (path, base), "{given}");
        }
        assert!(Wanted::read("").is_err());
    }

    #[test]
    fn links_lead_nowhere_but_into_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("root");
        std::fs::create_dir_all(inside.join("d")).unwrap();
        std::fs::write(folder.path().join("secret"), "host").unwrap();
        std::fs::write(inside.join("secret"), "own").unwrap();
        symlink("../../../secret", inside.join("d/out")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        symlink("loop", inside.join("loop")).unwrap();
        symlink("/d/out", inside.join("chain")).unwrap();
        let root = rustix::fs::open(&inside, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let stat = |path: &str| {
            let wanted = Wanted::read(path)?;
            let found = wanted.open(root.as_fd(), "c")?;
            wanted.stat(root.as_fd(), &found)
        };
        assert_eq!(stat("/d/out").unwrap().target, "/secret");
        assert_eq!(stat("/chain").unwrap().target, "/secret");
        assert_eq!(stat("/magic").unwrap().target, "/proc/self/root");
        assert!(stat("/loop").is_ok() && stat("/loop/").is_err());
        assert_eq!(stat("/secret").unwrap().size, 3);
        assert_eq!(stat("/nope").unwrap_err().to_string(), "Could not find the file /nope in container c");
    }
}
