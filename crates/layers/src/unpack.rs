//! What a layer's tar means, entry by entry; what becomes of it is the business of a [`Target`].
//!
//! Everything in the tar was written by a stranger. Names are taken apart into single components before anybody sees
//! them, and refused where they point out of the layer.
//!
//! | in the tar | in the layer |
//! |---|---|
//! | `.wh.NAME` | `NAME`, a character device 0:0 (overlayfs' whiteout) |
//! | `.wh..wh..opq` | `trusted.overlay.opaque=y` on the directory |
//! | `trusted.overlay.*`, `user.overlay.*`, a 0:0 device | nothing: those are ours to write |

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use tar::EntryType;

use crate::{Error, Limits};

mod attributes;
mod clamp;
mod disk;
mod extract;
mod place;
mod replay;

pub(crate) use attributes::{Attributes, OPAQUE, Times};
pub use clamp::clamp_times;
pub(crate) use disk::Disk;
pub use extract::{Extract, Overwrite, Owner, extract, extract_anew, restore};
pub(crate) use place::Place;
pub use replay::replay;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE_MARK: &[u8] = b".wh..wh..opq";
/// Other names that aufs kept for itself.
const AUFS_META: &[u8] = b".wh..wh.";
/// What one entry's long name, long link and PAX header may take together: Linux' limits on names and extended
/// attributes are far below.
const MAX_METADATA: u64 = 4 << 20;

/// A regular file's content in the tar.
pub(crate) struct Content<'a> {
    /// Its first byte, counted from the tar's.
    pub(crate) position: u64,
    pub(crate) size: u64,
    /// Whether the tar holds only pieces of it.
    pub(crate) sparse: bool,
    /// The whole content, holes filled with zeros.
    pub(crate) bytes: &'a mut dyn Read,
}

/// What a special file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    Fifo,
    Block { major: u32, minor: u32 },
    Character { major: u32, minor: u32 },
}

/// Where a layer's entries go. Places are resolved by the target: parents may be symlinks of the layer, which lead
/// elsewhere in it and never out of it; missing parents are made; a later entry wins over an earlier one.
pub(crate) trait Target {
    /// Attributes of the root directory itself.
    fn root(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error>;
    /// A directory; one that is there keeps what is in it.
    fn directory(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error>;
    /// A regular file.
    fn file(&mut self, place: &Place, attributes: Attributes, content: Content<'_>) -> Result<(), Error>;
    /// A symbolic link.
    fn symlink(&mut self, place: &Place, attributes: Attributes, target: Vec<u8>) -> Result<(), Error>;
    /// Another name for a file of this layer.
    fn hard_link(&mut self, place: &Place, original: &Place) -> Result<(), Error>;
    /// A device or a FIFO.
    fn special(&mut self, place: &Place, attributes: Attributes, kind: Special) -> Result<(), Error>;
    /// The lower layers' `hidden`, beside `place`, is gone. What this layer itself brings stays, and hides theirs.
    fn whiteout(&mut self, place: &Place, hidden: &[u8]) -> Result<(), Error>;
    /// Nothing of the lower layers is seen in the directory that `place` is in.
    fn opaque(&mut self, place: &Place) -> Result<(), Error>;
}

/// What the names in a tar mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// `.wh.NAME` deletes.
    Layer,
    /// Names are names.
    Plain,
}

/// A name's first component, and what it becomes.
type Rename<'a> = Option<&'a (String, String)>;

pub(crate) struct Unpacker<'a, T> {
    target: T,
    meaning: Meaning,
    rename: Rename<'a>,
    limits: &'a Limits,
    entries: u64,
    bytes: u64,
}

impl<'a, T: Target> Unpacker<'a, T> {
    pub(crate) fn new(target: T, limits: &'a Limits) -> Self {
        Self { target, meaning: Meaning::Layer, rename: None, limits, entries: 0, bytes: 0 }
    }

    /// The same for a tar that is no layer.
    pub(crate) fn plain(target: T, rename: Rename<'a>, limits: &'a Limits) -> Self {
        Self { meaning: Meaning::Plain, rename, ..Self::new(target, limits) }
    }

