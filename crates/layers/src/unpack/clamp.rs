//! A layer's tar with times that aren't later than one: what `SOURCE_DATE_EPOCH` makes of it.

use std::io::{Read, Write};

use super::{Attributes, Content, Place, Special, Target, Unpacker};
use crate::pack::{About, Composer, What};
use crate::{Error, Limits};

/// Writes a layer's tar again, with each time that is later than `latest` (in seconds since 1970) as that one.
pub fn clamp_times(tar: impl Read, latest: i64, out: &mut dyn Write, limits: &Limits) -> Result<(), Error> {
    let target = Clamping { composer: Composer::new(out), latest };
    Unpacker::new(target, limits).unpack(tar)?.composer.finish()
}

struct Clamping<'a> {
    composer: Composer<'a>,
    latest: i64,
}

impl Clamping<'_> {
    fn put(&mut self, place: &Place, attributes: &Attributes, what: What<'_>) -> Result<(), Error> {
        let times = attributes.times;
        let time = match times.seconds >= self.latest {
            true => (self.latest, 0),
            false => (times.seconds, u32::try_from(times.nanoseconds).unwrap_or(0)),
        };
        let xattr = |(name, value): &(String, Vec<u8>)| (name.clone().into_bytes(), value.clone());
        let mut xattrs: Vec<_> = attributes.xattrs.iter().map(xattr).collect();
        xattrs.sort_unstable();
        let (mode, uid, gid) = (attributes.mode, attributes.uid, attributes.gid);
        self.composer.put(&place.path(), &About { mode, uid, gid, time, xattrs }, what)
    }
}

impl Target for Clamping<'_> {
    fn root(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        self.put(place, &attributes, What::Directory)
    }

    fn directory(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        self.put(place, &attributes, What::Directory)
    }

    fn file(&mut self, place: &Place, attributes: Attributes, content: Content<'_>) -> Result<(), Error> {
        self.put(place, &attributes, What::File { size: content.size, content: content.bytes })
    }

    fn symlink(&mut self, place: &Place, attributes: Attributes, target: Vec<u8>) -> Result<(), Error> {
        self.put(place, &attributes, What::Symlink { to: &target })
    }

    fn hard_link(&mut self, place: &Place, original: &Place) -> Result<(), Error> {
        self.composer.put(&place.path(), &About::default(), What::Link { to: &original.path() })
    }

    fn special(&mut self, place: &Place, attributes: Attributes, kind: Special) -> Result<(), Error> {
        let what = match kind {
            Special::Fifo => What::Fifo,
            Special::Block { major, minor } => What::Device { block: true, major, minor },
            Special::Character { major, minor } => What::Device { block: false, major, minor },
        };
        self.put(place, &attributes, what)
    }

    fn whiteout(&mut self, place: &Place, hidden: &[u8]) -> Result<(), Error> {
        self.composer.gone(&place.beside(hidden))
    }

    fn opaque(&mut self, place: &Place) -> Result<(), Error> {
        self.composer.opaque(&place.parent_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_never_later_and_all_else_stays() {
        let limits = Limits::default();
        let about = |seconds| About {
            mode: 0o4751,
            uid: 7,
            gid: 8,
            time: (seconds, 5),
            xattrs: vec![(b"user.a".to_vec(), b"b".to_vec())],
        };
        let write = |later: i64| {
            let mut out = Vec::new();
            let mut composer = Composer::new(&mut out);
            composer.put(b"", &about(later), What::Directory).unwrap();
            composer.put(b"d", &about(later), What::Directory).unwrap();
            composer.put(b"d/old", &about(3), What::File { size: 3, content: &mut &b"abc"[..] }).unwrap();
            composer.put(b"d/new", &about(later), What::File { size: 3, content: &mut &b"def"[..] }).unwrap();
            composer.put(b"d/link", &About::default(), What::Link { to: b"d/new" }).unwrap();
            composer.put(b"d/sym", &about(later), What::Symlink { to: b"/x" }).unwrap();
            composer.put(b"d/fifo", &about(later), What::Fifo).unwrap();
            composer.put(b"d/dev", &about(later), What::Device { block: false, major: 1, minor: 5 }).unwrap();
            composer.gone(b"d/gone").unwrap();
            composer.opaque(b"d").unwrap();
            composer.finish().unwrap();
            out
        };
        let clamped = |tar: Vec<u8>| {
            let mut out = Vec::new();
            clamp_times(&tar[..], 1000, &mut out, &limits).unwrap();
            out
        };
        let early = clamped(write(5000));
        assert_eq!(early, clamped(write(999_999)));
        // What is early enough is the very same.
        assert_eq!(clamped(write(3)), write(3));
        let mut archive = tar::Archive::new(&early[..]);
        let times: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().header().mtime().unwrap()).collect();
        assert!(
            times.iter().all(|time| *time <= 1000) && times.contains(&1000) && times.contains(&3),
            "{times:?}"
        );
    }
}
