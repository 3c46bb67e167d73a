//! HCL's syntax: from text to a body of attributes and blocks, with expressions in them.

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

/// Weakest first.
const LEVELS: &[&[(&str, Operator)]] = &[
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[("==", Operator::Equal), ("!=", Operator::NotEqual)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Modulo)],
];

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

    fn expression(&mut self) -> Result<Expr, Error> {
        self.deeper()?;
        let condition = self.binary(0)?;
        let made = match self.take("?") {
            false => condition,
            true => {
                self.skip();
                let yes = self.expression()?;
                self.need(":")?;
                let no = self.expression()?;
                Expr::Condition(Box::new(condition), Box::new(yes), Box::new(no))
            }
        };
        self.depth -= 1;
        Ok(made)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Error> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            self.skip();
            let found = operators.iter().find(|(sign, _)| self.rest().starts_with(sign));
            let Some((sign, operator)) = found else { return Ok(left) };
            self.at += sign.len();
            let right = self.binary(level + 1)?;
            left = Expr::Binary(*operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Expr, Error> {
        self.deeper()?;
        let made = if self.take("!") {
            Expr::Not(Box::new(self.unary()?))
        } else if self.take("-") {
            Expr::Negative(Box::new(self.unary()?))
        } else {
            let primary = self.primary()?;
            self.postfix(primary)?
        };
        self.depth -= 1;
        Ok(made)
    }

    fn postfix(&mut self, mut made: Expr) -> Result<Expr, Error> {
        loop {
            if self.rest().starts_with("[*]") || self.rest().starts_with(".*") {
                self.at += if self.rest().starts_with('[') { 3 } else { 2 };
                made = Expr::Splat(Box::new(made), self.steps()?);
                continue;
            }
            match self.step()? {
                None => return Ok(made),
                Some(Step::Attribute(name)) => made = Expr::Attribute(Box::new(made), name),
                Some(Step::Index(index)) => made = Expr::Index(Box::new(made), Box::new(index)),
            }
        }
    }

    fn steps(&mut self) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        while let Some(step) = self.step()? {
            steps.push(step);
        }
        Ok(steps)
    }

    fn step(&mut self) -> Result<Option<Step>, Error> {
        let rest = self.rest();
        if rest.starts_with('.') && !rest.starts_with("...") && !rest.starts_with(".*") {
            self.at += 1;
            let digits = self.rest().find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest().len());
            if digits > 0 {
                let index = self.rest()[..digits].parse().unwrap_or(f64::MAX);
                self.at += digits;
                return Ok(Some(Step::Index(Expr::Literal(Value::Number(index)))));
            }
            return match self.name() {
                Some(name) => Ok(Some(Step::Attribute(name.to_owned()))),
                None => self.wrong("expected an attribute's name"),
            };
        }
        if rest.starts_with('[') && !rest.starts_with("[*]") {
            self.at += 1;
            let index = self.within("]", Self::expression)?;
            return Ok(Some(Step::Index(index)));
        }
        Ok(None)
    }

    /// Something in brackets, of which the first was taken.
    fn within<T>(&mut self, end: &str, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.inside += 1;
        let made = read(self)?;
        self.need(end)?;
        self.inside -= 1;
        Ok(made)
    }

    fn primary(&mut self) -> Result<Expr, Error> {
        self.skip();
        let rest = self.rest();
        match self.peek() {
            Some('"') => self.quoted(),
            Some('(') => {
                self.at += 1;
                self.within(")", Self::expression)
            }
            Some('[') => {
                self.at += 1;
                self.within("]", Self::list)
            }
            Some('{') => {
                self.at += 1;
                self.within("}", Self::object)
            }
            Some(c) if c.is_ascii_digit() => {
                let mut end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let fraction = |from: usize| {
                    let digits = &rest[from + 1..];
                    from + 1 + digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())
                };
                if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
                    end = fraction(end);
                }
                let exponent =
                    rest[end..].strip_prefix(['e', 'E']).map(|after| after.trim_start_matches(['+', '-']));
                if exponent.is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit())) {
                    let sign = rest[end + 1..].starts_with(['+', '-']);
                    end = fraction(if sign { end + 1 } else { end });
                }
                self.at += end;
                let number = rest[..end].parse().map_err(|_| Error::wrong("a number is too long"))?;
                Ok(Expr::Literal(Value::Number(number)))
            }
            _ if rest.starts_with("<<") => self.heredoc(),
            _ => match self.name() {
                None => self.wrong("expected an expression"),
                Some("true") => Ok(Expr::Literal(Value::Bool(true))),
                Some("false") => Ok(Expr::Literal(Value::Bool(false))),
                Some("null") => Ok(Expr::Literal(Value::Null)),
                Some(name) if self.rest().starts_with('(') => {
                    self.at += 1;
                    self.within(")", |parser| parser.call(name))
                }
                Some(name) => Ok(Expr::Variable(name.to_owned())),
            },
        }
    }

    fn call(&mut self, name: &str) -> Result<Expr, Error> {
        let (mut arguments, mut expand) = (Vec::new(), false);
        while !self.take_ahead(")") {
            arguments.push(self.expression()?);
            if self.take("...") {
                expand = true;
                break;
            }
            if !self.take(",") {
                break;
            }
        }
        Ok(Expr::Call { name: name.to_owned(), arguments, expand })
    }

    fn take_ahead(&mut self, word: &str) -> bool {
        self.skip();
        self.rest().starts_with(word)
    }

    fn list(&mut self) -> Result<Expr, Error> {
        if self.word("for") {
            return self.for_each(false);
        }
        let mut values = Vec::new();
        while !self.take_ahead("]") {
            values.push(self.expression()?);
            if !self.take(",") {
                break;
            }
        }
        Ok(Expr::List(values))
    }

    fn object(&mut self) -> Result<Expr, Error> {
        if self.word("for") {
            return self.for_each(true);
        }
        let mut pairs = Vec::new();
        while !self.take_ahead("}") {
            let key = match self.expression()? {
                // A bare name is itself.
                Expr::Variable(name) => Expr::Literal(Value::Text(name)),
                key => key,
            };
            if !self.take("=") && !self.take(":") {
                return self.wrong("expected \"=\" or \":\"");
            }
            pairs.push((key, self.expression()?));
            self.take(",");
        }
        Ok(Expr::Object(pairs))
    }

    fn for_each(&mut self, object: bool) -> Result<Expr, Error> {
        let (key, value) = self.for_names()?;
        let over = self.expression()?;
        self.need(":")?;
        let first = self.expression()?;
        let (made_key, made) = match object {
            false => (None, first),
            true => {
                self.need("=>")?;
                (Some(first), self.expression()?)
            }
        };
        let group = object && self.take("...");
        let when = if self.word("if") { Some(self.expression()?) } else { None };
        Ok(Expr::For(Box::new(For { key, value, over, made_key, made, group, when })))
    }

    /// `key, value in`, or `value in`.
    fn for_names(&mut self) -> Result<(Option<String>, String), Error> {
        let missing = || Error::wrong("a \"for\" needs a name");
        let first = self.name().ok_or_else(missing)?.to_owned();
        let names = match self.take(",") {
            true => (Some(first), self.name().ok_or_else(missing)?.to_owned()),
            false => (None, first),
        };
        match self.word("in") {
            true => Ok(names),
            false => self.wrong("expected \"in\""),
        }
    }

    // ── templates ──

    fn quoted(&mut self) -> Result<Expr, Error> {
        self.need("\"")?;
        let (parts, _) = self.parts(&mut |parser| parser.rest().starts_with('"'), true, &[])?;
        self.at += 1;
        Ok(simple(parts))
    }

    fn heredoc(&mut self) -> Result<Expr, Error> {
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
    fn parts(
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
