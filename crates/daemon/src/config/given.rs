//! What flags and `daemon.json` say together, each value of the shape that its setting has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flags::Matches;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::settings::{Setting, Shape, Support};

pub(super) type Given = BTreeMap<&'static str, Value>;

pub(super) fn from_flags(matches: &Matches) -> Given {
    let mut given = Given::new();
    for (flag, text) in matches.given() {
        let Some(setting) = Setting::of_flag(flag.long) else { continue };
        add(&mut given, setting, text);
    }
    given
}

pub(super) fn add(given: &mut Given, setting: &'static Setting, text: &str) {
    let entry = given.entry(setting.key);
    match setting.shape {
        Shape::List => {
            if let Value::Array(list) = entry.or_insert_with(|| Value::Array(Vec::new())) {
                list.push(text.into());
            }
        }
        Shape::Pools => {
            let mut pool = Map::new();
            for (name, value) in text.split(',').map(|field| field.split_once('=').unwrap_or((field, ""))) {
                let number = value.parse().map(|number: u64| Value::from(number));
                pool.insert(name.to_owned(), number.unwrap_or_else(|_| value.into()));
            }
            if let Value::Array(list) = entry.or_insert_with(|| Value::Array(Vec::new())) {
                list.push(Value::Object(pool));
            }
        }
        Shape::NetworkOptions => {
            let (driver, option) = text.split_once('=').unwrap_or((text, ""));
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            if let Value::Object(map) = entry.or_insert_with(|| Value::Object(Map::new()))
                && let Value::Object(options) = map.entry(driver).or_insert_with(|| Value::Object(Map::new()))
            {
                options.insert(name.to_owned(), value.into());
            }
        }
        Shape::Map | Shape::Runtimes => {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let value = match setting.shape {
                Shape::Runtimes => serde_json::json!({ "path": value }),
                _ if setting.key == "features" => Value::Bool(!matches!(value, "false" | "0")),
                _ => value.into(),
            };
            if let Value::Object(map) = entry.or_insert_with(|| Value::Object(Map::new())) {
                map.insert(name.to_owned(), value);
            }
        }
        Shape::Flag => drop(entry.insert_entry(flags::go::parse_bool(text).unwrap_or_default().into())),
        Shape::Number => drop(entry.insert_entry(flags::go::parse_int(text).unwrap_or_default().into())),
        Shape::Text | Shape::Size | Shape::Other => drop(entry.insert_entry(text.into())),
    }
}

pub(super) fn from_file(file: Map<String, Value>) -> Result<Given, Error> {
    let mut given = Given::new();
    let mut unknown = Vec::new();
    for (key, value) in flatten(file) {
        // dockerd takes its own keys whatever their case; so do the files that people have.
        match Setting::of_key(&key).or_else(|| Setting::of_key(&key.to_ascii_lowercase())) {
            Some(setting) => {
                check_shape(setting, &value)?;
                given.insert(setting.key, value);
            }
            None => unknown.push(key),
        }
    }
    if unknown.is_empty() {
        return Ok(given);
    }
    let keys = crate::settings::SETTINGS.iter().map(|setting| setting.key);
    let nearest = flags::nearest(&unknown[0], keys);
    Err(Error::UnknownKeys { names: unknown.join(", "), nearest })
}

/// `{"proxies": {"http-proxy": …}}` is `proxies.http-proxy`.
pub(super) fn flatten(file: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    file.into_iter().flat_map(|(key, value)| match (key.as_str(), value) {
        ("proxies", Value::Object(inner)) => {
            inner.into_iter().map(|(name, value)| (format!("proxies.{name}"), value)).collect::<Vec<_>>()
        }
        (_, value) => vec![(key, value)],
    })
}

