//! Values of expressions.

use std::collections::BTreeMap;

use serde_json::json;

use crate::Error;

/// What an expression is worth. Sets are lists in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl Value {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "object",
        }
    }

    /// As text, where it has one.
    pub fn to_text(&self) -> Result<String, Error> {
        match self {
            Self::Bool(value) => Ok(value.to_string()),
            Self::Number(value) => Ok(number(*value)),
            Self::Text(text) => Ok(text.clone()),
            other => Err(Error::wrong(format!("string required, but have {}", other.kind()))),
        }
    }

    /// As a number, where it is or says one.
    pub fn to_number(&self) -> Result<f64, Error> {
        let parsed = match self {
            Self::Number(value) => return Ok(*value),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        let parsed = parsed.filter(|number: &f64| number.is_finite());
        parsed.ok_or_else(|| Error::wrong("a number is required"))
    }

    /// As a whole number that counts something.
    pub fn to_index(&self) -> Result<i64, Error> {
        let number = self.to_number()?;
        match number.fract() == 0.0 && number.abs() < 9e15 {
            true => Ok(number as i64),
            false => Err(Error::wrong("a whole number is required")),
        }
    }

    pub fn to_bool(&self) -> Result<bool, Error> {
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Text(text) if text == "true" || text == "1" => Ok(true),
            Self::Text(text) if text == "false" || text == "0" => Ok(false),
            _ => Err(Error::wrong("a bool is required")),
        }
    }

    pub fn to_list(&self) -> Result<Vec<Self>, Error> {
        match self {
            Self::List(values) => Ok(values.clone()),
            Self::Map(values) => Ok(values.values().cloned().collect()),
            other => Err(Error::wrong(format!("a list is required, but have {}", other.kind()))),
        }
    }

    pub fn to_map(&self) -> Result<BTreeMap<String, Self>, Error> {
        match self {
            Self::Map(values) => Ok(values.clone()),
            other => Err(Error::wrong(format!("an object is required, but have {}", other.kind()))),
        }
    }

    /// The order of a set's members.
    pub fn order(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (a, b) => a.to_json().to_string().cmp(&b.to_json().to_string()),
        }
    }

    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => json!(value),
            Self::Number(value) if value.fract() == 0.0 && value.abs() < 9e15 => json!(*value as i64),
            Self::Number(value) => json!(value),
            Self::Text(text) => json!(text),
            Self::List(values) => values.iter().map(Self::to_json).collect(),
            Self::Map(values) => {
                let pairs = values.iter().map(|(key, value)| (key.clone(), value.to_json()));
                serde_json::Value::Object(pairs.collect())
            }
        }
    }

    pub fn of_json(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(value) => Self::Number(value.as_f64().unwrap_or(0.0)),
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(values) => Self::List(values.iter().map(Self::of_json).collect()),
            serde_json::Value::Object(values) => {
                Self::Map(values.iter().map(|(key, value)| (key.clone(), Self::of_json(value))).collect())
            }
        }
    }
}

/// A number as text.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { value.to_string() }
}
