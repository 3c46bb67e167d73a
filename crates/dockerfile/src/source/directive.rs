//! Parser directives: `# name=value` at the very top, each once.

use crate::error::Problem;

const KNOWN: [&str; 3] = ["syntax", "escape", "check"];

/// `# syntax=…`, `# escape=…` or `# check=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// Looks for directives until the first line that isn't one.
#[derive(Debug)]
pub(crate) struct Directives {
    /// What a comment begins with.
    comment: &'static str,
    seen: Vec<&'static str>,
    done: bool,
}

impl Directives {
    pub(crate) fn new(comment: &'static str) -> Self {
        Self { comment, seen: Vec::new(), done: false }
    }

    /// The directive that this line is.
    pub(crate) fn line(&mut self, line: &[u8], number: usize) -> Result<Option<Directive>, Problem> {
        if self.done {
            return Ok(None);
        }
        let found = std::str::from_utf8(line).ok().and_then(|line| split(line, self.comment));
        let Some((name, value)) = found else {
            self.done = true;
            return Ok(None);
        };
        if self.seen.contains(&name) {
            return Err(Problem::RepeatedDirective(name.to_owned()));
        }
        self.seen.push(name);
        Ok(Some(Directive { name, value: value.to_owned(), line: number }))
    }
}

fn split<'a>(line: &'a str, comment: &str) -> Option<(&'static str, &'a str)> {
    let (name, value) = line.strip_prefix(comment)?.trim_start().split_once('=')?;
    let name = name.trim_end();
    let word = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    let value = value.trim();
    let known = KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
    (word && !value.is_empty()).then_some((known, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: dockerfile directive # syntax=
    // covers: dockerfile directive # escape=
    // covers: dockerfile directive # check=
    // covers: dockerfile directive-rule position only before any comment, empty line or instruction; each once; key case-insensitive; no line continuation
    #[test]
    fn directives_stand_at_the_top() {
        let mut directives = Directives::new("#");
        let mut line =
            |text: &str| directives.line(text.as_bytes(), 1).map(|found| found.map(|d| (d.name, d.value)));
        assert_eq!(
            line("# Syntax = docker/dockerfile:1  "),
            Ok(Some(("syntax", "docker/dockerfile:1".to_owned())))
        );
        assert_eq!(line("#escape=`"), Ok(Some(("escape", "`".to_owned()))));
        assert_eq!(line("# escape=\\"), Err(Problem::RepeatedDirective("escape".to_owned())));
        assert_eq!(line("# other=1"), Ok(None));
        assert_eq!(line("# check=skip=all"), Ok(None));
    }
}
