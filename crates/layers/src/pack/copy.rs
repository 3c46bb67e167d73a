//! Trees to trees: what a new volume is filled with, and a volume's twin.
//!
//! The source may be a stranger's and is read as for a tar ([`walk`]). The target is a directory that nobody else can reach
//! yet; each thing in it is made in the directory above it by a single name. Where the file system can share blocks, content
//! is shared; where the kernel can copy by itself, it does; holes stay holes.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown,
    futimens, openat,
};
use rustix::io::Errno;

use super::node::{Node, Source};
use super::walk::{Step, Visitor, walk};
use crate::{Error, Limits};

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// So much is copied between two looks at whether anybody still wants it.
const PIECE: usize = 4 << 20;
const BUFFER: usize = 128 << 10;
/// Bytes of a file that others copy meanwhile.
const SMALL: i64 = 128 << 10;
/// So many small files are copied before others are called to help, who are at most so many.
const FEW: usize = 256;
const HANDS: usize = 4;
/// Files, each an open descriptor, that wait for one of them.
const WAITING: usize = 16;

/// Hears how many bytes have been copied; its error ends the copying.
pub type Copied<'a> = &'a mut dyn FnMut(u64) -> Result<(), Error>;

/// Copies all that is below a directory into another one, which is empty, and makes that one like the first.
pub fn copy_tree(
    from: BorrowedFd<'_>,
    source: Source,
    into: BorrowedFd<'_>,
    limits: &Limits,
    copied: Copied<'_>,
) -> Result<(), Error> {
    let top = Node::open(from, b".", b".")?;
    let top = top.ok_or_else(|| Error::pack("open", b".", std::io::ErrorKind::NotFound))?;
    let root = openat(into, ".", FOLDER, Mode::empty()).map_err(|e| Error::pack("open", b".", e))?;
    std::thread::scope(|scope| {
        let mut twin = Twin {
            folders: vec![Arc::new(root)],
            names: HashMap::new(),
            own: Copyist::default(),
            written: 0,
            copied,
            small: 0,
            crew: None,
            scope,
        };
        walk(from, source, limits, &mut twin)?;
        twin.wait()
    })?;
    attributes(into, &top, b".")
}

struct Twin<'a, 'scope, 'env> {
    /// The target's directories on the way, from its top.
    folders: Vec<Arc<OwnedFd>>,
    /// The first name of each file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
    own: Copyist,
    written: u64,
    copied: Copied<'a>,
    /// How many small files there have been.
    small: usize,
    crew: Option<Crew>,
    scope: &'scope Scope<'scope, 'env>,
}

impl Visitor for Twin<'_, '_, '_> {
    fn node(&mut self, path: &[u8], node: &Node) -> Result<Step, Error> {
        let name = last(path);
        let failed = |e: Errno| Error::pack("create", path, e);
        if node.is_directory() {
            let parent = self.parent(path)?;
            rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(failed)?;
            let made = openat(parent, name, FOLDER, Mode::empty()).map_err(failed)?;
            self.folders.push(Arc::new(made));
            return Ok(Step::Into);
        }
        if !self.linked(path, name, node)? {
            match node.kind() {
                FileType::RegularFile => self.file(path, node)?,
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
        let others = self.crew.as_ref().map_or(0, |crew| crew.shared.written.load(Ordering::Relaxed));
        (self.copied)(self.written + others)?;
        Ok(Step::Over)
    }

    fn left(&mut self, path: &[u8], node: &Node) -> Result<(), Error> {
        // What is made in it changes its times.
        self.wait()?;
        match self.folders.pop() {
            Some(made) => attributes(made.as_fd(), node, path),
            None => Ok(()),
        }
    }
}

/// A path's last name.
fn last(path: &[u8]) -> &OsStr {
    OsStr::from_bytes(path.rsplit(|byte| *byte == b'/').next().unwrap_or(path))
}

impl Twin<'_, '_, '_> {
    fn folder(&self, path: &[u8]) -> Result<&Arc<OwnedFd>, Error> {
        self.folders.last().ok_or_else(|| Error::pack("create", path, std::io::ErrorKind::NotFound))
    }

    fn parent(&self, path: &[u8]) -> Result<BorrowedFd<'_>, Error> {
        self.folder(path).map(AsFd::as_fd)
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

    /// Small ones are the crew's, once there are many; those with several names are there before the next name is.
    fn file(&mut self, path: &[u8], node: &Node) -> Result<(), Error> {
        let parent = self.folder(path)?.clone();
        let is_small = node.stat().st_size <= SMALL && node.stat().st_nlink < 2;
        self.small += usize::from(is_small);
        if is_small && self.small > FEW {
            let crew = self.crew.get_or_insert_with(|| Crew::gather(self.scope));
            if crew.takes(&parent, path, node)? {
                return Ok(());
            }
        }
        let (written, copied) = (&mut self.written, &mut self.copied);
        self.own.file(&parent, path, node, &mut |more| {
            *written += more;
            copied(*written)
        })
    }

    /// Until all that others were given is done.
    fn wait(&self) -> Result<(), Error> {
        self.crew.as_ref().map_or(Ok(()), |crew| crew.shared.wait())
    }
}

