//! `--check` and `--call`: questions about a Dockerfile, and how their answers are shown.

use std::collections::HashMap;

use serde_json::Value;

use super::{csv, excerpt};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

const CHECK: &str = "frontend.lint";

/// What is asked instead of building.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// `frontend.lint`, `frontend.outline`, `frontend.targets`, …
    pub(super) method: String,
    json: bool,
    /// Findings are no failure.
    ignores_findings: bool,
}

/// What the flags ask: `check`, `outline,format=json`.
pub(super) fn asked(call: &Call) -> Result<Option<Question>, Error> {
    let flags = call.flags();
    let mut named = [flags.find("call"), flags.find("print")].into_iter().flatten();
    let named = named.rfind(|name| *name != "build");
    let text = if flags.bool("check") { "check" } else { named.unwrap_or("build") };
    parse(text)
}

fn parse(text: &str) -> Result<Option<Question>, Error> {
    let (name, options) = text.split_once(',').unwrap_or((text, ""));
    let (mut json, mut ignores_findings) = (false, false);
    for (key, value) in if options.is_empty() { Vec::new() } else { csv::fields("call", options)? } {
        match (key.as_str(), value.as_str()) {
            ("format", "json") => json = true,
            ("format", "text") => json = false,
            ("ignorestatus", value) => {
                ignores_findings = flags::go::parse_bool(value).map_err(Error::Usage)?;
            }
            _ => return Err(Error::Usage(format!("invalid call option {key}={value}"))),
        }
    }
    let method = match name.strip_prefix("method=").unwrap_or(name) {
        "build" => return Ok(None),
        "check" | "lint" => CHECK.to_owned(),
        name => format!("frontend.{name}"),
    };
    Ok(Some(Question { method, json, ignores_findings }))
}

/// Shows an answer. A check that found something, or anything with a status of its own, ends so. `dockerfile` is where
/// its text came from.
pub(super) fn show(question: &Question, answer: &HashMap<String, Vec<u8>>, dockerfile: &str) -> Outcome {
    let text = |key: &str| answer.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let json = text("result.json").unwrap_or_default();
    if question.method == CHECK {
        return check(question, &json, dockerfile);
    }
    let found: Value = serde_json::from_str(&json).unwrap_or_default();
    let shown = match question.method.as_str() {
        _ if question.json => format!("{}\n", json.trim_end()),
        "frontend.targets" => targets(&found),
        "frontend.outline" => outline(&found),
        _ => text("result.txt").unwrap_or(json),
    };
    ui::out(&diag::printable(&shown))?;
    let code = text("result.statuscode").and_then(|code| code.trim().parse().ok());
    Ok(code.unwrap_or(0))
}

