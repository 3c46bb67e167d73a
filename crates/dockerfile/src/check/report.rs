//! Findings as `--call=check` gives them: JSON for programs, text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json as object};

use super::Finding;
use crate::error::Lines;

/// What the build failed with, apart from findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    pub lines: Lines,
}

/// BuildKit's `LintResults`. `name` is the Dockerfile's, `source` its bytes in base64.
pub fn json(findings: &[Finding], failure: Option<&Failure>, name: &str, source: &str) -> Value {
    let warnings = findings.iter().map(|finding| {
        object!({
            "ruleName": finding.rule.name(),
            "description": finding.rule.description(),
            "url": finding.rule.url(),
            "detail": finding.detail,
            "location": location(finding.lines),
        })
    });
    let mut results = object!({
        "warnings": Value::Null,
        "sources": [{ "filename": name, "data": source, "language": "Dockerfile" }],
    });
    if !findings.is_empty() {
        results["warnings"] = warnings.collect();
    }
    if let Some(failure) = failure {
        results["buildError"] = object!({ "message": failure.message, "location": location(failure.lines) });
    }
    results
}

/// A place: one range for each line.
pub fn location(lines: Lines) -> Value {
    if lines.first == 0 {
        return object!({});
    }
    let ranges = (lines.first..=lines.last)
        .map(|line| object!({ "start": { "line": line }, "end": { "line": line } }));
    object!({ "ranges": ranges.collect::<Value>() })
}

/// By rule, with the lines that are meant.
pub fn text(findings: &[Finding], name: &str, source: &str) -> String {
    let all: Vec<&str> = source.split('\n').collect();
    let mut by_rule: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        by_rule.entry(finding.rule.name()).or_default().push(finding);
    }
    let mut text = String::new();
    for (rule, findings) in by_rule {
        let _ = writeln!(text, "Lint Rule {rule}");
        for finding in findings {
            let Lines { first, last } = finding.lines;
            let _ = writeln!(text, "  {name}:{first}\n  {}", finding.detail);
            for line in first.max(1)..=last {
                let _ = writeln!(text, "  {line}  |  {}", all.get(line - 1).unwrap_or(&""));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}
