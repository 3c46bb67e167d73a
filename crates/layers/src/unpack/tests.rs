use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use tar::{Builder, Header};

use super::*;

fn fill(root: &OwnedFd, limits: &Limits, tar: impl Read) -> Result<(), Error> {
    Unpacker::new(Disk::new(root.as_fd(), limits), limits).unpack(tar).and_then(Disk::finish)
}

/// A layer's tar, made entry by entry.
struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn add(mut self, kind: EntryType, name: &str, target: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        // Set raw, because the builder refuses what a hostile tar has in it.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o751 } else { 0o4640 });
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000);
        header.set_size(content.len() as u64);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.add(EntryType::Regular, name, "", content.as_bytes())
    }

    fn dir(self, name: &str) -> Self {
        self.add(EntryType::Directory, name, "", b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.add(EntryType::Symlink, name, target, b"")
    }

    fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    fn unpack(self) -> (Unpacked, Result<(), Error>) {
        self.unpack_within(&Limits::default())
    }

    fn unpack_within(self, limits: &Limits) -> (Unpacked, Result<(), Error>) {
        let scratch = Unpacked::new();
        let root = rustix::fs::open(scratch.path(""), OFlags::DIRECTORY, Mode::empty()).unwrap();
        let tar = self.0.into_inner().unwrap();
        let done = fill(&root, limits, &tar[..]);
        scratch.check_canary();
        (scratch, done)
    }
}

/// A layer's directory and, beside it, a canary that nothing may touch.
struct Unpacked(tempfile::TempDir);

impl Unpacked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("layer")).unwrap();
        fs::create_dir_all(folder.path().join("canary")).unwrap();
        fs::write(folder.path().join("canary/file"), "untouched").unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("layer").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn check_canary(&self) {
        let canary = self.0.path().join("canary");
        assert_eq!(fs::read_dir(&canary).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(canary.join("file")).unwrap(), "untouched");
    }

    fn is_whiteout(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok_and(|m| m.file_type().is_char_device() && m.rdev() == 0)
    }

    fn xattr(&self, name: &str, attribute: &str) -> Option<Vec<u8>> {
        let mut value = [0; 64];
        let length = rustix::fs::lgetxattr(self.path(name), attribute, &mut value).ok()?;
        Some(value[..length].to_vec())
    }
}

fn unpacked(layer: Layer) -> Unpacked {
    let (tree, done) = layer.unpack();
    done.unwrap();
    tree
}

fn refusal(layer: Layer) -> String {
    layer.unpack().1.unwrap_err().to_string()
}

#[test]
fn owners_modes_and_times_are_kept_also_of_directories() {
    let tree = unpacked(Layer::new().dir("d/").file("d/f", "hello").link("d/l", "f").add(
        EntryType::Link,
        "h",
        "d/f",
        b"",
    ));
    assert_eq!(tree.read("d/f"), "hello");
    let file = fs::metadata(tree.path("d/f")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777, file.mtime()), (7, 8, 0o4640, 1_000_000));
    let folder = fs::metadata(tree.path("d")).unwrap();
    assert_eq!((folder.uid(), folder.mode() & 0o7777, folder.mtime()), (7, 0o751, 1_000_000));
    let link = fs::symlink_metadata(tree.path("d/l")).unwrap();
    assert_eq!((link.uid(), link.mtime()), (7, 1_000_000));
    assert_eq!(fs::metadata(tree.path("h")).unwrap().ino(), file.ino());
}

#[test]
fn numbers_that_were_left_out_are_zero() {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..1].copy_from_slice(b"f");
    header.set_entry_type(EntryType::Regular);
    header.set_size(0);
    let old = header.as_old_mut();
    (old.uid, old.gid, old.mtime) = ([0; 8], [b' '; 8], [0; 12]);
    old.mode = *b"0000600\0";
    header.set_cksum();
    let mut layer = Layer::new();
    layer.0.append(&header, &b""[..]).unwrap();
    let file = fs::metadata(unpacked(layer).path("f")).unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777, file.mtime()), (0, 0, 0o600, 0));
}

#[test]
fn devices_and_fifos_are_made() {
    let tree =
        unpacked(Layer::new().add(EntryType::Char, "null", "", b"").add(EntryType::Fifo, "pipe", "", b""));
    let device = fs::metadata(tree.path("null")).unwrap();
    assert!(device.file_type().is_char_device());
    assert_eq!((device.rdev(), device.permissions().mode() & 0o7777), (0x103, 0o4640));
    assert!(fs::metadata(tree.path("pipe")).unwrap().file_type().is_fifo());
}

