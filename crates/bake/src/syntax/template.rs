//! Texts with something in them: quoted ones, here-documents, and their directives.

use super::{Expr, Parser, Part, simple};
use crate::Error;

impl Parser<'_> {
    pub(super) fn quoted(&mut self) -> Result<Expr, Error> {
        self.need("\"")?;
        let (parts, _) = self.parts(&mut |parser| parser.rest().starts_with('"'), true, &[])?;
        self.at += 1;
        Ok(simple(parts))
    }

    pub(super) fn heredoc(&mut self) -> Result<Expr, Error> {
        self.at += 2;
        let indented = self.take("-");
        let Some(marker) = self.name() else { return self.wrong("expected a marker") };
        let rest = self.rest();
        let Some(start) = rest.find('\n').filter(|end| rest[..*end].trim().is_empty()) else {
            return self.wrong("expected a new line");
        };
        let mut lines = Vec::new();
        let mut at = start + 1;
        loop {
            let line = &rest[at..];
            let end = line.find('\n').unwrap_or(line.len());
            if line[..end].trim() == marker {
                at += end;
                break;
            }
            if end == line.len() {
                return Err(Error::wrong(format!("{marker:?} has no end")));
            }
            lines.push(&line[..=end]);
            at += end + 1;
        }
        let indent = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
        let least = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
        let cut = |line: &&str| line.get(if indented { least } else { 0 }..).unwrap_or("\n").to_owned();
        let text: String = lines.iter().map(cut).collect();
        self.at += at;
        let mut inner = Parser { text: &text, at: 0, inside: 0, depth: self.depth };
        let (parts, _) = inner.parts(&mut |parser| parser.rest().is_empty(), false, &[])?;
        Ok(simple(parts))
    }

    /// Pieces up to an end, or to one of these directives, which is taken.
    pub(super) fn parts(
        &mut self,
        ends: &mut dyn FnMut(&Self) -> bool,
        escapes: bool,
        until: &[&str],
    ) -> Result<(Vec<Part>, String), Error> {
        self.deeper()?;
        let (mut parts, mut text) = (Vec::new(), String::new());
        loop {
            let rest = self.rest();
            if ends(self) {
                if !until.is_empty() {
                    return Err(Error::wrong("a template's directive has no end"));
                }
                break;
            }
            let Some(c) = rest.chars().next() else { return Err(Error::wrong("a string has no end")) };
            if rest.starts_with("$${") || rest.starts_with("%%{") {
                text.push_str(&rest[1..3]);
                self.at += 3;
            } else if rest.starts_with("${") || rest.starts_with("%{") {
                self.at += 2;
                let inside = std::mem::replace(&mut self.inside, 1);
                if self.rest().starts_with('~') {
                    self.at += 1;
                    text.truncate(text.trim_end().len());
                }
                if c == '$' {
                    push(&mut parts, &mut text);
                    parts.push(Part::Value(self.expression()?));
                    self.close()?;
                } else {
                    let word = self.name().unwrap_or_default().to_owned();
                    push(&mut parts, &mut text);
                    if until.contains(&word.as_str()) {
                        self.close()?;
                        self.inside = inside;
                        self.depth -= 1;
                        return Ok((parts, word));
                    }
                    parts.push(self.directive(&word, ends, escapes)?);
                }
                self.inside = inside;
            } else if escapes && c == '\\' {
                self.at += 1;
                text.push(self.escaped()?);
            } else if escapes && c == '\n' {
                return Err(Error::wrong("a string has no end on its line"));
            } else {
                text.push(c);
                self.at += c.len_utf8();
            }
        }
        push(&mut parts, &mut text);
        self.depth -= 1;
        Ok((parts, String::new()))
    }

    /// The end of `${` or `%{`.
    fn close(&mut self) -> Result<(), Error> {
        let strip = self.take("~");
        self.need("}")?;
        if strip {
            self.at += self.rest().len() - self.rest().trim_start().len();
        }
        Ok(())
    }

    fn directive(
        &mut self,
        word: &str,
        ends: &mut dyn FnMut(&Self) -> bool,
        escapes: bool,
    ) -> Result<Part, Error> {
        match word {
            "if" => {
                let condition = self.expression()?;
                self.close()?;
                let (yes, end) = self.parts(ends, escapes, &["else", "endif"])?;
                let no = match end.as_str() {
                    "else" => self.parts(ends, escapes, &["endif"])?.0,
                    _ => Vec::new(),
                };
                Ok(Part::If(condition, yes, no))
            }
            "for" => {
                let (key, value) = self.for_names()?;
                let over = self.expression()?;
                self.close()?;
                let body = self.parts(ends, escapes, &["endfor"])?.0;
                Ok(Part::For { key, value, over, body })
            }
            other => Err(Error::wrong(format!("a template has no directive {other:?}"))),
        }
    }

    fn escaped(&mut self) -> Result<char, Error> {
        let Some(c) = self.peek() else { return Err(Error::wrong("a string has no end")) };
        self.at += c.len_utf8();
        let digits = match c {
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            '"' | '\\' => return Ok(c),
            'u' => 4,
            'U' => 8,
            other => return Err(Error::wrong(format!("a string has no escape \\{other}"))),
        };
        let code = self.rest().get(..digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let c = code.and_then(char::from_u32).ok_or_else(|| Error::wrong("an escape is no character"))?;
        self.at += digits;
        Ok(c)
    }
}

fn push(parts: &mut Vec<Part>, text: &mut String) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}
