//! A tar of things that are on no disk as they stand in it: what a build's steps copy, make and remove.

use std::io::{Read, Write};

use tar::EntryType;

use super::changes::{OPAQUE_MARK, WHITEOUT, expressible};
use super::header::{Entry, Writer};
use super::name_below;
use crate::Error;

/// What is said of something in a tar, but for what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct About {
    /// The twelve bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970 and nanoseconds after them.
    pub time: (i64, u32),
    /// Sorted by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What it is.
pub enum What<'a> {
    Directory,
    /// So many bytes of this. Fewer are filled up with zeros, more are left out.
    File {
        size: u64,
        content: &'a mut dyn Read,
    },
    /// Another name of a file that was written before.
    Link {
        to: &'a [u8],
    },
    Symlink {
        to: &'a [u8],
    },
    Fifo,
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
}

/// Writes a layer entry by entry. Names are relative, each after the directories that it is in.
pub struct Composer<'a>(Writer<'a>);

impl<'a> Composer<'a> {
    /// A tar into `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self(Writer::new(out))
    }

    /// Something with a name. An empty one is the root directory's.
    pub fn put(&mut self, name: &[u8], about: &About, what: What<'_>) -> Result<(), Error> {
        expressible(name)?;
        let mut entry = Entry {
            name: if name.is_empty() { b"./".to_vec() } else { name.to_vec() },
            mode: about.mode & 0o7777,
            owner: (about.uid.into(), about.gid.into()),
            time: about.time,
            xattrs: about.xattrs.clone(),
            ..Entry::default()
        };
        match what {
            What::Directory => {
                entry.kind = EntryType::Directory;
                if !entry.name.ends_with(b"/") {
                    entry.name.push(b'/');
                }
            }
            What::File { size, content } => {
                entry.size = size;
                return self.0.stream(&entry, content);
            }
            What::Link { to } => {
                (entry.kind, entry.target) = (EntryType::Link, to.to_vec());
                entry.xattrs.clear();
            }
            What::Symlink { to } => (entry.kind, entry.target) = (EntryType::Symlink, to.to_vec()),
            What::Fifo => entry.kind = EntryType::Fifo,
            What::Device { block, major, minor } => {
                entry.kind = if block { EntryType::Block } else { EntryType::Char };
                entry.numbers = (major, minor);
            }
        }
        self.0.entry(&entry)
    }

    /// What the layers below have under this name is gone.
    pub fn gone(&mut self, name: &[u8]) -> Result<(), Error> {
        let at = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        self.0.mark(&[&name[..at], WHITEOUT, &name[at..]].concat())
    }

    /// Nothing of what the layers below have in this directory is seen.
    pub fn opaque(&mut self, name: &[u8]) -> Result<(), Error> {
        self.0.mark(&name_below(name, OPAQUE_MARK))
    }

    /// The end-of-archive mark.
    pub fn finish(self) -> Result<(), Error> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_composed_is_what_a_tar_reader_finds() {
        let about = About { mode: 0o640, uid: 7, gid: 8, time: (5, 500_000_000), xattrs: Vec::new() };
        let mut out = Vec::new();
        let mut composer = Composer::new(&mut out);
        composer.put(b"d", &About { mode: 0o755, ..About::default() }, What::Directory).unwrap();
        composer.put(b"d/short", &about, What::File { size: 600, content: &mut &b"abc"[..] }).unwrap();
        composer.put(b"d/link", &about, What::Link { to: b"d/short" }).unwrap();
        composer.opaque(b"d").unwrap();
        composer.gone(b"d/old").unwrap();
        composer.finish().unwrap();
        let mut archive = tar::Archive::new(&out[..]);
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.push((String::from_utf8(entry.path_bytes().into_owned()).unwrap(), content.len()));
        }
        let expected = [("d/", 0), ("d/short", 600), ("d/link", 0), ("d/.wh..wh..opq", 0), ("d/.wh.old", 0)];
        assert_eq!(found, expected.map(|(name, size)| (name.to_owned(), size)));
    }

    #[test]
    fn a_name_that_means_a_deletion_is_refused() {
        let mut out = Vec::new();
        let mut composer = Composer::new(&mut out);
        assert!(composer.put(b"a/.wh.b", &About::default(), What::Fifo).is_err());
    }
}
