//! One file, directory or other thing in a tree, by a descriptor that is it and nothing else.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::Error;
use crate::unpack::OPAQUE;

/// What is opened to be looked at only: opening a device or a FIFO for more would do things.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
/// The kernel's own limit of a list of names and of a value.
const MAX_XATTR: usize = 64 * 1024;
const PROC: i64 = 0x9fa0;
/// proc, sysfs, cgroup and cgroup2, debugfs, tracefs, securityfs, bpf.
const KERNELS: [i64; 8] =
    [PROC, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0xcafe_4a11];

/// Names and values, sorted.
pub(super) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone)]
pub(super) struct Node {
    /// Readable if it is a file or a directory.
    fd: Arc<OwnedFd>,
    stat: Stat,
}

/// Whether somebody may change a tree while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Live,
    /// What a directory says that something is, it is a moment later.
    Still,
}

/// What a directory says of one thing in it.
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    kind: FileType,
}

impl Node {
    /// What has this single name in a directory; nothing if it is gone meanwhile. `shown` is for errors.
    pub(super) fn open(parent: BorrowedFd<'_>, name: &[u8], shown: &[u8]) -> Result<Option<Self>, Error> {
        let fd = match rustix::fs::openat(parent, OsStr::from_bytes(name), LOOK, Mode::empty()) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::STALE) => return Ok(None),
            other => other.map_err(|e| Error::pack("open", shown, e))?,
        };
        let node = Self::of(fd, shown)?;
        if !node.is_read() {
            return Ok(Some(node));
        }
        match node.reopened(shown) {
            Ok(fd) => Ok(Some(Self { fd: Arc::new(fd), ..node })),
            Err(_) if node.is_kernels() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same for what a directory has listed.
    pub(super) fn open_entry(
        parent: BorrowedFd<'_>,
        entry: &Entry,
        source: Source,
        shown: &[u8],
    ) -> Result<Option<Self>, Error> {
        let is_read = matches!(entry.kind, FileType::RegularFile | FileType::Directory);
        if source == Source::Still && is_read {
            // At once for reading: in a live tree a device could stand there by now.
            let flags = READ | OFlags::NOFOLLOW;
            if let Ok(fd) = rustix::fs::openat(parent, OsStr::from_bytes(&entry.name), flags, Mode::empty()) {
                return Self::of(fd, shown).map(Some);
            }
        }
        Self::open(parent, &entry.name, shown)
    }

    fn is_read(&self) -> bool {
        matches!(self.kind(), FileType::RegularFile | FileType::Directory)
    }

    /// Opened for reading, if it is something to be read.
    pub(super) fn ready(self, shown: &[u8]) -> Result<Self, Error> {
        match self.is_read() {
            true => self.reopened(shown).map(|fd| Self { fd: Arc::new(fd), ..self }),
            false => Ok(self),
        }
    }

    /// Whether it is the kernel's own, in `/proc` or `/sys`: there, files may be seen and not read, sizes are guesses
    /// and what belongs to a process goes with it. Nobody's data is lost when it is left out.
    pub(super) fn is_kernels(&self) -> bool {
        rustix::fs::fstatfs(&self.fd).is_ok_and(|found| KERNELS.contains(&found.f_type))
    }

    /// As much as there is to be had, where the kernel's own files are concerned.
    fn lenient<T: Default>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.or_else(|error| if self.is_kernels() { Ok(T::default()) } else { Err(error) })
    }

    /// What an open descriptor is.
    pub(super) fn of(fd: OwnedFd, shown: &[u8]) -> Result<Self, Error> {
        let stat = rustix::fs::fstat(&fd).map_err(|e| Error::pack("look at", shown, e))?;
        Ok(Self { fd: Arc::new(fd), stat })
    }

    /// The same inode, whatever the name stands for by now.
    fn reopened(&self, shown: &[u8]) -> Result<OwnedFd, Error> {
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        rustix::fs::open(path, READ, Mode::empty()).map_err(|e| Error::pack("open", shown, e))
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(super) fn stat(&self) -> &Stat {
        &self.stat
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == FileType::Directory
    }

    /// overlayfs' mark of something deleted.
    pub(super) fn is_whiteout(&self) -> bool {
        self.kind() == FileType::CharacterDevice && self.stat.st_rdev == 0
    }

    pub(super) fn overlay_opaque(&self) -> bool {
        let mut value = [0; 8];
        matches!(rustix::fs::fgetxattr(&self.fd, OPAQUE, &mut value), Ok(1)) && value[0] == b'y'
    }

    /// A symlink's target.
    pub(super) fn target(&self, shown: &[u8]) -> Result<Vec<u8>, Error> {
        let target = rustix::fs::readlinkat(&self.fd, "", Vec::new());
        self.lenient(target.map_err(|e| Error::pack("read the link", shown, e)).map(|t| t.into_bytes()))
    }

    /// The extended attributes that mean something elsewhere, sorted. Only files and directories have any.
    pub(super) fn xattrs(&self, shown: &[u8]) -> Result<Xattrs, Error> {
        if !matches!(self.kind(), FileType::RegularFile | FileType::Directory) {
            return Ok(Vec::new());
        }
        let failed = |e| Error::pack("list the extended attributes of", shown, e);
        // Nearly all files have none or few: only for others a buffer of the kernel's limit is worth its zeros.
        let mut few = [0_u8; 1024];
        let names = match rustix::fs::flistxattr(&self.fd, &mut few) {
            Ok(length) => few[..length].to_vec(),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(Errno::RANGE) => {
                let mut many = vec![0_u8; MAX_XATTR];
                let length = rustix::fs::flistxattr(&self.fd, &mut many).map_err(failed)?;
                many.truncate(length);
                many
            }
            Err(e) => return Err(failed(e)),
        };
        let mut found = Vec::new();
        for name in names.split(|byte| *byte == 0).filter(|name| travels(name)) {
            let mut value = vec![0_u8; MAX_XATTR];
            match rustix::fs::fgetxattr(&self.fd, OsStr::from_bytes(name), &mut value) {
                Ok(length) => found.push((name.to_vec(), value[..length].to_vec())),
                // Removed meanwhile.
                Err(Errno::NODATA) => {}
                Err(e) => return Err(Error::pack("read an extended attribute of", shown, e)),
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, shown: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.entries(shown)?.into_iter().map(|entry| entry.name).collect())
    }

    /// What is in a directory, sorted by name.
    pub(super) fn entries(&self, shown: &[u8]) -> Result<Vec<Entry>, Error> {
        self.lenient(self.listed(shown))
    }

    /// Whether some of its content may be a hole: it takes less of the disk than it is long.
    pub(super) fn may_have_holes(&self) -> bool {
        self.stat.st_blocks.saturating_mul(512) < self.stat.st_size
    }

    /// How many bytes of it are content.
    pub(super) fn size(&self) -> u64 {
        if self.stat.st_size == 0 {
            return 0;
        }
        let guessed = rustix::fs::fstatfs(&self.fd).is_ok_and(|found| found.f_type == PROC);
        if guessed { 0 } else { u64::try_from(self.stat.st_size).unwrap_or_default() }
    }

    fn listed(&self, shown: &[u8]) -> Result<Vec<Entry>, Error> {
        let failed = |e: io::Error| Error::pack("list", shown, e);
        let mut entries = Vec::new();
        let listing = rustix::fs::Dir::read_from(self.fd()).map_err(|e| failed(e.into()))?;
        for entry in listing {
            let entry = entry.map_err(|e| failed(e.into()))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                entries.push(Entry { name: name.to_vec(), kind: entry.file_type() });
            }
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }
}

/// Overlayfs' own attributes and the host's labels stay here; a name with `=` can't be written in a tar.
fn travels(name: &[u8]) -> bool {
    let own = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    let label = name.starts_with(b"security.") && name != b"security.capability";
    !name.is_empty() && !own && !label && !name.contains(&b'=')
}
