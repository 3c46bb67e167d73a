//! One suite for all drivers: the same tar gives the same tree.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

mod headers;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use layers::{Directories, Driver, IndexedTars, Limits};
use proptest::prelude::*;
use rustix::fs::{Mode, OFlags};
use tar::{Builder, EntryType, Header};

/// Everything that a program could tell two trees apart by, but for inode numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    /// Folders that only their content implies have no times of their own.
    time: Option<(i64, i64)>,
    device: u64,
    links: u64,
    content: Vec<u8>,
    xattrs: BTreeMap<String, Vec<u8>>,
    /// The first path with the same inode.
    same_as: PathBuf,
}

#[derive(Default)]
struct Tar {
    builder: Option<Builder<Vec<u8>>>,
    folders: Vec<PathBuf>,
}

impl Tar {
    fn builder(&mut self) -> &mut Builder<Vec<u8>> {
        self.builder.get_or_insert_with(|| Builder::new(Vec::new()))
    }

    fn add(&mut self, kind: EntryType, name: &[u8], target: &[u8], content: &[u8]) -> &mut Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o1751 } else { 0o6644 });
        header.set_uid(1000);
        header.set_gid(70_000);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        header.set_device_major(300).unwrap();
        header.set_device_minor(70_000).unwrap();
        header.set_cksum();
        self.builder().append(&header, content).unwrap();
        if kind == EntryType::Directory {
            self.folders.push(Path::new(OsStr::from_bytes(name)).components().collect());
        }
        self
    }

    fn file(&mut self, name: &str, content: &[u8]) -> &mut Self {
        self.add(EntryType::Regular, name.as_bytes(), b"", content)
    }

    fn dir(&mut self, name: &str) -> &mut Self {
        self.add(EntryType::Directory, name.as_bytes(), b"", b"")
    }

    fn link(&mut self, kind: EntryType, name: &str, target: &str) -> &mut Self {
        self.add(kind, name.as_bytes(), target.as_bytes(), b"")
    }

    fn pax(&mut self, records: &[(&str, &[u8])]) -> &mut Self {
        self.builder().append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.builder();
        self.builder.take().unwrap().into_inner().unwrap()
    }
}

/// A layer made by one driver, ready to be looked at.
fn lower(driver: &dyn Driver, tar: &[u8]) -> Result<(tempfile::TempDir, OwnedFd), String> {
    let folder = tempfile::tempdir().unwrap();
    let opened = rustix::fs::open(folder.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let text = |error: layers::Error| diag::chain(&error);
    driver.unpack(&mut &tar[..], opened.as_fd(), &Limits::default()).map_err(text)?;
    let lower = driver.lower(opened.as_fd()).map_err(text)?;
    Ok((folder, lower))
}

fn look(root: &OwnedFd, folders: &[PathBuf]) -> BTreeMap<PathBuf, Seen> {
    let base = PathBuf::from(format!("/proc/self/fd/{}/", root.as_raw_fd()));
    let mut seen = BTreeMap::new();
    let mut first: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let full = base.join(&path);
        let meta =
            if path.as_os_str().is_empty() { fs::metadata(&full) } else { fs::symlink_metadata(&full) };
        let meta = meta.unwrap();
        let kind = meta.file_type();
        if kind.is_dir() {
            let mut names: Vec<_> = fs::read_dir(&full).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            waiting.extend(names.iter().rev().map(|name| path.join(name)));
        }
        let content = match () {
            () if kind.is_symlink() => fs::read_link(&full).unwrap().as_os_str().as_bytes().to_vec(),
            () if kind.is_file() => fs::read(&full).unwrap(),
            () => Vec::new(),
        };
        let special = kind.is_block_device() || kind.is_char_device();
        let timed = !kind.is_dir() || folders.contains(&path);
        // A whiteout has no time that anybody sees.
        let timed = timed && !(kind.is_char_device() && meta.rdev() == 0);
        let same_as = first.entry(meta.ino()).or_insert_with(|| path.clone()).clone();
        let entry = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            time: timed.then(|| (meta.mtime(), meta.mtime_nsec())),
            device: if special { meta.rdev() } else { 0 },
            links: if kind.is_dir() { 0 } else { meta.nlink() },
            content,
            xattrs: xattrs(&full),
            same_as,
        };
        seen.insert(path, entry);
    }
    seen
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0_u8; 64 * 1024];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..length].split(|b| *b == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0_u8; 64 * 1024];
            let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
            (String::from_utf8_lossy(name).into_owned(), value[..length].to_vec())
        })
        .collect()
}

