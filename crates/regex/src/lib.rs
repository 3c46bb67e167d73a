//! The `regex` crate as far as it is used, on the same machine (`regex-automata`), with one engine and the Unicode classes that Go's expressions know.
//!
//! `oci-spec` asks for all of `regex`' features for an expression of digits, and features add up over a whole program: half a megabyte of engines
//! and tables. By `[patch.crates-io]` it gets this package, whose version is above any other one.

use std::borrow::Cow;
use std::fmt;

use regex_automata::Input;
use regex_automata::meta;

/// What the machine may grow to for one expression, as `regex` has it.
const LIMIT: usize = 10 << 20;

/// An expression that can be looked for.
#[derive(Debug, Clone)]
pub struct Regex(meta::Regex);

/// Why an expression is none.
#[derive(Debug, Clone)]
pub enum Error {
    /// It isn't one; with the place marked.
    Syntax(String),
    /// It would take more than this many bytes.
    CompiledTooBig(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => f.write_str(text),
            Self::CompiledTooBig(limit) => write!(f, "Compiled regex exceeds size limit of {limit} bytes."),
        }
    }
}

impl std::error::Error for Error {}

/// An expression with a bound of its own.
#[derive(Debug)]
pub struct RegexBuilder {
    text: String,
    limit: usize,
}

impl RegexBuilder {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), limit: LIMIT }
    }

    /// How many bytes the machine may have.
    pub fn size_limit(&mut self, bytes: usize) -> &mut Self {
        self.limit = bytes;
        self
    }

    pub fn build(&self) -> Result<Regex, Error> {
        let config = meta::Config::new().nfa_size_limit(Some(self.limit));
        let built = meta::Regex::builder().configure(config).build(&self.text);
        built.map(Regex).map_err(|error| match (error.size_limit(), error.syntax_error()) {
            (Some(limit), _) => Error::CompiledTooBig(limit),
            (None, Some(syntax)) => Error::Syntax(syntax.to_string()),
            (None, None) => Error::Syntax(error.to_string()),
        })
    }
}

impl Regex {
    pub fn new(text: &str) -> Result<Self, Error> {
        RegexBuilder::new(text).build()
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Every match, with its groups.
    pub fn captures_iter<'h>(&self, text: &'h str) -> impl Iterator<Item = Captures<'h>> {
        self.0.captures_iter(text).map(move |found| Captures { text, found })
    }

    /// The groups' names, the whole's first.
    pub fn capture_names(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.group_info().pattern_names(regex_automata::PatternID::ZERO)
    }

    /// Each match replaced; `$1` and `$name` in what replaces it stand for groups.
    pub fn replace_all<'h>(&self, text: &'h str, by: impl AsRef<str>) -> Cow<'h, str> {
        let mut made = String::new();
        let mut end = 0;
        for found in self.0.captures_iter(Input::new(text)) {
            let Some(whole) = found.get_match() else { continue };
            made.push_str(&text[end..whole.start()]);
            found.interpolate_string_into(text, by.as_ref(), &mut made);
            end = whole.end();
        }
        if end == 0 && made.is_empty() && !self.is_match(text) {
            return Cow::Borrowed(text);
        }
        made.push_str(&text[end..]);
        Cow::Owned(made)
    }
}

/// An expression that fits this text and no other one.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A match and its groups.
#[derive(Debug)]
pub struct Captures<'h> {
    text: &'h str,
    found: regex_automata::util::captures::Captures,
}

impl<'h> Captures<'h> {
    fn part(&self, span: regex_automata::Span) -> Match<'h> {
        Match(&self.text[span.start..span.end])
    }

    /// The group of this number, the whole's is none.
    pub fn get(&self, group: usize) -> Option<Match<'h>> {
        self.found.get_group(group).map(|span| self.part(span))
    }

    pub fn name(&self, name: &str) -> Option<Match<'h>> {
        self.found.get_group_by_name(name).map(|span| self.part(span))
    }

    /// How many groups there are, with the whole.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.found.group_len()
    }
}

/// What a group matched.
#[derive(Debug, Clone, Copy)]
pub struct Match<'h>(&'h str);

impl<'h> Match<'h> {
    pub fn as_str(&self) -> &'h str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        for (expression, text) in
            [(r"^\p{Lu}\p{Greek}+$", "Ωμέγα"), (r"^\w+\s\d{2}$", "é\u{a0}42"), ("(?i)ΣΑΣ", "σας")]
        {
            assert!(Regex::new(expression).unwrap().is_match(text), "{expression}");
        }
        assert!(!Regex::new(r"(?i)^straße\b").unwrap().is_match("STRASSE"), "a letter folds to one letter");
    }

    #[test]
    fn groups_are_found_and_named() {
        let regex = Regex::new(r"(?<year>\d{4})-(\d\d)?").unwrap();
        let names: Vec<_> = regex.capture_names().collect();
        assert_eq!(names, [None, Some("year"), None]);
        let all: Vec<_> = regex.captures_iter("2025-12 and 2026-").collect();
        assert_eq!((all.len(), all[0].len()), (2, 3));
        assert_eq!(all[0].name("year").map(|found| found.as_str()), Some("2025"));
        assert_eq!(all[0].get(0).map(|found| found.as_str()), Some("2025-12"));
        assert!(all[1].get(2).is_none());
    }

    #[test]
    fn all_is_replaced() {
        let replaced = |expression: &str, text: &str, by: &str| {
            Regex::new(expression).unwrap().replace_all(text, by).into_owned()
        };
        assert_eq!(replaced(r"(\w)(\d)", "a1 b2", "${2}$1"), "1a 2b");
        assert_eq!(replaced("x*", "axb", "-"), "-a-b-");
        assert_eq!(replaced("", "", "-"), "-");
        assert_eq!(replaced("a", "", "-"), "");
        assert_eq!(replaced("^", "a", ""), "a");
        assert!(matches!(Regex::new("q").unwrap().replace_all("abc", "-"), Cow::Borrowed("abc")));
    }

    #[test]
    fn any_text_can_be_looked_for() {
        let text: String = (' '..='~').collect();
        assert!(Regex::new(&format!("^{}$", escape(&text))).unwrap().is_match(&text));
    }

    #[test]
    fn what_is_none_is_told_with_its_place() {
        let text = String::from("a(b");
        let error = Regex::new(&text).unwrap_err().to_string();
        assert_eq!(error, "regex parse error:\n    a(b\n     ^\nerror: unclosed group");
        let large = RegexBuilder::new(r"\w{1000}").size_limit(1 << 10).build().unwrap_err();
        assert!(large.to_string().contains("exceeds size limit of 1024 bytes"), "{large}");
    }
}
