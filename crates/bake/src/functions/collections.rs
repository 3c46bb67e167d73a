//! Lists, sets and objects.

use std::collections::BTreeMap;

use super::Arguments;
use crate::Error;
use crate::eval::equal;
use crate::value::Value;

/// No list is made longer.
const MAX_LENGTH: usize = 1_000_000;

/// A set: each member once, in order.
pub(crate) fn set(mut values: Vec<Value>) -> Value {
    values.sort_by(Value::order);
    values.dedup_by(|a, b| equal(a, b));
    Value::List(values)
}

pub(super) fn call(name: &str, of: &Arguments<'_>) -> Result<Option<Value>, Error> {
    let value = match name {
        "coalesce" => {
            let found = of.all().iter().find(|value| !matches!(value, Value::Null));
            found.cloned().ok_or_else(|| Error::wrong("every argument is null"))?
        }
        "coalescelist" => {
            let filled = |value: &&Value| value.to_list().is_ok_and(|list| !list.is_empty());
            of.all().iter().find(filled).cloned().ok_or_else(|| Error::wrong("every list is empty"))?
        }
        "compact" => {
            of.count(1, 1)?;
            let empty = |value: &Value| matches!(value, Value::Null) || *value == Value::text("");
            Value::List(of.list(0)?.into_iter().filter(|value| !empty(value)).collect())
        }
        "concat" => {
            let lists = of.all().iter().map(Value::to_list).collect::<Result<Vec<_>, _>>()?;
            Value::List(lists.concat())
        }
        "contains" | "sethaselement" => {
            of.count(2, 2)?;
            Value::Bool(of.list(0)?.iter().any(|value| equal(value, of.get(1))))
        }
        "indexof" => {
            of.count(2, 2)?;
            let at = of.list(0)?.iter().position(|value| equal(value, of.get(1)));
            Value::Number(at.ok_or_else(|| Error::wrong("item not found"))? as f64)
        }
        "distinct" => {
            of.count(1, 1)?;
            let mut made: Vec<Value> = Vec::new();
            for value in of.list(0)? {
                if !made.iter().any(|known| equal(known, &value)) {
                    made.push(value);
                }
            }
            Value::List(made)
        }
        "element" => element(of)?,
        "hasindex" => {
            of.count(2, 2)?;
            Value::Bool(crate::eval::index(of.get(0), of.get(1)).is_ok())
        }
        "index" => {
            of.count(2, 2)?;
            crate::eval::index(of.get(0), of.get(1))?
        }
        "flatten" => {
            of.count(1, 1)?;
            let mut made = Vec::new();
            flatten(of.list(0)?, &mut made);
            Value::List(made)
        }
        "keys" => {
            of.count(1, 1)?;
            Value::List(of.get(0).to_map()?.into_keys().map(Value::Text).collect())
        }
        "values" => {
            of.count(1, 1)?;
            Value::List(of.get(0).to_map()?.into_values().collect())
        }
        "length" => {
            of.count(1, 1)?;
            Value::Number(of.list(0)?.len() as f64)
        }
        "lookup" => {
            of.count(2, 3)?;
            match (of.get(0).to_map()?.remove(&of.text(1)?), of.all().get(2)) {
                (Some(value), _) => value,
                (None, Some(default)) => default.clone(),
                (None, None) => return Err(Error::wrong("the object has no such key")),
            }
        }
        "merge" => {
            let mut made = BTreeMap::new();
            for value in of.all().iter().filter(|value| !matches!(value, Value::Null)) {
                made.extend(value.to_map()?);
            }
            Value::Map(made)
        }
        "range" => range(of)?,
        "reverselist" => {
            of.count(1, 1)?;
            Value::List(of.list(0)?.into_iter().rev().collect())
        }
        "slice" => {
            of.count(3, 3)?;
            let list = of.list(0)?;
            let number =
                |at: usize| usize::try_from(of.index(at)?).map_err(|_| Error::wrong("an index is negative"));
            let part = list.get(number(1)?..number(2)?);
            Value::List(part.ok_or_else(|| Error::wrong("the list has no such part"))?.to_vec())
        }
        "chunklist" => {
            of.count(2, 2)?;
            let size = usize::try_from(of.index(1)?).map_err(|_| Error::wrong("a size is negative"))?;
            let list = of.list(0)?;
            let size = if size == 0 { list.len().max(1) } else { size };
            Value::List(list.chunks(size).map(|chunk| Value::List(chunk.to_vec())).collect())
        }
        "sort" => {
            of.count(1, 1)?;
            let mut texts = of.list(0)?.iter().map(Value::to_text).collect::<Result<Vec<_>, _>>()?;
            texts.sort_unstable();
            Value::List(texts.into_iter().map(Value::Text).collect())
        }
        "zipmap" => {
            of.count(2, 2)?;
            let (keys, values) = (of.list(0)?, of.list(1)?);
            if keys.len() != values.len() {
                return Err(Error::wrong("there are not as many keys as values"));
            }
            let keys = keys.iter().map(Value::to_text).collect::<Result<Vec<_>, _>>()?;
            Value::Map(keys.into_iter().zip(values).collect())
        }
        "setproduct" => product(of)?,
        _ => return sets(name, of),
    };
    Ok(Some(value))
}

