//! What is at a path: in a mounted tree, in a client's directory, in a draft. Nothing follows a link but [`resolve`],
//! which knows where the root is.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use build::Error;
use layers::About;
use oci::{Algorithm, Hasher};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2, readlinkat};
use rustix::io::Errno;

use crate::builds::Scratch;
use crate::builds::context::Folder;
use crate::builds::error::work;

/// Components from the root, none of them a link, `.` or `..`.
pub(crate) type Path = Vec<Vec<u8>>;

/// A path's links lead to at most so many others.
const MAX_LINKS: usize = 255;
/// No path has more components.
const MAX_DEPTH: usize = 512;
/// The kernel's own limit of a list of names and of a value.
const MAX_XATTR: usize = 64 * 1024;

/// Names and values, sorted.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) about: About,
    pub(crate) kind: SeenKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SeenKind {
    Directory,
    File {
        size: u64,
        /// Equal for the names of one file.
        same: Option<(u64, u64)>,
    },
    Symlink(Vec<u8>),
    Fifo,
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
    Socket,
}

impl Seen {
    pub(crate) fn is_directory(&self) -> bool {
        self.kind == SeenKind::Directory
    }
}

/// Files to look at.
pub(crate) trait Look {
    /// What is at a path; nothing if nothing is.
    fn look(&self, path: &[Vec<u8>]) -> Result<Option<Seen>, Error>;
    /// The names in a directory, sorted.
    fn names(&self, path: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error>;
}

/// What becomes of a link at a path's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    Followed,
    Kept,
}

/// Where a path leads beneath the root, all links followed; what isn't there stays as it is written.
pub(crate) fn resolve(tree: &dyn Look, path: &[u8], last: Last) -> Result<Path, Error> {
    resolve_from(tree, Path::new(), path, last)
}

/// The same, beginning at a directory.
pub(crate) fn resolve_from(tree: &dyn Look, base: Path, path: &[u8], last: Last) -> Result<Path, Error> {
    let mut here = base;
    let mut ahead: VecDeque<Vec<u8>> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
    while ahead.back().is_some_and(|name| name.is_empty() || name == b".") {
        ahead.pop_back();
    }
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        match &name[..] {
            b"" | b"." => continue,
            b".." => {
                here.pop();
                continue;
            }
            _ => {}
        }
        here.push(name);
        if here.len() > MAX_DEPTH {
            return Err(Error::Invalid("a path has too many components".into()));
        }
        if ahead.is_empty() && last == Last::Kept {
            break;
        }
        if let Some(Seen { kind: SeenKind::Symlink(target), .. }) = tree.look(&here)? {
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::Invalid(format!("too many links in {}", shown(&here))));
            }
            here.pop();
            if target.first() == Some(&b'/') {
                here.clear();
            }
            for part in target.split(|byte| *byte == b'/').rev() {
                ahead.push_front(part.to_vec());
            }
        }
    }
    Ok(here)
}

/// `a/b`.
pub(crate) fn join(path: &[Vec<u8>]) -> Vec<u8> {
    path.join(&b'/')
}

/// The components of a text that has no links.
pub(crate) fn split(text: &[u8]) -> Path {
    let mut path = Path::new();
    for part in text.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(path.pop()),
            part => path.push(part.to_vec()),
        }
    }
    path
}

/// As people write it.
pub(crate) fn shown(path: &[Vec<u8>]) -> String {
    format!("/{}", String::from_utf8_lossy(&join(path)))
}

/// A tree to read from.
#[derive(Debug)]
pub(crate) enum Root {
    /// Mounted and attached nowhere.
    Mounted(OwnedFd),
    /// A folder of ours, which goes with this.
    Scratch(OwnedFd, #[expect(dead_code, reason = "held, never read")] Scratch),
    Folder(Arc<Folder>),
}

impl Look for Root {
    fn look(&self, path: &[Vec<u8>]) -> Result<Option<Seen>, Error> {
        match self {
            Self::Mounted(root) | Self::Scratch(root, _) => {
                let Some(found) = open(root, path, OFlags::PATH)? else { return Ok(None) };
                see(&found, path).map(Some)
            }
            Self::Folder(folder) => Ok(folder.look(path)),
        }
    }