    /// Reads the tar up to its end-of-archive mark and gives the target back.
    pub(crate) fn unpack(mut self, tar: impl Read) -> Result<T, Error> {
        let budget = Rc::new(Cell::new(MAX_METADATA));
        // A layer's bytes are mounted later, to the last block; other archives are only read once.
        let padding = (self.meaning == Meaning::Plain).then_some(0);
        let mut archive = tar::Archive::new(Metered { inner: tar, budget: budget.clone(), padding });
        let read = |source| Error::ReadTar { source };
        for entry in archive.entries().map_err(read)? {
            let mut entry = entry.map_err(read)?;
            budget.set(u64::MAX);
            self.entry(&mut entry)?;
            // Content that nobody wanted is read here, not by the iterator, whose reads are metered as metadata.
            io::copy(&mut entry, &mut io::sink()).map_err(read)?;
            budget.set(MAX_METADATA);
        }
        Ok(self.target)
    }

    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), Error> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        self.count(entry.size())?;
        let place = self.place(&entry.path_bytes())?;
        let attributes = Attributes::read(entry, &place)?;
        let Some(single) = place.name() else {
            return match kind {
                EntryType::Directory => self.target.root(&place, attributes),
                _ => Err(place.refuse("would replace the root directory")),
            };
        };
        if self.meaning == Meaning::Plain {
            return self.node(kind, &place, attributes, entry);
        }
        if single == OPAQUE_MARK {
            return self.target.opaque(&place);
        }
        if single.starts_with(AUFS_META) {
            return Ok(());
        }
        match single.strip_prefix(WHITEOUT) {
            Some(b"" | b"." | b"..") => Err(place.refuse("is a whiteout of nothing")),
            Some(hidden) => self.target.whiteout(&place, hidden),
            None => self.node(kind, &place, attributes, entry),
        }
    }

    fn place(&self, name: &[u8]) -> Result<Place, Error> {
        let place = Place::read(name, self.limits)?;
        Ok(match self.rename {
            Some((from, to)) => place.renamed(from.as_bytes(), to.as_bytes()),
            None => place,
        })
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

    fn node(
        &mut self,
        kind: EntryType,
        place: &Place,
        attributes: Attributes,
        entry: &mut tar::Entry<'_, impl Read>,
    ) -> Result<(), Error> {
        match kind {
            EntryType::Directory => self.target.directory(place, attributes),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let (position, size) = (entry.raw_file_position(), entry.size());
                let sparse = kind == EntryType::GNUSparse;
                self.target.file(place, attributes, Content { position, size, sparse, bytes: entry })
            }
            EntryType::Symlink => {
                let target = link_target(entry, place)?;
                if target.is_empty() || target.len() > self.limits.path {
                    return Err(place.refuse("is a link whose target is empty or too long"));
                }
                self.target.symlink(place, attributes, target)
            }
            EntryType::Link => {
                let original = self.place(&link_target(entry, place)?)?;
                self.target.hard_link(place, &original)
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                self.target.special(place, attributes, special(kind, place, entry)?)
            }
            _ => Err(place.refuse("is of a kind that a layer can't have")),
        }
    }
}

fn link_target(entry: &tar::Entry<'_, impl Read>, place: &Place) -> Result<Vec<u8>, Error> {
    match entry.link_name_bytes() {
        Some(target) if !target.contains(&0) => Ok(target.into_owned()),
        _ => Err(place.refuse("is a link without a usable target")),
    }
}

fn special(kind: EntryType, place: &Place, entry: &tar::Entry<'_, impl Read>) -> Result<Special, Error> {
    let number = |part: io::Result<Option<u32>>| part.ok().flatten().unwrap_or(0);
    let (major, minor) = (number(entry.header().device_major()), number(entry.header().device_minor()));
    match kind {
        EntryType::Fifo => Ok(Special::Fifo),
        EntryType::Block => Ok(Special::Block { major, minor }),
        // Overlayfs would take it for a whiteout.
        _ if (major, minor) == (0, 0) => Err(place.refuse("is a device 0:0, which is not for images to use")),
        _ => Ok(Special::Character { major, minor }),
    }
}

/// Stops a header that claims gigabytes of name from being read into memory.
struct Metered<R> {
    inner: R,
    budget: Rc<Cell<u64>>,
    /// How far into its last block the archive is, where that need not be whole: what the docker CLI sends to the classic builder
    /// with a Dockerfile from outside the context ends with the last file's content.
    padding: Option<usize>,
}

/// What headers and content are padded to.
const BLOCK: usize = 512;

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = self.inner.read(buffer)?;
        if let Some(within) = &mut self.padding {
            let is_between = self.budget.get() <= MAX_METADATA;
            if count == 0 && *within > 0 && is_between {
                count = buffer.len().min(BLOCK - *within);
                buffer[..count].fill(0);
            }
            *within = (*within + count) % BLOCK;
        }
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

#[cfg(test)]
mod tests;
