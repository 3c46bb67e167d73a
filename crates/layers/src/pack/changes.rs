//! What a container changed: overlayfs' upper directory, compared with the layers below it.
//!
//! The upper directory alone says too much: a file that was opened for writing and left as it was is in it, and so are
//! the directories above.

use std::io::Write;
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;

use super::header::{Entry, Writer};
use super::node::{Node, Source};
use super::walk::{Step, Visitor, walk};
use super::{borrowed, name_below};
use crate::{Error, Limits};

pub(super) const WHITEOUT: &[u8] = b".wh.";
pub(super) const OPAQUE_MARK: &[u8] = b".wh..wh..opq";

/// What became of a path. The numbers are the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Changed = 0,
    Added = 1,
    Deleted = 2,
}

/// One path that isn't as in the layers below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// From the root, without a slash before it.
    pub path: Vec<u8>,
    pub kind: Kind,
}

/// What a container changed, in order of the paths. Names in `own` that the engine itself made are none of it.
pub fn changes(
    upper: BorrowedFd<'_>,
    lower: BorrowedFd<'_>,
    own: &[&str],
    limits: &Limits,
) -> Result<Vec<Change>, Error> {
    let mut found = compare((upper, Source::Live), lower, own, limits, List::default())?.changes;
    found.sort_unstable_by(|a, b| a.path.split(|c| *c == b'/').cmp(b.path.split(|c| *c == b'/')));
    Ok(found)
}

pub(super) fn pack(
    (upper, source): (BorrowedFd<'_>, Source),
    lower: BorrowedFd<'_>,
    own: &[&str],
    out: &mut dyn Write,
    limits: &Limits,
) -> Result<(), Error> {
    let mut layer = Layer { writer: Writer::new(out), folders: Vec::new() };
    if let (Some(root), Some(below)) = (Node::open(upper, b".", b".")?, Node::open(lower, b".", b".")?)
        && differs(&root, &below, b".", Times::Ignored)?
    {
        layer.writer.node(b"./", &root)?;
    }
    compare((upper, source), lower, own, limits, layer)?.writer.finish()
}

/// Who hears of the differences.
trait Differences {
    /// Whether what an opaque directory hides is still compared with what is in it.
    const COMPARES_HIDDEN: bool;
    /// A directory is entered.
    fn enter(&mut self, path: &[u8], node: &Node, below: Option<&Node>, is: Entered) -> Result<(), Error>;
    /// It is left again; its time may be all that is different, where nothing of ours was made in it.
    fn leave(&mut self, path: &[u8], later: bool) -> Result<(), Error>;
    /// Something else than a directory.
    fn other(&mut self, path: &[u8], node: &Node, below: Option<&Node>) -> Result<(), Error>;
    /// What was there is gone.
    fn gone(&mut self, path: &[u8]) -> Result<(), Error>;
}

/// What is known of a directory when it is entered.
#[derive(Clone, Copy)]
struct Entered {
    /// It is different itself.
    different: bool,
    /// What the layers below have in it is not seen.
    opaque: bool,
}

/// A directory on the way.
struct Folder {
    opaque: bool,
    /// The same one in the layers below.
    below: Option<Node>,
    /// Whether something of ours was made in it.
    disturbed: bool,
}

struct Compared<'a, D> {
    folders: Vec<Folder>,
    own: &'a [&'a str],
    to: D,
}

fn compare<D: Differences>(
    (upper, source): (BorrowedFd<'_>, Source),
    lower: BorrowedFd<'_>,
    own: &[&str],
    limits: &Limits,
    to: D,
) -> Result<D, Error> {
    let root = Folder { below: Node::open(lower, b".", b".")?, disturbed: false, opaque: false };
    let mut compared = Compared { folders: vec![root], own, to };
    walk(upper, source, limits, &mut compared)?;
    Ok(compared.to)
}

impl<D: Differences> Visitor for Compared<'_, D> {
    fn node(&mut self, path: &[u8], node: &Node) -> Result<Step, Error> {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let below = match self.folders.last().and_then(|folder| folder.below.as_ref()) {
            Some(folder) => Node::open(borrowed(folder), name, path)?,
            None => None,
        };
        let ours = below.is_none() && self.is_own(path, node);
        if ours && let Some(folder) = self.folders.last_mut() {
            folder.disturbed = true;
        }
        match () {
            () if node.is_whiteout() => {
                if below.is_some() {
                    self.to.gone(path)?;
                }
            }
            () if node.is_directory() => {
                self.enter(path, node, below, ours)?;
                return Ok(Step::Into);
            }
            () if ours => {}
            () => self.to.other(path, node, below.as_ref())?,
        }
        Ok(Step::Over)
    }

    fn left(&mut self, path: &[u8], node: &Node) -> Result<(), Error> {
        let Some(folder) = self.folders.pop() else { return Ok(()) };
        let same_time = |below: &Node| time(below) == time(node);
        let later = !folder.disturbed && folder.below.is_some_and(|below| !same_time(&below));
        self.to.leave(path, later)
    }
}

