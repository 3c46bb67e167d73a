//! What can be asked instead of a build: checks, an outline, a list of targets.

use std::collections::BTreeMap;

use dockerfile::check::{self, Finding};
use serde_json::{Value, json};

use crate::frontend::Built;

/// The name, the version, and what it is.
const KNOWN: [(&str, &str, &str); 4] = [
    ("frontend.outline", "1.0.0", "List all parameters current build target supports"),
    ("frontend.targets", "1.0.0", "List all targets current build supports"),
    ("frontend.lint", "1.0.0", "Lint a Dockerfile"),
    ("frontend.subrequests.describe", "1.0.0", "List available subrequest types"),
];

/// The answer in both forms.
fn answer(json: &Value, text: String) -> Built {
    let mut metadata = BTreeMap::new();
    let pretty = serde_json::to_vec_pretty(json).unwrap_or_default();
    metadata.insert("result.json".to_owned(), pretty);
    metadata.insert("result.txt".to_owned(), text.into_bytes());
    metadata.insert("version".to_owned(), b"1.0.0".to_vec());
    Built { refs: BTreeMap::new(), metadata }
}

/// `--call=check`.
pub(super) fn lint(
    findings: &[Finding],
    failure: Option<&check::Failure>,
    name: &str,
    source: &[u8],
) -> Built {
    let json = check::json(findings, failure, name, &base64(source));
    let text = check::text(findings, name, &String::from_utf8_lossy(source));
    let mut built = answer(&json, text);
    let status = if findings.is_empty() && failure.is_none() { "0" } else { "1" };
    built.metadata.insert("result.statuscode".to_owned(), status.into());
    built
}

/// `--call=outline`.
pub(super) fn outline(outline: &super::Outline, source: &[u8]) -> Built {
    let json = outline.json(&base64(source));
    let text = outline_text(&json);
    answer(&json, text)
}

/// `--call=targets`.
pub(super) fn targets(file: &dockerfile::Dockerfile, source: &[u8]) -> Built {
    let json = super::targets(file, &base64(source));
    let rows = json["targets"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(|target| {
        let name = target["name"].as_str().unwrap_or("(unnamed)");
        let mark =
            if target["default"] == json!(true) { format!("{name} (default)") } else { name.to_owned() };
        vec![mark, target["description"].as_str().unwrap_or_default().to_owned()]
    });
    let text = table(&["TARGET", "DESCRIPTION"], rows.collect());
    answer(&json, text)
}

/// The list of these.
pub(super) fn describe() -> Built {
    let list: Value = KNOWN
        .iter()
        .map(|(name, version, description)| {
            json!({ "name": name, "version": version, "type": "rpc", "description": description })
        })
        .collect();
    let rows = KNOWN.map(|(name, version, description)| {
        vec![name.to_owned(), version.to_owned(), description.to_owned()]
    });
    answer(&list, table(&["NAME", "VERSION", "DESCRIPTION"], rows.to_vec()))
}

fn outline_text(outline: &Value) -> String {
    let mut text = String::new();
    let target = outline["name"].as_str().unwrap_or_default();
    if !target.is_empty() {
        text.push_str(&format!("TARGET:      {target}\n"));
    }
    if let Some(description) = outline["description"].as_str() {
        text.push_str(&format!("DESCRIPTION: {description}\n"));
    }
    let rows = |key: &str, fields: &[&str]| -> Vec<Vec<String>> {
        let entries = outline[key].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let field = |entry: &Value, field: &str| match &entry[field] {
            Value::String(text) => text.clone(),
            Value::Bool(true) => "true".to_owned(),
            _ => String::new(),
        };
        entries.map(|entry| fields.iter().map(|name| field(entry, name)).collect()).collect()
    };
    let tables = [
        (["BUILD ARG", "VALUE", "DESCRIPTION"].as_slice(), rows("args", &["name", "value", "description"])),
        (["SECRET", "REQUIRED"].as_slice(), rows("secrets", &["name", "required"])),
        (["SSH", "REQUIRED"].as_slice(), rows("ssh", &["name", "required"])),
    ];
    for (head, rows) in tables.into_iter().filter(|(_, rows)| !rows.is_empty()) {
        text.push('\n');
        text.push_str(&table(head, rows));
    }
    text
}

/// Columns as wide as their widest word.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|word| word.chars().count()).max().unwrap_or(0)
    };
    let line = |row: &Vec<String>| {
        let cells =
            row.iter().enumerate().map(|(column, word)| format!("{word:width$}", width = width(column) + 3));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
