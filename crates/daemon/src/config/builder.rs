//! `builder` of `daemon.json`: what builds may keep, what they may be allowed, and what is remembered of them.

use std::time::Duration;

use engine::builds::{PRUNE_KEYS, PruneWhat};
use engine::filters::Filters;
use engine::settings::Builder;
use serde_json::{Map, Value};

use crate::error::Error;

const DAY: u64 = 24 * 3600;
/// What is quickly made again goes first, as BuildKit has it: what wasn't used for two days, but for so much.
const QUICKLY_MADE: u64 = 512 << 20;

/// What is wrong, by the key's whole name.
fn wrong(key: &str, why: impl Into<String>) -> Error {
    Error::Value { key: format!("builder.{key}"), why: why.into() }
}

/// An object whose keys are all known. Go reads them whatever their case.
fn object(key: &str, value: &Value, known: &[&str]) -> Result<Map<String, Value>, Error> {
    let Value::Object(map) = value else { return Err(wrong(key, "must be an object")) };
    let lower: Map<_, _> =
        map.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    match lower.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(wrong(key, format!("{unknown}: there are {}", known.join(", ")))),
        None => Ok(lower),
    }
}

fn flag(key: &str, value: &Value) -> Result<bool, Error> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" || text == "false" => Ok(text == "true"),
        _ => Err(wrong(key, "must be true or false")),
    }
}

fn bytes(map: &Map<String, Value>, key: &str) -> Result<u64, Error> {
    let number = match map.get(key) {
        None => return Ok(0),
        Some(Value::String(text)) if text.is_empty() => 0,
        Some(Value::String(text)) => flags::go::parse_bytes(text).map_err(|why| wrong(key, why))?,
        Some(value) => value.as_i64().ok_or_else(|| wrong(key, "must be a number of bytes"))?,
    };
    u64::try_from(number).map_err(|_| wrong(key, format!("{number} is negative")))
}

/// The three limits of a rule. `old` is what the first was called before.
fn limits(map: &Map<String, Value>, [kept, old, most, free]: [&str; 4]) -> Result<PruneWhat, Error> {
    let keep = bytes(map, kept)?.max(bytes(map, old)?);
    let (max_used, min_free) = (bytes(map, most)?, bytes(map, free)?);
    Ok(PruneWhat { keep, max_used, min_free, ..PruneWhat::default() })
}

pub(super) fn builder(value: Option<&Value>) -> Result<Builder, Error> {
    let mut made = Builder::default();
    let Some(value) = value else { return Ok(made) };
    let map = object("", value, &["gc", "entitlements", "history"])?;
    if let Some(gc) = map.get("gc") {
        made.rules = rules(gc)?;
    }
    if let Some(value) = map.get("entitlements") {
        let known = ["network-host", "security-insecure", "device"];
        for (name, value) in object("entitlements", value, &known)? {
            let on = flag(&name, &value)?;
            match name.as_str() {
                "network-host" => made.network_host = on,
                "security-insecure" => made.security_insecure = on,
                _ => made.device = on,
            }
        }
    }
    if let Some(value) = map.get("history") {
        let map = object("history", value, &["maxage", "maxentries"])?;
        if let Some(value) = map.get("maxentries") {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            made.history_entries =
                Some(number.ok_or_else(|| wrong("history.maxEntries", "must be a number"))?);
        }
        made.history_age = map.get("maxage").map(age).transpose()?;
    }
    Ok(made)
}

/// A text as Go's durations are, or seconds.
fn age(value: &Value) -> Result<Duration, Error> {
    let wrong = |why: String| wrong("history.maxAge", why);
    match value {
        Value::String(text) => match text.parse() {
            Ok(seconds) => Ok(Duration::from_secs(seconds)),
            Err(_) => flags::go::parse_duration(text).map_err(wrong),
        },
        value => value.as_u64().map(Duration::from_secs).ok_or_else(|| wrong("must be a duration".into())),
    }
}

