//! Words: quotes, escapes, and variables with every operator, as BuildKit's builder reads them.
//!
//! A word is read once from left to right. What a variable stood for is split at blanks, what was in quotes isn't; the
//! same run gives both the text as a whole and its words.

mod pattern;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use crate::limits;

/// Where variables' values come from.
pub trait Variables {
    /// The value, if the variable is set.
    fn get(&self, name: &str) -> Option<&str>;
}

/// No variable is set.
#[derive(Debug, Clone, Copy)]
pub struct Unset;

impl Variables for Unset {
    fn get(&self, _name: &str) -> Option<&str> {
        None
    }
}

impl<F> Variables for F
where
    F: for<'a> Fn(&'a str) -> Option<&'static str>,
{
    fn get(&self, name: &str) -> Option<&str> {
        self(name)
    }
}

/// How words are read.
#[derive(Debug, Clone, Copy)]
pub struct Lexer {
    /// What takes away the next character's meaning: a backslash, or a backquote by directive.
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// Escapes stay in the result.
    pub raw_escapes: bool,
    /// Quotes have no meaning: in here-documents.
    pub plain_quotes: bool,
    /// A variable that isn't set stays as it is written.
    pub keep_unset: bool,
}

/// What became of a word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    pub text: String,
    pub words: Vec<String>,
    /// Names of variables that were asked for and set.
    pub matched: BTreeSet<String>,
    /// Names that were asked for and not set.
    pub unmatched: BTreeSet<String>,
}

/// Why a word can't be read, in BuildKit's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("unexpected end of statement while looking for matching {0}")]
    Unclosed(&'static str),
    #[error("syntax error: missing '}}'")]
    NoBrace,
    #[error("syntax error: missing '/' in ${{}}")]
    NoSlash,
    #[error("syntax error: bad substitution")]
    Substitution,
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    #[error("{name}: {message}")]
    Required { name: String, message: String },
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    Pattern { pattern: String, escaped: char },
    #[error("pattern and value are too long to be compared")]
    PatternTooLong,
    #[error("more than {} braces within each other", limits::DEPTH)]
    TooDeep,
    #[error("the result is longer than {} bytes", limits::WORD)]
    TooLong,
}

impl Lexer {
    /// Reads words as they stand in instructions.
    pub fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, plain_quotes: false, keep_unset: false }
    }

    /// Reads `word` with the values of `variables`.
    pub fn expand(&self, word: &str, variables: &dyn Variables) -> Result<Expanded, crate::Problem> {
        let mut reading = Reading {
            lexer: *self,
            raw_escapes: self.raw_escapes,
            variables,
            chars: word.chars().peekable(),
            depth: 0,
            seen: Expanded::default(),
        };
        let (text, words) = reading
            .until(None, self.raw_escapes)
            .map_err(|why| crate::Problem::Word { word: word.to_owned(), why })?;
        Ok(Expanded { text, words, ..reading.seen })
    }
}

/// The words of a text as far as they are known.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

impl Words {
    /// A character of the text itself: a blank ends a word.
    fn add(&mut self, c: char) {
        if !c.is_whitespace() {
            self.current.push(c);
        } else if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    fn end(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

/// A word being read.
struct Reading<'a> {
    lexer: Lexer,
    raw_escapes: bool,
    variables: &'a dyn Variables,
    chars: Peekable<Chars<'a>>,
    depth: usize,
    seen: Expanded,
}

impl Reading<'_> {
    /// Up to `stop`, which is taken too, or up to the end.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>), Problem> {
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let read = self.read_until(stop);
        self.raw_escapes = outer;
        read
    }

