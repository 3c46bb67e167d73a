//! Trees to trees: what a new volume is filled with, and a volume's twin.
//!
//! The source may be a stranger's and is read as for a tar ([`walk`]). The target is a directory that nobody else can reach
//! yet; each thing in it is made in the directory above it by a single name. Where the file system can share blocks, content
//! is shared; where the kernel can copy by itself, it does; holes stay holes.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown,
    futimens, openat,
};
use rustix::io::Errno;

use super::node::Node;
use super::walk::{Step, Visitor, walk};
use crate::{Error, Limits};

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// So much is copied between two looks at whether anybody still wants it.
const PIECE: usize = 4 << 20;
const BUFFER: usize = 128 << 10;

/// Hears how many bytes have been copied; its error ends the copying.
pub type Copied<'a> = &'a mut dyn FnMut(u64) -> Result<(), Error>;

/// Copies all that is below a directory into another one, which is empty, and makes that one like the first.
pub fn copy_tree(
    from: BorrowedFd<'_>,
    into: BorrowedFd<'_>,
    limits: &Limits,
    copied: Copied<'_>,
) -> Result<(), Error> {
    let top = Node::open(from, b".", b".")?;
    let top = top.ok_or_else(|| Error::pack("open", b".", std::io::ErrorKind::NotFound))?;
    let root = openat(into, ".", FOLDER, Mode::empty()).map_err(|e| Error::pack("open", b".", e))?;
    let mut twin = Twin {
        folders: vec![root],
        names: HashMap::new(),
        how: How::Shared,
        buffer: Vec::new(),
        written: 0,
        copied,
    };
    walk(from, limits, &mut twin)?;
    attributes(into, &top, b".")
}

/// How content goes from one file to the other; what doesn't work once is not tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Shared,
    ByTheKernel,
    ByHand,
}

struct Twin<'a> {
    /// The target's directories on the way, from its top.
    folders: Vec<OwnedFd>,
    /// The first name of each file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
    how: How,
    buffer: Vec<u8>,
    written: u64,
    copied: Copied<'a>,
}

impl Visitor for Twin<'_> {
    fn node(&mut self, path: &[u8], node: &Node) -> Result<Step, Error> {
        let name = OsStr::from_bytes(path.rsplit(|byte| *byte == b'/').next().unwrap_or(path));
        let failed = |e: Errno| Error::pack("create", path, e);
        if node.is_directory() {
            let parent = self.parent(path)?;
            rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(failed)?;
            let made = openat(parent, name, FOLDER, Mode::empty()).map_err(failed)?;
            self.folders.push(made);
            return Ok(Step::Into);
        }
        if !self.linked(path, name, node)? {
            match node.kind() {
                FileType::RegularFile => self.file(path, name, node)?,
                FileType::Symlink => {
                    let target = OsString::from_vec(node.target(path)?);
                    rustix::fs::symlinkat(target, self.parent(path)?, name).map_err(failed)?;
                    outer_attributes(self.parent(path)?, name, node, path)?;
                }
                kind => {
                    let parent = self.parent(path)?;
                    let mode = Mode::from_raw_mode(0o600);
                    rustix::fs::mknodat(parent, name, kind, mode, node.stat().st_rdev).map_err(failed)?;
                    outer_attributes(parent, name, node, path)?;
                    mode_of_special(parent, name, node, path)?;
                }
            }
        }
        (self.copied)(self.written)?;
        Ok(Step::Over)
    }

    fn left(&mut self, path: &[u8], node: &Node) -> Result<(), Error> {
        match self.folders.pop() {
            Some(made) => attributes(made.as_fd(), node, path),
            None => Ok(()),
        }
    }
}