/// Both drivers take the tar and give the same tree, or both refuse it.
fn same(tar: &[u8], folders: &[PathBuf]) -> Option<BTreeMap<PathBuf, Seen>> {
    let (plain, indexed) = (lower(&Directories, tar), lower(&IndexedTars, tar));
    match (plain, indexed) {
        (Ok((_keep, plain)), Ok((_too, indexed))) => {
            let (expected, found) = (look(&plain, folders), look(&indexed, folders));
            for (path, expected) in &expected {
                assert_eq!(found.get(path), Some(expected), "{}", path.display());
            }
            assert_eq!(found.len(), expected.len());
            Some(found)
        }
        (Err(plain), Err(indexed)) => {
            assert_eq!(plain, indexed);
            None
        }
        (plain, indexed) => panic!("overlay: {:?}, erofs: {:?}", plain.err(), indexed.err()),
    }
}

#[test]
fn every_kind_of_entry_is_the_same() {
    let mut tar = Tar::default();
    tar.pax(&[("mtime", b"1700000001.123456789"), ("SCHILY.xattr.user.note", b"\0binary\xff")])
        .dir("usr")
        .dir("usr/bin")
        .pax(&[("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0")])
        .file("usr/bin/ping", &[7; 70_000])
        .file("empty", b"")
        .file("one", b"x")
        .file("block", &[1; 512])
        .link(EntryType::Symlink, "sbin", "usr/bin")
        .file("sbin/through", b"a link in the layer")
        .link(EntryType::Symlink, "dangling", "/no/where")
        .link(EntryType::Link, "ping2", "usr/bin/ping")
        .link(EntryType::Char, "tty", "")
        .link(EntryType::Block, "disk", "")
        .link(EntryType::Fifo, "pipe", "")
        .file(".wh.gone", b"")
        .file("usr/.wh..wh..opq", b"")
        .file("implied/parent/file", b"y");
    let folders = tar.folders.clone();
    let seen = same(&tar.bytes(), &folders).unwrap();
    assert_eq!(seen[Path::new("usr/bin/through")].content, b"a link in the layer");
    assert_eq!(seen[Path::new("usr")].xattrs["trusted.overlay.opaque"], b"y");
    assert_eq!(seen[Path::new("ping2")].links, 2);
}

#[test]
fn long_names_and_folders_of_many_blocks_are_the_same() {
    let mut tar = Tar::default();
    for number in 0..2000 {
        let name = format!("many/{number:05}-{}", "n".repeat(number % 240));
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(5);
        header.set_size(5);
        tar.builder().append_data(&mut header, &name, &b"12345"[..]).unwrap();
    }
    assert_eq!(same(&tar.bytes(), &[]).unwrap().len(), 2002);
}

#[test]
fn what_one_refuses_the_other_refuses_in_the_same_words() {
    for (kind, name, target) in [
        (EntryType::Regular, "../out", ""),
        (EntryType::Link, "hard", "missing"),
        (EntryType::Link, "hard", "../../etc/passwd"),
        (EntryType::Regular, ".wh..", ""),
        (EntryType::Regular, ".wh.", ""),
        (EntryType::Symlink, "nowhere", ""),
        (EntryType::Regular, "./", ""),
    ] {
        let mut tar = Tar::default();
        tar.link(kind, name, target);
        assert!(same(&tar.bytes(), &[]).is_none(), "{name} {target}");
    }
}

#[test]
fn an_empty_layer_is_an_empty_folder() {
    assert_eq!(same(&[0; 1024], &[]).unwrap().len(), 1);
    // So is what doesn't even have an end.
    assert_eq!(same(&[], &[]).unwrap().len(), 1);
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof!["a", "b", "c", "d"], 1..4).prop_map(|parts| parts.join("/"))
}

fn entry() -> impl Strategy<Value = (EntryType, String, String, usize)> {
    let kind = prop_oneof![
        4 => Just(EntryType::Regular),
        4 => Just(EntryType::Directory),
        2 => Just(EntryType::Symlink),
        2 => Just(EntryType::Link),
        1 => Just(EntryType::Fifo),
    ];
    let name = prop_oneof![
        8 => path(),
        1 => path().prop_map(|n| match n.rsplit_once('/') {
            Some((folder, last)) => format!("{folder}/.wh.{last}"),
            None => format!(".wh.{n}"),
        }),
        1 => path().prop_map(|n| format!("{n}/.wh..wh..opq")),
    ];
    let target =
        prop_oneof![path(), path().prop_map(|n| format!("/{n}")), path().prop_map(|n| format!("../{n}"))];
    (kind, name, target, 0..1500_usize)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_entries_gives_the_same_tree(entries in prop::collection::vec(entry(), 0..24)) {
        let mut tar = Tar::default();
        for (kind, name, target, size) in entries {
            let content = if kind == EntryType::Regular { vec![b'x'; size] } else { Vec::new() };
            let target = if matches!(kind, EntryType::Symlink | EntryType::Link) { target } else { String::new() };
            tar.add(kind, name.as_bytes(), target.as_bytes(), &content);
        }
        same(&tar.bytes(), &[]);
    }
}
