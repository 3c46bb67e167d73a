//! `.dockerignore`, and the patterns of `--exclude`: Docker's own matching, which is neither a shell's nor git's.
//!
//! A pattern is a path in which `*` is anything but a slash, `**` any number of directories, `?` and `[a-z]` one
//! character. It also takes what lies below what it takes. `!` makes an exception; the last pattern that takes a path
//! decides. Patterns begin at the context's root, whether they say `/` or not.

mod pattern;
#[cfg(test)]
mod tests;

use pattern::Pattern;

use crate::limits;

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("illegal exclusion pattern: \"!\"")]
    OnlyExclamation,
    #[error("syntax error in pattern")]
    Syntax { pattern: String },
    #[error("more than {} patterns", limits::PATTERNS)]
    TooMany,
}

/// The patterns of an ignore file, each as [`Matcher::new`] takes it.
pub fn read(text: &[u8]) -> Result<Vec<String>, Problem> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line));
    let patterns: Vec<String> =
        lines.filter(|line| !line.starts_with('#')).filter_map(|line| read_line(line.trim())).collect();
    if patterns.len() > limits::PATTERNS { Err(Problem::TooMany) } else { Ok(patterns) }
}

fn read_line(line: &str) -> Option<String> {
    let (inverted, pattern) = line.strip_prefix('!').map_or(("", line), |rest| ("!", rest.trim()));
    if line.is_empty() {
        return None;
    }
    if pattern.is_empty() {
        return Some(inverted.to_owned());
    }
    let pattern = clean(pattern);
    // A slash at the start says nothing: all begin there.
    let pattern = pattern.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&pattern);
    Some(format!("{inverted}{pattern}"))
}

/// A path without empty parts, `.` and `..`, as Go's `filepath.Clean` makes it.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

/// Patterns to hold paths against.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    patterns: Vec<Pattern>,
}

/// What each pattern made of a directory, for what is in it. The default is the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parent {
    matched: Vec<bool>,
}

impl Matcher {
    pub fn new<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Result<Self, Problem> {
        let mut matcher = Self::default();
        for pattern in patterns {
            let pattern = pattern.as_ref().trim();
            if pattern.is_empty() {
                continue;
            }
            if matcher.patterns.len() == limits::PATTERNS {
                return Err(Problem::TooMany);
            }
            matcher.patterns.push(Pattern::new(&clean(pattern))?);
        }
        Ok(matcher)
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether there is any exception: then what lies in a directory that is taken may still not be.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception)
    }

    /// Whether the path, relative and with slashes, or a directory above it is taken.
    pub fn matches(&self, path: &str) -> bool {
        let mut parent = Parent::default();
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            parent = self.matches_in(&path[..at], &parent).1;
        }
        self.matches_in(path, &parent).0
    }

    /// The same for a walk that remembers what came of the directory in which the path is.
    pub fn matches_in(&self, path: &str, parent: &Parent) -> (bool, Parent) {
        let mut taken = false;
        let mut own = Parent { matched: vec![false; self.patterns.len()] };
        for (i, pattern) in self.patterns.iter().enumerate() {
            let above = parent.matched.get(i).copied().unwrap_or(false);
            // Where a pattern can change nothing, it isn't asked.
            let matched = above || (pattern.exception == taken && pattern.takes(path));
            own.matched[i] = matched;
            if matched {
                taken = !pattern.exception;
            }
        }
        (taken, own)
    }

    /// Whether something below a directory that is taken could be an exception: then it has to be walked.
    pub fn may_except_below(&self, directory: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception && pattern.may_take_below(directory))
    }

    /// Whether something below a directory that isn't taken could be.
    pub fn may_match_below(&self, directory: &str) -> bool {
        self.patterns.iter().any(|pattern| !pattern.exception && pattern.may_take_below(directory))
    }
}