impl Twin<'_> {
    fn parent(&self, path: &[u8]) -> Result<BorrowedFd<'_>, Error> {
        let last = self.folders.last().map(AsFd::as_fd);
        last.ok_or_else(|| Error::pack("create", path, std::io::ErrorKind::NotFound))
    }

    /// Whether it has been copied under another name, of which it is now one more.
    fn linked(&mut self, path: &[u8], name: &OsStr, node: &Node) -> Result<bool, Error> {
        let stat = node.stat();
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        let Some(first) = self.names.get(&(stat.st_dev, stat.st_ino)) else {
            self.names.insert((stat.st_dev, stat.st_ino), path.to_vec());
            return Ok(false);
        };
        let Some(top) = self.folders.first() else { return Ok(false) };
        // All directories on that way were made here.
        rustix::fs::linkat(top, OsStr::from_bytes(first), self.parent(path)?, name, AtFlags::empty())
            .map_err(|e| Error::pack("link", path, e))?;
        Ok(true)
    }

    fn file(&mut self, path: &[u8], name: &OsStr, node: &Node) -> Result<(), Error> {
        let made = openat(self.parent(path)?, name, NEW_FILE, Mode::from_raw_mode(0o600))
            .map_err(|e| Error::pack("create", path, e))?;
        let size = node.size();
        if size > 0 && !self.shared(&made, node, size) {
            self.content(&made, node, path, size)?;
        }
        attributes(made.as_fd(), node, path)
    }

    fn shared(&mut self, made: &OwnedFd, node: &Node, size: u64) -> bool {
        if self.how != How::Shared {
            return false;
        }
        if rustix::fs::ioctl_ficlone(made, node.fd()).is_ok() {
            self.written += size;
            return true;
        }
        self.how = How::ByTheKernel;
        false
    }

    fn content(&mut self, made: &OwnedFd, node: &Node, path: &[u8], size: u64) -> Result<(), Error> {
        let mut at = 0;
        while at < size {
            let (data, hole) = match node.may_have_holes() {
                true => next_data(node, at, size),
                false => (at, size),
            };
            if data < size {
                self.part(made, node, path, data..hole)?;
            }
            at = hole.max(data);
        }
        // What ends in a hole.
        rustix::fs::ftruncate(made, size).map_err(|e| Error::pack("write", path, e))
    }

    fn part(
        &mut self,
        made: &OwnedFd,
        node: &Node,
        path: &[u8],
        range: std::ops::Range<u64>,
    ) -> Result<(), Error> {
        let mut at = range.start;
        while at < range.end {
            let want = usize::try_from(range.end - at).unwrap_or(PIECE).min(PIECE);
            let count = match self.how {
                How::ByHand => self.by_hand(made, node, path, at, want)?,
                _ => match by_the_kernel(made, node, at, want) {
                    Ok(count) => count,
                    // Another file system, or one that can't.
                    Err(_) => {
                        self.how = How::ByHand;
                        continue;
                    }
                },
            };
            if count == 0 {
                // It is shorter by now; the rest is a hole.
                break;
            }
            at += count as u64;
            self.written += count as u64;
            (self.copied)(self.written)?;
        }
        Ok(())
    }

    fn by_hand(
        &mut self,
        made: &OwnedFd,
        node: &Node,
        path: &[u8],
        at: u64,
        want: usize,
    ) -> Result<usize, Error> {
        self.buffer.resize(BUFFER, 0);
        let want = want.min(BUFFER);
        let count = retry(|| rustix::io::pread(node.fd(), &mut self.buffer[..want], at))
            .map_err(|e| Error::pack("read", path, e))?;
        let mut done = 0;
        while done < count {
            let piece = &self.buffer[done..count];
            done += retry(|| rustix::io::pwrite(made, piece, at + done as u64))
                .map_err(|e| Error::pack("write", path, e))?;
        }
        Ok(count)
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn by_the_kernel(made: &OwnedFd, node: &Node, at: u64, want: usize) -> Result<usize, Errno> {
    let (mut from, mut to) = (at, at);
    retry(|| rustix::fs::copy_file_range(node.fd(), Some(&mut from), made, Some(&mut to), want))
}

/// Where the next bytes are that are no hole, and where they end.
fn next_data(node: &Node, at: u64, size: u64) -> (u64, u64) {
    let data = match rustix::fs::seek(node.fd(), SeekFrom::Data(at)) {
        Ok(data) => data.min(size),
        Err(Errno::NXIO) => return (size, size),
        // No such thing as holes here.
        Err(_) => return (at, size),
    };
    let hole = rustix::fs::seek(node.fd(), SeekFrom::Hole(data)).map_or(size, |hole| hole.min(size));
    (data, if hole > data { hole } else { size })
}

/// Owner, mode, extended attributes and times of a file or directory.
fn attributes(made: BorrowedFd<'_>, node: &Node, path: &[u8]) -> Result<(), Error> {
    let stat = node.stat();
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchown(made, Some(uid), Some(gid)).map_err(|e| Error::pack("chown", path, e))?;
    // After the owner, which clears the set-user-id bit.
    fchmod(made, Mode::from_raw_mode(stat.st_mode & 0o7777)).map_err(|e| Error::pack("chmod", path, e))?;
    for (name, value) in node.xattrs(path)? {
        match rustix::fs::fsetxattr(made, OsStr::from_bytes(&name), &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(e) => return Err(Error::pack("set an extended attribute of", path, e)),
        }
    }
    futimens(made, &times(node)).map_err(|e| Error::pack("set the times of", path, e))
}

/// Owner and times of what is not opened.
fn outer_attributes(parent: BorrowedFd<'_>, name: &OsStr, node: &Node, path: &[u8]) -> Result<(), Error> {
    let stat = node.stat();
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| Error::pack("chown", path, e))?;
    rustix::fs::utimensat(parent, name, &times(node), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|e| Error::pack("set the times of", path, e))
}

