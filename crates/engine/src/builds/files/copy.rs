//! Copying, as BuildKit copies: the same files to the same places, with the same owners, modes and refusals.

use std::sync::Arc;

use build::Error;
use build::graph::{Copy, Mode};
use build::patterns::{Glob, Patterns};
use layers::About;

use super::draft::{Content, Draft, Folder, Node};
use super::look::{Last, Look, Path, Root, Seen, SeenKind, join, resolve, shown, split};
use super::owner::User;

/// Where copies come from.
pub(super) enum From<'a> {
    Root(&'a Arc<Root>),
    Draft(&'a Draft),
}

impl From<'_> {
    fn look(&self) -> &dyn Look {
        match self {
            Self::Root(root) => &***root,
            Self::Draft(draft) => *draft,
        }
    }

    fn content(&self, path: &[Vec<u8>]) -> Option<Content> {
        match self {
            Self::Root(root) => Some(Content::Of { root: (*root).clone(), path: path.to_vec() }),
            Self::Draft(draft) => draft.content(path),
        }
    }

    /// Tells one tree's files from another's.
    fn number(&self) -> usize {
        match self {
            Self::Root(root) => Arc::as_ptr(root) as usize,
            Self::Draft(_) => 0,
        }
    }
}

/// One copy under way.
pub(super) struct Copier<'a> {
    pub(super) from: From<'a>,
    pub(super) to: &'a mut Draft,
    pub(super) copy: &'a Copy,
    pub(super) owner: Option<User>,
    include: Patterns,
    exclude: Patterns,
    mode: Option<Changed>,
}

/// A mode that is asked for.
enum Changed {
    Bits(u32),
    Symbolic(super::owner::Symbolic),
}

impl<'a> Copier<'a> {
    pub(super) fn new(
        from: From<'a>,
        to: &'a mut Draft,
        copy: &'a Copy,
        owner: Option<User>,
    ) -> Result<Self, Error> {
        let mode = match &copy.mode {
            None => None,
            Some(Mode::Bits(bits)) => Some(Changed::Bits(bits & 0o7777)),
            Some(Mode::Symbolic(text)) => Some(Changed::Symbolic(super::owner::Symbolic::parse(text)?)),
        };
        let (include, exclude) = (Patterns::new(&copy.include)?, Patterns::new(&copy.exclude)?);
        Ok(Self { from, to, copy, owner, include, exclude, mode })
    }

    /// The sources that are meant, as they are written, without wildcards.
    pub(super) fn sources(&self) -> Result<Vec<Path>, Error> {
        let source = self.copy.source.as_bytes();
        for required in &self.copy.required {
            self.source(&split(required.as_bytes()))?;
        }
        if !self.copy.wildcard || !Glob::is_wild(&self.copy.source) {
            return Ok(vec![split(source)]);
        }
        let parts = split(source);
        let wild = |part: &Vec<u8>| Glob::is_wild(&String::from_utf8_lossy(part));
        let plain = parts.iter().position(wild).unwrap_or(parts.len());
        let pattern = String::from_utf8_lossy(&join(&parts[plain..])).into_owned();
        let last = if self.copy.follow_symlinks { Last::Followed } else { Last::Kept };
        let base = resolve(self.from.look(), &join(&parts[..plain]), last)?;
        let mut found = Vec::new();
        self.search(&Glob::simple(&pattern)?, parts.len() - plain, base.len(), &base, &mut found)?;
        match found.is_empty() && !self.copy.allow_empty_wildcard {
            true => Err(Error::NotFound(format!("{} not found", self.copy.source))),
            false => Ok(found),
        }
    }

    /// A pattern has as many components as what it matches.
    fn search(
        &self,
        glob: &Glob,
        left: usize,
        top: usize,
        folder: &[Vec<u8>],
        found: &mut Vec<Path>,
    ) -> Result<(), Error> {
        for name in self.from.look().names(folder)? {
            let path = [folder, &[name]].concat();
            if left == 1 {
                if glob.matches(&join(&path[top..])) {
                    found.push(path);
                }
            } else if self.from.look().look(&path)?.is_some_and(|seen| seen.is_directory()) {
                self.search(glob, left - 1, top, &path, found)?;
            }
        }
        Ok(())
    }

