//! Files of JSON: the same blocks as objects, with templates in their texts.

use serde_json::Value as Json;

use super::invalid;
use crate::Error;
use crate::syntax::{self, Attribute, Block, Body, Expr};
use crate::value::Value;

/// A file of JSON: objects by kind and name, with templates in its texts.
pub(super) fn body(file: &str, text: &str) -> Result<Body, Error> {
    let parsed: Json =
        serde_json::from_str(text).map_err(|e| Error::Wrong(e.to_string()).at(file, e.line()))?;
    let Json::Object(kinds) = parsed else { return invalid(format!("{file}: a bake file is an object")) };
    let mut body = Body::default();
    for (kind, named) in kinds {
        match (kind.as_str(), named) {
            ("variable" | "target" | "group" | "function", Json::Object(named)) => {
                for (name, fields) in named {
                    let within = self::fields(file, fields)?;
                    body.blocks.push(Block { kind: kind.clone(), labels: vec![name], line: 1, body: within });
                }
            }
            (_, value) => {
                let value = expr(&value)?;
                body.attributes.insert(kind, Attribute { line: 1, value });
            }
        }
    }
    Ok(body)
}

fn fields(file: &str, fields: Json) -> Result<Body, Error> {
    let Json::Object(fields) = fields else { return invalid(format!("{file}: a block is an object")) };
    let mut body = Body::default();
    for (name, value) in fields {
        let value = match (name.as_str(), &value) {
            // Names, and expressions without quotes.
            ("params" | "variadic_params", Json::Array(names)) => Expr::List(
                names.iter().filter_map(|name| Some(Expr::Literal(Value::text(name.as_str()?)))).collect(),
            ),
            ("type", Json::String(kind)) => Expr::Variable(kind.clone()),
            (_, value) => expr(value)?,
        };
        body.attributes.insert(name, Attribute { line: 1, value });
    }
    Ok(body)
}

fn expr(value: &Json) -> Result<Expr, Error> {
    Ok(match value {
        Json::String(text) => syntax::parse_template(text)?,
        Json::Array(values) => Expr::List(values.iter().map(expr).collect::<Result<_, _>>()?),
        Json::Object(pairs) => {
            let pair = |(key, value): (&String, &Json)| Ok((syntax::parse_template(key)?, expr(value)?));
            Expr::Object(pairs.iter().map(pair).collect::<Result<_, Error>>()?)
        }
        other => Expr::Literal(Value::of_json(other)),
    })
}
