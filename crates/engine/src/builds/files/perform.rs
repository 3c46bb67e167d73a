//! One step's actions, one after another.

use std::sync::Arc;

use build::Error;
use build::graph::{Action, Change, Copy, File, Mkdir, Mkfile, Owner, Place, Remove, Symlink};
use build::patterns::Glob;
use layers::About;

use super::copy::{Copier, From, nanoseconds};
use super::draft::{Content, Draft, Node};
use super::look::{Last, Look, Path, Root, join, resolve, shown, split};
use super::owner::{User, owner, small_file};
use crate::builds::tree::Tree;

/// What one output is: changes to a tree.
pub(crate) struct Planned {
    pub(crate) base: Tree,
    pub(crate) draft: Draft,
}

/// What a step's actions come to: one plan for each output.
pub(crate) struct Performed {
    pub(crate) outputs: Vec<Planned>,
}

/// What performing needs of the engine.
pub(crate) trait Help {
    /// A tree, to be read.
    fn root(&self, tree: &Tree) -> Result<Arc<Root>, Error>;
    /// What is in an archive, to be read; nothing if the file is none.
    fn unpack(&self, root: &Root, path: &[Vec<u8>]) -> Result<Option<Arc<Root>>, Error>;
}

/// Plans what a step does, without writing anything.
pub(crate) fn perform(file: &File, inputs: &[Tree], help: &dyn Help) -> Result<Performed, Error> {
    let mut left: Vec<Planned> = Vec::new();
    let mut outputs: Vec<(u32, usize)> = Vec::new();
    for (at, action) in file.actions.iter().enumerate() {
        let mut planned = begin(action.base, inputs, &left, help)?;
        let acting = Acting { inputs, left: &left, help };
        acting.act(action, &mut planned.draft)?;
        outputs.extend(action.output.map(|output| (output, at)));
        left.push(planned);
    }
    outputs.sort_unstable();
    let mut all: Vec<Option<Planned>> = left.into_iter().map(Some).collect();
    let taken = outputs.iter().filter_map(|(_, at)| all.get_mut(*at)?.take());
    Ok(Performed { outputs: taken.collect() })
}

/// The same on one tree that is there.
pub(crate) fn perform_on(file: &File, root: &Arc<Root>) -> Result<Planned, Error> {
    struct One<'a>(&'a Arc<Root>);
    impl Help for One<'_> {
        fn root(&self, _: &Tree) -> Result<Arc<Root>, Error> {
            Ok(self.0.clone())
        }
        fn unpack(&self, _: &Root, _: &[Vec<u8>]) -> Result<Option<Arc<Root>>, Error> {
            Ok(None)
        }
    }
    let performed = perform(file, &[Tree::scratch()], &One(root))?;
    performed.outputs.into_iter().next().ok_or_else(|| missing("output"))
}

fn begin(place: Place, inputs: &[Tree], left: &[Planned], help: &dyn Help) -> Result<Planned, Error> {
    match place {
        Place::Scratch => Ok(Planned { base: Tree::scratch(), draft: Draft::new(None)? }),
        Place::Action(at) => {
            let earlier = left.get(at as usize).ok_or_else(|| missing("action"))?;
            Ok(Planned { base: earlier.base.clone(), draft: earlier.draft.clone() })
        }
        Place::Input(input) => {
            let tree = inputs.get(input.0 as usize).ok_or_else(|| missing("input"))?;
            let root = help.root(tree)?;
            match tree {
                Tree::Layers(layers) if layers.list.is_empty() => {
                    Ok(Planned { base: tree.clone(), draft: Draft::new(None)? })
                }
                Tree::Layers(_) => Ok(Planned { base: tree.clone(), draft: Draft::new(Some(root))? }),
                // A directory of a client's is no layer: all of it is copied.
                Tree::Folder(_) => {
                    let mut draft = Draft::new(None)?;
                    let copy = Copy { contents_only: true, ..Copy::new(Place::Scratch, "/", "/") };
                    Copier::new(From::Root(&root), &mut draft, &copy, None)?.copy(&[])?;
                    Ok(Planned { base: Tree::scratch(), draft })
                }
            }
        }
    }
}

fn missing(what: &str) -> Error {
    Error::Invalid(format!("a step names an {what} that isn't there"))
}

struct Acting<'a> {
    inputs: &'a [Tree],
    left: &'a [Planned],
    help: &'a dyn Help,
}

