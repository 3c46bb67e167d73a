//! What is packed is what was there: a container's changes, as a layer, give the same tree again.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use layers::{Choice, Kind, LayerStore, Limits, Source, changes, pack_changes, pack_tree};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};

const OWN: &[&str] = &["etc", "etc/hosts"];

/// A container's root without a container.
struct Root {
    data: tempfile::TempDir,
    store: LayerStore,
    base: Vec<oci::Digest>,
}

impl Root {
    fn new(tar: &[u8]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = LayerStore::open(data.path(), Choice::Automatic, Limits::default()).unwrap();
        let base = vec![store.apply(tar, None).unwrap().diff_id];
        for folder in ["upper", "work"] {
            fs::create_dir(data.path().join(folder)).unwrap();
        }
        Self { data, store, base }
    }

    fn mounted(&self) -> OwnedFd {
        self.store
            .mount_root(&self.base, &self.data.path().join("upper"), &self.data.path().join("work"))
            .unwrap()
    }

    fn upper(&self) -> OwnedFd {
        rustix::fs::open(self.data.path().join("upper"), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .unwrap()
    }

    fn pack(&self) -> Vec<u8> {
        let lower = self.store.mount_read_only(&self.base).unwrap();
        let mut tar = Vec::new();
        pack_changes((self.upper().as_fd(), Source::Live), lower.as_fd(), OWN, &mut tar, &Limits::default())
            .unwrap();
        tar
    }

    fn changes(&self) -> Vec<String> {
        let lower = self.store.mount_read_only(&self.base).unwrap();
        let found = changes(self.upper().as_fd(), lower.as_fd(), OWN, &Limits::default()).unwrap();
        let letter = |kind| match kind {
            Kind::Changed => 'C',
            Kind::Added => 'A',
            Kind::Deleted => 'D',
        };
        found.iter().map(|c| format!("{} {}", letter(c.kind), String::from_utf8_lossy(&c.path))).collect()
    }

    /// The tree that the image and the packed layer make together.
    fn committed(&self) -> BTreeMap<PathBuf, String> {
        let tar = self.pack();
        assert_eq!(tar, self.pack(), "the same bytes each time");
        let mut layers = self.base.clone();
        layers.push(self.store.apply(&tar[..], None).unwrap().diff_id);
        look(&self.store.mount_read_only(&layers).unwrap())
    }
}

fn path_of(root: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/", root.as_raw_fd()))
}

/// All that a program could tell trees apart by, but for inode numbers and the root's own time.
fn look(root: &OwnedFd) -> BTreeMap<PathBuf, String> {
    let base = path_of(root);
    let mut seen = BTreeMap::new();
    let mut first: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let full = base.join(&path);
        let top = path.as_os_str().is_empty();
        let meta = if top { fs::metadata(&full) } else { fs::symlink_metadata(&full) }.unwrap();
        let kind = meta.file_type();
        if kind.is_socket() {
            continue;
        }
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
        let mut value = [0; 100];
        let note = rustix::fs::lgetxattr(&full, "user.note", &mut value).map(|n| value[..n].to_vec()).ok();
        let time = (!top).then(|| (meta.mtime(), meta.mtime_nsec()));
        let same = (!kind.is_dir())
            .then(|| first.entry((meta.dev(), meta.ino())).or_insert_with(|| path.clone()).clone());
        let device = if kind.is_char_device() { meta.rdev() } else { 0 };
        let facts = (meta.mode(), meta.uid(), meta.gid(), time, device, note, same);
        seen.insert(path, format!("{facts:?} {content:?}"));
    }
    seen
}

fn base() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("a/", None),
        ("a/b/", None),
        ("a/b/c", Some("c")),
        ("a/d", Some("dd")),
        ("c/", None),
        ("c/d", Some("x")),
        ("d", Some("y")),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_mode(if content.is_some() { 0o644 } else { 0o755 });
        header.set_entry_type(if content.is_some() {
            tar::EntryType::Regular
        } else {
            tar::EntryType::Directory
        });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        let content = content.unwrap_or_default();
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn every_kind_of_change_is_packed() {
    let root = Root::new(&base());
    let mount = root.mounted();
    let at = |name: &str| path_of(&mount).join(name);
    fs::write(at("new"), "n").unwrap();
    fs::hard_link(at("new"), at("new2")).unwrap();
    symlink("/no/where", at("link")).unwrap();
    fs::remove_file(at("a/d")).unwrap();
    fs::remove_dir_all(at("c")).unwrap();
    fs::create_dir(at("c")).unwrap();
    fs::write(at("c/e"), "e").unwrap();
    fs::write(at(&format!("{}é", "long".repeat(50))), "l").unwrap();
    rustix::fs::mknodat(
        CWD,
        at("dev"),
        FileType::CharacterDevice,
        Mode::RUSR,
        rustix::fs::makedev(300, 70_000),
    )
    .unwrap();
    rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    std::os::unix::net::UnixListener::bind(at("sock")).unwrap();
    rustix::fs::setxattr(at("new"), "user.note", b"\0x\xff", XattrFlags::empty()).unwrap();
    let old = Timestamps {
        last_access: Timespec { tv_sec: -1, tv_nsec: 500_000_000 },
        last_modification: Timespec { tv_sec: -1, tv_nsec: 500_000_000 },
    };
    rustix::fs::utimensat(CWD, at("new"), &old, rustix::fs::AtFlags::empty()).unwrap();
    let mut sparse = fs::File::create(at("sparse")).unwrap();
    sparse.write_all(b"start").unwrap();
    sparse.seek(SeekFrom::Start(3 << 20)).unwrap();
    sparse.write_all(b"middle").unwrap();
    sparse.set_len(5 << 20).unwrap();
    std::os::unix::fs::chown(at("sparse"), Some(3_000_000), Some(4_000_000)).unwrap();
    fs::set_permissions(at("a/b"), fs::Permissions::from_mode(0o1700)).unwrap();
    assert_eq!(root.committed(), look(&mount));
}

