//! Files of variables: `.env` and `env_file`.
//!
//! ```text
//! NAME=value          to the end of the line or ` #`, variables filled in
//! NAME="value"        over several lines, with escapes, variables filled in
//! NAME='value'        over several lines, as it stands
//! export NAME=value   the same; so is NAME: value
//! NAME                what the caller's environment says, if it says something
//! ```

use super::{Unexpandable, expand};
use crate::error::Mistake;
use yaml::{At, FileId};

/// A variable; without a value it is one that nobody set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// Reads a file. `lookup` knows what is set outside of it; `unset` hears of variables that nobody set.
pub(crate) fn parse(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
) -> Result<Vec<Entry>, Mistake> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut cursor = Cursor { rest: text.trim_start_matches('\u{feff}'), line: 1 };
    while let Some((name, has_value)) = cursor.name()? {
        let line = cursor.line;
        let value = match has_value {
            false => lookup(&name),
            true => {
                let (raw, quote) = cursor.value()?;
                let mut known = |name: &str| {
                    let earlier = || entries.iter().rev().find(|entry| entry.name == name);
                    lookup(name).or_else(|| earlier().and_then(|entry| entry.value.clone()))
                };
                Some(match quote {
                    Quote::Single => raw,
                    _ => expand(&raw, &mut known, unset).map_err(|wrong| mistake(line, &wrong))?,
                })
            }
        };
        entries.push(Entry { name, value });
    }
    Ok(entries)
}

fn place(line: u32) -> At {
    At { file: FileId(0), line, column: 1 }
}

fn mistake(line: u32, wrong: &Unexpandable) -> Mistake {
    match wrong {
        Unexpandable::Malformed(text) => Mistake::new(place(line), format!("invalid template: {text:?}"))
            .hint("a dollar sign that means itself is written twice, or the value is put in single quotes"),
        Unexpandable::Required { name, words } => {
            let words = if words.is_empty() { String::new() } else { format!(": {words}") };
            Mistake::new(place(line), format!("required variable {name} is missing a value{words}"))
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

struct Cursor<'t> {
    rest: &'t str,
    line: u32,
}

impl Cursor<'_> {
    fn skip(&mut self, bytes: usize) {
        self.line += u32::try_from(self.rest[..bytes].matches('\n').count()).unwrap_or(u32::MAX);
        self.rest = &self.rest[bytes..];
    }

    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.skip(blank);
            if !self.rest.starts_with('#') {
                return;
            }
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
    }

    /// The next name, and whether a value comes; none at the end.
    fn name(&mut self) -> Result<Option<(String, bool)>, Mistake> {
        self.skip_blank();
        if self.rest.is_empty() {
            return Ok(None);
        }
        if let Some(behind) =
            self.rest.strip_prefix("export").filter(|behind| behind.starts_with([' ', '\t']))
        {
            let blank = behind.len() - behind.trim_start_matches([' ', '\t']).len();
            self.skip("export".len() + blank);
        }
        let end = self.rest.find(['=', ':', '\n']).unwrap_or(self.rest.len());
        let name = self.rest[..end].trim().to_owned();
        let has_value = self.rest[end..].starts_with(['=', ':']);
        let right = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
        if let Some(letter) = name.chars().find(|c| !right(*c)) {
            let what = format!("unexpected character {letter:?} in variable name near {name:?}");
            return Err(Mistake::new(place(self.line), what));
        }
        if name.is_empty() {
            return Err(Mistake::new(place(self.line), "a variable has no name"));
        }
        self.skip(end + usize::from(has_value));
        Ok(Some((name, has_value)))
    }

    fn value(&mut self) -> Result<(String, Quote), Mistake> {
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.skip(blank);
        let quote = match self.rest.as_bytes().first() {
            Some(b'\'') => Quote::Single,
            Some(b'"') => Quote::Double,
            _ => return Ok((self.bare(), Quote::None)),
        };
        let letter = if quote == Quote::Single { '\'' } else { '"' };
        let mut escaped = false;
        let inner = &self.rest[1..];
        for (at, found) in inner.char_indices() {
            if found == letter && !escaped {
                let raw = &inner[..at];
                let text = match quote {
                    Quote::Double => unescape(raw),
                    _ => raw.replace("\\'", "'"),
                };
                self.skip(at + 2);
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
                return Ok((text, quote));
            }
            escaped = found == '\\' && !escaped;
        }
        let line = self.rest.lines().next().unwrap_or_default();
        Err(Mistake::new(place(self.line), format!("unterminated quoted value {line}")))
    }

    fn bare(&mut self) -> String {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        let comment =
            line.find(" #").or_else(|| line.find("\t#")).or_else(|| line.starts_with('#').then_some(0));
        let value = line[..comment.unwrap_or(line.len())].trim().to_owned();
        self.skip(end);
        value
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                // The template's own escape.
                Some('$') => out.push_str("$$"),
                Some(quoted @ ('"' | '\\')) => out.push(quoted),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            (letter, false) => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Option<String>)> {
        let mut lookup = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let entries = parse(text, &mut lookup, &mut |_| {}).unwrap();
        entries.into_iter().map(|entry| (entry.name, entry.value)).collect()
    }

    #[test]
    fn every_form_is_read() {
        let text = "# comment\nA=plain # trailing\nB=\"dq $A\\nnl\"\nC='sq $A'\nexport D=exp\n\
                    E=${A:-x}-${NOPE:-def}\nF=\nG = spaced\nH=\"multi\nline\"\nI: colon\nJ\nK=a#b\nL=\"a\" # c\nN='it\\'s'\nHOME\n";
        let expected = [
            ("A", Some("plain")),
            ("B", Some("dq plain\nnl")),
            ("C", Some("sq $A")),
            ("D", Some("exp")),
            ("E", Some("plain-def")),
            ("F", Some("")),
            ("G", Some("spaced")),
            ("H", Some("multi\nline")),
            ("I", Some("colon")),
            ("J", None),
            ("K", Some("a#b")),
            ("L", Some("a")),
            ("N", Some("it's")),
            ("HOME", Some("/root")),
        ];
        let expected: Vec<_> =
            expected.into_iter().map(|(name, value)| (name.to_owned(), value.map(str::to_owned))).collect();
        assert_eq!(read(text), expected);
    }

    #[test]
    fn a_mistake_names_its_line() {
        let wrong = |text: &str| parse(text, &mut |_| None, &mut |_| {}).unwrap_err();
        assert_eq!(wrong("A=1\nB=\"open\nC=2\n").at.line, 2);
        assert!(wrong("A B=1\n").what.contains("unexpected character"));
        assert!(wrong("=1\n").what.contains("no name"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[A =:#'\"\\\\$\\{\\}\n\u{e4}]{0,60}") {
            let _ = parse(&text, &mut |_| None, &mut |_| {});
        }
    }
}
