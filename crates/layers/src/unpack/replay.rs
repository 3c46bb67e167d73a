//! A layer's tar, done once more on a directory that shows what is below it: what is taken away there is gone, and what is
//! brought is written.

use std::io::Read;
use std::os::fd::BorrowedFd;

use super::{Attributes, Content, Disk, Place, Special, Target, Unpacker};
use crate::{Error, Limits};

/// Does to a directory what a layer does to the layers below. The tar is read twice: what a layer takes away is the layers'
/// below, wherever in the tar it says so.
pub fn replay<R: Read>(
    open: impl Fn() -> Result<R, Error>,
    into: BorrowedFd<'_>,
    limits: &Limits,
) -> Result<(), Error> {
    let disk = || Disk::new(into, limits);
    Unpacker::new(Replaying { disk: disk(), adds: false }, limits).unpack(open()?)?;
    Unpacker::new(Replaying { disk: disk(), adds: true }, limits).unpack(open()?)?.disk.finish()
}

struct Replaying<'a> {
    disk: Disk<'a>,
    /// Either what it brings, or what it takes away.
    adds: bool,
}

impl Target for Replaying<'_> {
    fn root(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        if self.adds { self.disk.root(place, attributes) } else { Ok(()) }
    }

    fn directory(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        if self.adds { self.disk.directory(place, attributes) } else { Ok(()) }
    }

    fn file(&mut self, place: &Place, attributes: Attributes, content: Content<'_>) -> Result<(), Error> {
        if self.adds { self.disk.file(place, attributes, content) } else { Ok(()) }
    }

    fn symlink(&mut self, place: &Place, attributes: Attributes, target: Vec<u8>) -> Result<(), Error> {
        if self.adds { self.disk.symlink(place, attributes, target) } else { Ok(()) }
    }

    fn hard_link(&mut self, place: &Place, original: &Place) -> Result<(), Error> {
        if self.adds { self.disk.hard_link(place, original) } else { Ok(()) }
    }

    fn special(&mut self, place: &Place, attributes: Attributes, kind: Special) -> Result<(), Error> {
        if self.adds { self.disk.special(place, attributes, kind) } else { Ok(()) }
    }

    fn whiteout(&mut self, place: &Place, hidden: &[u8]) -> Result<(), Error> {
        if self.adds { Ok(()) } else { self.disk.tree.take_away(place, hidden) }
    }

    fn opaque(&mut self, place: &Place) -> Result<(), Error> {
        if self.adds { Ok(()) } else { self.disk.tree.empty(place) }
    }
}
