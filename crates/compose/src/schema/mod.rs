//! Which keys there are, what their values may be, and what strings become that stand for numbers and truths. The table
//! is `keys.tsv`.

mod cast;
mod check;
mod near;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(crate) use cast::cast;
pub(crate) use check::check;
pub(crate) use near::{distance, nearest};

/// A place in the table: what stands there and what may stand below it.
#[derive(Debug, Default)]
pub(crate) struct Key {
    kinds: &'static str,
    must: &'static str,
    cast: &'static str,
    /// `x-` keys may stand below it.
    extensible: bool,
    below: BTreeMap<&'static str, Key>,
}

static TABLE: LazyLock<Key> = LazyLock::new(|| {
    let mut root = Key { kinds: "o", must: "-", cast: "-", extensible: true, below: BTreeMap::new() };
    for line in include_str!("keys.tsv").lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or("-");
        let (path, kinds, must, cast, extensible) = (next(), next(), next(), next(), next() == "x");
        let mut at = &mut root;
        for part in parts(path) {
            at = at.below.entry(part).or_default();
        }
        (at.kinds, at.must, at.cast, at.extensible) = (kinds, must, cast, extensible);
    }
    root
});

/// `a.*.b[].c` in its parts: `a`, `*`, `b`, `[]`, `c`.
fn parts(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('.').flat_map(|part| match part.strip_suffix("[]") {
        Some(name) => vec![name, "[]"],
        None => vec![part],
    })
}

impl Key {
    pub(crate) fn root() -> &'static Key {
        &TABLE
    }

    /// What may stand below this key.
    pub(crate) fn find(&self, name: &str) -> Option<&Key> {
        self.below.get(name).or_else(|| self.below.get("*"))
    }

    /// What an item of the list may be.
    pub(crate) fn item(&self) -> Option<&Key> {
        self.below.get("[]")
    }

    /// The names that are known below this key.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.below.keys().copied().filter(|name| !matches!(*name, "*" | "[]" | "x-*"))
    }
}
