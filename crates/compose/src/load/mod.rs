//! From files to one tree: read, filled in, extended, included, merged, checked, and written in one form.
//!
//! ```text
//! each file:    parse ─ fill in variables ─ extends ─ check ─┐
//!                                              include ──────┤
//!                                                            ├─ merge ─ canonical ─ paths ─ environment ─ normal form
//! ```
//!
//! All of it works on nodes that know where they were written; the typed project comes last ([`crate::project`]).

mod canonical;
mod consistency;
mod environment;
mod extends;
mod files;
mod include;
mod interpolate;
mod merge;
mod normal;
mod paths;
mod short;
mod unique;

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) use consistency::check_ports;
pub(crate) use files::absolute;
pub use files::{Options, Remote, Switches};
pub use short::published as ports;
pub(crate) use short::split_words;

use crate::Error;
use crate::env::{Environment, Origin, Warnings};
use crate::error::Mistake;
use crate::schema;
use crate::select::{self, Disabled};
use crate::source::{LONGEST, Sources};
use yaml::{At, Map, Node, Tag, Value};

/// A project's tree and what was learnt on the way.
#[derive(Debug)]
pub struct Loaded {
    /// The tree, in canonical form.
    pub tree: Node,
    /// The project's name.
    pub name: String,
    /// Where relative paths begin.
    pub directory: PathBuf,
    /// The files named by the caller or found; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// All files that were read.
    pub sources: Sources,
    /// What variables are worth.
    pub environment: Environment,
    /// What a person should know.
    pub warnings: Warnings,
    /// Services that no active profile wants.
    pub disabled: Disabled,
}

/// Reads a file of a stranger's, which is a text.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let not_text =
        |e| Error::Read { path: path.to_owned(), source: std::io::Error::new(ErrorKind::InvalidData, e) };
    String::from_utf8(read_bytes(path)?).map_err(not_text)
}

/// Reads a file of a stranger's: bounded. `-` is standard input.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |source| Error::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = match path == Path::new("-") {
        true => Box::new(std::io::stdin()) as Box<dyn std::io::Read>,
        false => Box::new(File::open(path).map_err(fail)?),
    };
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(fail)?;
    match bytes.len() as u64 > LONGEST {
        true => Err(Error::TooLarge { path: path.to_owned(), limit: LONGEST }),
        false => Ok(bytes),
    }
}

/// Loads a project for the profiles that are active.
pub fn load(options: &Options, profiles: &[String]) -> Result<Loaded, Error> {
    let mut warnings = Warnings::default();
    let found = files::find(options, &mut warnings)?;
    let mut loader = Loader {
        sources: Sources::default(),
        warnings,
        environment: found.environment,
        switches: options.switches,
        remote: options.remote.clone(),
        depth: 0,
    };
    let texts = loader.read_all(&found.files)?;
    let says_nothing =
        |document: &Node| document.as_map().is_none_or(|map| map.keys().all(|key| key == "version"));
    if texts.iter().flat_map(|text| &text.documents).all(says_nothing) {
        return Err(Error::Project("empty compose file".to_owned()));
    }
    let name = loader.project_name(found.name, &texts, &found.namesake)?;
    loader.environment.set("COMPOSE_PROJECT_NAME", name.clone(), Origin::Project);
    let mut tree = loader.merged(texts, &found.directory)?;
    let finished = loader.finish(&mut tree, &name, &found.directory, profiles);
    let disabled = finished.map_err(|mistake| mistake.in_files(&loader.sources))?;
    Ok(Loaded {
        tree,
        name,
        directory: found.directory,
        files: found.files,
        sources: loader.sources,
        environment: loader.environment,
        warnings: loader.warnings,
        disabled,
    })
}

/// One project on its way; an included one has a loader's environment of its own.
struct Loader {
    sources: Sources,
    warnings: Warnings,
    environment: Environment,
    switches: Switches,
    remote: Option<Rc<dyn Remote>>,
    /// Files within files.
    depth: usize,
}

/// A file's documents and the folder that its relative paths begin in.
struct Text {
    path: PathBuf,
    documents: Vec<Node>,
}

impl Loader {
    fn read_all(&mut self, files: &[PathBuf]) -> Result<Vec<Text>, Error> {
        files.iter().map(|path| self.parse(path)).collect()
    }

    /// Where a file is that another one names: fetched where it lies elsewhere.
    fn locate(&self, name: &str, from: &Path, at: At) -> Result<PathBuf, Error> {
        match files::fetched(self.remote.as_deref(), name) {
            Some(local) => local.map_err(|why| Mistake::new(at, why).in_files(&self.sources)),
            None => Ok(files::absolute(Path::new(name), from)),
        }
    }

    /// A file's documents, as they were written.
    fn parse(&mut self, path: &Path) -> Result<Text, Error> {
        let text = read(path)?;
        let too_many = || Error::Project("the project consists of too many files".to_owned());
        let id = self.sources.add(path.to_owned(), text).ok_or_else(too_many)?;
        let documents = yaml::parse(self.sources.text(id), id).map_err(|trouble| {
            let tab = self.sources.place(trouble.at).is_some_and(|place| place.text.contains('\t'));
            let mistake = Mistake::new(trouble.at, format!("yaml: {}", trouble.what));
            let mistake = if tab {
                mistake.hint("YAML is indented with spaces; there is a tab in this line")
            } else {
                mistake
            };
            mistake.in_files(&self.sources)
        })?;
        let mut right = Vec::new();
        for document in documents {
            match document.value {
                Value::Null => {}
                Value::Map(_) => right.push(document),
                _ => {
                    let what = format!("Top-level object must be a mapping, not {}", document.kind());
                    return Err(Mistake::new(document.at, what).in_files(&self.sources));
                }
            }
        }
        Ok(Text { path: path.to_owned(), documents: right })
    }

