//! The tar's own format: a ustar header, and a PAX one before it where that can't hold something.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::fs::{FileType, SeekFrom, Stat};
use rustix::io::Errno;
use tar::{EntryType, Header};

use super::node::{Node, Xattrs};
use crate::{Error, IdMap};

const BLOCK: u64 = 512;
/// What a ustar header's octal fields can hold.
const MAX_ID: u64 = 0o7_777_777;
const MAX_SIZE: u64 = 0o77_777_777_777;
static ZEROS: [u8; 8 * 1024] = [0; 8 * 1024];

/// Writes entries one after the other.
pub(super) struct Writer<'a> {
    out: &'a mut dyn Write,
    /// The first name of each file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
    ids: IdMap,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self::with_owners(out, IdMap::default())
    }

    /// The owners are written as the container knows them, whose map it is.
    pub(super) fn with_owners(out: &'a mut dyn Write, ids: IdMap) -> Self {
        Self { out, names: HashMap::new(), buffer: vec![0; 128 * 1024], ids }
    }

    fn described(&self, name: &[u8], stat: &Stat) -> Entry {
        let (uid, gid) = self.ids.inside(stat.st_uid, stat.st_gid);
        Entry { owner: (uid.into(), gid.into()), ..Entry::of(name, stat) }
    }

    /// A file, directory, link or device as it is. Sockets are nothing in a tar.
    pub(super) fn node(&mut self, name: &[u8], node: &Node) -> Result<(), Error> {
        let stat = node.stat();
        let mut entry = Entry { xattrs: node.xattrs(name)?, ..self.described(name, stat) };
        match node.kind() {
            FileType::Directory => {
                let entry = self.folder(name, node)?;
                return self.header(&entry);
            }
            FileType::RegularFile => return self.file(entry, node),
            FileType::Symlink => {
                entry.kind = EntryType::Symlink;
                entry.target = node.target(name)?;
            }
            FileType::Fifo => entry.kind = EntryType::Fifo,
            FileType::CharacterDevice => entry.device(EntryType::Char, stat),
            FileType::BlockDevice => entry.device(EntryType::Block, stat),
            FileType::Socket | FileType::Unknown => return Ok(()),
        }
        self.linked_or(&entry, stat)
    }

    /// A directory's entry, to be written now or later.
    pub(super) fn folder(&self, name: &[u8], node: &Node) -> Result<Entry, Error> {
        let mut entry = self.described(name, node.stat());
        entry.kind = EntryType::Directory;
        entry.xattrs = node.xattrs(name)?;
        if !entry.name.ends_with(b"/") {
            entry.name.push(b'/');
        }
        Ok(entry)
    }

    pub(super) fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        self.header(entry)
    }

    /// A file whose content is read from somewhere: as many bytes as the header says.
    pub(super) fn stream(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        self.header(entry)?;
        let mut left = entry.size;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            match content.read(&mut self.buffer[..want]) {
                Ok(0) => break,
                Ok(count) => {
                    self.out.write_all(&self.buffer[..count]).map_err(written)?;
                    left -= count as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::pack("read", &entry.name, e)),
            }
        }
        self.zeros(left)?;
        let over = entry.size % BLOCK;
        self.zeros(if over == 0 { 0 } else { BLOCK - over })
    }

    /// An empty file of a meaning of its own.
    pub(super) fn mark(&mut self, name: &[u8]) -> Result<(), Error> {
        self.header(&Entry { name: name.to_vec(), ..Entry::default() })
    }

    /// The end-of-archive mark.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.out.write_all(&ZEROS[..2 * BLOCK as usize]).and_then(|()| self.out.flush()).map_err(written)
    }

    /// The entry, or one that says that the file has been here under another name.
    fn linked_or(&mut self, entry: &Entry, stat: &Stat) -> Result<(), Error> {
        match self.earlier(entry, stat) {
            Some(link) => self.header(&link),
            None => self.header(entry),
        }
    }

    fn earlier(&mut self, entry: &Entry, stat: &Stat) -> Option<Entry> {
        if entry.kind == EntryType::Directory || stat.st_nlink < 2 {
            return None;
        }
        match self.names.entry((stat.st_dev, stat.st_ino)) {
            std::collections::hash_map::Entry::Vacant(first) => {
                first.insert(entry.name.clone());
                None
            }
            std::collections::hash_map::Entry::Occupied(first) => {
                let target = first.get().clone();
                Some(Entry { kind: EntryType::Link, target, size: 0, xattrs: Vec::new(), ..entry.clone() })
            }
        }
    }

    fn file(&mut self, mut entry: Entry, node: &Node) -> Result<(), Error> {
        if let Some(link) = self.earlier(&entry, node.stat()) {
            return self.header(&link);
        }
        entry.size = node.size();
        self.header(&entry)?;
        self.content(&entry, node)?;
        let over = entry.size % BLOCK;
        self.zeros(if over == 0 { 0 } else { BLOCK - over })
    }

    /// Exactly as many bytes as the header says: a file may grow or shrink while it is read. Holes are written as zeros
    /// without being read.
    fn content(&mut self, entry: &Entry, node: &Node) -> Result<(), Error> {
        let (fd, size) = (node.fd().as_fd(), entry.size);
        let mut at = 0;
        if !node.may_have_holes() {
            at = self.copy(node, 0, size, &entry.name)?;
        }
        while at < size {
            let data = match rustix::fs::seek(fd, SeekFrom::Data(at)) {
                Ok(data) => data.min(size),
                // Nothing but a hole up to the end, or the file is shorter by now.
                Err(Errno::NXIO) => size,
                // No such thing as holes here.
                Err(_) => at,
            };
            self.zeros(data - at)?;
            at = data;
            if at == size {
                break;
            }
            let hole = rustix::fs::seek(fd, SeekFrom::Hole(at)).map_or(size, |hole| hole.min(size)).max(at);
            let hole = if hole == at { size } else { hole };
            at = self.copy(node, at, hole, &entry.name)?;
        }
        Ok(())
    }

    fn copy(&mut self, node: &Node, from: u64, to: u64, name: &[u8]) -> Result<u64, Error> {
        let (fd, kernels) = (node.fd(), || node.is_kernels());
        let mut at = from;
        while at < to {
            let want = usize::try_from(to - at).unwrap_or(usize::MAX).min(self.buffer.len());
            match rustix::io::pread(fd, &mut self.buffer[..want], at) {
                Ok(0) => {
                    self.zeros(to - at)?;
                    return Ok(to);
                }
                Ok(count) => {
                    self.out.write_all(&self.buffer[..count]).map_err(written)?;
                    at += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(_) if kernels() => {
                    self.zeros(to - at)?;
                    return Ok(to);
                }
                Err(e) => return Err(Error::pack("read", name, e)),
            }
        }
        Ok(at)
    }

    fn zeros(&mut self, mut count: u64) -> Result<(), Error> {
        while count > 0 {
            let piece = count.min(ZEROS.len() as u64);
            self.out.write_all(&ZEROS[..piece as usize]).map_err(written)?;
            count -= piece;
        }
        Ok(())
    }

    fn header(&mut self, entry: &Entry) -> Result<(), Error> {
        let records = entry.records();
        if !records.is_empty() {
            let pax = Entry {
                name: b"PaxHeaders.0/x".to_vec(),
                size: records.len() as u64,
                kind: EntryType::XHeader,
                ..Entry::default()
            };
            self.out.write_all(pax.header().as_bytes()).map_err(written)?;
            self.out.write_all(&records).map_err(written)?;
            let over = pax.size % BLOCK;
            self.zeros(if over == 0 { 0 } else { BLOCK - over })?;
        }
        self.out.write_all(entry.header().as_bytes()).map_err(written)
    }
}

