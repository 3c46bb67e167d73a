//! `--name=value` after a keyword.

use crate::error::Problem;
use crate::suggest::did_you_mean;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Boolean,
    Text,
    /// Any number of times.
    Texts,
}

/// The flags that were given, checked against those that exist.
#[derive(Debug, Default)]
pub(super) struct Flags {
    given: Vec<(&'static str, String)>,
}

impl Flags {
    pub(super) fn read(given: &[String], known: &[(&'static str, Takes)]) -> Result<Self, Problem> {
        let mut flags = Self::default();
        for flag in given {
            let flag = flag.strip_prefix("--").unwrap_or(flag);
            let (name, value) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            let Some((name, takes)) = known.iter().find(|(known, _)| *known == name) else {
                let suggestion = did_you_mean(name, known.iter().map(|(known, _)| *known));
                return Err(Problem::UnknownFlag { name: name.to_owned(), suggestion });
            };
            if *takes != Takes::Texts && flags.given.iter().any(|(given, _)| given == name) {
                return Err(Problem::DuplicateFlag((*name).to_owned()));
            }
            flags.given.push((name, checked(name, *takes, value)?));
        }
        Ok(flags)
    }

    /// The text, empty if the flag wasn't given.
    pub(super) fn text(&self, name: &str) -> String {
        self.texts(name).next().unwrap_or_default()
    }

    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = String> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.clone())
    }

    /// Whether it was said, if anything was.
    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.texts(name).next().map(|value| value == "true")
    }
}

fn checked(name: &str, takes: Takes, value: Option<&str>) -> Result<String, Problem> {
    let missing = || Problem::FlagValue(name.to_owned());
    match (takes, value) {
        (Takes::Boolean, None) => Ok("true".to_owned()),
        (Takes::Boolean, Some("")) | (Takes::Text | Takes::Texts, None) => Err(missing()),
        (Takes::Boolean, Some(value)) => match value.to_ascii_lowercase() {
            lower if lower == "true" || lower == "false" => Ok(lower),
            _ => Err(Problem::FlagBoolean { name: name.to_owned(), value: value.to_owned() }),
        },
        (Takes::Text | Takes::Texts, Some(value)) => Ok(value.to_owned()),
    }
}
