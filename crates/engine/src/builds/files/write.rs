//! A draft as a layer, and as a key: both say of each change what it is, in the same order.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};

use build::Error;
use layers::{About, Composer, What};
use oci::{Algorithm, Hasher};

use super::draft::{Content, Draft, Folder, Node};
use super::look::{Path, Root, join};

impl Draft {
    /// Writes the changes as a layer. Names of one file stay names of one file.
    pub(crate) fn write(&self, out: &mut dyn Write) -> Result<(), layers::Error> {
        let mut writing = Writing { composer: Composer::new(out), links: HashMap::new(), draft: self };
        if self.says_root() {
            writing.composer.put(b"", &self.root().about, What::Directory)?;
        }
        writing.folder(&mut Path::new(), self.root())?;
        writing.composer.finish()
    }

    /// What the changes are, but for when: what is written has the same content where this is the same.
    pub(crate) fn describe(&self, to: &mut Hasher) -> Result<(), Error> {
        if self.says_root() {
            about(to, &self.root().about);
        }
        describe(&mut Path::new(), self.root(), to)
    }
}

impl Draft {
    /// What comes from clients among the changes: files by their names there, links by where they will be, each with
    /// what tells one state from another. No more than `limit`.
    pub(crate) fn sources(&self, limit: usize, found: &mut BTreeMap<String, String>) {
        sources(&mut Path::new(), self.root(), limit, found);
    }
}

fn sources(path: &mut Path, folder: &Folder, limit: usize, found: &mut BTreeMap<String, String>) {
    for (name, node) in folder.children.iter() {
        if found.len() >= limit {
            return;
        }
        path.push(name.clone());
        match node {
            Node::Directory(folder) => sources(path, folder, limit, found),
            Node::File { about: says, size, content: Content::Of { root, path: from }, .. } => {
                if let Root::Folder(client) = &**root {
                    let digest = client.digest(from).unwrap_or_default();
                    let state = state(says, format!("{size} {digest}").as_bytes());
                    found.insert(String::from_utf8_lossy(&join(from)).into_owned(), state);
                }
            }
            Node::Symlink { about: says, to } => {
                let name = format!("/{}", String::from_utf8_lossy(&join(path)));
                found.insert(name, state(says, to));
            }
            _ => {}
        }
        path.pop();
    }
}

fn state(says: &About, content: &[u8]) -> String {
    let mut state = Hasher::new(Algorithm::Sha256);
    about(&mut state, says);
    field(&mut state, content);
    state.finish().hex()[..16].to_owned()
}

struct Writing<'a> {
    composer: Composer<'a>,
    /// The first name of each file that has several.
    links: HashMap<(usize, u64, u64), Vec<u8>>,
    draft: &'a Draft,
}

impl Writing<'_> {
    fn folder(&mut self, path: &mut Path, folder: &Folder) -> Result<(), layers::Error> {
        for (name, node) in &folder.children {
            path.push(name.clone());
            self.node(path, node)?;
            path.pop();
        }
        Ok(())
    }

    fn node(&mut self, path: &mut Path, node: &Node) -> Result<(), layers::Error> {
        let name = join(path);
        match node {
            Node::Gone => self.composer.gone(&name),
            Node::Directory(folder) => {
                self.composer.put(&name, &folder.about, What::Directory)?;
                if !folder.based && self.hides(path)? {
                    self.composer.opaque(&name)?;
                }
                self.folder(path, folder)
            }
            Node::File { about, size, content, same } => {
                if let Some(first) = same.and_then(|same| self.links.get(&same)).cloned() {
                    return self.composer.put(&name, about, What::Link { to: &first });
                }
                if let Some(same) = same {
                    self.links.insert(*same, name.clone());
                }
                self.file(&name, about, *size, content)
            }
            Node::Symlink { about, to } => self.composer.put(&name, about, What::Symlink { to }),
            Node::Fifo(about) => self.composer.put(&name, about, What::Fifo),
            Node::Device { about, block, major, minor } => {
                let what = What::Device { block: *block, major: *major, minor: *minor };
                self.composer.put(&name, about, what)
            }
        }
    }

    fn file(
        &mut self,
        name: &[u8],
        about: &About,
        size: u64,
        content: &Content,
    ) -> Result<(), layers::Error> {
        let failed = |source: Error| layers::Error::ReadTar { source: std::io::Error::other(source) };
        let mut opened: Box<dyn Read> = match content {
            Content::Bytes(bytes) => Box::new(&bytes[..]),
            Content::Of { root, path } => Box::new(root.open(path).map_err(failed)?),
        };
        self.composer.put(name, about, What::File { size, content: &mut *opened })
    }

    /// Whether the base has a directory at the path of a new one.
    fn hides(&self, path: &[Vec<u8>]) -> Result<bool, layers::Error> {
        let failed = |source: Error| layers::Error::ReadTar { source: std::io::Error::other(source) };
        Ok(self.draft.below(path).map_err(failed)?.is_some_and(|seen| seen.is_directory()))
    }
}

fn describe(path: &mut Path, folder: &Folder, to: &mut Hasher) -> Result<(), Error> {
    for (name, node) in &folder.children {
        path.push(name.clone());
        field(to, &join(path));
        match node {
            Node::Gone => field(to, b"gone"),
            Node::Directory(folder) => {
                field(to, if folder.based { b"in" } else { b"new" });
                about(to, &folder.about);
                describe(path, folder, to)?;
                field(to, b"out");
            }
            Node::File { about: says, size, content, .. } => {
                field(to, b"file");
                about(to, says);
                field(to, &size.to_le_bytes());
                let digest = match content {
                    Content::Bytes(bytes) => oci::Digest::sha256(bytes).hex().to_owned(),
                    Content::Of { root, path } => root.digest(path)?,
                };
                field(to, digest.as_bytes());
            }
            Node::Symlink { about: says, to: target } => {
                field(to, b"symlink");
                about(to, says);
                field(to, target);
            }
            Node::Fifo(says) => {
                field(to, b"fifo");
                about(to, says);
            }
            Node::Device { about: says, block, major, minor } => {
                field(to, b"device");
                about(to, says);
                field(to, format!("{block} {major} {minor}").as_bytes());
            }
        }
        path.pop();
    }
    Ok(())
}

fn about(to: &mut Hasher, about: &About) {
    field(to, format!("{:o} {} {} {}", about.mode, about.uid, about.gid, about.xattrs.len()).as_bytes());
    for (name, value) in &about.xattrs {
        field(to, name);
        field(to, value);
    }
}

/// With its length before it, so that no two lists of fields are the same bytes.
fn field(to: &mut Hasher, bytes: &[u8]) {
    to.update(&(bytes.len() as u64).to_le_bytes());
    to.update(bytes);
}
