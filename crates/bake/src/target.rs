//! One target: what a `build` of it is told.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::Error;
use crate::functions;
use crate::value::Value;

/// How what is inherited, or said again in another file, comes to what was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    /// Replaced.
    Texts,
    /// Appended to.
    MoreTexts,
    /// Key by key.
    Pairs,
    /// Fields, replaced.
    Fields,
    /// Fields, appended to.
    MoreFields,
}

/// Every attribute, as `--print` orders them.
const ATTRIBUTES: &[(&str, Kind)] = &[
    ("description", Kind::Text),
    ("annotations", Kind::MoreTexts),
    ("attest", Kind::MoreFields),
    ("context", Kind::Text),
    ("contexts", Kind::Pairs),
    ("dockerfile", Kind::Text),
    ("dockerfile-inline", Kind::Text),
    ("args", Kind::Pairs),
    ("labels", Kind::Pairs),
    ("tags", Kind::Texts),
    ("cache-from", Kind::MoreFields),
    ("cache-to", Kind::Fields),
    ("target", Kind::Text),
    ("secret", Kind::MoreFields),
    ("ssh", Kind::MoreFields),
    ("platforms", Kind::Texts),
    ("output", Kind::Fields),
    ("pull", Kind::Flag),
    ("no-cache", Kind::Flag),
    ("network", Kind::Text),
    ("no-cache-filter", Kind::Texts),
    ("shm-size", Kind::Text),
    ("ulimits", Kind::MoreTexts),
    ("call", Kind::Text),
    ("entitlements", Kind::MoreTexts),
    ("extra-hosts", Kind::Pairs),
];

fn kind(name: &str) -> Option<Kind> {
    ATTRIBUTES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// A target, resolved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Target {
    fields: BTreeMap<String, Value>,
}

impl Target {
    /// Takes an attribute's value.
    pub(crate) fn set(&mut self, name: &str, value: &Value) -> Result<(), Error> {
        let Some(kind) = kind(name) else {
            let why = match name {
                "policy" | "resources" => "is not supported: no engine is asked for that by docker's builder",
                _ => "is not an attribute of targets",
            };
            return Err(Error::wrong(format!("{name:?} {why}")));
        };
        if matches!(value, Value::Null) {
            return Ok(());
        }
        let typed = typed(kind, name, value).map_err(|error| match error {
            Error::Wrong(why) => Error::Wrong(format!("{name}: {why}")),
            other => other,
        })?;
        self.fields.insert(name.to_owned(), typed);
        Ok(())
    }

