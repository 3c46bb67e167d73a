//! A tar into a directory that others use: what `cp` does.
//!
//! The directory may be in a container that runs and means harm. Nothing is reached but beneath its descriptor, and by
//! the same steps as in a layer.

use std::io::Read;
use std::os::fd::BorrowedFd;

use super::place::Found;
use super::{Attributes, Content, Disk, Place, Special, Target, Times, Unpacker};
use crate::{Error, IdMap, Limits};

/// Whose the files are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Who the tar says.
    Archive,
    /// Who the tar says, as the host numbers a container's.
    Containers(IdMap),
    /// All this one's.
    All { uid: u32, gid: u32 },
    /// Whoever extracts.
    Caller,
}

/// Whether a directory may take the place of something else, and something else that of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    Anything,
    SameKind,
}

/// How a tar is extracted.
#[derive(Debug, Clone)]
pub struct Extract {
    pub owner: Owner,
    pub overwrite: Overwrite,
    /// What the names' first component is, and what it is to be. `.` is before every name.
    pub rename: Option<(String, String)>,
    /// What the directory is called, for errors.
    pub shown: String,
}

/// Extracts a tar, uncompressed, into a directory.
pub fn extract(tar: impl Read, into: BorrowedFd<'_>, how: &Extract, limits: &Limits) -> Result<(), Error> {
    let target = Extracting { disk: Disk::new(into, limits), how, top: Top::Kept };
    Unpacker::plain(target, how.rename.as_ref(), limits).unpack(tar)?.disk.finish()
}

/// Extracts a tar, uncompressed, into a directory that becomes what the tar says of its top.
pub fn restore(tar: impl Read, into: BorrowedFd<'_>, limits: &Limits) -> Result<(), Error> {
    let how =
        Extract { owner: Owner::Archive, overwrite: Overwrite::Anything, rename: None, shown: String::new() };
    let target = Extracting { disk: Disk::new(into, limits), how: &how, top: Top::FromArchive };
    Unpacker::plain(target, None, limits).unpack(tar)?.disk.finish()
}

/// Extracts a tar, uncompressed, into an empty directory. What the tar doesn't name is as old as what first went into it, so that
/// the same tar is the same tree on another day.
pub fn extract_anew(
    tar: impl Read,
    into: BorrowedFd<'_>,
    how: &Extract,
    limits: &Limits,
) -> Result<(), Error> {
    let target = Extracting { disk: Disk::new(into, limits), how, top: Top::New };
    let mut disk = Unpacker::plain(target, how.rename.as_ref(), limits).unpack(tar)?.disk;
    disk.age_missing(b"", Times::default());
    disk.finish()
}

/// Whose the directory is that everything goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Top {
    /// It was there before, and stays what it was.
    Kept,
    FromArchive,
    /// It was made for the archive, and takes nothing of it but its age.
    New,
}

struct Extracting<'a> {
    disk: Disk<'a>,
    how: &'a Extract,
    top: Top,
}

impl Extracting<'_> {
    /// Directories above an entry, of which the tar said nothing so far.
    fn age_parents(&mut self, place: &Place, times: Times) {
        if self.top != Top::New || self.disk.has_age(&place.parent_path()) {
            return;
        }
        let parents = place.parents();
        for end in 0..=parents.len() {
            self.disk.age_missing(&parents[..end].join(&b'/'), times);
        }
    }

    fn owned(&self, attributes: Attributes) -> Attributes {
        match &self.how.owner {
            Owner::Archive => attributes,
            Owner::Containers(ids) => {
                let (uid, gid) = ids.on_host(attributes.uid, attributes.gid);
                Attributes { uid, gid, ..attributes }
            }
            Owner::All { uid, gid } => Attributes { uid: *uid, gid: *gid, ..attributes },
            Owner::Caller => Attributes { owned: false, ..attributes },
        }
    }

    /// Refuses what would replace a directory by something else or the other way round.
    fn check(&self, place: &Place, directory: bool) -> Result<(), Error> {
        if self.how.overwrite == Overwrite::Anything {
            return Ok(());
        }
        let parent = self.disk.tree.parent(place)?;
        let (found, by) = match (self.disk.tree.find(&parent, place)?, directory) {
            (Found::Directory, false) => ("directory", "non-directory"),
            (Found::Other | Found::Whiteout, true) => ("non-directory", "directory"),
            _ => return Ok(()),
        };
        Err(Error::Overwrite { found, name: place.shown(), by, into: self.how.shown.clone() })
    }
}

impl Target for Extracting<'_> {
    fn root(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        match self.top {
            Top::Kept => Ok(()),
            Top::FromArchive => self.disk.root(place, attributes),
            Top::New => {
                self.disk.age(&[], attributes.times);
                Ok(())
            }
        }
    }

    fn directory(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        self.check(place, true)?;
        self.age_parents(place, attributes.times);
        let attributes = self.owned(attributes);
        self.disk.directory(place, attributes)
    }

    fn file(&mut self, place: &Place, attributes: Attributes, content: Content<'_>) -> Result<(), Error> {
        self.check(place, false)?;
        self.age_parents(place, attributes.times);
        let attributes = self.owned(attributes);
        self.disk.file(place, attributes, content)
    }

    fn symlink(&mut self, place: &Place, attributes: Attributes, target: Vec<u8>) -> Result<(), Error> {
        self.check(place, false)?;
        self.age_parents(place, attributes.times);
        let attributes = self.owned(attributes);
        self.disk.symlink(place, attributes, target)
    }

    fn hard_link(&mut self, place: &Place, original: &Place) -> Result<(), Error> {
        self.check(place, false)?;
        self.disk.hard_link(place, original)
    }

    fn special(&mut self, place: &Place, attributes: Attributes, kind: Special) -> Result<(), Error> {
        self.check(place, false)?;
        self.age_parents(place, attributes.times);
        let attributes = self.owned(attributes);
        self.disk.special(place, attributes, kind)
    }

    fn whiteout(&mut self, place: &Place, _: &[u8]) -> Result<(), Error> {
        Err(place.refuse("is a whiteout, which only layers have"))
    }

    fn opaque(&mut self, place: &Place) -> Result<(), Error> {
        Err(place.refuse("is a whiteout, which only layers have"))
    }
}