impl<D: Differences> Compared<'_, D> {
    fn enter(&mut self, path: &[u8], node: &Node, below: Option<Node>, ours: bool) -> Result<(), Error> {
        let different = match &below {
            None => !ours,
            Some(below) => differs(node, below, path, Times::Ignored)?,
        };
        // A directory in an opaque one isn't marked, and hides just as much.
        let opaque = node.is_opaque() || self.folders.last().is_some_and(|folder| folder.opaque);
        self.to.enter(path, node, below.as_ref(), Entered { different, opaque })?;
        let below = below.filter(|below| below.is_directory() && (D::COMPARES_HIDDEN || !opaque));
        self.folders.push(Folder { below, disturbed: ours, opaque });
        Ok(())
    }

    /// What the engine makes in a root for its mounts: nobody's content.
    fn is_own(&self, path: &[u8], node: &Node) -> bool {
        let empty = match node.kind() {
            FileType::RegularFile => node.stat().st_size == 0,
            kind => matches!(kind, FileType::Directory | FileType::Symlink),
        };
        empty && self.own.iter().any(|own| own.as_bytes() == path)
    }
}

/// Whether the time of the last change counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Counted,
    Ignored,
}

fn time(node: &Node) -> (i64, i64) {
    #[expect(clippy::unnecessary_cast, reason = "the type differs from one architecture to the next")]
    (node.stat().st_mtime as i64, node.stat().st_mtime_nsec as i64)
}

fn differs(node: &Node, below: &Node, path: &[u8], times: Times) -> Result<bool, Error> {
    let facts = |node: &Node| {
        let stat = node.stat();
        let size = if node.is_directory() { 0 } else { stat.st_size };
        (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev, size)
    };
    Ok(facts(node) != facts(below)
        || (times == Times::Counted && time(node) != time(below))
        || node.xattrs(path)? != below.xattrs(path)?)
}

/// The list that `diff` shows.
#[derive(Default)]
struct List {
    changes: Vec<Change>,
    /// How many there were before each directory on the way, and whether that is listed itself.
    folders: Vec<(usize, bool)>,
}

impl List {
    fn add(&mut self, path: &[u8], kind: Kind) {
        self.changes.push(Change { path: path.to_vec(), kind });
    }
}

impl Differences for List {
    const COMPARES_HIDDEN: bool = true;

    fn enter(&mut self, path: &[u8], node: &Node, below: Option<&Node>, is: Entered) -> Result<(), Error> {
        let before = self.changes.len();
        if is.different {
            self.add(path, if below.is_some() { Kind::Changed } else { Kind::Added });
        }
        self.folders.push((before, is.different));
        let Some(below) = below.filter(|below| below.is_directory() && is.opaque) else { return Ok(()) };
        // All that was there is gone but for what is there again.
        let now = node.names(path)?;
        for name in below.names(path)? {
            if now.binary_search(&name).is_err() {
                self.add(&name_below(path, &name), Kind::Deleted);
            }
        }
        Ok(())
    }

    fn leave(&mut self, path: &[u8], _: bool) -> Result<(), Error> {
        if let Some((before, listed)) = self.folders.pop()
            && !listed
            && self.changes.len() > before
        {
            self.add(path, Kind::Changed);
        }
        Ok(())
    }

    fn other(&mut self, path: &[u8], node: &Node, below: Option<&Node>) -> Result<(), Error> {
        match below {
            None => self.add(path, Kind::Added),
            Some(below) if differs(node, below, path, Times::Counted)? => self.add(path, Kind::Changed),
            Some(_) => {}
        }
        Ok(())
    }

    fn gone(&mut self, path: &[u8]) -> Result<(), Error> {
        self.add(path, Kind::Deleted);
        Ok(())
    }
}

/// The layer that `commit` makes.
struct Layer<'a> {
    writer: Writer<'a>,
    /// The directories on the way that are not written yet.
    folders: Vec<Option<Entry>>,
}

impl Layer<'_> {
    /// Writes the directories on the way, because something in them is to be written.
    fn arrive(&mut self) -> Result<(), Error> {
        for entry in self.folders.iter_mut().filter_map(Option::take) {
            self.writer.entry(&entry)?;
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<(), Error> {
        self.arrive()?;
        let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        self.writer.mark(&[&path[..at], WHITEOUT, &path[at..]].concat())
    }
}

pub(super) fn expressible(path: &[u8]) -> Result<(), Error> {
    match path.rsplit(|byte| *byte == b'/').next() {
        Some(name) if name.starts_with(WHITEOUT) => Err(Error::Entry {
            name: String::from_utf8_lossy(path).into_owned(),
            why: "cannot be written: in a layer such a name means that something is deleted",
        }),
        _ => Ok(()),
    }
}

impl Differences for Layer<'_> {
    const COMPARES_HIDDEN: bool = false;

    fn enter(&mut self, path: &[u8], node: &Node, below: Option<&Node>, is: Entered) -> Result<(), Error> {
        expressible(path)?;
        self.folders.push(Some(self.writer.folder(path, node)?));
        let hides = is.opaque && below.is_some_and(Node::is_directory);
        if is.different || hides {
            self.arrive()?;
        }
        if hides {
            self.writer.mark(&name_below(path, OPAQUE_MARK))?;
        }
        Ok(())
    }

    fn leave(&mut self, _: &[u8], later: bool) -> Result<(), Error> {
        if later {
            self.arrive()?;
        }
        self.folders.pop();
        Ok(())
    }

    fn other(&mut self, path: &[u8], node: &Node, below: Option<&Node>) -> Result<(), Error> {
        expressible(path)?;
        match node.kind() {
            // No tar can hold one; what it took the place of is gone all the same.
            FileType::Socket if below.is_some() => self.whiteout(path),
            FileType::Socket => Ok(()),
            _ => {
                self.arrive()?;
                self.writer.node(path, node)
            }
        }
    }

    fn gone(&mut self, path: &[u8]) -> Result<(), Error> {
        self.whiteout(path)
    }
}
