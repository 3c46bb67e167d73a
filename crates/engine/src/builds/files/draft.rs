//! A tree as it will be: what is there, and what changes, which is in memory. Contents stay where they are.
//!
//! ```text
//! root ─ etc ─ passwd          a File: new, or in the place of the base's
//!      └ old  = Gone           the base's is removed
//! ```
//!
//! A directory is in the draft if something in it changes; `based` says that the rest of it is the base's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use build::Error;
use layers::About;

use super::look::{Look, Path, Root, Seen, SeenKind, shown};

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Bytes(Arc<Vec<u8>>),
    Of { root: Arc<Root>, path: Path },
}

/// Something that is in the draft.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Directory(Folder),
    File { about: About, size: u64, content: Content, same: Option<(usize, u64, u64)> },
    Symlink { about: About, to: Vec<u8> },
    Fifo(About),
    Device { about: About, block: bool, major: u32, minor: u32 },
    Gone,
}

#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) about: About,
    /// What isn't among the children is as in the base.
    pub(crate) based: bool,
    pub(crate) children: BTreeMap<Vec<u8>, Node>,
}

/// Changes to a tree.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    base: Option<Arc<Root>>,
    root: Folder,
    /// Whether something of the root directory itself is said.
    changed: bool,
}

impl Draft {
    /// No changes yet; to nothing, if there is no base.
    pub(crate) fn new(base: Option<Arc<Root>>) -> Result<Self, Error> {
        let seen = base.as_ref().map(|base| base.look(&[])).transpose()?.flatten();
        let about = seen.map_or_else(|| About { mode: 0o755, ..About::default() }, |seen| seen.about);
        let root = Folder { about, based: base.is_some(), children: BTreeMap::new() };
        Ok(Self { base, root, changed: false })
    }

    pub(crate) fn root(&self) -> &Folder {
        &self.root
    }

    /// Whether a layer has to say what the root directory is: the uppermost layer's word counts.
    pub(crate) fn says_root(&self) -> bool {
        self.changed || self.root.based && !self.root.children.is_empty()
    }

    /// What the base has at a path, where the draft lets it be seen.
    pub(crate) fn below(&self, path: &[Vec<u8>]) -> Result<Option<Seen>, Error> {
        match &self.base {
            Some(base) => base.look(path),
            None => Ok(None),
        }
    }

