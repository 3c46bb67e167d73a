//! `--filter name=value`, as the API wants it.

use std::collections::BTreeMap;

use client::encode;
use serde_json::{Value, json};

use crate::call::Call;

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

/// The filters of a prune: those that were given, and the configuration's `pruneFilters` where none says otherwise.
pub(crate) fn for_prune(call: &Call) -> Vec<String> {
    let mut filters = call.flags().list("filter");
    let configured = call.config().get("pruneFilters").and_then(Value::as_array);
    for filter in configured.into_iter().flatten().filter_map(Value::as_str) {
        let Some((name, value)) = filter.split_once('=') else { continue };
        let opposite = match name {
            "label" => format!("label!={value}"),
            "label!" => format!("label={value}"),
            _ => String::new(),
        };
        if !filters.contains(&opposite) {
            filters.push(filter.to_owned());
        }
    }
    filters
}

/// A path with those parameters that are there.
pub(crate) fn with_query(path: &str, parameters: &[Option<String>]) -> String {
    let given: Vec<&str> = parameters.iter().flatten().map(String::as_str).collect();
    if given.is_empty() { path.to_owned() } else { format!("{path}?{}", given.join("&")) }
}
