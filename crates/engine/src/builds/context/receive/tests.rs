use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use proptest::prelude::*;

use super::*;

/// A client's directory.
type Model = BTreeMap<String, Node>;

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Directory { mode: u32 },
    File { content: Vec<u8>, mode: u32, mtime: i64 },
    Symlink(String),
    Fifo,
}

#[derive(Debug, Clone)]
enum Change {
    Put(usize, Node),
    Remove(usize),
    Touch(usize),
}

const PATHS: [&str; 9] = ["a", "a/b", "a/b/c", "a/d", "e", "e/f", "g", "h", "h/i"];

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        (0..2_u32).prop_map(|mode| Node::Directory { mode: 0o700 + mode * 0o55 }),
        (0..3_u8, 0..2_u32).prop_map(|(byte, mode)| Node::File {
            content: vec![byte; 5],
            mode: 0o600 + mode * 0o44,
            mtime: 0
        }),
        (0..2_usize).prop_map(|to| Node::Symlink(["a", "/etc/passwd"][to].into())),
        Just(Node::Fifo),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..PATHS.len(), node()).prop_map(|(path, node)| Change::Put(path, node)),
        1 => (0..PATHS.len()).prop_map(Change::Remove),
        1 => (0..PATHS.len()).prop_map(Change::Touch),
    ]
}

/// What a change leaves: no file is in something that is no directory. Each write has a time of its own.
fn apply(model: &mut Model, change: &Change, clock: &mut i64) {
    *clock += 1_000_000_007;
    match change {
        Change::Put(path, node) => {
            let path = PATHS[*path];
            let parent = path.rsplit_once('/').map(|(parent, _)| parent);
            if parent.is_some_and(|parent| !matches!(model.get(parent), Some(Node::Directory { .. }))) {
                return;
            }
            if !matches!(node, Node::Directory { .. }) {
                model.retain(|known, _| !known.starts_with(&format!("{path}/")));
            }
            let node = match node.clone() {
                Node::File { content, mode, .. } => Node::File { content, mode, mtime: *clock },
                other => other,
            };
            model.insert(path.to_owned(), node);
        }
        Change::Remove(path) => {
            let path = PATHS[*path];
            model.retain(|known, _| known != path && !known.starts_with(&format!("{path}/")));
        }
        Change::Touch(path) => {
            if let Some(Node::File { mtime, .. }) = model.get_mut(PATHS[*path]) {
                *mtime = *clock;
            }
        }
    }
}

/// A folder that stays.
fn place(folder: &Path) -> Arc<Place> {
    let (path, name) = (folder.to_owned(), String::new());
    Arc::new(Place { path, name, used: Arc::default(), kept: true })
}

/// Sends a model; how many files' contents were wanted. Ends without a word after `cut` entries.
fn send(folder: &Path, model: &Model, cut: Option<usize>) -> Result<(Option<Arc<Index>>, usize), Error> {
    let mut receiving = Receiving::begin(place(folder), None, Arc::new(|_| {}))?;
    let outcome = receiving.outcome();
    let mut wanted = 0;
    for (number, (path, node)) in model.iter().enumerate() {
        if cut == Some(number) {
            return Ok((None, wanted));
        }
        let (kind, mode, mtime) = match node {
            Node::Directory { mode } => (Kind::Directory, *mode, 1),
            Node::File { content, mode, mtime } => (Kind::File { size: content.len() as u64 }, *mode, *mtime),
            Node::Symlink(to) => (Kind::Symlink { to: to.clone().into_bytes() }, 0o777, 1),
            Node::Fifo => (Kind::Fifo, 0o644, 1),
        };
        let entry = Entry {
            path: path.clone().into_bytes(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: BTreeMap::new(),
        };
        let number = u32::try_from(number).unwrap_or_default();
        if receiving.entry(number, entry)? == Want::Content
            && let Node::File { content, .. } = node
        {
            wanted += 1;
            receiving.data(number, &content[..2])?;
            receiving.data(number, &content[2..])?;
            receiving.file_end(number)?;
        }
    }
    receiving.end()?;
    Ok((outcome.take(), wanted))
}

/// What is on the disk.
fn found(folder: &Path, below: &str, model: &mut Model) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let meta = entry.metadata().expect("an entry");
        let node = if meta.is_dir() {
            found(&entry.path(), &path, model);
            Node::Directory { mode: meta.mode() & 0o7777 }
        } else if meta.is_symlink() {
            Node::Symlink(fs::read_link(entry.path()).expect("a link").to_string_lossy().into_owned())
        } else if meta.file_type().is_fifo() {
            Node::Fifo
        } else {
            let content = fs::read(entry.path()).expect("a file");
            let mtime = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
            Node::File { content, mode: meta.mode() & 0o7777, mtime }
        };
        model.insert(path, node);
    }
}