    /// The node at a path, or that everything below a directory is the base's, or that nothing is there.
    fn find(&self, path: &[Vec<u8>]) -> Found<'_> {
        let mut folder = &self.root;
        let Some((last, parents)) = path.split_last() else { return Found::Root };
        for name in parents {
            match folder.children.get(name) {
                Some(Node::Directory(child)) => folder = child,
                Some(_) => return Found::Nothing,
                None if folder.based => return Found::Base,
                None => return Found::Nothing,
            }
        }
        match folder.children.get(last) {
            Some(Node::Gone) => Found::Nothing,
            Some(node) => Found::Node(node),
            None if folder.based => Found::Base,
            None => Found::Nothing,
        }
    }

    /// The directory at a path, in the draft from now on. Those above it must be there.
    fn enter(&mut self, path: &[Vec<u8>]) -> Result<&mut Folder, Error> {
        let base = self.base.clone();
        let mut folder = &mut self.root;
        for (at, name) in path.iter().enumerate() {
            if !folder.children.contains_key(name) {
                let seen = match &base {
                    Some(base) if folder.based => base.look(&path[..=at])?,
                    _ => None,
                };
                let seen = seen.filter(Seen::is_directory).ok_or_else(|| not_a_directory(&path[..=at]))?;
                let child = Folder { about: seen.about, based: true, children: BTreeMap::new() };
                folder.children.insert(name.clone(), Node::Directory(child));
            }
            match folder.children.get_mut(name) {
                Some(Node::Directory(child)) => folder = child,
                _ => return Err(not_a_directory(&path[..=at])),
            }
        }
        Ok(folder)
    }

    /// Puts something at a path whose directory is there, in the place of what is there.
    pub(crate) fn put(&mut self, path: &[Vec<u8>], node: Node) -> Result<(), Error> {
        let Some((name, parent)) = path.split_last() else {
            return Err(Error::Invalid("the root directory can't be replaced".into()));
        };
        self.enter(parent)?.children.insert(name.clone(), node);
        Ok(())
    }

    /// A new directory, with nothing of what was at its path.
    pub(crate) fn make(&mut self, path: &[Vec<u8>], about: About) -> Result<(), Error> {
        self.put(path, Node::Directory(Folder { about, based: false, children: BTreeMap::new() }))
    }

    /// Says something else of a directory that is there.
    pub(crate) fn set_about(&mut self, path: &[Vec<u8>], about: About) -> Result<(), Error> {
        self.changed |= path.is_empty();
        self.enter(path)?.about = about;
        Ok(())
    }

    /// Directories down to a path, as far as they are missing; those that were made.
    pub(crate) fn make_all(
        &mut self,
        path: &[Vec<u8>],
        about: &dyn Fn() -> About,
    ) -> Result<Vec<Path>, Error> {
        let mut made = Vec::new();
        for end in 1..=path.len() {
            match self.look(&path[..end])? {
                Some(seen) if seen.is_directory() => {}
                Some(_) => return Err(not_a_directory(&path[..end])),
                None => {
                    self.make(&path[..end], about())?;
                    made.push(path[..end].to_vec());
                }
            }
        }
        Ok(made)
    }

    /// Takes away what is at a path.
    pub(crate) fn remove(&mut self, path: &[Vec<u8>]) -> Result<(), Error> {
        let Some((name, parent)) = path.split_last() else {
            return Err(Error::Invalid("the root directory can't be removed".into()));
        };
        let hides = self.below(path)?.is_some();
        let folder = self.enter(parent)?;
        match hides && folder.based {
            true => drop(folder.children.insert(name.clone(), Node::Gone)),
            false => drop(folder.children.remove(name)),
        }
        Ok(())
    }

    /// A file's bytes, from the draft or the base.
    pub(crate) fn content(&self, path: &[Vec<u8>]) -> Option<Content> {
        match self.find(path) {
            Found::Node(Node::File { content, .. }) => Some(content.clone()),
            Found::Base => Some(Content::Of { root: self.base.clone()?, path: path.to_vec() }),
            _ => None,
        }
    }
}

enum Found<'a> {
    Root,
    Node(&'a Node),
    Base,
    Nothing,
}

impl Look for Draft {
    fn look(&self, path: &[Vec<u8>]) -> Result<Option<Seen>, Error> {
        match self.find(path) {
            Found::Root => Ok(Some(Seen { about: self.root.about.clone(), kind: SeenKind::Directory })),
            Found::Node(node) => Ok(seen(node)),
            Found::Base => self.below(path),
            Found::Nothing => Ok(None),
        }
    }

    fn names(&self, path: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
        let folder = match self.find(path) {
            Found::Root => Some(&self.root),
            Found::Node(Node::Directory(folder)) => Some(folder),
            Found::Base => None,
            _ => return Ok(Vec::new()),
        };
        let mut names: BTreeSet<Vec<u8>> = BTreeSet::new();
        if let Some(base) = self.base.as_ref().filter(|_| folder.is_none_or(|folder| folder.based)) {
            names.extend(base.names(path)?);
        }
        for (name, node) in folder.into_iter().flat_map(|folder| &folder.children) {
            match node {
                Node::Gone => drop(names.remove(name)),
                _ => drop(names.insert(name.clone())),
            }
        }
        Ok(names.into_iter().collect())
    }
}

fn seen(node: &Node) -> Option<Seen> {
    let (about, kind) = match node {
        Node::Gone => return None,
        Node::Directory(folder) => (&folder.about, SeenKind::Directory),
        Node::File { about, size, .. } => (about, SeenKind::File { size: *size, same: None }),
        Node::Symlink { about, to } => (about, SeenKind::Symlink(to.clone())),
        Node::Fifo(about) => (about, SeenKind::Fifo),
        Node::Device { about, block, major, minor } => {
            (about, SeenKind::Device { block: *block, major: *major, minor: *minor })
        }
    };
    Some(Seen { about: about.clone(), kind })
}

fn not_a_directory(path: &[Vec<u8>]) -> Error {
    Error::Invalid(format!("{}: not a directory", shown(path)))
}