impl Acting<'_> {
    fn act(&self, action: &Action, draft: &mut Draft) -> Result<(), Error> {
        match &action.change {
            Change::Copy(copy) => self.copy(copy, draft),
            Change::Mkfile(file) => mkfile(draft, file, self.owner(file.owner.as_ref())?),
            Change::Mkdir(directory) => mkdir(draft, directory, self.owner(directory.owner.as_ref())?),
            Change::Remove(remove) => self::remove(draft, remove),
            Change::Symlink(link) => symlink(draft, link, self.owner(link.owner.as_ref())?),
        }
    }

    fn tree(&self, input: build::graph::Input) -> Result<Arc<Root>, Error> {
        let tree = self.inputs.get(input.0 as usize).ok_or_else(|| missing("input"))?;
        self.help.root(tree)
    }

    fn owner(&self, asked: Option<&Owner>) -> Result<Option<User>, Error> {
        let read = |place: Place, path: &str| match place {
            Place::Scratch => Ok(None),
            Place::Input(input) => small_file(&*self.tree(input)?, path),
            Place::Action(_) => {
                Err(Error::Unsupported { what: "an owner by name within an earlier action".into() })
            }
        };
        asked.map(|asked| owner(asked, &read)).transpose()
    }

    fn copy(&self, copy: &Copy, draft: &mut Draft) -> Result<(), Error> {
        let owner = self.owner(copy.owner.as_ref())?;
        match copy.from {
            Place::Scratch => {
                Err(Error::NotFound(format!("\"{}\": not found", shown(&split(copy.source.as_bytes())))))
            }
            Place::Action(at) => {
                let from = &self.left.get(at as usize).ok_or_else(|| missing("action"))?.draft;
                let mut copier = Copier::new(From::Draft(from), draft, copy, owner)?;
                copier.sources()?.iter().try_for_each(|source| copier.copy(source))
            }
            Place::Input(input) => {
                let root = self.tree(input)?;
                let sources = Copier::new(From::Root(&root), draft, copy, owner)?.sources()?;
                for source in &sources {
                    let mut copier = Copier::new(From::Root(&root), draft, copy, owner)?;
                    let unpacked = match copy.unpack {
                        true => self.unpacked(&root, &copier, source)?,
                        false => None,
                    };
                    match unpacked {
                        None => copier.copy(source)?,
                        Some(unpacked) => add_unpacked(&unpacked, copy, draft, owner)?,
                    }
                }
                Ok(())
            }
        }
    }

    fn unpacked(
        &self,
        root: &Arc<Root>,
        copier: &Copier<'_>,
        source: &[Vec<u8>],
    ) -> Result<Option<Arc<Root>>, Error> {
        let (path, seen) = copier.source(source)?;
        match seen.kind {
            super::look::SeenKind::File { .. } => self.help.unpack(root, &path),
            _ => Ok(None),
        }
    }
}

/// What was in an archive goes below the target.
fn add_unpacked(
    unpacked: &Arc<Root>,
    copy: &Copy,
    draft: &mut Draft,
    owner: Option<User>,
) -> Result<(), Error> {
    let all = Copy {
        source: "/".into(),
        contents_only: true,
        create_target_path: true,
        replace_existing: true,
        owner: None,
        // The archive says these itself.
        mode: None,
        ..copy.clone()
    };
    Copier::new(From::Root(unpacked), draft, &all, owner)?.copy(&[])
}

/// When something was made that says nothing of it: now.
fn time(asked: Option<i64>) -> (i64, u32) {
    asked.map_or_else(
        || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            (i64::try_from(now.as_secs()).unwrap_or_default(), 0)
        },
        nanoseconds,
    )
}

fn about(mode: u32, owner: Option<User>, time: (i64, u32)) -> About {
    let (uid, gid) = owner.map_or((0, 0), |owner| (owner.uid, owner.gid));
    About { mode: mode & 0o7777, uid, gid, time, xattrs: Vec::new() }
}

fn mkfile(draft: &mut Draft, file: &Mkfile, owner: Option<User>) -> Result<(), Error> {
    let path = resolve(draft, file.path.as_bytes(), Last::Followed)?;
    if draft.look(&path)?.is_some_and(|there| there.is_directory()) {
        return Err(Error::Invalid(format!("open {}: is a directory", file.path)));
    }
    let content = Content::Bytes(Arc::new(file.data.clone()));
    let about = about(file.mode, owner, time(file.time));
    draft.put(&path, Node::File { about, size: file.data.len() as u64, content, same: None })
}

fn mkdir(draft: &mut Draft, directory: &Mkdir, owner: Option<User>) -> Result<(), Error> {
    let path = resolve(draft, directory.path.as_bytes(), Last::Followed)?;
    // As old as what it is made in, so that the same step makes the same layer on another day.
    let mut above: &[Vec<u8>] = &path;
    let mut inherited = None;
    while let Some((_, parent)) = above.split_last() {
        if let Some(seen) = draft.look(parent)? {
            inherited = Some(seen.about.time);
            break;
        }
        above = parent;
    }
    // Above everything is the root, which from nothing is of 1970.
    let when = directory.time.map(nanoseconds).or(inherited).unwrap_or_default();
    let about = || about(directory.mode, owner, when);
    if directory.parents {
        return draft.make_all(&path, &about).map(drop);
    }
    match draft.look(&path)? {
        Some(_) => Ok(()),
        None => draft.make(&path, about()),
    }
}

fn symlink(draft: &mut Draft, link: &Symlink, owner: Option<User>) -> Result<(), Error> {
    let path = resolve(draft, link.new.as_bytes(), Last::Kept)?;
    if draft.look(&path)?.is_some() {
        return Err(Error::Invalid(format!("symlink {} {}: file exists", link.old, link.new)));
    }
    let about = about(0o777, owner, time(link.time));
    draft.put(&path, Node::Symlink { about, to: link.old.as_bytes().to_vec() })
}

fn remove(draft: &mut Draft, remove: &Remove) -> Result<(), Error> {
    let parts = split(remove.path.as_bytes());
    let Some((last, parents)) = parts.split_last() else {
        return Err(Error::Invalid("rmPath: invalid empty path".into()));
    };
    let parent = resolve(draft, &join(parents), Last::Followed)?;
    let pattern = String::from_utf8_lossy(last).into_owned();
    if remove.wildcard && Glob::is_wild(&pattern) {
        let glob = Glob::simple(&pattern)?;
        for name in draft.names(&parent)?.into_iter().filter(|name| glob.matches(name)) {
            draft.remove(&below(&parent, &name))?;
        }
        return Ok(());
    }
    let path = below(&parent, last);
    match draft.look(&path)? {
        Some(_) => draft.remove(&path),
        None if remove.allow_missing => Ok(()),
        None => Err(Error::NotFound(format!("stat {}: no such file or directory", remove.path))),
    }
}

fn below(parent: &[Vec<u8>], name: &[u8]) -> Path {
    [parent, &[name.to_vec()]].concat()
}