fn fresh() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("files")).expect("a folder");
    folder
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Whatever a client's directory becomes, and wherever an earlier build was cut off: what is kept is what it is now,
    /// and has the identity of one that was received from nothing.
    #[test]
    fn what_is_kept_is_what_the_client_has(
        rounds in prop::collection::vec((prop::collection::vec(change(), 0..6), prop::option::of(0..8_usize)), 1..8),
    ) {
        let kept = fresh();
        let (mut model, mut clock) = (Model::new(), 1_000_000_000_i64);
        for (changes, cut) in rounds {
            changes.iter().for_each(|change| apply(&mut model, change, &mut clock));
            if cut.is_some() {
                send(kept.path(), &model, cut).unwrap();
            }
            let (index, _) = send(kept.path(), &model, None).unwrap();
            let mut on_disk = Model::new();
            found(&kept.path().join("files"), "", &mut on_disk);
            prop_assert_eq!(&on_disk, &model);
            let other = fresh();
            let (clean, _) = send(other.path(), &model, None).unwrap();
            let id = |index: Option<Arc<Index>>| index.unwrap().id().clone();
            prop_assert_eq!(id(index), id(clean));
        }
    }
}

fn file(content: &[u8], mtime: i64) -> Node {
    Node::File { content: content.to_vec(), mode: 0o644, mtime }
}

#[test]
fn only_what_changed_is_wanted_and_what_may_have_changed_unseen() {
    let kept = fresh();
    let now =
        i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let model = Model::from([
        ("old".into(), file(b"12345", 1_500_000_000_000_000_001)),
        ("new".into(), file(b"12345", now)),
    ]);
    assert_eq!(send(kept.path(), &model, None).unwrap().1, 2);
    assert_eq!(send(kept.path(), &model, None).unwrap().1, 1);
}

#[test]
fn nothing_that_a_client_names_leads_out() {
    let entry = |path: &str, kind: Kind| Entry {
        path: path.as_bytes().to_vec(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 1,
        xattrs: BTreeMap::new(),
    };
    let file = || Kind::File { size: 1 };
    let link = |to: &str| Kind::Symlink { to: to.as_bytes().to_vec() };
    let hard = |to: &str| Kind::Hardlink { to: to.as_bytes().to_vec() };
    for (entries, last) in [
        (vec![], entry("../x", file())),
        (vec![], entry("/x", file())),
        (vec![], entry("a/../../x", file())),
        (vec![], entry("", file())),
        (vec![], entry("a/x", file())),
        (vec![entry("a", link("/tmp"))], entry("a/x", file())),
        (vec![entry("a", file())], entry("a/x", file())),
        (vec![entry("a", file())], entry("a", file())),
        (vec![], entry("a", hard("../../etc/passwd"))),
        (vec![entry("a", link("/etc/passwd"))], entry("b", hard("a"))),
        (vec![], entry(&"a/".repeat(3000), file())),
    ] {
        let folder = fresh();
        let mut receiving = Receiving::begin(place(folder.path()), None, Arc::new(|_| {})).unwrap();
        for (number, entry) in (0..).zip(entries) {
            receiving.entry(number, entry).unwrap();
        }
        let shown = String::from_utf8_lossy(&last.path).into_owned();
        assert!(receiving.entry(9, last).is_err(), "{shown}");
    }
    let folder = fresh();
    let mut receiving = Receiving::begin(place(folder.path()), None, Arc::new(|_| {})).unwrap();
    receiving.entry(0, entry("a", file())).unwrap();
    assert!(receiving.data(1, b"1").is_err());
    assert!(receiving.file_end(1).is_err() && receiving.end().is_err());
}

/// A client may tell of all its files first, and then send them a piece of each at a time.
#[test]
fn many_files_that_come_at_once_are_not_open_at_once() {
    let folder = fresh();
    let mut receiving = Receiving::begin(place(folder.path()), None, Arc::new(|_| {})).unwrap();
    let outcome = receiving.outcome();
    let many = u32::try_from(MAX_OPEN).unwrap() * 3;
    for number in 0..many {
        let path = format!("f{number:05}").into_bytes();
        let kind = Kind::File { size: if number % 7 == 0 { 0 } else { 4 } };
        let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 1, xattrs: BTreeMap::new() };
        assert_eq!(receiving.entry(number, entry).unwrap(), Want::Content);
    }
    for piece in [b"ab", b"cd"] {
        for number in (0..many).rev().filter(|number| number % 7 != 0) {
            receiving.data(number, piece).unwrap();
            let open = receiving.incoming.values().filter(|incoming| incoming.file.is_some()).count();
            assert_eq!(receiving.open, open);
            assert!(open <= MAX_OPEN);
        }
    }
    (0..many).for_each(|number| receiving.file_end(number).unwrap());
    receiving.end().unwrap();
    assert_eq!(outcome.take().unwrap().len(), many as usize);
    for number in 0..many {
        let content = fs::read(folder.path().join(format!("files/f{number:05}"))).unwrap();
        assert_eq!(content, if number % 7 == 0 { &b""[..] } else { b"abcd" }, "{number}");
    }
}