pub(super) fn check_shape(setting: &Setting, value: &Value) -> Result<(), Error> {
    let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    let (fits, expected) = match setting.shape {
        Shape::Flag => (value.is_boolean(), "true or false"),
        Shape::Text => (value.is_string(), "a text"),
        Shape::Number => (value.is_i64(), "a whole number"),
        Shape::Size => (value.is_i64() || value.is_string(), "a number of bytes"),
        Shape::List => (texts(value), "a list of texts"),
        Shape::Map | Shape::Runtimes => (value.is_object(), "an object"),
        Shape::NetworkOptions => (is_table_of_texts(value), "an object of objects of texts"),
        Shape::Pools => (value.is_array(), "a list of objects with base and size"),
        Shape::Other => (true, ""),
    };
    match fits {
        true => Ok(()),
        false => Err(Error::WrongType { key: setting.key.to_owned(), expected }),
    }
}

pub(super) fn is_table_of_texts(value: &Value) -> bool {
    let texts = |value: &Value| value.as_object().is_some_and(|map| map.values().all(Value::is_string));
    value.as_object().is_some_and(|map| map.values().all(texts))
}

pub(super) fn merge(flags: Given, mut file: Given) -> Result<Given, Error> {
    let mut conflicts = Vec::new();
    for (key, value) in flags {
        if let Some(in_file) = file.get(key) {
            // Features of both places are joined, as dockerd does.
            if let ("features", Value::Object(mut joined), Value::Object(more)) =
                (key, in_file.clone(), &value)
            {
                joined.extend(more.clone());
                file.insert(key, Value::Object(joined));
                continue;
            }
            conflicts.push(format!("{key}: (from flag: {}, from file: {})", shown(&value), shown(in_file)));
            continue;
        }
        file.insert(key, value);
    }
    match conflicts.is_empty() {
        true => Ok(file),
        false => Err(Error::Conflicts { conflicts: conflicts.join(", ") }),
    }
}

/// As Go prints values: `[a b]`, `text`.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{key}:{}", shown(value)));
            format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

pub(super) fn refuse_unsupported(given: &Given) -> Result<(), Error> {
    for (key, value) in given {
        let Some(setting) = Setting::of_key(key) else { continue };
        let (Support::NotYet(reason) | Support::Refused(reason)) = setting.support else { continue };
        let wanted = match value {
            Value::Array(list) if list.len() == 1 => shown(&list[0]),
            other => shown(other),
        };
        let empty = matches!(value, Value::Array(list) if list.is_empty())
            || matches!(value, Value::Object(map) if map.is_empty());
        if !empty && !setting.fits.contains(&wanted.as_str()) {
            let name = if setting.flag.is_empty() {
                (*key).to_owned()
            } else {
                format!("{key} (--{})", setting.flag)
            };
            return Err(Error::Unsupported { name, reason });
        }
    }
    Ok(())
}

/// Reads typed values out of what was given.
pub(super) struct Reader<'a>(pub(super) &'a Given);

impl Reader<'_> {
    pub(super) fn find(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub(super) fn text(&self, key: &str, default: &str) -> String {
        self.find(key).and_then(Value::as_str).unwrap_or(default).to_owned()
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        self.find(key).and_then(Value::as_bool).unwrap_or(default)
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, key: &str, default: T) -> Result<T, Error> {
        let Some(number) = self.find(key).and_then(Value::as_i64) else { return Ok(default) };
        T::try_from(number)
            .map_err(|_| Error::Value { key: key.to_owned(), why: format!("{number} is out of range") })
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let list = self.find(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
    }

    pub(super) fn map(&self, key: &str) -> BTreeMap<String, String> {
        let map = self.find(key).and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, value)| (key.clone(), shown(value))).collect()
    }

    pub(super) fn path(&self, key: &str, default: &Path) -> PathBuf {
        self.find(key).and_then(Value::as_str).map_or_else(|| default.to_owned(), PathBuf::from)
    }

    pub(super) fn bytes(&self, key: &str) -> Result<i64, Error> {
        match self.find(key) {
            None => Ok(0),
            Some(Value::String(text)) => {
                flags::go::parse_bytes(text).map_err(|why| Error::Value { key: key.to_owned(), why })
            }
            Some(value) => Ok(value.as_i64().unwrap_or_default()),
        }
    }
}
