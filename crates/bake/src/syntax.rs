//! HCL's syntax: from text to a body of attributes and blocks, with expressions in them.

mod expression;
mod template;

use std::collections::BTreeMap;

use crate::Error;
use crate::value::Value;

/// How deep expressions may stand in one another.
const MAX_DEPTH: usize = 200;

/// What is between braces, or a whole file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Body {
    pub attributes: BTreeMap<String, Attribute>,
    pub blocks: Vec<Block>,
}

/// `name = expression`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub line: usize,
    pub value: Expr,
}

/// `kind "label" { … }`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    pub kind: String,
    pub labels: Vec<String>,
    pub line: usize,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    Literal(Value),
    Template(Vec<Part>),
    Variable(String),
    Attribute(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    /// Each element, and what is taken of it.
    Splat(Box<Expr>, Vec<Step>),
    Call {
        name: String,
        arguments: Vec<Expr>,
        expand: bool,
    },
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Condition(Box<Expr>, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    For(Box<For>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Attribute(String),
    Index(Expr),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct For {
    pub key: Option<String>,
    pub value: String,
    pub over: Expr,
    /// Of an object.
    pub made_key: Option<Expr>,
    pub made: Expr,
    pub group: bool,
    pub when: Option<Expr>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Value(Expr),
    If(Expr, Vec<Part>, Vec<Part>),
    For { key: Option<String>, value: String, over: Expr, body: Vec<Part> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// Reads a file.
pub(crate) fn parse(name: &str, text: &str) -> Result<Body, Error> {
    let mut parser = Parser { text, at: 0, inside: 0, depth: 0 };
    let body = parser.body(false);
    body.map_err(|error| error.at(name, parser.line()))
}

/// Reads a template, as a string of JSON is one.
pub(crate) fn parse_template(text: &str) -> Result<Expr, Error> {
    let mut parser = Parser { text, at: 0, inside: 0, depth: 0 };
    let (parts, _) = parser.parts(&mut |parser| parser.rest().is_empty(), false, &[])?;
    Ok(simple(parts))
}

/// A template that is one value is that value.
fn simple(mut parts: Vec<Part>) -> Expr {
    match (parts.len(), parts.pop()) {
        (0, _) | (_, None) => Expr::Literal(Value::text("")),
        (1, Some(Part::Text(text))) => Expr::Literal(Value::Text(text)),
        (1, Some(Part::Value(value))) => value,
        (_, Some(last)) => {
            parts.push(last);
            Expr::Template(parts)
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Within how many brackets, where lines don't end anything.
    inside: usize,
    depth: usize,
}

fn is_first(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn line(&self) -> usize {
        1 + self.text[..self.at].bytes().filter(|byte| *byte == b'\n').count()
    }

    fn wrong<T>(&self, what: &str) -> Result<T, Error> {
        let found: String = self.rest().chars().take(20).collect();
        let found = found.lines().next().unwrap_or_default().to_owned();
        Err(Error::wrong(format!("{what}, not {found:?}")))
    }

    /// Blanks and comments; line breaks within brackets.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { return };
            if c == '#' || rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            } else if c == '\n' && self.inside == 0 || !c.is_whitespace() {
                return;
            } else {
                self.at += c.len_utf8();
            }
        }
    }

    fn skip_lines(&mut self) {
        self.inside += 1;
        self.skip();
        self.inside -= 1;
    }

    fn take(&mut self, word: &str) -> bool {
        self.skip();
        let taken = self.rest().starts_with(word);
        if taken {
            self.at += word.len();
        }
        taken
    }

    fn need(&mut self, word: &str) -> Result<(), Error> {
        match self.take(word) {
            true => Ok(()),
            false => self.wrong(&format!("expected {word:?}")),
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        self.skip();
        let rest = self.rest();
        rest.chars().next().filter(|c| is_first(*c))?;
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        self.at += end;
        Some(&rest[..end])
    }

    /// A word that isn't only the beginning of one.
    fn word(&mut self, word: &str) -> bool {
        self.skip();
        let after = self.rest().strip_prefix(word);
        let whole = after.is_some_and(|after| !after.starts_with(is_name));
        if whole {
            self.at += word.len();
        }
        whole
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        match self.depth > MAX_DEPTH {
            true => Err(Error::wrong("expressions stand too deep in one another")),
            false => Ok(()),
        }
    }

    // ── bodies ──

    fn body(&mut self, braced: bool) -> Result<Body, Error> {
        self.deeper()?;
        let mut body = Body::default();
        loop {
            self.skip_lines();
            if self.rest().is_empty() || (braced && self.rest().starts_with('}')) {
                break;
            }
            let line = self.line();
            let name = match self.peek() {
                Some('"') => self.quoted_plain()?,
                _ => match self.name() {
                    Some(name) => name.to_owned(),
                    None => return self.wrong("expected an attribute or a block"),
                },
            };
            self.skip();
            if self.rest().starts_with('=') && !self.rest().starts_with("==") {
                self.at += 1;
                let value = self.expression()?;
                if body.attributes.insert(name.clone(), Attribute { line, value }).is_some() {
                    return Err(Error::wrong(format!("attribute {name:?} was given twice")));
                }
                self.skip();
                let ends = |c: char| c == '\n' || c == '}';
                if !self.rest().is_empty() && !self.rest().starts_with(ends) {
                    return self.wrong("expected a new line");
                }
            } else {
                let block = self.block(name, line)?;
                body.blocks.push(block);
            }
        }
        self.depth -= 1;
        Ok(body)
    }

    fn block(&mut self, kind: String, line: usize) -> Result<Block, Error> {
        let mut labels = Vec::new();
        loop {
            self.skip();
            match self.peek() {
                Some('"') => labels.push(self.quoted_plain()?),
                Some('{') => break,
                _ => match self.name() {
                    Some(name) => labels.push(name.to_owned()),
                    None => return self.wrong("expected a block's label or \"{\""),
                },
            }
        }
        self.at += 1;
        let inside = std::mem::take(&mut self.inside);
        let body = self.body(true)?;
        self.inside = inside;
        self.need("}")?;
        Ok(Block { kind, labels, line, body })
    }

    fn quoted_plain(&mut self) -> Result<String, Error> {
        match self.quoted()? {
            Expr::Literal(Value::Text(text)) => Ok(text),
            _ => Err(Error::wrong("a label can't be computed")),
        }
    }

    // ── expressions ──
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_hcl_is_told_with_its_line() {
        for (text, expected) in [
            ("a = ", "f:1: expected an expression, not \"\""),
            ("a = 1\nb = \"x\n", "f:2: a string has no end on its line"),
            ("a = 1\na = 2\n", "f:2: attribute \"a\" was given twice"),
            ("target \"x\" {\n  a = 1\n", "f:3: expected \"}\", not \"\""),
            ("a = [1, 2\n", "f:2: expected \"]\", not \"\""),
            ("a = 1 2", "f:1: expected a new line, not \"2\""),
            ("a = <<X\nno end", "f:1: \"X\" has no end"),
            ("a = \"${x\"", "f:1: expected \"}\", not \"\\\"\""),
            ("a = \"%{ if x }\"", "f:1: a template's directive has no end"),
        ] {
            assert_eq!(parse("f", text).unwrap_err().to_string(), expected);
        }
        let deep = format!("a = {}1", "[".repeat(100_000));
        assert!(parse("f", &deep).unwrap_err().to_string().contains("too deep"));
        let deep = format!("a = {}1", "!".repeat(100_000));
        assert!(parse("f", &deep).unwrap_err().to_string().contains("too deep"));
    }
}