    fn project_name(
        &mut self,
        given: Option<String>,
        texts: &[Text],
        directory: &Path,
    ) -> Result<String, Error> {
        if let Some(name) = given {
            return match is_project_name(&name) {
                true => Ok(name),
                false => Err(Error::Project(bad_name(&name))),
            };
        }
        let named = texts
            .iter()
            .flat_map(|text| &text.documents)
            .filter_map(|document| document.get("name"))
            .next_back();
        if let Some(node) = named {
            let mut node = node.clone();
            // Also where all else is shown as it was written.
            self.filled(&mut node, "name")?;
            let name = node.scalar().unwrap_or_default();
            if !name.is_empty() {
                let wrong = || Mistake::new(node.at, bad_name(&name)).in_files(&self.sources);
                return if is_project_name(&name) { Ok(name) } else { Err(wrong()) };
            }
        }
        let base = directory.file_name().unwrap_or_default().to_string_lossy();
        let name = normal_name(&base);
        match name.is_empty() {
            true => Err(Error::Project("project name must not be empty".to_owned())),
            false => Ok(name),
        }
    }

    /// All files as one tree.
    fn merged(&mut self, texts: Vec<Text>, directory: &Path) -> Result<Node, Error> {
        let mut tree = Node::map(Map::default(), At::default());
        for text in texts {
            for mut document in text.documents {
                self.fill_in(&mut document, "")?;
                if document.get("version").is_some() {
                    let path = text.path.display();
                    self.warnings.say(format!(
                        "{path}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"
                    ));
                }
                if document.get("include").is_some_and(Node::is_null)
                    && let Some(map) = document.as_map_mut()
                {
                    map.shift_remove("include");
                }
                self.extend_services(&mut document, &text.path, directory)?;
                let wrong = |loader: &Self, mistake: Mistake| mistake.in_files(&loader.sources);
                schema::check(&document).map_err(|mistake| wrong(self, mistake))?;
                self.include(&mut document, directory)?;
                merge::merge(&mut tree, document).map_err(|mistake| wrong(self, mistake))?;
                unique::unique(&mut tree).map_err(|mistake| wrong(self, mistake))?;
            }
        }
        settle_tags(&mut tree);
        schema::check(&tree).map_err(|mistake| mistake.in_files(&self.sources))?;
        if let Some(map) = tree.as_map_mut() {
            for gone in ["version", "include"] {
                map.shift_remove(gone);
            }
            if self.switches.interpolate {
                map.shift_remove("name");
            }
        }
        Ok(tree)
    }

    /// From what people write to what is meant.
    fn finish(
        &mut self,
        tree: &mut Node,
        name: &str,
        directory: &Path,
        profiles: &[String],
    ) -> Result<Disabled, Mistake> {
        canonical::canonical(tree, self.switches.interpolate)?;
        if self.switches.resolve_paths {
            paths::resolve(tree, directory, &self.environment);
        }
        if self.switches.normalize {
            normal::normalize(tree, name, &self.environment)?;
        }
        if !self.switches.interpolate {
            return Ok(self.unfilled(tree, name));
        }
        let disabled = select::profiles(tree, profiles);
        if self.switches.resolve_environment {
            environment::resolve(tree, &self.environment, &mut self.warnings)?;
        }
        if self.switches.normalize && self.switches.only_used {
            select::unused(tree);
        }
        if self.switches.consistency {
            consistency::check(tree)?;
        }
        Ok(disabled)
    }

    /// Without variables filled in nobody can say what is active, used or right: all of it is shown, as it was written.
    fn unfilled(&self, tree: &mut Node, name: &str) -> Disabled {
        if let Some(map) = tree.as_map_mut().filter(|_| self.switches.normalize) {
            map.insert("name".to_owned(), Node::text(name, At::default()));
        }
        Disabled::default()
    }

    fn fill_in(&mut self, node: &mut Node, path: &str) -> Result<(), Error> {
        match self.switches.interpolate {
            true => self.filled(node, path),
            false => Ok(()),
        }
    }

    fn filled(&mut self, node: &mut Node, path: &str) -> Result<(), Error> {
        let filled = interpolate::fill_in(node, path, &self.environment, &mut self.warnings);
        filled
            .and_then(|()| if path.is_empty() { schema::cast(node) } else { Ok(()) })
            .map_err(|mistake| mistake.in_files(&self.sources))
    }
}

/// What `!reset` leaves when there was nothing before it, and the marks of `!override`.
fn settle_tags(node: &mut Node) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|_, node| node.tag != Tag::Reset);
            map.values_mut().for_each(settle_tags);
        }
        Value::List(list) => {
            list.retain(|node| node.tag != Tag::Reset);
            list.iter_mut().for_each(settle_tags);
        }
        _ => {}
    }
    node.tag = Tag::None;
}

fn is_project_name(name: &str) -> bool {
    !name.is_empty() && normal_name(name) == name
}

fn bad_name(name: &str) -> String {
    format!(
        "invalid project name {name:?}: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
    )
}

/// A name as a project can have it.
fn normal_name(text: &str) -> String {
    let letters = text.to_lowercase();
    let letters =
        letters.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    letters.collect::<String>().trim_start_matches(['_', '-']).to_owned()
}