fn written(source: io::Error) -> Error {
    Error::WriteTar { source }
}

/// What one header says.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) kind: EntryType,
    pub(super) name: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    pub(super) size: u64,
    /// Seconds and nanoseconds after them.
    pub(super) time: (i64, u32),
    pub(super) numbers: (u32, u32),
    pub(super) xattrs: Xattrs,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            kind: EntryType::Regular,
            name: Vec::new(),
            target: Vec::new(),
            mode: 0o600,
            owner: (0, 0),
            size: 0,
            time: (0, 0),
            numbers: (0, 0),
            xattrs: Vec::new(),
        }
    }
}

impl Entry {
    fn of(name: &[u8], stat: &Stat) -> Self {
        Self {
            name: name.to_vec(),
            mode: stat.st_mode & 0o7777,
            time: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
            ..Self::default()
        }
    }

    fn device(&mut self, kind: EntryType, stat: &Stat) {
        self.kind = kind;
        self.numbers = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    }

    /// What a ustar header can't say.
    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
        if self.name.len() > 100 || !self.name.is_ascii() {
            add(b"path", &self.name);
        }
        if self.target.len() > 100 || !self.target.is_ascii() {
            add(b"linkpath", &self.target);
        }
        for (key, value, most) in
            [("size", self.size, MAX_SIZE), ("uid", self.owner.0, MAX_ID), ("gid", self.owner.1, MAX_ID)]
        {
            if value > most {
                add(key.as_bytes(), value.to_string().as_bytes());
            }
        }
        if self.time.1 != 0 || !(0..=MAX_SIZE as i64).contains(&self.time.0) {
            add(b"mtime", seconds(self.time).as_bytes());
        }
        for (name, value) in &self.xattrs {
            add(&[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        records
    }

    fn header(&self) -> Header {
        let mut header = Header::new_ustar();
        let fits = |value: u64, most: u64| if value > most { 0 } else { value };
        {
            let raw = header.as_old_mut();
            // A name that is cut off here stands whole in the PAX header.
            let cut = |text: &[u8], field: &mut [u8; 100]| {
                let length = text.len().min(field.len());
                field[..length].copy_from_slice(&text[..length]);
            };
            cut(&self.name, &mut raw.name);
            cut(&self.target, &mut raw.linkname);
        }
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(fits(self.owner.0, MAX_ID));
        header.set_gid(fits(self.owner.1, MAX_ID));
        header.set_size(fits(self.size, MAX_SIZE));
        header.set_mtime(fits(u64::try_from(self.time.0).unwrap_or_default(), MAX_SIZE));
        // They are far below what the fields can hold.
        let _ = header.set_device_major(self.numbers.0);
        let _ = header.set_device_minor(self.numbers.1);
        header.set_cksum();
        header
    }
}

/// PAX's decimal seconds. Before the epoch the fraction counts down: `-1.5` is 500 ms before `-1`.
fn seconds((seconds, nanoseconds): (i64, u32)) -> String {
    let (sign, whole, fraction) = match seconds < 0 && nanoseconds > 0 {
        true => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds),
        false => (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs(), nanoseconds),
    };
    match fraction {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction:09}").trim_end_matches('0').to_owned(),
    }
}

/// `length key=value\n`, where the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [1, 85, 86, 87, 985, 990] {
            let mut records = Vec::new();
            record(&mut records, b"key", &vec![b'v'; length]);
            let said: usize = String::from_utf8_lossy(&records).split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, records.len());
        }
    }

    #[test]
    fn times_before_the_epoch_count_down() {
        assert_eq!(seconds((1, 500_000_000)), "1.5");
        assert_eq!(seconds((-2, 500_000_000)), "-1.5");
        assert_eq!(seconds((-1, 500_000_000)), "-0.5");
        assert_eq!(seconds((-3, 0)), "-3");
    }
}