#[test]
fn what_differs_is_listed_as_docker_lists_it() {
    let root = Root::new(&base());
    let mount = root.mounted();
    let at = |name: &str| path_of(&mount).join(name);
    fs::write(at("a/b/c"), "changed").unwrap();
    fs::remove_file(at("a/d")).unwrap();
    fs::remove_dir_all(at("c")).unwrap();
    fs::create_dir(at("c")).unwrap();
    // Opened and left as it was.
    drop(fs::OpenOptions::new().write(true).open(at("d")).unwrap());
    fs::create_dir_all(at("etc")).unwrap();
    fs::write(at("etc/hosts"), "").unwrap();
    assert_eq!(root.changes(), ["C a", "C a/b", "C a/b/c", "D a/d", "C c", "D c/d"]);
    fs::write(at("etc/x"), "").unwrap();
    assert_eq!(root.changes()[6..], ["C etc", "A etc/x"]);
}

#[test]
fn a_name_that_would_mean_a_deletion_is_refused() {
    let root = Root::new(&base());
    fs::write(path_of(&root.mounted()).join(".wh.a"), "").unwrap();
    let lower = root.store.mount_read_only(&root.base).unwrap();
    let packed = pack_changes(
        (root.upper().as_fd(), Source::Live),
        lower.as_fd(),
        OWN,
        &mut Vec::new(),
        &Limits::default(),
    );
    assert!(packed.unwrap_err().to_string().contains(".wh.a"));
}

#[test]
fn a_tree_is_packed_whole_and_links_are_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let root = Root::new(&base());
    let mount = root.mounted();
    symlink(outside.path(), path_of(&mount).join("out")).unwrap();
    let mut tar = Vec::new();
    pack_tree(mount.as_fd(), b"top", &mut tar, &Limits::default()).unwrap();
    let mut archive = tar::Archive::new(&tar[..]);
    let names: Vec<_> =
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(
        names,
        ["top/", "top/a/", "top/a/b/", "top/a/b/c", "top/a/d", "top/c/", "top/c/d", "top/d", "top/out"]
    );
}

#[derive(Debug, Clone)]
enum Act {
    Write(usize),
    Remove,
    Folder,
    Symlink,
    Link(String),
    Mode(u32),
    Rename(String),
}

fn place() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof!["a", "b", "c", "d"], 1..4).prop_map(|parts| parts.join("/"))
}

fn act() -> impl Strategy<Value = (String, Act)> {
    let act = prop_oneof![
        3 => (0..3000_usize).prop_map(Act::Write),
        3 => Just(Act::Remove),
        3 => Just(Act::Folder),
        1 => Just(Act::Symlink),
        1 => place().prop_map(Act::Link),
        1 => (0o700..0o777_u32).prop_map(Act::Mode),
        2 => place().prop_map(Act::Rename),
    ];
    (place(), act)
}

/// What can't be done isn't.
fn perform(root: &Path, place: &str, act: Act) {
    let path = root.join(place);
    let _ = match act {
        Act::Write(size) => fs::write(&path, vec![b'x'; size]),
        Act::Remove => fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)),
        Act::Folder => fs::create_dir(&path),
        Act::Symlink => symlink("b/c", &path),
        Act::Link(to) => fs::hard_link(&path, root.join(to)),
        Act::Mode(mode) if !path.is_symlink() => fs::set_permissions(&path, fs::Permissions::from_mode(mode)),
        Act::Mode(_) => Ok(()),
        Act::Rename(to) => fs::rename(&path, root.join(to)),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_changes_give_the_same_tree_again(acts in prop::collection::vec(act(), 0..30)) {
        let root = Root::new(&base());
        let mount = root.mounted();
        for (place, act) in acts {
            perform(&path_of(&mount), &place, act);
        }
        // Inode numbers of what was copied up are settled by the next mount.
        drop(mount);
        prop_assert_eq!(root.committed(), look(&root.mounted()));
    }
}
