//! Numbers, and what is compared.

use super::Arguments;
use crate::Error;
use crate::eval::equal;
use crate::value::Value;

pub(super) fn call(name: &str, of: &Arguments<'_>) -> Result<Option<Value>, Error> {
    let one = |made: fn(f64) -> f64| {
        of.count(1, 1)?;
        of.number(0).map(|number| Value::Number(made(number)))
    };
    let two = |made: fn(f64, f64) -> f64| {
        of.count(2, 2)?;
        match made(of.number(0)?, of.number(1)?) {
            number if number.is_finite() => Ok(Value::Number(number)),
            _ => Err(Error::wrong("that is no number")),
        }
    };
    let compare = |made: fn(f64, f64) -> bool| {
        of.count(2, 2)?;
        Ok::<_, Error>(Value::Bool(made(of.number(0)?, of.number(1)?)))
    };
    let value = match name {
        "absolute" => one(f64::abs)?,
        "ceil" => one(f64::ceil)?,
        "floor" => one(f64::floor)?,
        "int" => one(f64::trunc)?,
        "negate" => one(|number| -number)?,
        "signum" => one(|number| if number == 0.0 { 0.0 } else { number.signum() })?,
        "add" => two(|a, b| a + b)?,
        "subtract" => two(|a, b| a - b)?,
        "multiply" => two(|a, b| a * b)?,
        "divide" => two(|a, b| a / b)?,
        "modulo" => two(|a, b| a % b)?,
        "pow" => two(f64::powf)?,
        "log" => two(|number, base| number.ln() / base.ln())?,
        "min" | "max" => {
            of.count(1, usize::MAX)?;
            let numbers = of.all().iter().map(Value::to_number).collect::<Result<Vec<_>, _>>()?;
            let least = name == "min";
            let pick = |a: f64, b: f64| if least { a.min(b) } else { a.max(b) };
            Value::Number(numbers.into_iter().reduce(pick).unwrap_or(0.0))
        }
        "greaterthan" => compare(|a, b| a > b)?,
        "greaterthanorequalto" => compare(|a, b| a >= b)?,
        "lessthan" => compare(|a, b| a < b)?,
        "lessthanorequalto" => compare(|a, b| a <= b)?,
        "equal" | "notequal" => {
            of.count(2, 2)?;
            Value::Bool(equal(of.get(0), of.get(1)) == (name == "equal"))
        }
        "and" => {
            of.count(2, 2)?;
            Value::Bool(of.get(0).to_bool()? & of.get(1).to_bool()?)
        }
        "or" => {
            of.count(2, 2)?;
            Value::Bool(of.get(0).to_bool()? | of.get(1).to_bool()?)
        }
        "not" => {
            of.count(1, 1)?;
            Value::Bool(!of.get(0).to_bool()?)
        }
        "parseint" => parse(of)?,
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn parse(of: &Arguments<'_>) -> Result<Value, Error> {
    of.count(2, 2)?;
    let (text, base) = (of.text(0)?, of.index(1)?);
    let invalid = || Error::wrong(format!("{text:?} is no number of base {base}"));
    let base = u32::try_from(base).ok().filter(|base| (2..=36).contains(base)).ok_or_else(invalid)?;
    i64::from_str_radix(&text, base).map(|number| Value::Number(number as f64)).map_err(|_| invalid())
}