/// The rules of `gc`; nothing where our own limit stays.
fn rules(value: &Value) -> Result<Option<Vec<PruneWhat>>, Error> {
    let default =
        ["defaultreservedspace", "defaultkeepstorage", "defaultmaxusedspace", "defaultminfreespace"];
    let map = object("gc", value, &[&["enabled", "policy"][..], &default].concat())?;
    if let Some(value) = map.get("enabled")
        && !flag("gc.enabled", value)?
    {
        return Ok(Some(Vec::new()));
    }
    if let Some(value) = map.get("policy").filter(|value| !value.is_null()) {
        let list = value.as_array().ok_or_else(|| wrong("gc.policy", "must be a list"))?;
        return list.iter().map(rule).collect::<Result<_, _>>().map(Some);
    }
    let all = limits(&map, default)?;
    if (all.keep, all.max_used, all.min_free) == (0, 0, 0) {
        return Ok(None);
    }
    let mut quickly = filtered(&[("unused-for", "48h")]);
    ["source.local", "exec.cachemount"].iter().for_each(|kind| quickly.add("type", kind));
    let quickly = PruneWhat {
        keep: QUICKLY_MADE,
        max_used: QUICKLY_MADE,
        filters: Some(quickly),
        ..PruneWhat::default()
    };
    let old = filtered(&[("unused-for", &format!("{}s", 60 * DAY))]);
    Ok(Some(vec![
        quickly,
        PruneWhat { filters: Some(old), ..all.clone() },
        all.clone(),
        PruneWhat { all: true, ..all },
    ]))
}

fn filtered(pairs: &[(&str, &str)]) -> Filters {
    let mut filters = Filters::default();
    pairs.iter().for_each(|(key, value)| filters.add(key, value));
    filters
}

fn rule(value: &Value) -> Result<PruneWhat, Error> {
    let sizes = ["reservedspace", "keepstorage", "maxusedspace", "minfreespace"];
    let map = object("gc.policy", value, &[&["all", "filter"][..], &sizes].concat())?;
    let mut rule = limits(&map, sizes)?;
    rule.all = map.get("all").map_or(Ok(false), |value| flag("gc.policy.all", value))?;
    let mut filters = Filters::default();
    for pair in texts(map.get("filter"))? {
        let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
        let value = value.trim_start_matches('=');
        if !PRUNE_KEYS.contains(&key) {
            return Err(wrong("gc.policy.filter", format!("{key}: there are {}", PRUNE_KEYS.join(", "))));
        }
        if matches!(key, "until" | "unused-for") {
            flags::go::parse_duration(value).map_err(|why| wrong("gc.policy.filter", why))?;
        }
        filters.add(key, value);
    }
    rule.filters = map.contains_key("filter").then_some(filters);
    Ok(rule)
}

/// `["unused-for=48h"]`, or the object that the API takes.
fn texts(value: Option<&Value>) -> Result<Vec<String>, Error> {
    let wrong = || wrong("gc.policy.filter", "must be a list of texts");
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(text).collect(),
        Some(Value::Object(map)) => {
            let pairs = map.iter().flat_map(|(key, values)| {
                let names = values.as_object().into_iter().flat_map(Map::keys);
                names.map(move |value| format!("{key}={value}"))
            });
            Ok(pairs.collect())
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_become_the_rules_that_buildkit_makes_of_them() {
        let made = builder(Some(&json!({"gc": {"enabled": true, "defaultKeepStorage": "20GB"}}))).unwrap();
        let rules = made.rules.unwrap();
        let limits: Vec<_> =
            rules.iter().map(|rule| (rule.all, rule.keep >> 20, rule.max_used >> 20)).collect();
        assert_eq!(limits, [(false, 512, 512), (false, 20480, 0), (false, 20480, 0), (true, 20480, 0)]);
        assert!(builder(Some(&json!({"gc": {"enabled": true}}))).unwrap().rules.is_none());
        assert_eq!(builder(Some(&json!({"GC": {"Enabled": false}}))).unwrap().rules.unwrap().len(), 0);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_name() {
        for (value, told) in [
            (json!(7), "must be an object"),
            (json!({"gc": {"speed": 1}}), "builder.gc: speed"),
            (json!({"gc": {"policy": {}}}), "must be a list"),
            (json!({"gc": {"policy": [{"maxUsedSpace": "x"}]}}), "invalid size"),
            (json!({"gc": {"policy": [{"filter": ["unused-for=x"]}]}}), "invalid duration"),
            (json!({"gc": {"policy": [{"filter": ["colour=red"]}]}}), "colour"),
            (json!({"entitlements": {"device": 7}}), "must be true or false"),
            (json!({"history": {"maxEntries": -1}}), "must be a number"),
            (json!({"history": {"maxAge": "soon"}}), "maxAge"),
        ] {
            let error = diag::chain(&builder(Some(&value)).unwrap_err());
            assert!(error.contains(told), "{value}: {error}");
        }
    }
}
