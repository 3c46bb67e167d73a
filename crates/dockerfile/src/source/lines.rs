//! Lines, and how one goes on in the next.

use crate::error::{Error, Lines, Problem};
use crate::limits;

/// Hands out lines with their ends.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, line: 0 }
    }

    /// The number of the line that was handed out last.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let length = end.unwrap_or(self.rest.len());
        self.line += 1;
        if length > limits::LINE {
            return Err(Error::text(Problem::LineTooLong, Lines::new(self.line, 0)));
        }
        let (line, rest) = self.rest.split_at(end.map_or(length, |end| end + 1));
        self.rest = rest;
        Ok(Some(line))
    }
}

/// The line without the escape character at its end, and whether there was one. Two of them are one that is escaped.
pub(super) fn continuation(line: &[u8], escape: char) -> (&[u8], bool) {
    let escape = if escape == '`' { b'`' } else { b'\\' };
    let kept = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    match line[..kept].split_last() {
        Some((last, before)) if *last == escape && before.last() != Some(&escape) => (before, true),
        _ => (line, false),
    }
}

pub(super) fn without_tabs(line: &[u8]) -> &[u8] {
    let tabs = line.iter().take_while(|byte| **byte == b'\t').count();
    &line[tabs..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_at_the_end_goes_on() {
        for (line, kept, goes_on) in [
            ("a \\", "a ", true),
            ("a \\ \t", "a ", true),
            ("\\", "", true),
            ("a \\\\", "a \\\\", false),
            ("a \\ b", "a \\ b", false),
            ("a `", "a `", false),
            ("", "", false),
        ] {
            assert_eq!(continuation(line.as_bytes(), '\\'), (kept.as_bytes(), goes_on), "{line}");
        }
        assert_eq!(continuation(b"a `", '`'), (b"a " as &[u8], true));
    }
}
