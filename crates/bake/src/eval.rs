//! What expressions are worth.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::Error;
use crate::functions;
use crate::syntax::{Expr, For, Operator, Part, Step};
use crate::value::Value;

/// Elements that one `for` may go through, and bytes that a template may come to.
const MAX_ROUNDS: usize = 1_000_000;
/// How deep functions may call each other.
pub(crate) const MAX_CALLS: usize = 100;

/// Where names come from.
pub(crate) trait Scope {
    /// What a variable is worth; nothing where there is none.
    fn variable(&self, name: &str) -> Result<Option<Value>, Error>;
    /// What a function of the file's makes; nothing where there is none.
    fn call(&self, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error>;
    /// How deep in functions this is.
    fn depth(&self) -> usize;
}

/// Names that a `for` or a function brings, over others.
pub(crate) struct Local<'a> {
    pub(crate) outer: &'a dyn Scope,
    pub(crate) names: BTreeMap<String, Value>,
    pub(crate) depth: usize,
}

impl Scope for Local<'_> {
    fn variable(&self, name: &str) -> Result<Option<Value>, Error> {
        match self.names.get(name) {
            Some(value) => Ok(Some(value.clone())),
            None => self.outer.variable(name),
        }
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
        self.outer.call(name, arguments)
    }

    fn depth(&self) -> usize {
        self.depth
    }
}

/// What an expression is worth.
pub(crate) fn eval(expr: &Expr, scope: &dyn Scope) -> Result<Value, Error> {
    match expr {
        Expr::Literal(value) => Ok(value.clone()),
        Expr::Template(parts) => {
            let mut text = String::new();
            template(parts, scope, &mut text)?;
            Ok(Value::Text(text))
        }
        Expr::Variable(name) => {
            let found = scope.variable(name)?;
            found.ok_or_else(|| Error::wrong(format!("there is no variable named {name:?}")))
        }
        Expr::Attribute(of, name) => attribute(&eval(of, scope)?, name),
        Expr::Index(of, index) => self::index(&eval(of, scope)?, &eval(index, scope)?),
        Expr::Splat(of, steps) => splat(&eval(of, scope)?, steps, scope),
        Expr::Call { name, arguments, expand } => call(name, arguments, *expand, scope),
        Expr::Not(of) => Ok(Value::Bool(!eval(of, scope)?.to_bool()?)),
        Expr::Negative(of) => Ok(Value::Number(-eval(of, scope)?.to_number()?)),
        Expr::Binary(operator, left, right) => binary(*operator, &eval(left, scope)?, &eval(right, scope)?),
        Expr::Condition(condition, yes, no) => match eval(condition, scope)?.to_bool()? {
            true => eval(yes, scope),
            false => eval(no, scope),
        },
        Expr::List(values) => {
            values.iter().map(|value| eval(value, scope)).collect::<Result<_, _>>().map(Value::List)
        }
        Expr::Object(pairs) => {
            let pair = |(key, value): &(Expr, Expr)| Ok((eval(key, scope)?.to_text()?, eval(value, scope)?));
            pairs.iter().map(pair).collect::<Result<_, Error>>().map(Value::Map)
        }
        Expr::For(each) => for_each(each, scope),
    }
}

pub(crate) fn attribute(of: &Value, name: &str) -> Result<Value, Error> {
    match of {
        Value::Map(values) => {
            let found = values.get(name).cloned();
            found.ok_or_else(|| Error::wrong(format!("this object has no attribute {name:?}")))
        }
        other => Err(Error::wrong(format!("a {} has no attribute {name:?}", other.kind()))),
    }
}

pub(crate) fn index(of: &Value, index: &Value) -> Result<Value, Error> {
    match of {
        Value::Map(_) => attribute(of, &index.to_text()?),
        Value::List(values) => {
            let at = usize::try_from(index.to_index()?).ok().and_then(|at| values.get(at));
            at.cloned().ok_or_else(|| Error::wrong("the list has no such element"))
        }
        other => Err(Error::wrong(format!("a {} has no elements", other.kind()))),
    }
}

fn splat(of: &Value, steps: &[Step], scope: &dyn Scope) -> Result<Value, Error> {
    let elements = match of {
        Value::Null => Vec::new(),
        Value::List(values) => values.clone(),
        other => vec![other.clone()],
    };
    let take = |element: Value| {
        steps.iter().try_fold(element, |value, step| match step {
            Step::Attribute(name) => attribute(&value, name),
            Step::Index(at) => index(&value, &eval(at, scope)?),
        })
    };
    elements.into_iter().map(take).collect::<Result<_, _>>().map(Value::List)
}

