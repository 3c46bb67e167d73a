//! A source policy in a file that a variable names, as buildx reads it.

use std::collections::HashMap;

use buildkit::proto::sourcepolicy::{
    AttrConstraint, AttrMatch, MatchType, Policy, PolicyAction, Rule, Selector, Update,
};
use serde::Deserialize;

use crate::error::Error;

const VARIABLE: &str = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY";
/// No policy is longer.
const MOST: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    version: i64,
    #[serde(default)]
    rules: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    #[serde(default)]
    action: Word,
    #[serde(default)]
    selector: FileSelector,
    #[serde(default)]
    updates: Option<FileUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSelector {
    #[serde(default)]
    identifier: String,
    #[serde(default)]
    match_type: Word,
    #[serde(default)]
    constraints: Vec<FileConstraint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConstraint {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    condition: Word,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUpdate {
    #[serde(default)]
    identifier: String,
    #[serde(default)]
    attrs: HashMap<String, String>,
}

/// A name, or the number that goes over the wire.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Name(String),
    Number(i32),
}

impl Default for Word {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Word {
    fn number(&self, of: fn(&str) -> Option<i32>) -> Result<i32, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => of(name).ok_or_else(|| format!("unrecognized value {name:?}")),
        }
    }
}

/// The policy, if the variable names one.
pub(super) fn read() -> Result<Option<Policy>, Error> {
    let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) else { return Ok(None) };
    let path = std::path::PathBuf::from(path);
    let wrong = |doing: &str, why: String| {
        Error::Usage(format!("failed to {doing} source policy {}: {why}", path.display()))
    };
    let mut text = String::new();
    let file = std::fs::File::open(&path).map_err(|e| wrong("read", e.to_string()))?;
    let read = std::io::Read::read_to_string(&mut std::io::Read::take(file, MOST), &mut text);
    read.map_err(|e| wrong("read", e.to_string()))?;
    parse(&text).map(Some).map_err(|why| wrong("parse", why))
}

fn parse(text: &str) -> Result<Policy, String> {
    // Read on its own, a list would be a policy of nothing.
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|e| e.to_string())?;
    let file: File = serde_json::from_value(fields.into()).map_err(|e| e.to_string())?;
    let rules = file.rules.into_iter().map(rule).collect::<Result<_, _>>()?;
    Ok(Policy { version: file.version, rules })
}

fn rule(rule: FileRule) -> Result<Rule, String> {
    let FileSelector { identifier, match_type, constraints } = rule.selector;
    let constraint = |given: FileConstraint| {
        let condition = given.condition.number(|name| AttrMatch::from_str_name(name).map(Into::into))?;
        Ok::<_, String>(AttrConstraint { key: given.key, value: given.value, condition })
    };
    let selector = Selector {
        identifier,
        match_type: match_type.number(|name| MatchType::from_str_name(name).map(Into::into))?,
        constraints: constraints.into_iter().map(constraint).collect::<Result<_, _>>()?,
    };
    let update = |given: FileUpdate| Update { identifier: given.identifier, attrs: given.attrs };
    Ok(Rule {
        action: rule.action.number(|name| PolicyAction::from_str_name(name).map(Into::into))?,
        selector: Some(selector),
        updates: rule.updates.map(update),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_goes_over_the_wire() {
        let text = "{\"version\": 1, \"rules\": [{\"action\": \"CONVERT\", \"selector\": {\"identifier\": \"a\", \
                    \"match_type\": \"REGEX\", \"constraints\": [{\"key\": \"k\", \"value\": \"v\", \
                    \"condition\": \"NOTEQUAL\"}]}, \"updates\": {\"attrs\": {\"x\": \"y\"}}}, {}]}";
        let policy = parse(text).unwrap();
        let first = &policy.rules[0];
        let selector = first.selector.as_ref().unwrap();
        assert_eq!((first.action, selector.match_type, selector.constraints[0].condition), (2, 2, 1));
        assert_eq!(first.updates.as_ref().unwrap().attrs["x"], "y");
        assert_eq!(policy.rules[1].action, 0);
        // What buildx passes over would not count: a match that is a wildcard's after all.
        for wrong in [
            "{\"rules\": [{\"selector\": {\"matchType\": \"REGEX\"}}]}",
            "[]",
            "{\"rules\": [{\"action\": \"BAD\"}]}",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
