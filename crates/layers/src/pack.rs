//! Trees to tars: a container's changes as a layer, its whole root, a part of it.
//!
//! What is packed was made by a stranger's programs, and may change while it is read. Every directory is opened by a
//! single name in the one above it and no link is ever followed; a file is told what it is by its own descriptor
//! ([`walk`]). The bytes depend on the tree alone: names are sorted, nothing of when and where is in them ([`header`]).
//!
//! | in the tree | in a layer | in an export |
//! |---|---|---|
//! | overlayfs' whiteout of NAME | `.wh.NAME` | cannot be seen |
//! | an opaque directory | the directory with `.wh..wh..opq` | cannot be seen |
//! | `trusted.overlay.*`, `user.overlay.*`, labels of the host's | nothing | nothing |
//! | a socket | nothing; `.wh.NAME` if it hides something | nothing |
//! | a file named `.wh.…` | refused: it would mean something else | as it is |

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::{Error, IdMap, Limits};

mod changes;
mod compose;
mod copy;
mod header;
mod node;
mod walk;
mod written;

pub use changes::{Change, Kind, changes};
pub use compose::{About, Composer, What};
pub use copy::{Copied, copy_tree};
use header::Writer;
use node::Node;
pub use node::Source;
use walk::{Step, Visitor, walk};
pub use written::Written;

/// Writes a container's changes to the layers below as a layer. `own` says which names in `upper` are not the container's
/// doing, `source` whether it still runs.
pub fn pack_changes(
    (upper, source): (BorrowedFd<'_>, Source),
    lower: BorrowedFd<'_>,
    own: &[&str],
    out: &mut dyn Write,
    limits: &Limits,
) -> Result<(), Error> {
    changes::pack((upper, source), lower, own, out, limits)
}

/// Writes the tree below a directory. Every name begins with `prefix`; an empty one leaves the directory itself out.
pub fn pack_tree(
    root: BorrowedFd<'_>,
    prefix: &[u8],
    out: &mut dyn Write,
    limits: &Limits,
) -> Result<(), Error> {
    pack_tree_of(&IdMap::default(), root, prefix, out, limits)
}

/// The same of a container's files, whose owners the host knows by other numbers.
pub fn pack_tree_of(
    ids: &IdMap,
    root: BorrowedFd<'_>,
    prefix: &[u8],
    out: &mut dyn Write,
    limits: &Limits,
) -> Result<(), Error> {
    let mut tree = Tree { writer: Writer::with_owners(out, ids.clone()), prefix: prefix.to_vec() };
    if !prefix.is_empty() {
        let top = Node::open(root, b".", prefix)?;
        let node = top.ok_or_else(|| Error::pack("open", prefix, std::io::ErrorKind::NotFound))?;
        tree.writer.node(&name_below(prefix, b""), &node)?;
    }
    walk(root, Source::Live, limits, &mut tree)?;
    tree.writer.finish()
}

/// Writes one file, which isn't a directory, under a name of the caller's choice.
pub fn pack_file(file: OwnedFd, name: &[u8], out: &mut dyn Write) -> Result<(), Error> {
    pack_file_of(&IdMap::default(), file, name, out)
}

/// The same of a container's file.
pub fn pack_file_of(ids: &IdMap, file: OwnedFd, name: &[u8], out: &mut dyn Write) -> Result<(), Error> {
    let mut writer = Writer::with_owners(out, ids.clone());
    writer.node(name, &Node::of(file, name)?.ready(name)?)?;
    writer.finish()
}

/// A name in the tar: the prefix, a slash unless it is or ends in one, the path.
fn name_below(prefix: &[u8], path: &[u8]) -> Vec<u8> {
    let mut name = prefix.to_vec();
    if !name.is_empty() && !name.ends_with(b"/") && !path.is_empty() {
        name.push(b'/');
    }
    name.extend_from_slice(path);
    name
}

/// Everything, as it is.
struct Tree<'a> {
    writer: Writer<'a>,
    prefix: Vec<u8>,
}

impl Visitor for Tree<'_> {
    fn node(&mut self, path: &[u8], node: &Node) -> Result<Step, Error> {
        self.writer.node(&name_below(&self.prefix, path), node)?;
        Ok(Step::Into)
    }

    fn left(&mut self, _: &[u8], _: &Node) -> Result<(), Error> {
        Ok(())
    }
}

impl Node {
    /// Whether the lower layers' content of a directory is hidden.
    fn is_opaque(&self) -> bool {
        self.is_directory() && self.overlay_opaque()
    }
}

/// A directory that is read here belongs to whoever lent it.
fn borrowed(node: &Node) -> BorrowedFd<'_> {
    node.fd().as_fd()
}
