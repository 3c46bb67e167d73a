//! A layer as a tree in memory, while its tar is read: the target of the index.
//!
//! It gives the same tree as unpacking to a directory does; one suite of tests holds both to that.

use std::collections::BTreeMap;

use super::side::Side;
use crate::Error;
use crate::unpack::{Attributes, Content, OPAQUE, Place, Special, Target, Times};

/// As many symlinks on the way to a parent as the kernel follows.
const MAX_LINKS: usize = 40;

pub(super) type NodeId = usize;

/// One inode to be, if any name still leads to it in the end.
pub(super) struct Node {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) times: Times,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Directory(BTreeMap<Vec<u8>, NodeId>),
    File {
        device: Device,
        position: u64,
        size: u64,
    },
    Symlink(Vec<u8>),
    Special(Special),
    /// overlayfs' character device 0:0.
    Whiteout,
}

/// Where a file's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    Tar = 1,
    Side = 2,
}

/// The tree being built.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) side: Side,
}

pub(super) const ROOT: NodeId = 0;

impl Tree {
    pub(super) fn new(side: Side) -> Self {
        Self { nodes: vec![folder()], side }
    }

    fn children(&self, id: NodeId) -> Option<&BTreeMap<Vec<u8>, NodeId>> {
        match &self.nodes[id].kind {
            Kind::Directory(children) => Some(children),
            _ => None,
        }
    }

    fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.children(parent)?.get(name).copied()
    }

    /// Walks to a directory from the root, through symlinks of the layer, which can't lead out of it: `..` of the root is
    /// the root. Nothing where a component is missing or is no directory in the end.
    fn walk(&self, path: &[Vec<u8>]) -> Option<NodeId> {
        let mut waiting: Vec<Vec<u8>> = path.iter().rev().cloned().collect();
        let mut trail = vec![ROOT];
        let mut links = 0;
        while let Some(name) = waiting.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if trail.len() > 1 {
                        trail.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let next = self.child(*trail.last()?, &name)?;
            match &self.nodes[next].kind {
                Kind::Directory(_) => trail.push(next),
                Kind::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    if target.first() == Some(&b'/') {
                        trail.truncate(1);
                    }
                    waiting.extend(target.split(|b| *b == b'/').rev().map(<[u8]>::to_vec));
                }
                _ => return None,
            }
        }
        trail.last().copied()
    }

    /// The directory that an entry goes to, with what is missing on the way made.
    fn parent(&mut self, place: &Place) -> NodeId {
        let parents = place.parents();
        if let Some(found) = self.walk(parents) {
            return found;
        }
        let mut here = ROOT;
        for (depth, name) in parents.iter().enumerate() {
            here = match self.walk(&parents[..=depth]) {
                Some(next) => next,
                // What is there and is no directory, nor a link to one, gives way: the later entry wins.
                None => self.put(here, name.clone(), folder()),
            };
        }
        here
    }

    /// Puts a node under a name, in place of what was there.
    fn put(&mut self, parent: NodeId, name: Vec<u8>, node: Node) -> NodeId {
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.name(parent, name, id);
        id
    }

    fn name(&mut self, parent: NodeId, name: Vec<u8>, id: NodeId) {
        if let Kind::Directory(children) = &mut self.nodes[parent].kind {
            children.insert(name, id);
        }
    }

    fn clear(&mut self, parent: NodeId, name: &[u8]) {
        if let Kind::Directory(children) = &mut self.nodes[parent].kind {
            children.remove(name);
        }
    }

    fn add(&mut self, place: &Place, attributes: Attributes, kind: Kind) {
        let parent = self.parent(place);
        self.put(parent, last(place), node(attributes, kind));
    }

    fn set_opaque(&mut self, id: NodeId) {
        self.nodes[id].xattrs.insert(OPAQUE.to_owned(), b"y".to_vec());
    }
}

impl Target for Tree {
    fn root(&mut self, _: &Place, attributes: Attributes) -> Result<(), Error> {
        assume(&mut self.nodes[ROOT], attributes);
        Ok(())
    }

