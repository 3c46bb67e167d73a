//! `--filter name=value`, as the API wants it.

use std::collections::BTreeMap;

use client::encode;
use serde_json::{Value, json};

/// The `filters` parameter, or nothing: `{"name": {"value": true}}`.
pub(crate) fn parameter(filters: &[String]) -> Option<String> {
    let mut table: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for filter in filters.iter().filter(|filter| !filter.is_empty()) {
        let (name, value) = filter.split_once('=').unwrap_or((filter, ""));
        let name = name.trim().to_lowercase();
        table.entry(name).or_default().insert(value.trim().to_owned(), true);
    }
    let value: Value = json!(table);
    (!table.is_empty()).then(|| format!("filters={}", encode(&value.to_string())))
}

/// A path with those parameters that are there.
pub(crate) fn with_query(path: &str, parameters: &[Option<String>]) -> String {
    let given: Vec<&str> = parameters.iter().flatten().map(String::as_str).collect();
    if given.is_empty() { path.to_owned() } else { format!("{path}?{}", given.join("&")) }
}
