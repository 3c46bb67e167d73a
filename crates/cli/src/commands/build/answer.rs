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

/// Shows an answer. A check that found something, or anything with a status of its own, ends so.
pub(super) fn show(question: &Question, answer: &HashMap<String, Vec<u8>>) -> Outcome {
    let text = |key: &str| answer.get(key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let json = text("result.json").unwrap_or_default();
    if question.method == CHECK {
        return check(question, &json, &text("result.txt").unwrap_or_default());
    }
    let shown = match question.json {
        true => json,
        false => text("result.txt").unwrap_or(json),
    };
    ui::out(&format!("{}\n", diag::printable(shown.trim_end_matches('\n'))))?;
    let code = text("result.statuscode").and_then(|code| code.trim().parse().ok());
    Ok(code.unwrap_or(0))
}

fn check(question: &Question, json: &str, text: &str) -> Outcome {
    let found: Value = serde_json::from_str(json).unwrap_or_default();
    let count = found["warnings"].as_array().map_or(0, Vec::len);
    let broken = &found["buildError"];
    match count {
        _ if question.json => ui::out(&format!("{}\n", json.trim_end()))?,
        0 if broken.is_object() => {}
        0 => ui::out("Check complete, no warnings found.\n")?,
        1 => ui::out(&format!("Check complete, 1 warning has been found!\n{}", diag::printable(text)))?,
        count => {
            ui::out(&format!(
                "Check complete, {count} warnings have been found!\n{}",
                diag::printable(text)
            ))?;
        }
    }
    if broken.is_object() && !question.json {
        ui::out(&mistake(&found, broken))?;
    }
    let failed = broken.is_object() || (count > 0 && !question.ignores_findings);
    Ok(i32::from(failed))
}

/// A Dockerfile that can't be built at all, with the line that is why.
fn mistake(found: &Value, broken: &Value) -> String {
    use base64::Engine as _;
    use buildkit::proto::pb::{Position, Range};

    let location = &broken["location"];
    let index = location["sourceIndex"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(0);
    let source = &found["sources"][index];
    let data = source["data"].as_str().unwrap_or_default();
    let data = base64::engine::general_purpose::STANDARD.decode(data).unwrap_or_default();
    let line = |at: &Value| {
        let line = at["line"].as_i64().and_then(|line| i32::try_from(line).ok()).unwrap_or(0);
        Some(Position { line, character: 0 })
    };
    let range = |range: &Value| Range { start: line(&range["start"]), end: line(&range["end"]) };
    let ranges: Vec<Range> = location["ranges"].as_array().into_iter().flatten().map(range).collect();
    let excerpt = excerpt::of(source["filename"].as_str().unwrap_or_default(), &data, &ranges);
    let message = broken["message"].as_str().unwrap_or_default();
    diag::printable(&format!("{excerpt}ERROR: {message}\n"))
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
