//! The target that makes a directory tree.
//!
//! Each entry is reached by its parent, opened with `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)` beneath the layer's
//! own directory, and a single name in it: names never become paths.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::attributes::{Attributes, OPAQUE, Times};
use super::place::{Found, Place, Tree};
use super::{Content, Special, Target};
use crate::{Error, Limits};

/// A layer's directory, while it is being filled.
pub(crate) struct Disk<'a> {
    pub(super) tree: Tree<'a>,
    limits: &'a Limits,
    /// Directories' times, set at the very end because every entry made in a directory changes them.
    folder_times: BTreeMap<Vec<u8>, Times>,
    buffer: Vec<u8>,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>, limits: &'a Limits) -> Self {
        Self { tree: Tree::new(root), limits, folder_times: BTreeMap::new(), buffer: vec![0; 128 * 1024] }
    }

    /// Whether a directory has a time that is its own already.
    pub(super) fn has_age(&self, path: &[u8]) -> bool {
        self.folder_times.contains_key(path)
    }

    /// A directory's time.
    pub(super) fn age(&mut self, path: &[u8], times: Times) {
        self.folder_times.insert(path.to_vec(), times);
    }

    /// The same for one that has none yet.
    pub(super) fn age_missing(&mut self, path: &[u8], times: Times) {
        self.folder_times.entry(path.to_vec()).or_insert(times);
    }

    /// After the last entry.
    pub(crate) fn finish(self) -> Result<(), Error> {
        for (path, times) in self.folder_times.iter().rev() {
            // What a later entry replaced by something else has no directory times any more.
            let Some(folder) = self.tree.open_path(path)? else { continue };
            let place = Place::read(path, self.limits)?;
            times.apply_to(folder.as_fd(), &place)?;
        }
        Ok(())
    }

    /// Opens the directory that an entry goes to, with nothing in the entry's place.
    fn room_for(&self, place: &Place) -> Result<OwnedFd, Error> {
        let parent = self.tree.parent(place)?;
        self.tree.clear(&parent, place)?;
        Ok(parent)
    }
}

impl Target for Disk<'_> {
    fn root(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        attributes.apply_to(self.tree.root(), place)?;
        self.folder_times.insert(Vec::new(), attributes.times);
        Ok(())
    }

    fn directory(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        let parent = self.tree.parent(place)?;
        let found = self.tree.find(&parent, place)?;
        if found != Found::Directory {
            self.tree.clear(&parent, place)?;
            self.tree.make_directory(&parent, place)?;
        }
        let folder = self.tree.open_directory(&parent, place)?;
        if found == Found::Whiteout {
            // The lower layers' directory of this name was deleted first: it must not shine through the new one.
            let opaque = rustix::fs::fsetxattr(&folder, OPAQUE, b"y", rustix::fs::XattrFlags::empty());
            opaque.map_err(|e| place.failed("mark as opaque", e))?;
        }
        attributes.apply_to(folder.as_fd(), place)?;
        self.folder_times.insert(place.path(), attributes.times);
        Ok(())
    }

    fn file(&mut self, place: &Place, attributes: Attributes, content: Content<'_>) -> Result<(), Error> {
        let parent = self.room_for(place)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, place.single(), flags, Mode::from_raw_mode(0o600))
            .map_err(|e| place.failed("create", e))?;
        let mut file = std::fs::File::from(file);
        loop {
            let count = match content.bytes.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(Error::ReadTar { source }),
            };
            file.write_all(&self.buffer[..count]).map_err(|e| place.failed("write", e))?;
        }
        attributes.apply_to(file.as_fd(), place)?;
        attributes.times.apply_to(file.as_fd(), place)
    }

    fn symlink(&mut self, place: &Place, attributes: Attributes, target: Vec<u8>) -> Result<(), Error> {
        let parent = self.room_for(place)?;
        rustix::fs::symlinkat(target, &parent, place.single()).map_err(|e| place.failed("create", e))?;
        attributes.apply_to_link(parent.as_fd(), place)
    }

    fn hard_link(&mut self, place: &Place, original: &Place) -> Result<(), Error> {
        let parent = self.room_for(place)?;
        let folder = self.tree.existing_parent(original)?;
        if original.name().is_none() || self.tree.find(&folder, original)? != Found::Other {
            return Err(place.refuse("is a hard link to something that isn't a file of this layer"));
        }
        rustix::fs::linkat(&folder, original.single(), parent, place.single(), AtFlags::empty())
            .map_err(|e| place.failed("link", e))
    }

    fn special(&mut self, place: &Place, attributes: Attributes, kind: Special) -> Result<(), Error> {
        let parent = self.room_for(place)?;
        let (kind, device) = match kind {
            Special::Fifo => (FileType::Fifo, 0),
            Special::Block { major, minor } => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
            Special::Character { major, minor } => {
                (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
            }
        };
        rustix::fs::mknodat(&parent, place.single(), kind, Mode::from_raw_mode(0o600), device)
            .map_err(|e| place.failed("create", e))?;
        attributes.apply_to_node(parent.as_fd(), place)
    }

    fn whiteout(&mut self, place: &Place, hidden: &[u8]) -> Result<(), Error> {
        self.tree.whiteout(place, hidden)
    }

    fn opaque(&mut self, place: &Place) -> Result<(), Error> {
        self.tree.mark_opaque(place)
    }
}
