//! What changes below the folders that are watched.
//!
//! The kernel says in which folder something happened, and no more is believed of it: that folder is listed and held
//! against what was seen there before. So nothing is lost when events are merged, come late or are too many to be told,
//! and a hundred thousand files that change at once are a hundred thousand `stat`s.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use compose::watch::Change;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;

use crate::error::Error;

/// So long nothing more may happen before what happened is looked at: an editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(60);
/// But no longer than this.
const PATIENCE: Duration = Duration::from_millis(1000);
/// Folders; more than any kernel's limit on watches lets be.
const MOST_FOLDERS: usize = 1 << 20;

/// What tells that a file is another one, or has other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    is_folder: bool,
    inode: u64,
    size: u64,
    mode: u32,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(seen: &Metadata) -> Self {
        let is_folder = seen.is_dir();
        // A folder's times and size change with what is in it, which is told by itself.
        let file = |value: u64| if is_folder { 0 } else { value };
        let times = |seconds, nanos| if is_folder { (0, 0) } else { (seconds, nanos) };
        Self {
            is_folder,
            inode: seen.ino(),
            size: file(seen.len()),
            mode: seen.mode(),
            modified: times(seen.mtime(), seen.mtime_nsec()),
            changed: times(seen.ctime(), seen.ctime_nsec()),
        }
    }
}

/// Files and folders under watch.
pub(super) struct Tree<S> {
    /// The kernel's queue. tokio has no safe type for it; a pipe's receiving end asks nothing of its descriptor but `poll`
    /// and `read`, and stands in.
    events: Receiver,
    /// Which folder a watch is of.
    watched: HashMap<i32, PathBuf>,
    folders: BTreeMap<PathBuf, BTreeMap<OsString, Stamp>>,
    /// Folders that concern nobody.
    skips: S,
}

