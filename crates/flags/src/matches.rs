//! The flags that were given, and the values of those that were not.

use std::time::Duration;

use crate::go;
use crate::table::{Flag, FlagSets, Kind};

/// The flags of one command as given, in order, and its positional arguments.
#[derive(Debug, Default, Clone)]
pub struct Matches {
    sets: FlagSets,
    given: Vec<(&'static Flag, String)>,
    /// The positional arguments.
    pub args: Vec<String>,
    /// How many positional arguments stood before a `--`, where there was one.
    pub dash_at: Option<usize>,
}

impl Matches {
    pub(crate) fn new(sets: FlagSets) -> Self {
        Self { sets, ..Self::default() }
    }

    pub(crate) fn push(&mut self, flag: &'static Flag, value: String) {
        self.given.push((flag, value));
    }

    /// Whether the command has such a flag, for what several commands share.
    pub fn has(&self, name: &str) -> bool {
        self.sets.iter().flat_map(|set| set.iter()).any(|flag| flag.long == name)
    }

    fn flag(&self, name: &str) -> Option<&'static Flag> {
        let found = self.sets.iter().flat_map(|set| set.iter()).find(|flag| flag.long == name);
        debug_assert!(found.is_some(), "--{name} is not in this command's table");
        found
    }

    /// Whether the flag was given (pflag's `Changed`).
    pub fn changed(&self, name: &str) -> bool {
        self.given.iter().any(|(flag, _)| flag.long == name)
    }

    /// The flags that were given, in the order of the command line.
    pub fn given(&self) -> impl Iterator<Item = (&'static Flag, &str)> {
        self.given.iter().map(|(flag, value)| (*flag, value.as_str()))
    }

    /// The value that counts: the last one given, or the default.
    pub fn text(&self, name: &str) -> &str {
        let given = self.given.iter().rev().find(|(flag, _)| flag.long == name);
        match given {
            Some((_, value)) => value,
            None => self.flag(name).map_or("", |flag| flag.default),
        }
    }

    /// The same, where the empty text means that there is none.
    pub fn find(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A boolean flag.
    pub fn bool(&self, name: &str) -> bool {
        go::parse_bool(self.text(name)).unwrap_or(false)
    }

    /// A signed number; 0 where it has neither value nor default.
    pub fn int(&self, name: &str) -> i64 {
        go::parse_int(self.text(name)).unwrap_or(0)
    }

    /// An unsigned number.
    pub fn uint(&self, name: &str) -> u64 {
        go::parse_uint(self.text(name), 64).unwrap_or(0)
    }

    /// A size in bytes.
    pub fn bytes(&self, name: &str) -> i64 {
        go::parse_bytes(self.text(name)).unwrap_or(0)
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Duration {
        go::parse_duration(self.text(name)).unwrap_or_default()
    }

    /// All values of a flag that may be repeated, those of `strings` flags taken apart.
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.given.iter().filter(|(flag, _)| flag.long == name);
        values
            .flat_map(|(flag, value)| match flag.kind {
                Kind::Strings => go::split_csv(value).unwrap_or_default(),
                _ => vec![value.clone()],
            })
            .collect()
    }
}

/// Why `value` is none for a flag of this kind, in pflag's words.
pub(crate) fn check(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Bool => go::parse_bool(value).map(drop),
        Kind::Int | Kind::Int64 => go::parse_int(value).map(drop),
        Kind::Uint(bits) => go::parse_uint(value, if bits == 0 { 64 } else { bits }).map(drop),
        Kind::Float => go::parse_float(value).map(drop),
        Kind::Duration => go::parse_duration(value).map(drop),
        Kind::Bytes => go::parse_bytes(value).map(drop),
        Kind::Strings => go::split_csv(value).map(drop),
        Kind::Ip => {
            let parsed = value.trim().parse::<std::net::IpAddr>();
            parsed.map(drop).map_err(|_| format!("failed to parse IP: {}", go::quote(value)))
        }
        Kind::Custom { check, .. } => check(value),
        Kind::String | Kind::List | Kind::StringArray => Ok(()),
    }
}