/// Threads that copy small files, while one goes through the source: what a file costs is the file system's work.
struct Crew {
    hands: Vec<SyncSender<Job>>,
    next: usize,
    shared: Arc<Shared>,
}

struct Job {
    parent: Arc<OwnedFd>,
    path: Vec<u8>,
    node: Node,
}

#[derive(Default)]
struct Shared {
    written: AtomicU64,
    tally: Mutex<Tally>,
    done: Condvar,
}

#[derive(Default)]
struct Tally {
    /// What has been given out and isn't done.
    open: usize,
    failed: Option<Error>,
}

impl Crew {
    fn gather<'scope>(scope: &'scope Scope<'scope, '_>) -> Self {
        let shared = Arc::new(Shared::default());
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(HANDS);
        let mut hands = Vec::new();
        for _ in 0..if count > 1 { count } else { 0 } {
            let (hand, jobs) = sync_channel::<Job>(WAITING);
            let shared = shared.clone();
            let work = move || jobs.into_iter().fold(Copyist::default(), |by, job| shared.perform(by, &job));
            // Without threads it takes longer, and that is all.
            if std::thread::Builder::new().name("copy".to_owned()).spawn_scoped(scope, work).is_ok() {
                hands.push(hand);
            }
        }
        Self { hands, next: 0, shared }
    }

    /// Gives a file to one of them, if there is any.
    fn takes(&mut self, parent: &Arc<OwnedFd>, path: &[u8], node: &Node) -> Result<bool, Error> {
        self.next = (self.next + 1).checked_rem(self.hands.len()).unwrap_or_default();
        let Some(hand) = self.hands.get(self.next) else { return Ok(false) };
        self.shared.begin()?;
        let job = Job { parent: parent.clone(), path: path.to_vec(), node: node.clone() };
        if hand.send(job).is_err() {
            self.shared.end(Ok(()));
            return Ok(false);
        }
        Ok(true)
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a failure nothing begins.
    fn begin(&self) -> Result<(), Error> {
        let mut tally = self.tally();
        match tally.failed.take() {
            Some(error) => Err(error),
            None => {
                tally.open += 1;
                Ok(())
            }
        }
    }

    fn end(&self, result: Result<(), Error>) {
        let mut tally = self.tally();
        tally.open -= 1;
        if let Err(error) = result {
            tally.failed.get_or_insert(error);
        }
        if tally.open == 0 {
            self.done.notify_one();
        }
    }

    fn perform(&self, mut by: Copyist, job: &Job) -> Copyist {
        let result = by.file(&job.parent, &job.path, &job.node, &mut |more| {
            self.written.fetch_add(more, Ordering::Relaxed);
            Ok(())
        });
        self.end(result);
        by
    }

    fn wait(&self) -> Result<(), Error> {
        let waited = self.done.wait_while(self.tally(), |tally| tally.open > 0);
        let mut tally = waited.unwrap_or_else(PoisonError::into_inner);
        tally.failed.take().map_or(Ok(()), Err)
    }
}

/// How content goes from one file to the other; what doesn't work once is not tried again.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum How {
    #[default]
    Shared,
    ByTheKernel,
    ByHand,
}

/// Hears how many more bytes there are.
type More<'a> = &'a mut dyn FnMut(u64) -> Result<(), Error>;

/// Who copies one file after the other.
#[derive(Default)]
struct Copyist {
    how: How,
    buffer: Vec<u8>,
    /// The file system of the last file, and whether sizes mean something there.
    device: Option<(u64, bool)>,
}