    fn directory(&mut self, place: &Place, attributes: Attributes) -> Result<(), Error> {
        let parent = self.parent(place);
        let name = last(place);
        let there = self.child(parent, &name);
        if let Some(id) = there.filter(|id| matches!(self.nodes[*id].kind, Kind::Directory(_))) {
            assume(&mut self.nodes[id], attributes);
            return Ok(());
        }
        let deleted = there.is_some_and(|id| matches!(self.nodes[id].kind, Kind::Whiteout));
        let id = self.put(parent, name, node(attributes, Kind::Directory(BTreeMap::new())));
        if deleted {
            // The lower layers' directory of this name was deleted first: it must not shine through the new one.
            self.set_opaque(id);
        }
        Ok(())
    }

    fn file(&mut self, place: &Place, attributes: Attributes, content: Content<'_>) -> Result<(), Error> {
        let kind = match content.sparse {
            // Its pieces lie packed in the tar, not where the file has them.
            true => {
                let (position, size) = self.side.append(content.bytes, place)?;
                Kind::File { device: Device::Side, position, size }
            }
            false => Kind::File { device: Device::Tar, position: content.position, size: content.size },
        };
        self.add(place, attributes, kind);
        Ok(())
    }

    fn symlink(&mut self, place: &Place, attributes: Attributes, target: Vec<u8>) -> Result<(), Error> {
        // A link has no mode of its own; what a tar says of it means nothing.
        self.add(place, Attributes { mode: 0o777, ..attributes }, Kind::Symlink(target));
        Ok(())
    }

    fn hard_link(&mut self, place: &Place, original: &Place) -> Result<(), Error> {
        let parent = self.parent(place);
        let name = last(place);
        self.clear(parent, &name);
        let folder = self.walk(original.parents());
        let folder =
            folder.ok_or_else(|| original.refuse("is the target of a link and isn't in this layer"))?;
        let found = original.name().and_then(|name| self.child(folder, name));
        match found.filter(|id| !matches!(self.nodes[*id].kind, Kind::Directory(_) | Kind::Whiteout)) {
            Some(id) => {
                self.name(parent, name, id);
                Ok(())
            }
            None => Err(place.refuse("is a hard link to something that isn't a file of this layer")),
        }
    }

    fn special(&mut self, place: &Place, attributes: Attributes, kind: Special) -> Result<(), Error> {
        self.add(place, attributes, Kind::Special(kind));
        Ok(())
    }

    fn whiteout(&mut self, place: &Place, hidden: &[u8]) -> Result<(), Error> {
        let parent = self.parent(place);
        match self.child(parent, hidden) {
            None => {
                let nobody = Attributes {
                    uid: 0,
                    gid: 0,
                    owned: true,
                    mode: 0,
                    times: Times::default(),
                    xattrs: Vec::new(),
                };
                self.put(parent, hidden.to_vec(), node(nobody, Kind::Whiteout));
            }
            Some(id) if matches!(self.nodes[id].kind, Kind::Directory(_)) => self.set_opaque(id),
            Some(_) => {}
        }
        Ok(())
    }

    fn opaque(&mut self, place: &Place) -> Result<(), Error> {
        let parent = self.parent(place);
        self.set_opaque(parent);
        Ok(())
    }
}

fn last(place: &Place) -> Vec<u8> {
    place.name().unwrap_or_default().to_vec()
}

fn folder() -> Node {
    Node {
        mode: 0o755,
        uid: 0,
        gid: 0,
        times: Times::default(),
        xattrs: BTreeMap::new(),
        kind: Kind::Directory(BTreeMap::new()),
    }
}

fn node(attributes: Attributes, kind: Kind) -> Node {
    let mut node = Node { kind, ..folder() };
    assume(&mut node, attributes);
    node
}

/// Owner, mode, times; attributes that are there already stay, as on a disk.
fn assume(node: &mut Node, attributes: Attributes) {
    node.mode = attributes.mode;
    node.uid = attributes.uid;
    node.gid = attributes.gid;
    node.times = attributes.times;
    node.xattrs.extend(attributes.xattrs);
}