#[test]
fn whiteouts_become_overlayfs_s_own() {
    let tree = unpacked(Layer::new().file("a/.wh.gone", "").file("b/.wh..wh..opq", "").file("b/new", "x"));
    assert!(tree.is_whiteout("a/gone"));
    assert_eq!(tree.xattr("b", OPAQUE).as_deref(), Some(&b"y"[..]));
    assert_eq!(tree.read("b/new"), "x");
}

#[test]
fn a_whiteout_hides_the_layers_below_and_not_its_own() {
    let tree = unpacked(
        Layer::new()
            .file("kept", "x")
            .file(".wh.kept", "")
            .file(".wh.remade", "")
            .dir("remade/")
            .dir("dir/")
            .file("dir/f", "y")
            .file(".wh.dir", ""),
    );
    assert_eq!(tree.read("kept"), "x");
    assert_eq!(tree.read("dir/f"), "y");
    assert_eq!(tree.xattr("remade", OPAQUE).as_deref(), Some(&b"y"[..]));
    assert_eq!(tree.xattr("dir", OPAQUE).as_deref(), Some(&b"y"[..]));
}

#[test]
fn whiteouts_of_nothing_and_of_parents_are_refused() {
    assert_eq!(
        refusal(Layer::new().file("a/.wh...", "")),
        "entry a/.wh... of the layer's tar is a whiteout of nothing"
    );
    assert!(refusal(Layer::new().file("a/.wh.", "")).ends_with("is a whiteout of nothing"));
}

#[test]
fn what_overlayfs_keeps_for_itself_never_comes_from_a_tar() {
    let layer = Layer::new().pax(&[
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.mine", b"1"),
        ("mtime", b"5.25"),
    ]);
    let tree = unpacked(layer.dir("d/"));
    assert_eq!(tree.xattr("d", "trusted.overlay.redirect"), None);
    assert_eq!(tree.xattr("d", "user.overlay.opaque"), None);
    assert_eq!(tree.xattr("d", "trusted.mine").as_deref(), Some(&b"1"[..]));
    assert_eq!(fs::metadata(tree.path("d")).unwrap().mtime_nsec(), 250_000_000);
    let mut zero = Layer::new();
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Char);
    header.set_path("z").unwrap();
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0);
    header.set_mtime(0);
    header.set_device_major(0).unwrap();
    header.set_device_minor(0).unwrap();
    header.set_cksum();
    zero.0.append(&header, &b""[..]).unwrap();
    assert!(refusal(zero).contains("device 0:0"));
}

#[test]
fn names_that_climb_out_are_refused() {
    assert!(refusal(Layer::new().file("../canary/file", "x")).ends_with("points out of the layer"));
    assert!(refusal(Layer::new().file("a/../../canary/file", "x")).ends_with("points out of the layer"));
    assert!(
        refusal(Layer::new().add(EntryType::Link, "h", "../canary/file", b""))
            .ends_with("points out of the layer")
    );
}

#[test]
fn symlinks_lead_elsewhere_in_the_layer_and_never_out_of_it() {
    let scratch = Unpacked::new();
    let canary = scratch.0.path().join("canary").display().to_string();
    for target in [canary.as_str(), "../canary", "../../../../../../tmp", "/proc/self/root"] {
        let (tree, done) = Layer::new().link("l", target).file("l/file", "x").file("l/other", "y").unpack();
        // Either it lands inside the layer or is refused; unpacking looked after the canary.
        if done.is_ok() {
            assert!(tree.path("").read_dir().unwrap().count() >= 1);
        }
    }
    let tree = unpacked(Layer::new().dir("real/").link("l", "/real").file("l/f", "x"));
    assert_eq!(tree.read("real/f"), "x");
}

#[test]
fn a_folder_replaced_by_a_link_is_not_written_through_its_old_descriptor() {
    let tree =
        unpacked(Layer::new().dir("real/").dir("d/").file("d/one", "1").link("d", "real").file("d/two", "2"));
    assert_eq!(tree.read("real/two"), "2");
    assert!(!tree.path("real/one").exists());
}

#[test]
fn later_entries_win_over_earlier_ones_of_another_kind() {
    let tree = unpacked(
        Layer::new().file("x", "1").dir("x/").file("x/y", "2").file("x", "3").file("f", "1").file("f/g", "2"),
    );
    assert_eq!(tree.read("x"), "3");
    assert_eq!(tree.read("f/g"), "2");
}

