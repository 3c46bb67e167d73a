//! Variables: from the process, from `.env` files, and their places in values.

mod dotenv;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use dotenv::{Entry, parse as parse_dotenv};
pub use template::Variable;
pub(crate) use template::{Unexpandable, expand, variables};

use crate::Error;
use crate::source::Sources;

/// What variables are worth, and where each was set.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, (String, Origin)>,
    /// Variables of the process that a file of variables sets to something else, which doesn't count.
    overruled: BTreeMap<String, PathBuf>,
}

/// Who set a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The process' environment.
    Process,
    /// A file of variables.
    File(PathBuf),
    /// The project itself: `COMPOSE_PROJECT_NAME`.
    Project,
}

impl Environment {
    /// From the process.
    pub fn process(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name, (value, Origin::Process)));
        Self { values: values.collect(), overruled: BTreeMap::new() }
    }

    /// What a variable is worth.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str())
    }

    /// Who set it.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|(_, origin)| origin)
    }

    /// The file that sets a variable to something else than the process, whose value counts.
    pub(crate) fn overruled(&self, name: &str) -> Option<&Path> {
        self.overruled.get(name).map(PathBuf::as_path)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, (value, _))| (name.as_str(), value.as_str()))
    }

    /// Sets a variable that has no value yet.
    pub(crate) fn fill(&mut self, name: &str, value: String, origin: Origin) {
        self.values.entry(name.to_owned()).or_insert((value, origin));
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: String, origin: Origin) {
        self.values.insert(name.to_owned(), (value, origin));
    }

    /// What files say of variables that the process hasn't set: later files count more than earlier ones.
    pub(crate) fn add_files(&mut self, files: &[PathBuf], warnings: &mut Warnings) -> Result<(), Error> {
        let mut found: BTreeMap<String, (String, PathBuf)> = BTreeMap::new();
        for path in files {
            let text = read(path)?;
            let mut lookup = |name: &str| {
                self.get(name).map(str::to_owned).or_else(|| found.get(name).map(|(value, _)| value.clone()))
            };
            for Entry { name, value } in entries(path, &text, &mut lookup, warnings)? {
                if let Some(value) = value {
                    found.insert(name, (value, path.clone()));
                }
            }
        }
        for (name, (value, path)) in found {
            if self.values.get(&name).is_some_and(|(own, by)| *by == Origin::Process && *own != value) {
                self.overruled.insert(name.clone(), path.clone());
            }
            self.fill(&name, value, Origin::File(path));
        }
        Ok(())
    }
}

/// What a person should know and what stops nothing; each once.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Vec<String>);

impl Warnings {
    pub(crate) fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.say(format!("The {name:?} variable is not set. Defaulting to a blank string."));
    }

    /// What the value at `path` uses of the environment: a variable that a file sets to something else is told.
    pub(crate) fn used(&mut self, environment: &Environment, name: &str, path: &str) {
        let Some(file) = environment.overruled(name) else { return };
        let what = format!("The {name:?} variable is set in the environment and to another value in ");
        if self.0.iter().any(|told| told.starts_with(&what)) {
            return;
        }
        // What stands in a list is explained with it.
        let path = path.split(".[]").next().unwrap_or(path);
        self.0.push(format!(
            "{what}{}: the environment counts. \"config --explain {path}\" shows where it comes from.",
            file.display()
        ));
    }

    /// In the order in which they came up.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

fn read(path: &Path) -> Result<String, Error> {
    crate::load::read(path)
}

/// What a file of variables says, with the variables in it filled in.
pub(crate) fn entries(
    path: &Path,
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    warnings: &mut Warnings,
) -> Result<Vec<Entry>, Error> {
    let mut unset = |name: &str| warnings.unset(name);
    parse_dotenv(text, lookup, &mut unset).map_err(|mistake| {
        let mut sources = Sources::default();
        let _ = sources.add(path.to_owned(), text.to_owned());
        mistake.in_files(&sources)
    })
}