impl<S: Fn(&Path) -> bool> Tree<S> {
    /// Watches these paths, and whatever is below them that `skips` doesn't leave out.
    pub(super) fn new(roots: &[PathBuf], skips: S) -> Result<Self, Error> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|e| Error::Io("watch files", e.into()))?;
        let events = Receiver::from_owned_fd_unchecked(events).map_err(|e| Error::Io("watch files", e))?;
        let mut tree = Self { events, watched: HashMap::new(), folders: BTreeMap::new(), skips };
        for root in roots {
            fs::symlink_metadata(root)
                .map_err(|e| Error::Usage(format!("cannot watch {}: {e}", root.display())))?;
            // By way of its folder: editors put a new file in the place of the old one, and so do version controls with folders.
            tree.folder(root.parent().unwrap_or(root), &mut BTreeSet::new())?;
        }
        Ok(tree)
    }

    /// Waits until something changes and everything is quiet again.
    pub(super) async fn changes(&mut self) -> Result<Vec<Change>, Error> {
        loop {
            let dirty = self.dirty().await.map_err(|e| Error::Io("watch files", e))?;
            let changes = self.look(&dirty)?;
            if !changes.is_empty() {
                return Ok(changes.into_iter().collect());
            }
        }
    }

    /// The folders in which something happened.
    async fn dirty(&mut self) -> io::Result<BTreeSet<PathBuf>> {
        let mut dirty = BTreeSet::new();
        self.events.readable().await?;
        let begun = Instant::now();
        loop {
            while self.read(&mut dirty)? {}
            let rest = PATIENCE.saturating_sub(begun.elapsed()).min(QUIET);
            match tokio::time::timeout(rest, self.events.readable()).await {
                Ok(ready) if !rest.is_zero() => ready?,
                _ => return Ok(dirty),
            }
        }
    }

    /// Reads what the kernel has to tell; false when that is all.
    fn read(&mut self, dirty: &mut BTreeSet<PathBuf>) -> io::Result<bool> {
        let mut buffer = [0; 64 << 10];
        let size = match self.events.try_read(&mut buffer) {
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        for (watch, flags) in events(buffer.get(..size).unwrap_or_default()) {
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                dirty.extend(self.folders.keys().cloned());
            } else if flags.contains(ReadFlags::IGNORED) {
                dirty.extend(self.watched.remove(&watch));
            } else {
                dirty.extend(self.watched.get(&watch).cloned());
            }
        }
        Ok(true)
    }

    /// What is otherwise in these folders than it was.
    fn look(&mut self, dirty: &BTreeSet<PathBuf>) -> Result<BTreeSet<Change>, Error> {
        let mut changes = BTreeSet::new();
        for path in dirty {
            if self.folders.contains_key(path) {
                self.folder(path, &mut changes)?;
            }
        }
        Ok(changes)
    }

    /// Lists a folder and takes over what it has; what is new below it is watched too.
    fn folder(&mut self, path: &Path, changes: &mut BTreeSet<Change>) -> Result<(), Error> {
        // The watch comes first: what happens from here on is told.
        if !self.folders.contains_key(path) && !self.watch(path)? {
            return Ok(());
        }
        let Some(now) = list(path) else {
            self.forget(path, changes);
            return Ok(());
        };
        let before = self.folders.insert(path.to_owned(), now.clone()).unwrap_or_default();
        for (name, stamp) in &before {
            let same = |other: &Stamp| other.is_folder == stamp.is_folder;
            let same_folder = |other: &Stamp| !stamp.is_folder || other.inode == stamp.inode;
            match now.get(name) {
                Some(other) if same(other) && same_folder(other) => {}
                Some(other) if same(other) => self.forget(&path.join(name), changes),
                _ => self.gone(path.join(name), stamp.is_folder, changes),
            }
        }
        for (name, stamp) in &now {
            let inner = path.join(name);
            if before.get(name) != Some(stamp) {
                // What went in the same moment came again.
                changes.remove(&Change { path: inner.clone(), is_gone: true });
                changes.insert(Change { path: inner.clone(), is_gone: false });
            }
            if stamp.is_folder && !self.folders.contains_key(&inner) && !(self.skips)(&inner) {
                self.folder(&inner, changes)?;
            }
        }
        Ok(())
    }

    /// False where the folder has gone already.
    fn watch(&mut self, path: &Path) -> Result<bool, Error> {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        let full = || {
            Error::Usage(format!(
                "cannot watch {}: {} folders are watched and the kernel allows no more; ignore some of them (develop.watch.ignore), or raise \
                 the limit: sysctl fs.inotify.max_user_watches=1048576",
                path.display(),
                self.folders.len()
            ))
        };
        if self.folders.len() >= MOST_FOLDERS {
            return Err(full());
        }
        match inotify::add_watch(&self.events, path, flags) {
            Ok(watch) => {
                self.watched.insert(watch, path.to_owned());
                Ok(true)
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(Errno::NOSPC) => Err(full()),
            Err(errno) => Err(Error::Usage(format!("cannot watch {}: {errno}", path.display()))),
        }
    }

    fn gone(&mut self, path: PathBuf, is_folder: bool, changes: &mut BTreeSet<Change>) {
        if is_folder {
            self.forget(&path, changes);
        }
        changes.insert(Change { path, is_gone: true });
    }

    /// A folder that went, or moved away with all that is in it.
    fn forget(&mut self, path: &Path, changes: &mut BTreeSet<Change>) {
        let inner: Vec<_> = self.folders.keys().filter(|folder| folder.starts_with(path)).cloned().collect();
        for folder in inner {
            for name in self.folders.remove(&folder).unwrap_or_default().into_keys() {
                changes.insert(Change { path: folder.join(name), is_gone: true });
            }
        }
        // A folder that moved is still watched under its old name.
        let moved: Vec<i32> =
            self.watched.iter().filter(|(_, at)| at.starts_with(path)).map(|(watch, _)| *watch).collect();
        for watch in moved {
            self.watched.remove(&watch);
            // It may have ended by itself.
            let _ = inotify::remove_watch(&self.events, watch);
        }
    }

    /// Everything that is there.
    pub(super) fn all(&self) -> Vec<Change> {
        let inner = |(folder, names): (&PathBuf, &BTreeMap<OsString, Stamp>)| {
            names.keys().map(|name| Change { path: folder.join(name), is_gone: false }).collect::<Vec<_>>()
        };
        self.folders.iter().flat_map(inner).collect()
    }
}

/// The watch and the kind of each event: `struct inotify_event`, whose names aren't needed.
fn events(mut bytes: &[u8]) -> impl Iterator<Item = (i32, ReadFlags)> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_first_chunk::<16>()?;
        let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let name = u32::from_ne_bytes(word(12)) as usize;
        bytes = rest.get(name..).unwrap_or_default();
        Some((i32::from_ne_bytes(word(0)), ReadFlags::from_bits_retain(u32::from_ne_bytes(word(4)))))
    })
}