    fn read_until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), Problem> {
        let (mut text, mut words) = (String::new(), Words::default());
        while let Some(&c) = self.chars.peek() {
            if Some(c) == stop {
                self.chars.next();
                return Ok((text, words.end()));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| words.add(c));
                    text.push_str(&value);
                }
                '\'' | '"' if !self.lexer.plain_quotes => {
                    let quoted = if c == '"' { self.double_quotes()? } else { self.single_quotes()? };
                    words.current.push_str(&quoted);
                    text.push_str(&quoted);
                }
                _ => self.plain(&mut text, &mut words),
            }
            if text.len() > limits::WORD {
                return Err(Problem::TooLong);
            }
        }
        match stop {
            None => Ok((text, words.end())),
            Some('/') => Err(Problem::Unclosed("/")),
            Some(_) => Err(Problem::Unclosed("}")),
        }
    }

    /// A character without a meaning, or one whose meaning is taken away.
    fn plain(&mut self, text: &mut String, words: &mut Words) {
        let Some(c) = self.chars.next() else { return };
        if c != self.lexer.escape {
            words.add(c);
            text.push(c);
            return;
        }
        if self.raw_escapes {
            words.current.push(c);
            text.push(c);
        }
        if let Some(escaped) = self.chars.next() {
            words.current.push(escaped);
            text.push(escaped);
        }
    }

    fn single_quotes(&mut self) -> Result<String, Problem> {
        let raw = self.lexer.raw_quotes;
        let mut text = String::new();
        text.extend(self.chars.next().filter(|_| raw));
        loop {
            match self.chars.next() {
                None => return Err(Problem::Unclosed("single-quote")),
                Some('\'') => {
                    text.extend(raw.then_some('\''));
                    return Ok(text);
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn double_quotes(&mut self) -> Result<String, Problem> {
        let raw = self.lexer.raw_quotes;
        let mut text = String::new();
        text.extend(self.chars.next().filter(|_| raw));
        loop {
            match self.chars.peek().copied() {
                None => return Err(Problem::Unclosed("double-quote")),
                Some('"') => {
                    text.extend(self.chars.next().filter(|_| raw));
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(_) => self.quoted_character(&mut text),
            }
            if text.len() > limits::WORD {
                return Err(Problem::TooLong);
            }
        }
    }

    /// Within double quotes the escape character has a meaning before `"`, `$` and itself only.
    fn quoted_character(&mut self, text: &mut String) {
        let Some(c) = self.chars.next() else { return };
        if c != self.lexer.escape {
            text.push(c);
            return;
        }
        text.extend(self.raw_escapes.then_some(c));
        let escape = self.lexer.escape;
        match self.chars.peek() {
            // An escape character at the very end says nothing.
            None => {}
            Some(&next) if next == '"' || next == '$' || next == escape => text.extend(self.chars.next()),
            Some(_) => text.push(c),
        }
    }

    /// `$name`, `${name}` or `${name…}`.
    fn dollar(&mut self) -> Result<String, Problem> {
        self.chars.next();
        if self.chars.peek() != Some(&'{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.value(&name) {
                None if self.lexer.keep_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.chars.next();
        match self.chars.peek() {
            None => return Err(Problem::NoBrace),
            Some('{' | '}' | ':') => return Err(Problem::Substitution),
            Some(_) => {}
        }
        self.depth += 1;
        if self.depth > limits::DEPTH {
            return Err(Problem::TooDeep);
        }
        let value = self.braces();
        self.depth -= 1;
        value
    }

    fn braces(&mut self) -> Result<String, Problem> {
        let name = self.name();
        match self.chars.next() {
            Some('}') => Ok(match self.value(&name) {
                None if self.lexer.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            Some(':') => {
                // The end of the word is shown as what Go makes of it.
                let modifier = self.chars.next().unwrap_or('\u{fffd}');
                self.modified(&name, modifier, Empty::IsUnset)
            }
            Some(modifier @ ('+' | '-' | '?' | '#' | '%')) => self.modified(&name, modifier, Empty::IsSet),
            Some('/') => self.replaced(&name),
            other => Err(Problem::Modifier(other.unwrap_or('\u{fffd}').to_string())),
        }
    }

    /// `${name:-word}` and its like.
    fn modified(&mut self, name: &str, modifier: char, empty: Empty) -> Result<String, Problem> {
        let raw = matches!(modifier, '#' | '%');
        let (word, _) = self.until(Some('}'), raw).map_err(|problem| self.no_brace(problem))?;
        let value = self.value(name);
        if value.is_none() && self.lexer.keep_unset {
            let colon = if matches!(empty, Empty::IsUnset) { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let missing = value.as_ref().is_none_or(|value| matches!(empty, Empty::IsUnset) && value.is_empty());
        match modifier {
            '-' => Ok(value.filter(|_| !missing).unwrap_or(word)),
            '+' => Ok(if missing { String::new() } else { word }),
            '?' if missing => {
                let default = match value {
                    None => "is not allowed to be unset",
                    Some(_) => "is not allowed to be empty",
                };
                let message = if word.is_empty() { default.to_owned() } else { word };
                Err(Problem::Required { name: name.to_owned(), message })
            }
            '?' => Ok(value.unwrap_or_default()),
            '#' | '%' => pattern::trim(&value.unwrap_or_default(), modifier, &word),
            _ => {
                let colon = if matches!(empty, Empty::IsUnset) { ":" } else { "" };
                Err(Problem::Modifier(format!("{colon}{modifier}")))
            }
        }
    }

    /// `${name/pattern/replacement}`, `${name//pattern/replacement}`.
    fn replaced(&mut self, name: &str) -> Result<String, Problem> {
        let all = self.chars.next_if_eq(&'/').is_some();
        let (pattern, _) = self.until(Some('/'), true).map_err(|problem| match self.chars.peek() {
            None => Problem::NoSlash,
            Some(_) => problem,
        })?;
        let (replacement, _) = self.until(Some('}'), true).map_err(|problem| self.no_brace(problem))?;
        match self.value(name) {
            None if self.lexer.keep_unset => Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => pattern::replace(&value.unwrap_or_default(), &pattern, &replacement, all),
        }
    }

    fn no_brace(&mut self, problem: Problem) -> Problem {
        match (self.chars.peek(), &problem) {
            (None, Problem::Unclosed(_)) => Problem::NoBrace,
            _ => problem,
        }
    }

    /// Letters, digits and underscores; or digits alone; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek() {
            Some(c) if c.is_numeric() => {
                while let Some(c) = self.chars.next_if(|c| c.is_numeric()) {
                    name.push(c);
                }
                return name;
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => return self.chars.next().into_iter().collect(),
            _ => {}
        }
        while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name).map(str::to_owned);
        let seen = if value.is_some() { &mut self.seen.matched } else { &mut self.seen.unmatched };
        seen.insert(name.to_owned());
        value
    }
}

/// What an operator makes of a variable that is set to nothing.
#[derive(Clone, Copy)]
enum Empty {
    IsSet,
    IsUnset,
}
