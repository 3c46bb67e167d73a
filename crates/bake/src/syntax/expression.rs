//! Expressions: operators by their strength, what follows a value, lists, objects and loops.

use super::{Expr, For, Operator, Parser, Step};
use crate::Error;
use crate::value::Value;

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

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expr, Error> {
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
    pub(super) fn for_names(&mut self) -> Result<(Option<String>, String), Error> {
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
}