impl Copyist {
    fn file(&mut self, parent: &OwnedFd, path: &[u8], node: &Node, more: More<'_>) -> Result<(), Error> {
        let made = openat(parent, last(path), NEW_FILE, Mode::from_raw_mode(0o600))
            .map_err(|e| Error::pack("create", path, e))?;
        let size = self.size(node);
        if size > 0 {
            match self.shared(&made, node) {
                true => more(size)?,
                false => self.content(&made, node, path, size, more)?,
            }
        }
        attributes(made.as_fd(), node, path)
    }

    fn size(&mut self, node: &Node) -> u64 {
        let device = node.stat().st_dev;
        match self.device {
            Some((known, true)) if known == device => u64::try_from(node.stat().st_size).unwrap_or_default(),
            _ => {
                let size = node.size();
                self.device = Some((device, size > 0));
                size
            }
        }
    }

    fn shared(&mut self, made: &OwnedFd, node: &Node) -> bool {
        if self.how != How::Shared {
            return false;
        }
        let shared = rustix::fs::ioctl_ficlone(made, node.fd()).is_ok();
        if !shared {
            self.how = How::ByTheKernel;
        }
        shared
    }

    fn content(
        &mut self,
        made: &OwnedFd,
        node: &Node,
        path: &[u8],
        size: u64,
        more: More<'_>,
    ) -> Result<(), Error> {
        let (mut at, mut end) = (0, 0);
        while at < size {
            let (data, hole) = match node.may_have_holes() {
                true => next_data(node, at, size),
                false => (at, size),
            };
            if data < size {
                end = self.part(made, node, path, data..hole, more)?;
            }
            at = hole.max(data);
        }
        match end == size {
            true => Ok(()),
            // What ends in a hole.
            false => rustix::fs::ftruncate(made, size).map_err(|e| Error::pack("write", path, e)),
        }
    }

    /// Where it came to an end.
    fn part(
        &mut self,
        made: &OwnedFd,
        node: &Node,
        path: &[u8],
        range: std::ops::Range<u64>,
        more: More<'_>,
    ) -> Result<u64, Error> {
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
            more(count as u64)?;
        }
        Ok(at)
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
        copy_tree(open(from).as_fd(), Source::Still, open(into).as_fd(), &Limits::default(), &mut |now| {
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
        let ended = copy_tree(
            open(&from).as_fd(),
            Source::Live,
            open(&into).as_fd(),
            &Limits::default(),
            &mut |_| Err(Error::Unwanted),
        );
        assert!(matches!(ended, Err(Error::Unwanted)));
    }

    #[test]
    fn many_small_files_come_whole_and_their_folders_keep_their_times() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, into) = (scratch.path().join("from"), scratch.path().join("into"));
        fs::create_dir(&into).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(9);
        for folder in 0..10 {
            let folder = from.join(format!("{folder}/below"));
            fs::create_dir_all(&folder).unwrap();
            for file in 0..FEW / 4 {
                fs::write(folder.join(format!("{file}")), format!("{file} of {}", folder.display())).unwrap();
            }
            fs::File::open(&folder).unwrap().set_modified(old).unwrap();
        }
        let bytes = copied(&from, &into).unwrap();
        let mut expected = 0;
        for folder in 0..10 {
            let below = format!("{folder}/below");
            assert_eq!(fs::metadata(into.join(&below)).unwrap().mtime(), 9);
            for file in 0..FEW / 4 {
                let name = format!("{below}/{file}");
                let content = fs::read(from.join(&name)).unwrap();
                expected += content.len() as u64;
                assert_eq!(fs::read(into.join(&name)).unwrap(), content);
            }
        }
        assert!(bytes <= expected);
    }

    #[test]
    fn what_fails_among_many_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, into) = (scratch.path().join("from"), scratch.path().join("into"));
        fs::create_dir_all(&from).unwrap();
        fs::create_dir(&into).unwrap();
        for file in 0..FEW * 2 {
            fs::write(from.join(format!("{file:04}")), b"x").unwrap();
        }
        let last = format!("{:04}", FEW * 2 - 1);
        fs::write(into.join(&last), b"in the way").unwrap();
        let error = copied(&from, &into).unwrap_err().to_string();
        assert!(error.contains(&last), "{error}");
    }
}
