//! Variables: what they are worth, and whether that is what they may be.

use serde_json::Value as Json;

use super::{Files, Listed, Variable, invalid};
use crate::Error;
use crate::eval::{self, Scope as _, eval};
use crate::functions;
use crate::syntax::Expr;
use crate::value::Value;

impl Files<'_> {
    pub(super) fn value_of(&self, name: &str, variable: &Variable) -> Result<Value, Error> {
        let kind = variable.body.attributes.get("type").map(|attribute| &attribute.value);
        let default = variable.body.attributes.get("default");
        let default = default.map(|default| eval(&default.value, self)).transpose()?.unwrap_or(Value::Null);
        let default = match kind {
            Some(kind) => eval::to_type(&default, kind)?,
            None => default,
        };
        match self.given(name) {
            None => Ok(default),
            Some(text) => override_of(name, &text, &default, kind),
        }
    }

    /// What somebody said from outside; `NAME_JSON` says it as JSON.
    fn given(&self, name: &str) -> Option<String> {
        if let Some(text) = self.asked.variables.get(name) {
            return Some(text.clone());
        }
        let disabled = self.asked.environment.get("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP");
        if disabled.is_some_and(|value| flags::go::parse_bool(value) == Ok(true)) {
            return None;
        }
        let json = self.asked.environment.get(&format!("{name}_JSON"));
        let json = json.filter(|text| !text.is_empty()).map(|text| format!("\0{text}"));
        json.or_else(|| self.asked.environment.get(name).filter(|text| !text.is_empty()).cloned())
    }

    /// Every variable has a value, and its conditions hold.
    pub(super) fn check_variables(&self) -> Result<(), Error> {
        for (name, variable) in &self.variables {
            self.variable(name)?;
            for rule in variable.body.blocks.iter().filter(|block| block.kind == "validation") {
                let condition = rule.body.attributes.get("condition");
                let Some(condition) = condition else {
                    return invalid(format!("a validation of {name:?} has no condition"));
                };
                let holds = eval(&condition.value, self).and_then(|value| value.to_bool());
                if !holds.map_err(|error| error.at(&variable.file, condition.line))? {
                    let message = rule.body.attributes.get("error_message");
                    let message = message.map(|message| eval(&message.value, self)).transpose()?;
                    let message = message.and_then(|message| message.to_text().ok());
                    let message = message.unwrap_or_else(|| "this condition doesn't hold".into());
                    let message = format!("Validation failed; {message}");
                    return Err(Error::Wrong(message).at(&variable.file, condition.line));
                }
            }
        }
        Ok(())
    }

    pub(super) fn list_variables(&self) -> Result<Vec<Listed>, Error> {
        let one = |(name, variable): (&String, &Variable)| {
            let value = self.variable(name)?.unwrap_or(Value::Null);
            let value = match value {
                Value::Null => None,
                Value::List(_) | Value::Map(_) => Some(value.to_json().to_string()),
                other => Some(other.to_text()?),
            };
            let text = |key: &str| {
                let found = variable.body.attributes.get(key).map(|attribute| eval(&attribute.value, self));
                found.and_then(Result::ok).and_then(|value| value.to_text().ok()).unwrap_or_default()
            };
            let kind = match variable.body.attributes.get("type").map(|attribute| &attribute.value) {
                Some(kind) => shown(kind),
                None => String::new(),
            };
            Ok(Listed {
                name: name.clone(),
                description: text("description"),
                kind,
                value,
                members: Vec::new(),
            })
        };
        self.variables.iter().map(one).collect()
    }

    // ── Compose ──
}

/// A type for people.
fn shown(kind: &Expr) -> String {
    match kind {
        Expr::Variable(kind) => kind.clone(),
        Expr::Call { name, arguments, .. } => match (name.as_str(), arguments.first()) {
            ("list" | "set" | "map", Some(of)) => format!("{name} of {}", shown(of)),
            (name, _) => name.to_owned(),
        },
        _ => String::new(),
    }
}

/// What somebody said from outside, as the variable has it.
fn override_of(name: &str, text: &str, default: &Value, kind: Option<&Expr>) -> Result<Value, Error> {
    let wrong = |why: &str| Error::Wrong(format!("failed to set variable {name:?}: {why}"));
    if let Some(text) = text.strip_prefix('\0') {
        let parsed: Json = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
        let value = Value::of_json(&parsed);
        return kind.map_or(Ok(value.clone()), |kind| eval::to_type(&value, kind));
    }
    let given = Value::text(text);
    match (kind, default) {
        (Some(kind @ Expr::Call { name: of, .. }), _) if matches!(of.as_str(), "list" | "set" | "tuple") => {
            let rows = functions::rows(text)?;
            let values = rows.into_iter().flatten().map(Value::Text).collect();
            eval::to_type(&Value::List(values), kind)
        }
        (Some(kind), _) => eval::to_type(&given, kind),
        (None, Value::Bool(_)) => {
            flags::go::parse_bool(text).map(Value::Bool).map_err(|_| wrong("a bool is required"))
        }
        (None, Value::Number(_)) => {
            given.to_number().map(Value::Number).map_err(|_| wrong("a number is required"))
        }
        (None, Value::List(_) | Value::Map(_)) => {
            Err(wrong("it is no text: say its type, or set it as JSON"))
        }
        (None, Value::Null | Value::Text(_)) => Ok(given),
    }
}
