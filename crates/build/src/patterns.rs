//! Patterns for paths: Go's `filepath.Match`, and `.dockerignore`'s on top of it.
//!
//! Both are matched by following all possibilities at once, so that no pattern takes longer than its length times the
//! path's.

use crate::Error;

/// No pattern is longer.
const MAX_LENGTH: usize = 16 * 1024;
/// No list is longer.
const MAX_PATTERNS: usize = 50_000;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Char(char),
    /// `?`: one character, which isn't a slash.
    One,
    /// `*`: any number of those.
    Many,
    /// `**` at the end: anything at all.
    Rest,
    /// `**/`: nothing, or anything up to a slash.
    Folders,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<Piece>);

impl Glob {
    /// As Go's `filepath.Match` reads it.
    pub fn simple(text: &str) -> Result<Self, Error> {
        Self::read(text, false)
    }

    /// With `**`.
    fn deep(text: &str) -> Result<Self, Error> {
        Self::read(text, true)
    }

    /// Whether a text has anything but itself that it matches.
    pub fn is_wild(text: &str) -> bool {
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\\' => drop(bytes.next()),
                b'*' | b'?' | b'[' => return true,
                _ => {}
            }
        }
        false
    }

    fn read(text: &str, deep: bool) -> Result<Self, Error> {
        let bad = || Error::Invalid(format!("syntax error in pattern {text:?}"));
        if text.len() > MAX_LENGTH {
            return Err(bad());
        }
        let mut pieces = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '*' if deep && rest.peek() == Some(&'*') => {
                    rest.next();
                    // `**/` stands for no folder as well.
                    if rest.peek() == Some(&'/') {
                        rest.next();
                        pieces.push(if rest.peek().is_none() { Piece::Rest } else { Piece::Folders });
                    } else if rest.peek().is_none() {
                        pieces.push(Piece::Rest);
                    } else {
                        pieces.push(Piece::Folders);
                    }
                }
                '*' => pieces.push(Piece::Many),
                '?' => pieces.push(Piece::One),
                '\\' => pieces.push(Piece::Char(rest.next().ok_or_else(bad)?)),
                '[' => pieces.push(class(&mut rest).ok_or_else(bad)?),
                c => pieces.push(Piece::Char(c)),
            }
        }
        Ok(Self(pieces))
    }

    /// Whether the whole path is as the pattern says.
    pub fn matches(&self, path: &[u8]) -> bool {
        // Where in the pattern one may be after what was read.
        let mut here = vec![false; self.0.len() + 1];
        self.enter(&mut here, 0);
        for chunk in path.utf8_chunks() {
            let invalid = chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER);
            for c in chunk.valid().chars().chain(invalid) {
                let mut next = vec![false; self.0.len() + 1];
                for place in (0..self.0.len()).filter(|place| here[*place]) {
                    self.step(place, c, &mut next);
                }
                here = next;
            }
        }
        here[self.0.len()]
    }

    fn step(&self, place: usize, c: char, next: &mut [bool]) {
        match &self.0[place] {
            Piece::Char(wanted) if *wanted == c => self.enter(next, place + 1),
            Piece::One if c != '/' => self.enter(next, place + 1),
            Piece::Many if c != '/' => self.enter(next, place),
            Piece::Rest => self.enter(next, place),
            Piece::Folders => {
                // What follows begins after a slash.
                next[place] = true;
                if c == '/' {
                    self.enter(next, place + 1);
                }
            }
            Piece::Class { negated, ranges } if c != '/' => {
                let within = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                if within != *negated {
                    self.enter(next, place + 1);
                }
            }
            _ => {}
        }
    }

    /// Marks a place, and those that can be reached from it without reading anything.
    fn enter(&self, places: &mut [bool], mut place: usize) {
        while !std::mem::replace(&mut places[place], true)
            && matches!(self.0.get(place), Some(Piece::Many | Piece::Rest | Piece::Folders))
        {
            place += 1;
        }
    }
}

fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Piece> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match rest.next()? {
            ']' if !ranges.is_empty() => return Some(Piece::Class { negated, ranges }),
            '\\' => rest.next()?,
            '-' | ']' => return None,
            c => c,
        };
        let high = match rest.next_if_eq(&'-') {
            None => low,
            Some(_) => match rest.next()? {
                '\\' => rest.next()?,
                '-' | ']' => return None,
                c => c,
            },
        };
        ranges.push((low, high));
    }
}

/// A list of patterns, of which the last that matches a path or a directory above it decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    list: Vec<(Glob, bool, String)>,
    has_exceptions: bool,
}

impl Patterns {
    /// Reads patterns as `.dockerignore` has them; a `!` before one is an exception.
    pub fn new<T: AsRef<str>>(texts: &[T]) -> Result<Self, Error> {
        if texts.len() > MAX_PATTERNS {
            return Err(Error::Invalid(format!("more than {MAX_PATTERNS} patterns")));
        }
        let mut patterns = Self::default();
        for text in texts {
            let text = text.as_ref().trim();
            let (text, exception) = match text.strip_prefix('!') {
                Some("") => return Err(Error::Invalid("illegal exclusion pattern: \"!\"".into())),
                Some(rest) => (rest, true),
                None => (text, false),
            };
            if text.is_empty() {
                continue;
            }
            let clean = clean(text);
            patterns.has_exceptions |= exception;
            patterns.list.push((Glob::deep(&clean)?, exception, clean));
        }
        Ok(patterns)
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the patterns mean this path, by itself or by a directory that it is in.
    pub fn matches(&self, path: &[u8]) -> bool {
        let mut matched = false;
        for (glob, exception, _) in &self.list {
            if matched == *exception && means(glob, path) {
                matched = !exception;
            }
        }
        matched
    }

    /// Whether something below a directory that is meant may be an exception.
    pub fn may_except_below(&self, directory: &[u8]) -> bool {
        let below = [directory, b"/"].concat();
        self.has_exceptions
            && self.list.iter().any(|(_, exception, text)| {
                *exception && ([text.as_bytes(), b"/"].concat().starts_with(&below) || Glob::is_wild(text))
            })
    }
}

fn means(glob: &Glob, path: &[u8]) -> bool {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.chain([path.len()]).any(|end| glob.matches(&path[..end]))
}

/// As Go's `filepath.Clean`, relative.
fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_patterns_are_gos() {
        for (pattern, path, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("**", "a/b", false),
        ] {
            assert_eq!(Glob::simple(pattern).unwrap().matches(path.as_bytes()), expected, "{pattern} {path}");
        }
        for bad in ["[]a]", "[-]", "[x-]", "[-x]", "[", "[^", "[^bc", "a[", "\\"] {
            assert!(Glob::simple(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_are_dockerignores() {
        for (list, path, expected) in [
            (&["*"][..], "a/b", true),
            (&["*.md", "!README.md"], "README.md", false),
            (&["*.md", "!README*.md", "README-secret.md"], "README-secret.md", true),
            (&["**/*.go"], "a/b/c.go", true),
            (&["**/*.go"], "c.go", true),
            (&["**"], "a/b", true),
            (&["dir/**"], "dir/a", true),
            (&["dir/**"], "dir", false),
            (&["/foo"], "foo", true),
            (&["foo/"], "foo/bar", true),
            (&["foo/../bar"], "bar", true),
            (&["a/**/b"], "a/b", true),
            (&["a/**/b"], "a/x/y/b", true),
            (&["a/**/b"], "ab", false),
            (&["*", "!d/keep"], "d/keep", false),
            (&["*", "!d/keep"], "d/other", true),
            (&["a.b"], "axb", false),
        ] {
            assert_eq!(Patterns::new(list).unwrap().matches(path.as_bytes()), expected, "{list:?} {path}");
        }
        assert!(Patterns::new(&["!"]).is_err());
        let patterns = Patterns::new(&["*", "!d/keep"]).unwrap();
        assert!(patterns.may_except_below(b"d") && !patterns.may_except_below(b"e"));
    }

    #[test]
    fn many_stars_take_no_longer() {
        let pattern = "a*".repeat(2000) + "b";
        assert!(!Glob::simple(&pattern).unwrap().matches("a".repeat(2000).as_bytes()));
    }
}
