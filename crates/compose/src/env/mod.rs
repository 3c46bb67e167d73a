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
        Self { values: values.collect() }
    }

    /// What a variable is worth.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str())
    }

    /// Who set it.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|(_, origin)| origin)
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