    /// Where a source is, and what it is.
    pub(super) fn source(&self, path: &[Vec<u8>]) -> Result<(Path, Seen), Error> {
        let last = if self.copy.follow_symlinks { Last::Followed } else { Last::Kept };
        let found = resolve(self.from.look(), &join(path), last)?;
        match self.from.look().look(&found)? {
            Some(seen) => Ok((found, seen)),
            None => Err(Error::NotFound(format!("\"{}\": not found", shown(path)))),
        }
    }

    /// Copies one source.
    pub(super) fn copy(&mut self, written: &[Vec<u8>]) -> Result<(), Error> {
        let (source, seen) = self.source(written)?;
        let target = self.target(written, &seen)?;
        if seen.is_directory() {
            return self.folder(&source, &mut Path::new(), &target, Depth::Top);
        }
        self.other(&source, &target, &seen)
    }

    /// Where a source goes, with the directories above it made.
    fn target(&mut self, written: &[Vec<u8>], seen: &Seen) -> Result<Path, Error> {
        let text = self.copy.target.as_bytes();
        let mut target = resolve(self.to, text, Last::Followed)?;
        if !self.copy.create_target_path
            && let Some((_, parent)) = target.split_last()
            && self.to.look(parent)?.is_none()
        {
            let missing = format!("failed to stat {}: no such file or directory", self.copy.target);
            return Err(Error::NotFound(missing));
        }
        if text.ends_with(b"/") || text.ends_with(b"/.") {
            self.make_all(&target, seen)?;
        }
        let there = self.to.look(&target)?;
        let into = match seen.is_directory() {
            true => !self.copy.contents_only && there.is_some(),
            false => there.as_ref().is_some_and(Seen::is_directory),
        };
        if into && let Some(name) = written.last() {
            target.push(name.clone());
        }
        let contents = self.copy.contents_only && seen.is_directory() && there.is_none();
        let end = if contents { target.len() } else { target.len().saturating_sub(1) };
        self.make_all(&target[..end], seen)?;
        Ok(target)
    }

    /// Directories that nobody copied: as old as what goes there, and with the mode that was asked for in numbers.
    fn make_all(&mut self, path: &[Vec<u8>], seen: &Seen) -> Result<(), Error> {
        let (uid, gid) = self.owner.map_or((0, 0), |owner| (owner.uid, owner.gid));
        let time = self.copy.time.map_or(seen.about.time, nanoseconds);
        let mode = if let Some(Changed::Bits(bits)) = self.mode { bits } else { 0o755 };
        let about = || About { mode, uid, gid, time, xattrs: Vec::new() };
        self.to.make_all(path, &about).map(drop)
    }

    /// A directory and what is in it. `relative` is its path below the source, by which patterns know it.
    fn folder(
        &mut self,
        source: &[Vec<u8>],
        relative: &mut Path,
        target: &[Vec<u8>],
        depth: Depth,
    ) -> Result<(), Error> {
        let included =
            self.include.is_empty() || depth == Depth::Inside && self.include.matches(&join(relative));
        let excluded = depth == Depth::Inside && self.exclude.matches(&join(relative));
        if included && !excluded {
            if depth == Depth::Inside {
                self.make_parents(source, relative.len(), target)?;
            }
            self.make_folder(source, target, depth)?;
        }
        for name in self.from.look().names(source)? {
            let one = std::slice::from_ref(&name);
            let (from, to) = ([source, one].concat(), [target, one].concat());
            // Gone meanwhile: a base never changes, and a client's directory is ours.
            let Some(seen) = self.from.look().look(&from)? else { continue };
            relative.push(name);
            let copied = self.inside(&from, relative, &to, &seen);
            relative.pop();
            copied?;
        }
        Ok(())
    }