/// By a descriptor that only looks: opening a device or a FIFO may block or do things.
fn mode_of_special(parent: BorrowedFd<'_>, name: &OsStr, node: &Node, path: &[u8]) -> Result<(), Error> {
    let failed = |e: Errno| Error::pack("chmod", path, e);
    let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(parent, name, look, Mode::empty()).map_err(failed)?;
    let itself = format!("/proc/self/fd/{}", made.as_raw_fd());
    rustix::fs::chmod(itself, Mode::from_raw_mode(node.stat().st_mode & 0o7777)).map_err(failed)
}

fn times(node: &Node) -> Timestamps {
    let stat = node.stat();
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn copied(from: &Path, into: &Path) -> Result<u64, Error> {
        let open = |path: &Path| fs::File::open(path).unwrap();
        let mut bytes = 0;
        copy_tree(open(from).as_fd(), open(into).as_fd(), &Limits::default(), &mut |now| {
            bytes = now;
            Ok(())
        })?;
        Ok(bytes)
    }

    #[test]
    fn a_twin_has_links_holes_modes_times_and_kinds() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, into) = (scratch.path().join("from"), scratch.path().join("into"));
        fs::create_dir_all(from.join("d/e")).unwrap();
        fs::create_dir(&into).unwrap();
        fs::write(from.join("d/file"), b"content").unwrap();
        fs::set_permissions(from.join("d/file"), fs::Permissions::from_mode(0o4711)).unwrap();
        fs::hard_link(from.join("d/file"), from.join("other")).unwrap();
        symlink("/nowhere", from.join("link")).unwrap();
        let sparse = fs::File::create(from.join("sparse")).unwrap();
        sparse.write_at(b"end", 64 << 20).unwrap();
        sparse.set_len(128 << 20).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(7, 5);
        fs::File::open(from.join("d")).unwrap().set_modified(old).unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o750)).unwrap();
        let dir = fs::File::open(&from).unwrap();
        rustix::fs::mknodat(&dir, "pipe", FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();

        copied(&from, &into).unwrap();

        let meta = |path: &str| fs::symlink_metadata(into.join(path)).unwrap();
        assert_eq!(fs::read(into.join("d/file")).unwrap(), b"content");
        assert_eq!(meta("d/file").mode() & 0o7777, 0o4711);
        assert_eq!(meta("d/file").ino(), meta("other").ino(), "still one file");
        assert_eq!(fs::read_link(into.join("link")).unwrap(), Path::new("/nowhere"));
        assert_eq!(meta("sparse").len(), 128 << 20);
        assert!(meta("sparse").blocks() * 512 < 1 << 20, "the hole is one");
        let mut end = [0; 3];
        fs::File::open(into.join("sparse")).unwrap().read_exact_at(&mut end, 64 << 20).unwrap();
        assert_eq!(&end, b"end");
        assert_eq!((meta("d").mtime(), meta("d").mtime_nsec()), (7, 5));
        assert_eq!(meta(".").mode() & 0o7777, 0o750);
        assert_eq!(
            meta("pipe").mode() & 0o7777,
            fs::symlink_metadata(from.join("pipe")).unwrap().mode() & 0o7777
        );
    }

    #[test]
    fn who_wants_it_no_more_ends_it() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, into) = (scratch.path().join("from"), scratch.path().join("into"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&into).unwrap();
        fs::write(from.join("a"), b"a").unwrap();
        let open = |path: &Path| fs::File::open(path).unwrap();
        let ended = copy_tree(open(&from).as_fd(), open(&into).as_fd(), &Limits::default(), &mut |_| {
            Err(Error::Unwanted)
        });
        assert!(matches!(ended, Err(Error::Unwanted)));
    }
}
