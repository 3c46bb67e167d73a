//! One way through a tree for everybody: depth first, names sorted, links never followed.

use std::os::fd::BorrowedFd;

use super::node::{Entry, Node, Source};
use crate::{Error, Limits};

/// Whether the way leads into a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Into,
    Over,
}

/// Who looks at what is met.
pub(super) trait Visitor {
    /// Something, before what is in it.
    fn node(&mut self, path: &[u8], node: &Node) -> Result<Step, Error>;
    /// A directory, after all that is in it.
    fn left(&mut self, path: &[u8], node: &Node) -> Result<(), Error>;
}

struct Level {
    node: Node,
    /// What is still to be seen, in reverse.
    entries: Vec<Entry>,
    /// The bytes of the path that lead here.
    length: usize,
}

/// Shows a visitor all that is below a directory, but for the directory itself.
pub(super) fn walk(
    root: BorrowedFd<'_>,
    source: Source,
    limits: &Limits,
    visitor: &mut dyn Visitor,
) -> Result<(), Error> {
    let top = Node::open(root, b".", b".")?
        .ok_or_else(|| Error::pack("open", b".", std::io::ErrorKind::NotFound))?;
    let mut path = Vec::new();
    let mut count = 0;
    let mut levels = vec![level(top, &path, &mut count, limits)?];
    while let Some(here) = levels.last_mut() {
        path.truncate(here.length);
        let Some(entry) = here.entries.pop() else {
            let done = levels.pop();
            if let Some(done) = done.filter(|_| !levels.is_empty()) {
                visitor.left(&path, &done.node)?;
            }
            continue;
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&entry.name);
        let folder = super::borrowed(&here.node);
        let Some(node) = Node::open_entry(folder, &entry, source, &path)? else { continue };
        let step = visitor.node(&path, &node)?;
        if node.is_directory() && step == Step::Into {
            if levels.len() >= limits.depth {
                return Err(Error::Limit {
                    of: "directories inside one another",
                    limit: limits.depth as u64,
                });
            }
            levels.push(level(node, &path, &mut count, limits)?);
        }
    }
    Ok(())
}

fn level(node: Node, path: &[u8], count: &mut u64, limits: &Limits) -> Result<Level, Error> {
    let mut entries = node.entries(path)?;
    entries.reverse();
    *count += entries.len() as u64;
    if *count > limits.entries {
        return Err(Error::Limit { of: "entries", limit: limits.entries });
    }
    Ok(Level { node, entries, length: path.len() })
}
