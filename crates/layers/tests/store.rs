//! The whole way of a layer: a tar, its place in the store, an overlay that is attached nowhere.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use layers::{Choice, Directories, Driver, Error, IndexedTars, LayerStore, Limits, Strategy};
use oci::Digest;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn open(root: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<fs::File> {
    let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
    openat2(root.as_fd(), path, flags, mode, ResolveFlags::IN_ROOT).map(fs::File::from)
}

fn read(root: &OwnedFd, path: &str) -> Option<String> {
    let mut text = String::new();
    open(root, path, OFlags::RDONLY).ok()?.read_to_string(&mut text).unwrap();
    Some(text)
}

fn store(folder: &Path, strategy: Strategy) -> LayerStore {
    with(folder, Box::new(Directories), strategy)
}

fn with(folder: &Path, driver: Box<dyn Driver>, strategy: Strategy) -> LayerStore {
    LayerStore::with(folder, driver, Limits::default(), strategy).unwrap()
}

/// Every driver with every way in which overlayfs can be told of its layers.
fn ways() -> [(Box<dyn Driver>, Strategy); 4] {
    [
        (Box::new(Directories), Strategy::Descriptors),
        (Box::new(Directories), Strategy::Paths),
        (Box::new(Directories), Strategy::Page),
        (Box::new(IndexedTars), Strategy::Descriptors),
    ]
}

#[test]
fn layers_stack_and_changes_go_to_the_upper_directory_whatever_the_strategy() {
    for (driver, strategy) in ways() {
        let folder = tempfile::tempdir().unwrap();
        let store = with(folder.path(), driver, strategy);
        let lower = store.apply(&tar(&[("a", "1"), ("b", "1"), ("d/x", "1")])[..], None).unwrap();
        let upper =
            store.apply(&tar(&[("a", "2"), (".wh.b", ""), ("d/.wh..wh..opq", "")])[..], None).unwrap();
        for name in ["upper", "work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        // The lowest one twice: images may do that.
        let ids = [lower.diff_id.clone(), lower.diff_id.clone(), upper.diff_id];
        let root = store.mount_root(&ids, &folder.path().join("upper"), &folder.path().join("work")).unwrap();
        assert_eq!(read(&root, "a").as_deref(), Some("2"), "{strategy:?}");
        assert_eq!((read(&root, "b"), read(&root, "d/x")), (None, None));
        let mut made = open(&root, "new", OFlags::CREATE | OFlags::WRONLY).unwrap();
        made.write_all(b"mine").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("upper/new")).unwrap(), "mine");
        let ours = |text: &str| text.lines().filter(|l| l.contains(folder.path().to_str().unwrap())).count();
        assert_eq!(ours(&fs::read_to_string("/proc/self/mountinfo").unwrap()), ours(&mounts));

        let image = store.mount_read_only(&[lower.diff_id.clone(), ids[2].clone()]).unwrap();
        assert_eq!(read(&image, "new"), None);
        assert!(open(&image, "new", OFlags::CREATE | OFlags::WRONLY).is_err());
    }
}

/// Whatever the strategy: what is on disk has its own owners, and a container's root has those of its users.
#[test]
fn a_container_with_users_of_its_own_owns_what_it_sees() {
    use std::os::unix::fs::MetadataExt;
    let (base, size) = (1_200_000_000u32, 65536);
    let users = sys::in_new_namespaces(sys::Namespaces { user: true, ..Default::default() }, |pid| {
        for file in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{pid}/{file}"), format!("0 {base} {size}\n"))?;
        }
        fs::File::open(format!("/proc/{pid}/ns/user"))
    });
    let users = users.unwrap();
    for (driver, strategy) in ways() {
        let folder = tempfile::tempdir().unwrap();
        let store = with(folder.path(), driver, strategy);
        let ids = [store.apply(&tar(&[("a", "1")])[..], None).unwrap().diff_id];
        for name in ["upper", "work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let root = store.mount_root_for(users.as_fd(), (base, base), &ids, folder.path()).unwrap();
        let owner = |path: &str| {
            let seen = open(&root, path, OFlags::RDONLY).unwrap().metadata().unwrap();
            (seen.uid(), seen.gid())
        };
        assert_eq!((owner("a"), owner(".")), ((base, base), (base, base)), "{strategy:?}");
        let refused = open(&root, "host's", OFlags::CREATE | OFlags::WRONLY).unwrap_err();
        assert_eq!(refused, Errno::OVERFLOW, "the host's root is nobody there");
        sys::as_owner(base + 7, base, || {
            open(&root, "mine", OFlags::CREATE | OFlags::WRONLY).unwrap();
        })
        .unwrap();
        assert_eq!(owner("mine"), (base + 7, base));
        let kept = fs::metadata(folder.path().join("upper/mine")).unwrap();
        assert_eq!((kept.uid(), kept.gid()), (7, 0));
        let image = store.mount_read_only_for(users.as_fd(), &ids).unwrap();
        assert_eq!(open(&image, "a", OFlags::RDONLY).unwrap().metadata().unwrap().uid(), base);
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!table.contains(folder.path().to_str().unwrap()), "{table}");
    }
}