fn call(name: &str, arguments: &[Expr], expand: bool, scope: &dyn Scope) -> Result<Value, Error> {
    // These two look at what fails.
    match name {
        "try" => {
            let mut last = Error::wrong("try needs an expression");
            for argument in arguments {
                match eval(argument, scope) {
                    Ok(value) => return Ok(value),
                    Err(error) => last = error,
                }
            }
            return Err(last);
        }
        "can" => {
            let one = arguments.first().ok_or_else(|| Error::wrong("can needs an expression"))?;
            return Ok(Value::Bool(eval(one, scope).is_ok()));
        }
        "convert" => return convert(arguments, scope),
        _ => {}
    }
    let mut values = arguments.iter().map(|value| eval(value, scope)).collect::<Result<Vec<_>, _>>()?;
    if expand && let Some(last) = values.pop() {
        values.extend(last.to_list()?);
    }
    if let Some(value) = scope.call(name, &values)? {
        return Ok(value);
    }
    functions::call(name, &values).map_err(|error| match error {
        Error::Wrong(why) if !why.starts_with("there is no function") => {
            Error::Wrong(format!("{name}: {why}"))
        }
        other => other,
    })
}

/// `convert(value, type)`: the type is an expression's name.
fn convert(arguments: &[Expr], scope: &dyn Scope) -> Result<Value, Error> {
    let [value, kind] = arguments else { return Err(Error::wrong("convert needs a value and a type")) };
    to_type(&eval(value, scope)?, kind)
}

/// A value as a type says: `string`, `list(number)`, …
pub(crate) fn to_type(value: &Value, kind: &Expr) -> Result<Value, Error> {
    let unknown = || Error::wrong("this type isn't known here");
    if matches!(value, Value::Null) {
        return Ok(Value::Null);
    }
    match kind {
        Expr::Variable(name) => match name.as_str() {
            "string" => value.to_text().map(Value::Text),
            "number" => value.to_number().map(Value::Number),
            "bool" => value.to_bool().map(Value::Bool),
            "any" => Ok(value.clone()),
            _ => Err(unknown()),
        },
        Expr::Call { name, arguments, .. } => match (name.as_str(), arguments.as_slice()) {
            ("list" | "set", [of]) => {
                let values =
                    value.to_list()?.iter().map(|value| to_type(value, of)).collect::<Result<_, _>>()?;
                Ok(if name == "set" { functions::set(values) } else { Value::List(values) })
            }
            ("map", [of]) => {
                let pair = |(key, value): (String, Value)| Ok((key, to_type(&value, of)?));
                value.to_map()?.into_iter().map(pair).collect::<Result<_, Error>>().map(Value::Map)
            }
            ("tuple", [Expr::List(kinds)]) => {
                let values = value.to_list()?;
                let pairs = values.iter().zip(kinds);
                match values.len() == kinds.len() {
                    true => pairs
                        .map(|(value, kind)| to_type(value, kind))
                        .collect::<Result<_, _>>()
                        .map(Value::List),
                    false => Err(Error::wrong("the tuple has another length")),
                }
            }
            ("object", [Expr::Object(kinds)]) => {
                let values = value.to_map()?;
                let mut made = BTreeMap::new();
                for (key, kind) in kinds {
                    let Expr::Literal(Value::Text(key)) = key else { return Err(unknown()) };
                    let optional = matches!(kind, Expr::Call { name, .. } if name == "optional");
                    let kind = match kind {
                        Expr::Call { arguments, .. } if optional => arguments.first().ok_or_else(unknown)?,
                        kind => kind,
                    };
                    match values.get(key) {
                        Some(value) => drop(made.insert(key.clone(), to_type(value, kind)?)),
                        None if optional => drop(made.insert(key.clone(), Value::Null)),
                        None => return Err(Error::wrong(format!("attribute {key:?} is required"))),
                    }
                }
                Ok(Value::Map(made))
            }
            _ => Err(unknown()),
        },
        _ => Err(unknown()),
    }
}

pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a == b,
        (a, b) => a == b,
    }
}

