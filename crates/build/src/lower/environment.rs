//! Variables in their order.

use std::collections::HashMap;

use dockerfile::word::Variables;

use super::problem::Problem;

/// Bytes of all names and values: `ENV` upon `ENV` must not fill the memory.
const LIMIT: usize = 8 << 20;

/// The variables of a stage, or of the whole file.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    pairs: Vec<(String, String)>,
    places: HashMap<String, usize>,
    /// Of all names and values.
    bytes: usize,
}

impl Environment {
    pub(super) fn of(list: &[String]) -> Self {
        let mut environment = Self::default();
        for entry in list {
            let (name, value) = split(entry);
            environment.put(name, value);
        }
        environment
    }

    /// Refuses what would be too much.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        self.put(name, value);
        if self.bytes > LIMIT {
            return Err(Problem::new(format!("the environment is larger than {LIMIT} bytes")));
        }
        Ok(())
    }

    fn put(&mut self, name: &str, value: &str) {
        match self.places.get(name) {
            Some(place) => {
                let known = &mut self.pairs[*place].1;
                self.bytes = self.bytes + value.len() - known.len();
                value.clone_into(known);
            }
            None => {
                self.bytes += name.len() + value.len();
                self.places.insert(name.to_owned(), self.pairs.len());
                self.pairs.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// `NAME=value`s.
    pub(super) fn list(&self) -> Vec<String> {
        self.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|place| self.pairs[*place].1.as_str())
    }
}

/// Variables that hide others.
pub(super) struct Masked<'a> {
    pub(super) over: &'a Environment,
    pub(super) under: &'a Environment,
}

impl Variables for Masked<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.over.get(name).or_else(|| self.under.get(name))
    }
}

pub(super) fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}