#[test]
fn a_layer_is_named_by_all_bytes_of_its_tar() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), Strategy::detect());
    let mut bytes = tar(&[("a", "1")]);
    bytes.extend_from_slice(&[0; 10240]);
    let layer = store.apply(&bytes[..], None).unwrap();
    assert_eq!((&layer.diff_id, layer.tar_size), (&Digest::sha256(&bytes), bytes.len() as u64));
    assert_eq!(store.apply(&bytes[..], Some(&layer.diff_id)).unwrap(), layer);
    assert_eq!(store.list().unwrap(), std::slice::from_ref(&layer.diff_id));
    store.remove(&layer.diff_id).unwrap();
    store.remove(&layer.diff_id).unwrap();
    assert!(matches!(store.mount_read_only(&[layer.diff_id]), Err(Error::NotFound(_))));
}

#[test]
fn another_layer_than_expected_and_a_broken_one_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), Strategy::detect());
    let bytes = tar(&[("a", "1")]);
    let other = Digest::sha256(b"other");
    assert!(matches!(store.apply(&bytes[..], Some(&other)), Err(Error::Mismatch { .. })));
    assert!(matches!(store.apply(&bytes[..512], None), Err(Error::ReadTar { .. })));
    assert!(store.list().unwrap().is_empty());
    assert_eq!(fs::read_dir(folder.path().join("layers/tmp")).unwrap().count(), 0);
}

#[test]
fn sweeping_removes_what_a_dead_engine_was_unpacking() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), Strategy::detect());
    fs::create_dir_all(folder.path().join("layers/tmp/half/fs/etc")).unwrap();
    store.sweep().unwrap();
    assert_eq!(fs::read_dir(folder.path().join("layers/tmp")).unwrap().count(), 0);
}

#[test]
fn an_indexed_layer_is_mounted_once_for_all_roots() {
    let folder = tempfile::tempdir().unwrap();
    let store = with(folder.path(), Box::new(IndexedTars), Strategy::Descriptors);
    let layer = store.apply(&tar(&[("a", "1")])[..], None).unwrap();
    let device = |root: &OwnedFd| {
        use std::os::unix::fs::MetadataExt;
        // overlayfs shows a file of a single lower file system with that file system's own inode.
        let file = open(root, "a", OFlags::RDONLY).unwrap();
        (file.metadata().unwrap().ino(), read(root, "a"))
    };
    let ids = [layer.diff_id.clone()];
    let (one, two) = (store.mount_read_only(&ids).unwrap(), store.mount_read_only(&ids).unwrap());
    assert_eq!(device(&one), device(&two));
    // Removed, it is still there for those who have it.
    store.remove(&layer.diff_id).unwrap();
    assert_eq!(read(&one, "a").as_deref(), Some("1"));
    assert!(store.mount_read_only(&ids).is_err());
}

#[test]
fn layers_of_both_drivers_stack() {
    let folder = tempfile::tempdir().unwrap();
    let plain = with(folder.path(), Box::new(Directories), Strategy::Descriptors);
    let lower = plain.apply(&tar(&[("a", "1"), ("b", "1")])[..], None).unwrap();
    let indexed = with(folder.path(), Box::new(IndexedTars), Strategy::Descriptors);
    let upper = indexed.apply(&tar(&[("a", "2"), (".wh.b", "")])[..], None).unwrap();
    for store in [&plain, &indexed] {
        let root = store.mount_read_only(&[lower.diff_id.clone(), upper.diff_id.clone()]).unwrap();
        assert_eq!((read(&root, "a").as_deref(), read(&root, "b")), (Some("2"), None));
    }
}

#[test]
fn the_driver_is_the_best_or_the_one_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let open = |choice| LayerStore::open(folder.path(), choice, layers::Limits::default()).unwrap().driver();
    assert_eq!(open(Choice::Overlay), "overlay");
    assert_eq!(open(Choice::Erofs), "erofs");
    assert_eq!(open(Choice::Automatic), "erofs");
}

#[test]
fn more_layers_than_docker_takes_stack() {
    const COUNT: usize = 200;
    for driver in [Box::new(Directories) as Box<dyn Driver>, Box::new(IndexedTars)] {
        let folder = tempfile::tempdir().unwrap();
        let store = with(folder.path(), driver, Strategy::Descriptors);
        let ids: Vec<_> = (0..COUNT)
            .map(|number| {
                let (own, text) = (format!("own{number}"), number.to_string());
                store.apply(&tar(&[("all", &text), (&own, &text)])[..], None).unwrap().diff_id
            })
            .collect();
        let root = store.mount_read_only(&ids).unwrap();
        assert_eq!(read(&root, "all"), Some((COUNT - 1).to_string()));
        assert!((0..COUNT).all(|number| read(&root, &format!("own{number}")) == Some(number.to_string())));
    }
}