fn binary(operator: Operator, left: &Value, right: &Value) -> Result<Value, Error> {
    let numbers = || Ok::<_, Error>((left.to_number()?, right.to_number()?));
    let order = |wanted: &[Ordering]| {
        let (left, right) = numbers()?;
        Ok(Value::Bool(left.partial_cmp(&right).is_some_and(|order| wanted.contains(&order))))
    };
    let counted = |made: fn(f64, f64) -> f64| {
        let (left, right) = numbers()?;
        match made(left, right) {
            number if number.is_finite() => Ok(Value::Number(number)),
            _ => Err(Error::wrong("that is no number: division by zero, or too large")),
        }
    };
    match operator {
        Operator::Or => Ok(Value::Bool(left.to_bool()? | right.to_bool()?)),
        Operator::And => Ok(Value::Bool(left.to_bool()? & right.to_bool()?)),
        Operator::Equal => Ok(Value::Bool(equal(left, right))),
        Operator::NotEqual => Ok(Value::Bool(!equal(left, right))),
        Operator::Less => order(&[Ordering::Less]),
        Operator::LessOrEqual => order(&[Ordering::Less, Ordering::Equal]),
        Operator::Greater => order(&[Ordering::Greater]),
        Operator::GreaterOrEqual => order(&[Ordering::Greater, Ordering::Equal]),
        Operator::Add => counted(|a, b| a + b),
        Operator::Subtract => counted(|a, b| a - b),
        Operator::Multiply => counted(|a, b| a * b),
        Operator::Divide => counted(|a, b| a / b),
        Operator::Modulo => counted(|a, b| a % b),
    }
}

/// The elements of something, with what they are called there.
fn elements(of: Value) -> Result<Vec<(Value, Value)>, Error> {
    let pairs: Vec<(Value, Value)> = match of {
        Value::List(values) => {
            values.into_iter().enumerate().map(|(at, value)| (Value::Number(at as f64), value)).collect()
        }
        Value::Map(values) => values.into_iter().map(|(key, value)| (Value::Text(key), value)).collect(),
        other => return Err(Error::wrong(format!("a {} can't be gone through", other.kind()))),
    };
    match pairs.len() > MAX_ROUNDS {
        true => Err(Error::wrong("too many elements")),
        false => Ok(pairs),
    }
}

fn local<'a>(scope: &'a dyn Scope, key: Option<&String>, value: &str, element: (Value, Value)) -> Local<'a> {
    let mut names = BTreeMap::from([(value.to_owned(), element.1)]);
    if let Some(key) = key {
        names.insert(key.clone(), element.0);
    }
    Local { outer: scope, names, depth: scope.depth() }
}

fn for_each(each: &For, scope: &dyn Scope) -> Result<Value, Error> {
    let (mut list, mut map) = (Vec::new(), BTreeMap::new());
    for element in elements(eval(&each.over, scope)?)? {
        let scope = local(scope, each.key.as_ref(), &each.value, element);
        if let Some(when) = &each.when
            && !eval(when, &scope)?.to_bool()?
        {
            continue;
        }
        let made = eval(&each.made, &scope)?;
        let Some(key) = &each.made_key else {
            list.push(made);
            continue;
        };
        let key = eval(key, &scope)?.to_text()?;
        if each.group {
            match map.entry(key).or_insert_with(|| Value::List(Vec::new())) {
                Value::List(values) => values.push(made),
                _ => return Err(Error::wrong("a group holds a list")),
            }
        } else if map.insert(key.clone(), made).is_some() {
            return Err(Error::wrong(format!("two elements have the key {key:?}")));
        }
    }
    Ok(if each.made_key.is_some() { Value::Map(map) } else { Value::List(list) })
}

fn template(parts: &[Part], scope: &dyn Scope, text: &mut String) -> Result<(), Error> {
    for part in parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Value(value) => text.push_str(&eval(value, scope)?.to_text()?),
            Part::If(condition, yes, no) => match eval(condition, scope)?.to_bool()? {
                true => template(yes, scope, text)?,
                false => template(no, scope, text)?,
            },
            Part::For { key, value, over, body } => {
                for element in elements(eval(over, scope)?)? {
                    template(body, &local(scope, key.as_ref(), value, element), text)?;
                }
            }
        }
        if text.len() > 64 * MAX_ROUNDS {
            return Err(Error::wrong("a template comes to too much"));
        }
    }
    Ok(())
}