/// Go's `tabwriter`: cells of a column are as wide as the widest, and some more.
fn aligned(rows: &[Vec<String>], padding: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + padding
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let (last, cells) = row.split_last().map_or(("", &[][..]), |(last, cells)| (last.as_str(), cells));
        let cells: String = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{cells}{last}\n")
    };
    rows.iter().map(line).collect()
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn targets(found: &Value) -> String {
    let target = |target: &Value| {
        let name = target["name"].as_str().unwrap_or_default();
        let name = match (name, target["default"].as_bool().unwrap_or(false)) {
            ("", true) => "(default)".to_owned(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        };
        row([&name, target["description"].as_str().unwrap_or_default()])
    };
    let targets = found["targets"].as_array().into_iter().flatten().map(target);
    let rows: Vec<_> = std::iter::once(row(["TARGET", "DESCRIPTION"])).chain(targets).collect();
    aligned(&rows, 1)
}

fn outline(found: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut out = String::new();
    let (name, description) = (text(&found["name"]), text(&found["description"]));
    if !name.is_empty() || !description.is_empty() {
        let mut rows = vec![row(["TARGET:", if name.is_empty() { "(default)" } else { &name }])];
        rows.extend((!description.is_empty()).then(|| row(["DESCRIPTION:", &description])));
        out.push_str(&format!("{}\n", aligned(&rows, 1)));
    }
    type Cells = fn(&Value) -> Vec<String>;
    let sections: [(&str, &[&str], Cells); 3] = [
        ("args", &["BUILD ARG", "VALUE", "DESCRIPTION"], |arg| {
            let text = |key: &str| arg[key].as_str().unwrap_or_default();
            row([text("name"), text("value"), text("description")])
        }),
        ("secrets", &["SECRET", "REQUIRED"], needed),
        ("ssh", &["SSH", "REQUIRED"], needed),
    ];
    for (key, head, cells) in sections {
        let found: Vec<_> = found[key].as_array().into_iter().flatten().map(cells).collect();
        if !found.is_empty() {
            let head = head.iter().map(|word| (*word).to_owned()).collect();
            let rows: Vec<_> = std::iter::once(head).chain(found).collect();
            out.push_str(&format!("{}\n", aligned(&rows, 3)));
        }
    }
    out
}

fn needed(thing: &Value) -> Vec<String> {
    let required = thing["required"].as_bool().unwrap_or(false);
    row([thing["name"].as_str().unwrap_or_default(), if required { "true" } else { "" }])
}

fn check(question: &Question, json: &str, dockerfile: &str) -> Outcome {
    let found: Value = serde_json::from_str(json).unwrap_or_default();
    let warnings = found["warnings"].as_array().map_or(&[][..], Vec::as_slice);
    let broken = found["buildError"].is_object();
    let report = match warnings.len() {
        _ if question.json => format!("{}\n", json.trim_end()),
        0 if broken => String::new(),
        0 => "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    ui::out(&report)?;
    if !question.json {
        let mut sorted: Vec<&Value> = warnings.iter().collect();
        sorted.sort_by_key(|warning| (first_line(warning), warning["ruleName"].as_str().map(str::to_owned)));
        let told: String = sorted.iter().map(|warning| finding(&found, warning, dockerfile)).collect();
        ui::out(&diag::printable(&told))?;
    }
    if broken && !question.json {
        let message = found["buildError"]["message"].as_str().unwrap_or_default();
        let lines = place(&found, &found["buildError"]["location"], dockerfile);
        ui::out(&diag::printable(&format!("{lines}ERROR: {message}\n")))?;
    }
    Ok(i32::from(broken || (!warnings.is_empty() && !question.ignores_findings)))
}

/// One finding: the rule with its page, what is wrong, where.
fn finding(found: &Value, warning: &Value, dockerfile: &str) -> String {
    let text = |key: &str| warning[key].as_str().unwrap_or_default();
    let page = if text("url").is_empty() { String::new() } else { format!(" - {}", text("url")) };
    let lines = place(found, &warning["location"], dockerfile);
    format!("\nWARNING: {}{page}\n{}\n{lines}", text("ruleName"), text("detail"))
}

fn first_line(warning: &Value) -> i64 {
    warning["location"]["ranges"][0]["start"]["line"].as_i64().unwrap_or(0)
}

/// The lines that a location means.
fn place(found: &Value, location: &Value, dockerfile: &str) -> String {
    use base64::Engine as _;
    use buildkit::proto::pb::{Position, Range};

    let index = location["sourceIndex"].as_i64().unwrap_or(0);
    let Ok(index) = usize::try_from(index) else { return String::new() };
    let source = &found["sources"][index];
    let data = source["data"].as_str().unwrap_or_default();
    let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap_or_default();
    let line = |at: &Value| {
        let line = at["line"].as_i64().and_then(|line| i32::try_from(line).ok()).unwrap_or(0);
        Some(Position { line, character: 0 })
    };
    let range = |range: &Value| Range { start: line(&range["start"]), end: line(&range["end"]) };
    let ranges: Vec<Range> = location["ranges"].as_array().into_iter().flatten().map(range).collect();
    // The engine knows a name, people know a path.
    let name = source["filename"].as_str().unwrap_or_default();
    let is_its = std::path::Path::new(dockerfile).file_name().is_some_and(|last| last == name);
    excerpt::of(if is_its { dockerfile } else { name }, &data, &ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_with_its_options() {
        assert_eq!(parse("build").unwrap(), None);
        let check = parse("check,format=json,ignorestatus=true").unwrap().unwrap();
        assert_eq!(check, Question { method: CHECK.into(), json: true, ignores_findings: true });
        assert_eq!(parse("outline").unwrap().unwrap().method, "frontend.outline");
        assert!(parse("check,colour=red").is_err());
    }
}