    /// What another one says as well, or instead.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, value) in &other.fields {
            let merged = match (kind(name), self.fields.remove(name), value) {
                (Some(Kind::Pairs), Some(Value::Map(mut known)), Value::Map(more)) => {
                    // Nothing takes nothing away.
                    known.extend(more.clone().into_iter().filter(|(_, value)| !matches!(value, Value::Null)));
                    Value::Map(known)
                }
                (
                    Some(Kind::MoreTexts | Kind::MoreFields),
                    Some(Value::List(mut known)),
                    Value::List(more),
                ) => {
                    for value in more {
                        if !known.contains(value) {
                            known.push(value.clone());
                        }
                    }
                    Value::List(known)
                }
                (_, _, value) => value.clone(),
            };
            self.fields.insert(name.clone(), merged);
        }
    }

    /// What every target has.
    pub(crate) fn complete(&mut self) {
        for (name, value) in [("context", "."), ("dockerfile", "Dockerfile")] {
            self.fields.entry(name.to_owned()).or_insert_with(|| Value::text(value));
        }
        if let Some(Value::Text(context)) = self.fields.get_mut("context")
            && !context.contains("://")
            && context != "-"
        {
            *context = flags::go::clean(context);
        }
        // The default is said by saying nothing.
        if self.text("network") == Some("default") {
            self.fields.insert("network".to_owned(), Value::text(""));
        }
        // A key without a value is none.
        for name in ["args", "labels"] {
            if let Some(Value::Map(pairs)) = self.fields.get_mut(name) {
                pairs.retain(|_, value| !matches!(value, Value::Null));
            }
        }
    }

    /// `--set name.key=value`, or `+=`.
    pub(crate) fn replace(&mut self, keys: &[&str], value: &str, add: bool) -> Result<(), Error> {
        let name = match keys.first().copied().unwrap_or_default() {
            "platform" => "platforms",
            "secrets" => "secret",
            "tag" => "tags",
            other => other,
        };
        let unknown = || Error::wrong(format!("unknown key: {}", keys.join(".")));
        match (name, kind(name), keys) {
            ("push" | "load", _, [_]) => {
                let on = flags::go::parse_bool(value)
                    .map_err(|_| Error::wrong(format!("invalid value {value}")))?;
                if on {
                    self.send(if name == "push" { "registry" } else { "docker" });
                }
                Ok(())
            }
            (_, Some(Kind::Pairs), [_, key @ ..]) if !key.is_empty() => {
                let pair = Value::Map([(key.join("."), Value::text(value))].into());
                let mut more = Self::default();
                more.fields.insert(name.to_owned(), pair);
                self.merge(&more);
                Ok(())
            }
            (_, Some(Kind::Texts | Kind::MoreTexts | Kind::Fields | Kind::MoreFields), [_]) => {
                let mut values = match self.fields.remove(name) {
                    Some(Value::List(known)) if add => known,
                    _ => Vec::new(),
                };
                let Value::List(more) =
                    typed(kind(name).ok_or_else(unknown)?, name, &Value::List(vec![Value::text(value)]))?
                else {
                    return Err(unknown());
                };
                values.extend(more);
                self.fields.insert(name.to_owned(), Value::List(values));
                Ok(())
            }
            (_, Some(Kind::Text | Kind::Flag), [_]) => self.set(name, &Value::text(value)),
            _ => Err(unknown()),
        }
    }

    /// Where the result goes, if nothing else was said about it.
    pub fn send(&mut self, kind: &str) {
        let fields = BTreeMap::from([("type".to_owned(), Value::text(kind))]);
        self.fields.insert("output".to_owned(), Value::List(vec![Value::Map(fields)]));
    }

    /// Takes a value for an attribute.
    pub fn assign(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.set(name, &Value::text(value))
    }

    /// `--provenance` and `--sbom`, in place of what was said of them.
    pub fn attest(&mut self, kind: &str, text: &str) {
        let mut made = BTreeMap::from([("type".to_owned(), Value::text(kind))]);
        match flags::go::parse_bool(text) {
            Ok(true) => {}
            Ok(false) => drop(made.insert("disabled".into(), Value::text("true"))),
            Err(_) => {
                let default = if kind == "sbom" { "generator" } else { "mode" };
                for field in text.split(',') {
                    let (key, value) = field.split_once('=').unwrap_or((default, field));
                    made.insert(key.to_owned(), Value::text(value));
                }
            }
        }
        let mut all = match self.fields.remove("attest") {
            Some(Value::List(known)) => known,
            _ => Vec::new(),
        };
        let same = |entry: &Value| matches!(entry, Value::Map(fields) if fields.get("type") == Some(&Value::text(kind)));
        all.retain(|entry| !same(entry));
        all.push(Value::Map(made));
        self.fields.insert("attest".into(), Value::List(all));
    }

    /// Makes it an image of this name and nothing else, for another target to stand on.
    pub fn become_image(&mut self, tag: &str) {
        for name in ["output", "call", "attest", "cache-to"] {
            self.fields.remove(name);
        }
        self.fields.insert("tags".into(), Value::List(vec![Value::text(tag)]));
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.fields.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A switch; nothing where nobody said anything.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.fields.get(name) {
            Some(Value::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// Texts; fields as `key=value` after commas.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let Some(Value::List(values)) = self.fields.get(name) else { return Vec::new() };
        values.iter().map(line).collect()
    }

    /// Keys with their values.
    pub fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let Some(Value::Map(values)) = self.fields.get(name) else { return Vec::new() };
        values.iter().map(|(key, value)| (key.clone(), value.to_text().unwrap_or_default())).collect()
    }

    /// Takes a pair's value for another one.
    pub fn set_pair(&mut self, name: &str, key: &str, value: &str) {
        if let Some(Value::Map(values)) = self.fields.get_mut(name) {
            values.insert(key.to_owned(), Value::text(value));
        }
    }

    /// Other targets that its contexts are.
    pub fn linked(&self) -> Vec<String> {
        let linked = self.pairs("contexts").into_iter();
        linked.filter_map(|(_, value)| Some(value.strip_prefix("target:")?.to_owned())).collect()
    }

    /// As `--print` shows it.
    pub fn to_json(&self) -> Json {
        let mut made = Map::new();
        for (name, kind) in ATTRIBUTES {
            let Some(value) = self.fields.get(*name) else { continue };
            let empty = match value {
                Value::List(values) => values.is_empty(),
                Value::Map(values) => values.is_empty(),
                Value::Text(text) => text.is_empty() && *name == "description",
                _ => false,
            };
            if !empty || *kind == Kind::Flag {
                made.insert((*name).to_owned(), escaped(value.to_json()));
            }
        }
        Json::Object(made)
    }
}

