//! The `filters` parameter of the listing and streaming routes: `{"label":["a=b"]}`, or the older
//! `{"label":{"a=b":true}}`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde_json::Value;

/// A filter parameter that can't be used. The texts are dockerd's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("invalid filter")]
    Malformed,
    #[error("invalid filter '{0}'")]
    UnknownKey(String),
    #[error("invalid filter '{key}={value}'")]
    BadValue { key: String, value: String },
    #[error("failed to parse value as time or duration: {0:?}")]
    BadTime(String),
    #[error("more than one until filter specified")]
    SeveralTimes,
}

/// Keys with the values that were asked for. An absent key lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    /// Reads the parameter's JSON and accepts no key but the `known` ones.
    pub fn parse(json: &str, known: &[&str]) -> Result<Self, Error> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let Ok(Value::Object(object)) = serde_json::from_str(json) else { return Err(Error::Malformed) };
        let mut filters = BTreeMap::new();
        for (key, values) in object {
            if !known.contains(&key.as_str()) {
                return Err(Error::UnknownKey(key));
            }
            filters.insert(key, values_of(values)?);
        }
        Ok(Self(filters))
    }

    /// Asks for one value more.
    pub fn add(&mut self, key: &str, value: &str) {
        self.0.entry(key.to_owned()).or_default().insert(value.to_owned());
    }

    /// The values asked for under a key.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// All keys with each of their values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(key, values)| values.iter().map(move |value| (key.as_str(), value.as_str())))
    }

    /// Whether this key was given at all, with at least one value.
    pub fn has(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|values| !values.is_empty())
    }

    /// Whether any of `candidates` is among the values, or the key was not given.
    pub fn admits(&self, key: &str, candidates: &[&str]) -> bool {
        !self.has(key) || self.values(key).any(|value| candidates.contains(&value))
    }

    /// Whether some value satisfies `test`, or the key was not given.
    pub fn admits_by(&self, key: &str, test: impl FnMut(&str) -> bool) -> bool {
        !self.has(key) || self.values(key).any(test)
    }

    /// Whether the labels have *all* that `key` asks for, each as `name` or `name=value`.
    pub fn admits_labels<'a>(&self, key: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.values(key).all(|wanted| match wanted.split_once('=') {
            Some((name, value)) => label(name) == Some(value),
            None => label(wanted).is_some(),
        })
    }

    /// dockerd shows all values of a key that should be one boolean.
    fn contradiction(&self, key: &str) -> Error {
        let values: Vec<&str> = self.values(key).collect();
        Error::BadValue { key: key.into(), value: format!("[{}]", values.join(" ")) }
    }

    /// A boolean under a key, as Go's `strconv.ParseBool` understands it.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        let mut wanted = None;
        for value in self.values(key) {
            let flag = match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                _ => return Err(self.contradiction(key)),
            };
            if wanted.is_some_and(|earlier| earlier != flag) {
                return Err(self.contradiction(key));
            }
            wanted = Some(flag);
        }
        Ok(wanted)
    }
}

/// The time before which things have to be that a pruning removes: a time, or how long ago (`24h`, `1h30m`).
pub(crate) fn until(filters: &Filters) -> Result<Option<SystemTime>, Error> {
    let mut given = filters.values("until");
    let Some(text) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Error::SeveralTimes);
    }
    let wrong = || Error::BadTime(text.to_owned());
    if let Some(age) = crate::images::duration(text) {
        return Ok(Some(SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH)));
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Some(at.into()));
    }
    if let Ok(at) = text.parse::<jiff::civil::DateTime>() {
        let zoned = at.to_zoned(jiff::tz::TimeZone::system());
        return zoned.map(|at| Some(at.timestamp().into())).map_err(|_| wrong());
    }
    crate::events::parse_time(text).map_err(|_| wrong())
}

fn values_of(values: Value) -> Result<BTreeSet<String>, Error> {
    match values {
        Value::Array(list) => list
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err(Error::Malformed),
            })
            .collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, on)| if on.is_boolean() { Ok((key, on)) } else { Err(Error::Malformed) })
            .filter_map(|entry| match entry {
                Ok((key, on)) => (on == Value::Bool(true)).then_some(Ok(key)),
                Err(error) => Some(Err(error)),
            })
            .collect(),
        Value::Null => Ok(BTreeSet::new()),
        _ => Err(Error::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["label", "status", "dangling"];

    #[test]
    fn both_forms_mean_the_same() {
        let new = Filters::parse(r#"{"label":["a=b"]}"#, KNOWN).unwrap();
        let old = Filters::parse(r#"{"label":{"a=b":true,"c":false}}"#, KNOWN).unwrap();
        assert_eq!(new, old);
    }

    #[test]
    fn what_is_wrong_is_refused_as_dockerd_does() {
        assert_eq!(Filters::parse("xx", KNOWN), Err(Error::Malformed));
        assert_eq!(Filters::parse(r#"{"label":"a"}"#, KNOWN), Err(Error::Malformed));
        let unknown = Filters::parse(r#"{"foo":["a"]}"#, KNOWN).unwrap_err();
        assert_eq!(unknown.to_string(), "invalid filter 'foo'");
        let contradictory = Filters::parse(r#"{"dangling":["true","0"]}"#, KNOWN).unwrap();
        assert!(contradictory.flag("dangling").is_err());
    }

    #[test]
    fn labels_must_all_be_there() {
        let filters = Filters::parse(r#"{"label":["a=b","c"]}"#, KNOWN).unwrap();
        let label = |name: &str| match name {
            "a" => Some("b"),
            "c" => Some(""),
            _ => None,
        };
        assert!(filters.admits_labels("label", label));
        assert!(!filters.admits_labels("label", |name| (name == "a").then_some("b")));
    }
}