/// What is in a folder; nothing where it isn't one any more.
fn list(path: &Path) -> Option<BTreeMap<OsString, Stamp>> {
    let entries = fs::read_dir(path).ok()?;
    let stamped = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        // What went while it was listed isn't there.
        Some((entry.file_name(), Stamp::of(&entry.metadata().ok()?)))
    });
    Some(stamped.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths that changed, relative to the folder, with a minus before those that went.
    async fn seen<S: Fn(&Path) -> bool>(tree: &mut Tree<S>, folder: &Path, until: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        while !all.contains(until) {
            let changes = tree.changes().await.expect("changes are told");
            // The scratch folder stands among those of other tests.
            for change in changes.into_iter().filter(|change| change.path.starts_with(folder)) {
                let path = change.path.strip_prefix(folder).expect("below").display().to_string();
                all.insert(if change.is_gone { format!("-{path}") } else { path });
            }
        }
        all
    }

    fn texts<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
        texts.map(str::to_owned).into()
    }

    #[tokio::test]
    async fn what_is_written_moved_and_removed_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path();
        fs::create_dir_all(folder.join("deep/er")).unwrap();
        fs::write(folder.join("deep/er/old"), "1").unwrap();
        let mut tree = Tree::new(&[folder.to_owned()], |path| !path.starts_with(folder)).unwrap();
        assert_eq!(
            tree.all()
                .iter()
                .filter(|change| change.path != folder && change.path.starts_with(folder))
                .count(),
            3
        );
        fs::write(folder.join("deep/er/old"), "12").unwrap();
        assert_eq!(seen(&mut tree, folder, "deep/er/old").await, texts(["deep/er/old"]));
        fs::create_dir_all(folder.join("new/est")).unwrap();
        fs::write(folder.join("new/est/file"), "").unwrap();
        assert_eq!(seen(&mut tree, folder, "new/est/file").await, texts(["new", "new/est", "new/est/file"]));
        fs::rename(folder.join("new"), folder.join("moved")).unwrap();
        let moved = seen(&mut tree, folder, "moved/est/file").await;
        for path in ["-new", "-new/est", "-new/est/file", "moved", "moved/est"] {
            assert!(moved.contains(path), "{path}: {moved:?}");
        }
        fs::write(folder.join("moved/est/again"), "").unwrap();
        assert_eq!(seen(&mut tree, folder, "moved/est/again").await, texts(["moved/est/again"]));
        fs::remove_dir_all(folder.join("moved")).unwrap();
        assert!(seen(&mut tree, folder, "-moved").await.contains("-moved/est/again"));
    }

    #[tokio::test]
    async fn a_folder_in_the_place_of_another_is_walked() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = &scratch.path().join("src");
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("old"), "1").unwrap();
        let mut tree = Tree::new(&[folder.to_owned()], |path| !path.starts_with(folder)).unwrap();
        fs::create_dir(scratch.path().join("next")).unwrap();
        fs::write(scratch.path().join("next/new"), "1").unwrap();
        fs::rename(folder, scratch.path().join("before")).unwrap();
        fs::rename(scratch.path().join("next"), folder).unwrap();
        assert!(seen(&mut tree, folder, "new").await.contains("-old"));
        fs::write(folder.join("newer"), "1").unwrap();
        assert_eq!(seen(&mut tree, folder, "newer").await, texts(["newer"]));
    }

    #[tokio::test]
    async fn a_file_is_watched_through_its_folder_and_others_beside_it_are_not_walked() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path();
        fs::create_dir(folder.join("beside")).unwrap();
        fs::write(folder.join("file"), "1").unwrap();
        let file = folder.join("file");
        let mut tree = Tree::new(std::slice::from_ref(&file), |path| !file.starts_with(path)).unwrap();
        assert!(!tree.folders.contains_key(&folder.join("beside")));
        fs::write(folder.join("file.new"), "2").unwrap();
        fs::rename(folder.join("file.new"), folder.join("file")).unwrap();
        assert!(seen(&mut tree, folder, "file").await.contains("file"));
    }

    #[tokio::test]
    async fn what_nobody_wants_is_not_walked() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path();
        fs::create_dir_all(folder.join("node_modules/many")).unwrap();
        let tree = Tree::new(&[folder.to_owned()], |path| {
            !path.starts_with(folder) || path.ends_with("node_modules")
        })
        .unwrap();
        assert_eq!(tree.folders.len(), 2, "it and the one it is in");
    }

    #[tokio::test]
    async fn a_path_that_is_not_there_is_refused() {
        let error = Tree::new(&["/no/such/path".into()], |_| false).err().unwrap();
        assert!(error.to_string().contains("/no/such/path"), "{error}");
    }
}