fn sets(name: &str, of: &Arguments<'_>) -> Result<Option<Value>, Error> {
    if !name.starts_with("set") {
        return Ok(None);
    }
    let mut lists = of.all().iter().map(Value::to_list).collect::<Result<Vec<_>, _>>()?.into_iter();
    let Some(mut made) = lists.next() else { return Err(Error::wrong("it needs a set")) };
    let within = |list: &[Value], value: &Value| list.iter().any(|known| equal(known, value));
    for list in lists {
        match name {
            "setunion" => made.extend(list),
            "setintersection" => made.retain(|value| within(&list, value)),
            "setsubtract" => made.retain(|value| !within(&list, value)),
            "setsymmetricdifference" => {
                let added: Vec<Value> = list.iter().filter(|value| !within(&made, value)).cloned().collect();
                made.retain(|value| !within(&list, value));
                made.extend(added);
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(set(made)))
}

fn element(of: &Arguments<'_>) -> Result<Value, Error> {
    of.count(2, 2)?;
    let (list, at) = (of.list(0)?, of.index(1)?);
    let at = at.checked_rem_euclid(list.len() as i64).filter(|_| of.index(1).is_ok_and(|at| at >= 0));
    let found = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| list.get(at).cloned());
    found.ok_or_else(|| Error::wrong("the list has no such element"))
}

fn flatten(values: Vec<Value>, made: &mut Vec<Value>) {
    for value in values {
        match value {
            Value::List(values) => flatten(values, made),
            other => made.push(other),
        }
    }
}

fn range(of: &Arguments<'_>) -> Result<Value, Error> {
    of.count(1, 3)?;
    let (start, end) = match of.all().len() {
        1 => (0.0, of.number(0)?),
        _ => (of.number(0)?, of.number(1)?),
    };
    let step = match of.all().len() {
        3 => of.number(2)?,
        _ if end < start => -1.0,
        _ => 1.0,
    };
    if step == 0.0 || (step > 0.0) != (end >= start) {
        return Err(Error::wrong("the step leads nowhere"));
    }
    let mut made = Vec::new();
    let mut at = start;
    while (step > 0.0 && at < end) || (step < 0.0 && at > end) {
        if made.len() >= MAX_LENGTH {
            return Err(Error::wrong("it comes to too many elements"));
        }
        made.push(Value::Number(at));
        at += step;
    }
    Ok(Value::List(made))
}

fn product(of: &Arguments<'_>) -> Result<Value, Error> {
    of.count(2, usize::MAX)?;
    let mut made: Vec<Vec<Value>> = vec![Vec::new()];
    for list in of.all() {
        let list = list.to_list()?;
        if made.len().saturating_mul(list.len()) > MAX_LENGTH {
            return Err(Error::wrong("it comes to too many elements"));
        }
        let extended = |row: &Vec<Value>| {
            let with = |value: &Value| [row.as_slice(), std::slice::from_ref(value)].concat();
            list.iter().map(with).collect::<Vec<_>>()
        };
        made = made.iter().flat_map(extended).collect();
    }
    Ok(Value::List(made.into_iter().map(Value::List).collect()))
}