/// What is shown can be read as a file: there these begin something.
fn escaped(value: Json) -> Json {
    match value {
        Json::String(text) => Json::String(text.replace("${", "$${").replace("%{", "%%{")),
        Json::Array(values) => values.into_iter().map(escaped).collect(),
        Json::Object(pairs) => pairs.into_iter().map(|(key, value)| (key, escaped(value))).collect(),
        other => other,
    }
}

fn typed(kind: Kind, name: &str, value: &Value) -> Result<Value, Error> {
    Ok(match kind {
        Kind::Text => Value::Text(value.to_text()?),
        Kind::Flag => Value::Bool(value.to_bool()?),
        Kind::Texts | Kind::MoreTexts => {
            let texts = value.to_list()?.iter().map(Value::to_text).collect::<Result<Vec<_>, _>>()?;
            Value::List(texts.into_iter().filter(|text| !text.is_empty()).map(Value::Text).collect())
        }
        Kind::Pairs => {
            let pair = |(key, value): (String, Value)| match value {
                Value::Null => Ok((key, Value::Null)),
                value => Ok((key, Value::Text(value.to_text()?))),
            };
            Value::Map(value.to_map()?.into_iter().map(pair).collect::<Result<_, Error>>()?)
        }
        Kind::Fields | Kind::MoreFields => {
            let entries = value.to_list()?.into_iter().filter(|entry| *entry != Value::text(""));
            Value::List(entries.map(|entry| fields(name, &entry)).collect::<Result<_, _>>()?)
        }
    })
}

/// An entry in fields: `type=local,dest=x`, in short, or already an object.
fn fields(name: &str, entry: &Value) -> Result<Value, Error> {
    let text = match entry {
        Value::Map(_) => return Ok(entry.clone()),
        other => other.to_text()?,
    };
    let pair = |key: &str, value: &str| (key.to_owned(), Value::text(value));
    let short = match name {
        "cache-from" | "cache-to" if !text.contains('=') => {
            Some(vec![pair("type", "registry"), pair("ref", &text)])
        }
        "output" if text == "-" => Some(vec![pair("type", "tar"), pair("dest", "-")]),
        "output" if !text.contains('=') => Some(vec![pair("type", "local"), pair("dest", &text)]),
        "ssh" => {
            let (id, paths) = text.split_once('=').unwrap_or((&text, ""));
            let paths = paths.split(',').filter(|path| !path.is_empty()).map(Value::text).collect::<Vec<_>>();
            let mut made = vec![pair("id", id)];
            if !paths.is_empty() {
                made.push(("paths".to_owned(), Value::List(paths)));
            }
            Some(made)
        }
        _ => None,
    };
    if let Some(short) = short {
        return Ok(Value::Map(short.into_iter().collect()));
    }
    let rows = functions::rows(&text)?;
    let mut made = BTreeMap::new();
    for field in rows.into_iter().flatten() {
        let (key, value) =
            field.split_once('=').ok_or_else(|| Error::wrong(format!("invalid value {field}")))?;
        let key = key.trim().to_lowercase();
        // `type=file` and `type=env` of a secret say what the other key says.
        if name == "secret" && key == "type" {
            continue;
        }
        let key = if name == "secret" && key == "source" { "src".to_owned() } else { key };
        made.insert(key, Value::text(value));
    }
    Ok(Value::Map(made))
}

/// An entry as the build command takes it.
fn line(value: &Value) -> String {
    match value {
        Value::Map(fields) if fields.contains_key("paths") => {
            let id = fields.get("id").and_then(|id| id.to_text().ok()).unwrap_or_default();
            let paths = fields.get("paths").and_then(|paths| paths.to_list().ok()).unwrap_or_default();
            let paths: Vec<String> = paths.iter().filter_map(|path| path.to_text().ok()).collect();
            format!("{id}={}", paths.join(","))
        }
        Value::Map(fields) if fields.len() == 1 && fields.contains_key("id") => {
            fields.get("id").and_then(|id| id.to_text().ok()).unwrap_or_default()
        }
        Value::Map(fields) => {
            let field = |(key, value): (&String, &Value)| {
                let text = format!("{key}={}", value.to_text().unwrap_or_default());
                if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
            };
            fields.iter().map(field).collect::<Vec<_>>().join(",")
        }
        other => other.to_text().unwrap_or_default(),
    }
}

/// What nobody could print as JSON, they print as text.
pub(crate) fn printed(groups: &BTreeMap<String, Vec<String>>, targets: &BTreeMap<String, Target>) -> Json {
    let groups: Map<String, Json> =
        groups.iter().map(|(name, members)| (name.clone(), json!({ "targets": members }))).collect();
    let targets: Map<String, Json> =
        targets.iter().map(|(name, target)| (name.clone(), target.to_json())).collect();
    json!({ "group": groups, "target": targets })
}