#[test]
fn hard_links_only_to_files_of_the_same_layer() {
    assert!(refusal(Layer::new().add(EntryType::Link, "h", "absent", b"")).contains("hard link"));
    assert!(refusal(Layer::new().dir("d/").add(EntryType::Link, "h", "d", b"")).contains("hard link"));
    assert!(
        refusal(Layer::new().file(".wh.a", "").add(EntryType::Link, "h", "a", b"")).contains("hard link")
    );
}

#[test]
fn limits_hold() {
    let limits = Limits { entries: 2, bytes: 10, depth: 3, path: 20 };
    let refusal = |layer: Layer| layer.unpack_within(&limits).1.unwrap_err().to_string();
    assert_eq!(refusal(Layer::new().dir("a").dir("b").dir("c")), "the layer has more than 2 entries");
    assert_eq!(refusal(Layer::new().file("a", "12345678901")), "the layer has more than 10 bytes of content");
    assert!(refusal(Layer::new().file("a/b/c/d", "")).ends_with("is nested too deeply"));
    assert!(
        refusal(Layer::new().file("aaaaaaaaaaaaaaaaaaaaaaaa", "")).ends_with("has a name that is too long")
    );
}

#[test]
fn a_name_of_gigabytes_is_refused_before_it_is_in_memory() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(8 << 30);
    header.set_cksum();
    let tar = io::Read::chain(&header.as_bytes()[..], io::repeat(b'a'));
    let scratch = Unpacked::new();
    let root = rustix::fs::open(scratch.path(""), OFlags::DIRECTORY, Mode::empty()).unwrap();
    let error = fill(&root, &Limits::default(), tar).unwrap_err();
    assert_eq!(
        diag::chain(&error),
        "cannot read the layer's tar: an entry's name or attributes are too large"
    );
}

#[test]
fn a_tar_that_ends_in_the_middle_is_an_error() {
    let tar = Layer::new().file("f", &"x".repeat(2000)).0.into_inner().unwrap();
    for cut in [100, 512, 700, 2000] {
        let scratch = Unpacked::new();
        let root = rustix::fs::open(scratch.path(""), OFlags::DIRECTORY, Mode::empty()).unwrap();
        let done = fill(&root, &Limits::default(), &tar[..cut]);
        assert!(matches!(done, Err(Error::ReadTar { .. })) || !scratch.path("f").exists(), "{cut}");
    }
}

#[test]
fn nothing_is_written_through_a_link_that_was_there_first() {
    let scratch = Unpacked::new();
    symlink(scratch.0.path().join("canary/file"), scratch.path("f")).unwrap();
    let root = rustix::fs::open(scratch.path(""), OFlags::DIRECTORY, Mode::empty()).unwrap();
    let tar = Layer::new().file("f", "mine").0.into_inner().unwrap();
    fill(&root, &Limits::default(), &tar[..]).unwrap();
    scratch.check_canary();
    assert_eq!(scratch.read("f"), "mine");
}

#[test]
fn s069_maps_and_records_without_end_are_refused_before_they_are_in_memory() {
    let refused = |tar: &mut dyn io::Read| {
        let scratch = Unpacked::new();
        let root = rustix::fs::open(scratch.path(""), OFlags::DIRECTORY, Mode::empty()).unwrap();
        diag::chain(&fill(&root, &Limits::default(), tar).unwrap_err())
    };
    let mut record = Header::new_ustar();
    record.set_entry_type(EntryType::XHeader);
    record.set_size(1 << 30);
    record.set_cksum();
    let mut tar = io::Read::chain(&record.as_bytes()[..], io::repeat(b'1'));
    assert!(refused(&mut tar).contains("too large"));
    // A sparse file whose map always has one block more.
    let mut sparse = Header::new_gnu();
    sparse.set_entry_type(EntryType::GNUSparse);
    sparse.set_size(0);
    sparse.as_gnu_mut().unwrap().isextended = [1];
    sparse.as_gnu_mut().unwrap().realsize.copy_from_slice(b"00000000000\0");
    sparse.set_cksum();
    let mut block = [0_u8; 512];
    block[504] = 1;
    struct Endless([u8; 512], usize);
    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            for byte in buffer.iter_mut() {
                *byte = self.0[self.1 % 512];
                self.1 += 1;
            }
            Ok(buffer.len())
        }
    }
    let mut tar = io::Read::chain(&sparse.as_bytes()[..], Endless(block, 0));
    let text = refused(&mut tar);
    assert!(text.contains("too large"), "{text}");
}
