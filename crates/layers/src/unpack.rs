//! A layer's tar becomes a directory tree that overlayfs takes as a lower layer.
//!
//! Everything in the tar was written by a stranger, so names never become paths: each entry is reached by its parent,
//! opened with `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)` beneath the layer's own directory, and a single name in
//! it. Symlinks of the layer lead elsewhere in the layer and never out of it.
//!
//! | in the tar | in the layer |
//! |---|---|
//! | `.wh.NAME` | `NAME`, a character device 0:0 (overlayfs' whiteout) |
//! | `.wh..wh..opq` | `trusted.overlay.opaque=y` on the directory |
//! | `trusted.overlay.*`, `user.overlay.*`, a 0:0 device | nothing: those are ours to write |

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use tar::EntryType;

use crate::{Error, Limits};

mod attributes;
mod place;

use attributes::{Attributes, OPAQUE, Times};
use place::{Found, Place, Tree};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE_MARK: &[u8] = b".wh..wh..opq";
/// Other names that aufs kept for itself.
const AUFS_META: &[u8] = b".wh..wh.";
/// What one entry's long name, long link and PAX header may take together: Linux' limits on names and extended
/// attributes are far below.
const MAX_METADATA: u64 = 4 << 20;

pub(crate) struct Unpacker<'a> {
    tree: Tree<'a>,
    limits: &'a Limits,
    entries: u64,
    bytes: u64,
    /// Directories' times, set at the very end because every entry made in a directory changes them.
    folder_times: BTreeMap<Vec<u8>, Times>,
    buffer: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>, limits: &'a Limits) -> Self {
        Self {
            tree: Tree::new(root),
            limits,
            entries: 0,
            bytes: 0,
            folder_times: BTreeMap::new(),
            buffer: vec![0; 128 * 1024],
        }
    }

    pub(crate) fn unpack(mut self, tar: impl Read) -> Result<(), Error> {
        let budget = Rc::new(Cell::new(MAX_METADATA));
        let mut archive = tar::Archive::new(Metered { inner: tar, budget: budget.clone() });
        let read = |source| Error::ReadTar { source };
        for entry in archive.entries().map_err(read)? {
            let mut entry = entry.map_err(read)?;
            budget.set(u64::MAX);
            self.entry(&mut entry)?;
            // Content that nobody wanted is read here, not by the iterator, whose reads are metered as metadata.
            io::copy(&mut entry, &mut io::sink()).map_err(read)?;
            budget.set(MAX_METADATA);
        }
        self.finish()
    }

    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), Error> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        self.count(entry.size())?;
        let name = entry.path_bytes().into_owned();
        let place = self.tree.place(&name, self.limits)?;
        let attributes = Attributes::read(entry, &place)?;
        let Some(single) = place.name() else {
            return self.root(kind, &attributes, &place);
        };
        if single == OPAQUE_MARK {
            return self.tree.mark_opaque(&place);
        }
        if single.starts_with(AUFS_META) {
            return Ok(());
        }
        if let Some(hidden) = single.strip_prefix(WHITEOUT) {
            return self.tree.whiteout(&place, hidden);
        }
        self.node(kind, &place, &attributes, entry)
    }

    fn count(&mut self, size: u64) -> Result<(), Error> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.entries > self.limits.entries {
            return Err(Error::Limit { of: "entries", limit: self.limits.entries });
        }
        if self.bytes > self.limits.bytes {
            return Err(Error::Limit { of: "bytes of content", limit: self.limits.bytes });
        }
        Ok(())
    }

    /// The entry `./`: attributes of the root directory itself.
    fn root(&mut self, kind: EntryType, attributes: &Attributes, place: &Place) -> Result<(), Error> {
        if kind != EntryType::Directory {
            return Err(place.refuse("would replace the root directory"));
        }
        attributes.apply_to(self.tree.root(), place)?;
        self.folder_times.insert(Vec::new(), attributes.times);
        Ok(())
    }

    fn node(
        &mut self,
        kind: EntryType,
        place: &Place,
        attributes: &Attributes,
        entry: &mut tar::Entry<'_, impl Read>,
    ) -> Result<(), Error> {
        if kind == EntryType::Directory {
            return self.directory(place, attributes);
        }
        let parent = self.tree.parent(place)?;
        self.tree.clear(&parent, place)?;
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&parent, place, attributes, entry)
            }
            EntryType::Symlink => self.symlink(&parent, place, attributes, &link_target(entry, place)?),
            EntryType::Link => self.hard_link(&parent, place, &link_target(entry, place)?),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                special(kind, &parent, place, attributes, entry)
            }
            _ => Err(place.refuse("is of a kind that a layer can't have")),
        }
    }

    fn directory(&mut self, place: &Place, attributes: &Attributes) -> Result<(), Error> {
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

    fn file(
        &mut self,
        parent: &OwnedFd,
        place: &Place,
        attributes: &Attributes,
        content: &mut impl Read,
    ) -> Result<(), Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, place.single(), flags, Mode::from_raw_mode(0o600))
            .map_err(|e| place.failed("create", e))?;
        let mut file = std::fs::File::from(file);
        loop {
            let count = match content.read(&mut self.buffer) {
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

    fn symlink(
        &mut self,
        parent: &OwnedFd,
        place: &Place,
        attributes: &Attributes,
        target: &[u8],
    ) -> Result<(), Error> {
        if target.is_empty() || target.len() > self.limits.path {
            return Err(place.refuse("is a link whose target is empty or too long"));
        }
        rustix::fs::symlinkat(target, parent, place.single()).map_err(|e| place.failed("create", e))?;
        attributes.apply_to_link(parent.as_fd(), place)
    }

    fn hard_link(&mut self, parent: &OwnedFd, place: &Place, target: &[u8]) -> Result<(), Error> {
        let original = self.tree.place(target, self.limits)?;
        let folder = self.tree.existing_parent(&original)?;
        if original.name().is_none() || self.tree.find(&folder, &original)? != Found::Other {
            return Err(place.refuse("is a hard link to something that isn't a file of this layer"));
        }
        rustix::fs::linkat(&folder, original.single(), parent, place.single(), AtFlags::empty())
            .map_err(|e| place.failed("link", e))
    }

    fn finish(self) -> Result<(), Error> {
        for (path, times) in self.folder_times.iter().rev() {
            // What a later entry replaced by something else has no directory times any more.
            let Some(folder) = self.tree.open_path(path)? else { continue };
            let place = self.tree.place(path, self.limits)?;
            times.apply_to(folder.as_fd(), &place)?;
        }
        Ok(())
    }
}

fn link_target(entry: &tar::Entry<'_, impl Read>, place: &Place) -> Result<Vec<u8>, Error> {
    match entry.link_name_bytes() {
        Some(target) if !target.contains(&0) => Ok(target.into_owned()),
        _ => Err(place.refuse("is a link without a usable target")),
    }
}

fn special(
    kind: EntryType,
    parent: &OwnedFd,
    place: &Place,
    attributes: &Attributes,
    entry: &tar::Entry<'_, impl Read>,
) -> Result<(), Error> {
    let number = |part: io::Result<Option<u32>>| part.ok().flatten().unwrap_or(0);
    let (major, minor) = (number(entry.header().device_major()), number(entry.header().device_minor()));
    let (kind, device) = match kind {
        EntryType::Fifo => (FileType::Fifo, 0),
        EntryType::Block => (FileType::BlockDevice, rustix::fs::makedev(major, minor)),
        // Overlayfs would take it for a whiteout.
        _ if (major, minor) == (0, 0) => {
            return Err(place.refuse("is a device 0:0, which is not for images to use"));
        }
        _ => (FileType::CharacterDevice, rustix::fs::makedev(major, minor)),
    };
    rustix::fs::mknodat(parent, place.single(), kind, Mode::from_raw_mode(0o600), device)
        .map_err(|e| place.failed("create", e))?;
    attributes.apply_to_node(parent.as_fd(), place)
}

/// Stops a header that claims gigabytes of name from being read into memory.
struct Metered<R> {
    inner: R,
    budget: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.budget.get().checked_sub(count as u64) {
            Some(left) => self.budget.set(left),
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "an entry's name or attributes are too large",
                ));
            }
        }
        Ok(count)
    }
}

/// An error of the kernel's that means "there is no such thing".
fn absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR)
}

#[cfg(test)]
mod tests;