    fn names(&self, path: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
        match self {
            Self::Mounted(root) | Self::Scratch(root, _) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let Some(found) = open(root, path, flags)? else { return Ok(Vec::new()) };
                list(&found).map_err(|e| work(format!("list {}", shown(path)), e))
            }
            Self::Folder(folder) => Ok(folder.names(path)),
        }
    }
}

impl Root {
    /// A folder of ours.
    pub(crate) fn scratch(folder: Scratch) -> Result<Self, Error> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder.path(), flags, Mode::empty());
        Ok(Self::Scratch(opened.map_err(|e| work("open a build's folder", e))?, folder))
    }

    /// A regular file, to be read.
    pub(crate) fn open(&self, path: &[Vec<u8>]) -> Result<File, Error> {
        let root = match self {
            Self::Mounted(root) | Self::Scratch(root, _) => root.as_fd(),
            Self::Folder(folder) => folder.files(),
        };
        // Without waiting for what may be a FIFO by now.
        let found = open(root, path, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let missing = || Error::NotFound(format!("{:?}: not found", shown(path)));
        Ok(File::from(found.ok_or_else(missing)?))
    }

    /// The digest of a regular file's content.
    pub(crate) fn digest(&self, path: &[Vec<u8>]) -> Result<String, Error> {
        if let Self::Folder(folder) = self
            && let Some(known) = folder.digest(path)
        {
            return Ok(known);
        }
        let mut file = self.open(path)?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match file.read(&mut buffer).map_err(|e| work(format!("read {}", shown(path)), e))? {
                0 => return Ok(hasher.finish().hex().to_owned()),
                count => hasher.update(&buffer[..count]),
            }
        }
    }
}

/// What is at a path that has no links; nothing if nothing is, or if it leads through something else than directories.
fn open(root: impl AsFd, path: &[Vec<u8>], flags: OFlags) -> Result<Option<OwnedFd>, Error> {
    let text = if path.is_empty() { b".".to_vec() } else { join(path) };
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, OsStr::from_bytes(&text), flags, Mode::empty(), resolve) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(e) => Err(work(format!("open {}", shown(path)), e)),
    }
}

fn see(found: &OwnedFd, path: &[Vec<u8>]) -> Result<Seen, Error> {
    let failed = |e: Errno| work(format!("look at {}", shown(path)), e);
    let stat = fstat(found).map_err(failed)?;
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => SeenKind::Directory,
        FileType::Symlink => {
            SeenKind::Symlink(readlinkat(found, "", Vec::new()).map_err(failed)?.into_bytes())
        }
        FileType::Fifo => SeenKind::Fifo,
        FileType::CharacterDevice => SeenKind::Device { block: false, major, minor },
        FileType::BlockDevice => SeenKind::Device { block: true, major, minor },
        FileType::Socket => SeenKind::Socket,
        _ => SeenKind::File {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            same: (stat.st_nlink > 1).then_some((stat.st_dev, stat.st_ino)),
        },
    };
    let has_xattrs = matches!(kind, SeenKind::Directory | SeenKind::File { .. });
    let about = About {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        time: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
        xattrs: if has_xattrs { xattrs(found).map_err(failed)? } else { Vec::new() },
    };
    Ok(Seen { about, kind })
}

/// Those that travel with a file: not overlayfs' own, nor the host's labels.
fn xattrs(found: &OwnedFd) -> Result<Xattrs, Errno> {
    // What was opened to be looked at can be named only in this way.
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let mut names = [0_u8; 1024];
    let length = match rustix::fs::listxattr(&path, &mut names[..]) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Ok(length) => length,
        Err(Errno::RANGE) => {
            let mut names = vec![0_u8; MAX_XATTR];
            let length = rustix::fs::listxattr(&path, &mut names[..])?;
            return values(&path, &names[..length]);
        }
        Err(e) => return Err(e),
    };
    values(&path, &names[..length])
}

fn values(path: &str, names: &[u8]) -> Result<Xattrs, Errno> {
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| travels(name)) {
        let mut value = vec![0_u8; MAX_XATTR];
        match rustix::fs::getxattr(path, OsStr::from_bytes(name), &mut value[..]) {
            Ok(length) => found.push((name.to_vec(), value[..length].to_vec())),
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e),
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn travels(name: &[u8]) -> bool {
    let own = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    let label = name.starts_with(b"security.") && name != b"security.capability";
    !name.is_empty() && !own && !label && !name.contains(&b'=')
}

fn list(folder: &OwnedFd) -> std::io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}