    fn inside(
        &mut self,
        source: &[Vec<u8>],
        relative: &mut Path,
        target: &[Vec<u8>],
        seen: &Seen,
    ) -> Result<(), Error> {
        let path = join(relative);
        let excluded = self.exclude.matches(&path);
        if seen.is_directory() {
            if excluded && !self.exclude.may_except_below(&path) {
                return Ok(());
            }
            return self.folder(source, relative, target, Depth::Inside);
        }
        if excluded || !self.include.is_empty() && !self.include.matches(&path) {
            return Ok(());
        }
        self.make_parents(source, relative.len(), target)?;
        self.other(source, target, seen)
    }

    /// With patterns, a directory is made when something in it is copied.
    fn make_parents(&mut self, source: &[Vec<u8>], below: usize, target: &[Vec<u8>]) -> Result<(), Error> {
        if self.include.is_empty() && self.exclude.is_empty() {
            return Ok(());
        }
        for above in (1..=below).rev() {
            let to = &target[..target.len() - above];
            if self.to.look(to)?.is_none() {
                let depth = if above == below { Depth::Top } else { Depth::Inside };
                self.make_folder(&source[..source.len() - above], to, depth)?;
            }
        }
        Ok(())
    }

    fn make_folder(&mut self, source: &[Vec<u8>], target: &[Vec<u8>], depth: Depth) -> Result<(), Error> {
        let Some(seen) = self.from.look().look(source)? else { return Ok(()) };
        let about = self.about(&seen);
        match self.to.look(target)? {
            Some(there) if there.is_directory() => {
                // What is copied into stays as it is; what is met on the way becomes as it is copied.
                if depth == Depth::Inside && self.include.is_empty() {
                    self.to.set_about(target, about)?;
                }
                Ok(())
            }
            Some(_) if !self.copy.replace_existing => {
                Err(Error::Invalid(format!("cannot copy to non-directory: {}", shown(target))))
            }
            _ if target.is_empty() => Ok(()),
            _ => self.to.make(target, about),
        }
    }

    fn other(&mut self, source: &[Vec<u8>], target: &[Vec<u8>], seen: &Seen) -> Result<(), Error> {
        if self.to.look(target)?.is_some_and(|there| there.is_directory()) && !self.copy.replace_existing {
            return Err(Error::Invalid(format!("cannot replace to directory {} with file", shown(target))));
        }
        let about = self.about(seen);
        let node = match &seen.kind {
            SeenKind::Directory => {
                Node::Directory(Folder { about, based: false, children: Default::default() })
            }
            SeenKind::File { size, same } => {
                let missing = || Error::NotFound(format!("\"{}\": not found", shown(source)));
                let content = self.from.content(source).ok_or_else(missing)?;
                let same = same.map(|(dev, ino)| (self.from.number(), dev, ino));
                Node::File { about, size: *size, content, same }
            }
            SeenKind::Symlink(to) => Node::Symlink { about, to: to.clone() },
            SeenKind::Device { block, major, minor } => {
                Node::Device { about, block: *block, major: *major, minor: *minor }
            }
            SeenKind::Fifo => Node::Fifo(about),
            SeenKind::Socket => {
                return Err(Error::Invalid(format!("{} is a socket, which can't be copied", shown(source))));
            }
        };
        self.to.put(target, node)
    }

    /// What is said of a copy.
    fn about(&self, seen: &Seen) -> About {
        let mut about = seen.about.clone();
        if let Some(owner) = self.owner {
            (about.uid, about.gid) = (owner.uid, owner.gid);
        }
        if !matches!(seen.kind, SeenKind::Symlink(_)) {
            about.mode = match &self.mode {
                None => about.mode,
                Some(Changed::Bits(bits)) => *bits,
                Some(Changed::Symbolic(symbolic)) => symbolic.apply(about.mode, seen.is_directory()),
            };
        }
        if let Some(time) = self.copy.time {
            about.time = nanoseconds(time);
        }
        about
    }
}

/// Whether a directory is what is copied, or in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Top,
    Inside,
}

/// Seconds and nanoseconds after them.
pub(super) fn nanoseconds(time: i64) -> (i64, u32) {
    (time.div_euclid(1_000_000_000), u32::try_from(time.rem_euclid(1_000_000_000)).unwrap_or_default())
}
