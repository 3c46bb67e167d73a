//! Changing files without running anything.

use serde::Serialize;

use super::Input;
use crate::Error;

/// Actions one after another; each works on an input, on nothing, or on what an earlier one left.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct File {
    pub actions: Vec<Action>,
}

/// Where files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Place {
    Scratch,
    Input(Input),
    /// What an earlier action left: its index.
    Action(u32),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Action {
    /// What it changes.
    pub base: Place,
    pub change: Change,
    /// Which output of the vertex its result is. Numbered without gaps.
    pub output: Option<u32>,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Change {
    Copy(Box<Copy>),
    Mkfile(Mkfile),
    Mkdir(Mkdir),
    Remove(Remove),
    Symlink(Symlink),
}

/// Copies from somewhere else. The fields are BuildKit's `FileActionCopy`, whose results are the measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Copy {
    pub from: Place,
    /// Absolute in `from`; with `wildcard`, a pattern.
    pub source: String,
    /// Absolute. A trailing slash: into that directory.
    pub target: String,
    /// Who owns what is copied; as it was if nobody is named (root for a local source).
    pub owner: Option<Owner>,
    pub mode: Option<Mode>,
    /// Whether a source that is a symbolic link stands for what it leads to.
    pub follow_symlinks: bool,
    /// A directory stands for what is in it.
    pub contents_only: bool,
    /// An archive stands for what is in it, compressed or not, told by its content.
    pub unpack: bool,
    /// Missing directories above the target are made.
    pub create_target_path: bool,
    pub wildcard: bool,
    /// A pattern that nothing matches is no failure.
    pub allow_empty_wildcard: bool,
    /// Patterns as in `.dockerignore`, relative to the source.
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    /// What is in the way and of another type goes, instead of being a failure.
    pub replace_existing: bool,
    /// `--parents`: paths that have to be there.
    pub required: Vec<String>,
    /// Nanoseconds since 1970, for everything made; the sources' own if there is none.
    pub time: Option<i64>,
}

impl Copy {
    /// A copy that does nothing special.
    pub fn new(from: Place, source: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            from,
            source: source.into(),
            target: target.into(),
            owner: None,
            mode: None,
            follow_symlinks: false,
            contents_only: false,
            unpack: false,
            create_target_path: false,
            wildcard: false,
            allow_empty_wildcard: false,
            include: Vec::new(),
            exclude: Vec::new(),
            replace_existing: false,
            required: Vec::new(),
            time: None,
        }
    }
}

/// A file with content.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mkfile {
    pub path: String,
    pub data: Vec<u8>,
    pub mode: u32,
    pub owner: Option<Owner>,
    pub time: Option<i64>,
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mkdir {
    pub path: String,
    pub mode: u32,
    /// With those above it; one that is there is no failure.
    pub parents: bool,
    pub owner: Option<Owner>,
    pub time: Option<i64>,
}

/// Removes a file or a whole directory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remove {
    pub path: String,
    pub allow_missing: bool,
    pub wildcard: bool,
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Symlink {
    /// What it leads to, as it is written.
    pub old: String,
    /// Where it is.
    pub new: String,
    pub owner: Option<Owner>,
    pub time: Option<i64>,
}

/// A user and a group. Who names a user alone by name gets that user's group with it, as `--chown=name` does.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Owner {
    pub user: Option<Id>,
    pub group: Option<Id>,
}

/// A number, or a name in a place's `/etc/passwd` or `/etc/group`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Id {
    Number(u32),
    Name { name: String, within: Place },
}

/// `--chmod`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Mode {
    /// The twelve bits.
    Bits(u32),
    /// `u=rwX,go=rX`, on what each file has.
    Symbolic(String),
}

impl File {
    pub(super) fn outputs(&self) -> u32 {
        self.actions.iter().filter(|action| action.output.is_some()).count() as u32
    }

    pub(super) fn inputs(&self) -> Vec<Input> {
        let places = self.actions.iter().flat_map(Action::places);
        places.filter_map(|place| if let Place::Input(input) = place { Some(input) } else { None }).collect()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let refused = |why: &str| Err(Error::Invalid(format!("a step that changes files {why}")));
        for (at, action) in self.actions.iter().enumerate() {
            let later = |place: &Place| matches!(place, Place::Action(index) if *index as usize >= at);
            if action.places().iter().any(later) {
                return refused("takes what a later action leaves");
            }
        }
        let mut outputs: Vec<u32> = self.actions.iter().filter_map(|action| action.output).collect();
        outputs.sort_unstable();
        match outputs.iter().enumerate().all(|(at, output)| at == *output as usize) && !outputs.is_empty() {
            true => Ok(()),
            false => refused("has outputs that aren't numbered from 0"),
        }
    }
}

impl Change {
    /// When what it makes is said to have been made.
    pub fn time(&self) -> Option<i64> {
        match self {
            Self::Copy(copy) => copy.time,
            Self::Mkfile(file) => file.time,
            Self::Mkdir(directory) => directory.time,
            Self::Symlink(link) => link.time,
            Self::Remove(_) => None,
        }
    }
}

impl Action {
    /// Every place that it looks at.
    pub fn places(&self) -> Vec<Place> {
        let mut places = vec![self.base];
        if let Change::Copy(copy) = &self.change {
            places.push(copy.from);
        }
        let owner = match &self.change {
            Change::Copy(copy) => copy.owner.as_ref(),
            Change::Mkfile(file) => file.owner.as_ref(),
            Change::Mkdir(directory) => directory.owner.as_ref(),
            Change::Symlink(link) => link.owner.as_ref(),
            Change::Remove(_) => None,
        };
        let ids = owner.into_iter().flat_map(|owner| owner.user.iter().chain(&owner.group));
        places
            .extend(ids.filter_map(|id| if let Id::Name { within, .. } = id { Some(*within) } else { None }));
        places
    }
}
