//! docs/compatibility.md, from the rows of the coverage check and the differences that are explained by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::coverage::{Row, State, is_told_by_tests_alone};
use crate::process::workspace;

pub(crate) fn render(rows: &[Row]) -> String {
    let mut areas: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        areas.entry(&row.area).or_default().push(row);
    }
    let mut text = String::from(
        "# Compatibility\n\nWritten by `cargo xtask coverage` from the built binary, the tests and `coverage/`; don't edit it.\n\
         A row is done when the binary has it and a test names it (`// covers: …`).\n\n\
         | area | done | not yet tested | refused | missing |\n|---|---|---|---|---|\n",
    );
    for (area, rows) in &areas {
        let count = |wanted: fn(&State) -> bool| rows.iter().filter(|row| wanted(&row.state)).count();
        let (done, untested) = (count(|s| *s == State::Done), count(|s| *s == State::Untested));
        let (refused, missing) = (count(|s| matches!(s, State::Refused(_))), count(|s| *s == State::Missing));
        let _ = writeln!(text, "| {area} | {done} | {untested} | {refused} | {missing} |");
    }
    text.push_str(&differences());
    for (area, rows) in &areas {
        let _ = writeln!(text, "\n## {area}\n");
        group(&mut text, "Done", rows, |state| (*state == State::Done).then(String::new));
        group(&mut text, "Built and not yet tested", rows, |state| {
            (*state == State::Untested).then(String::new)
        });
        group(&mut text, "Refused by name", rows, |state| match state {
            State::Refused(reason) => Some(format!(": {reason}")),
            _ => None,
        });
        let (counted, listed): (Vec<&Row>, Vec<&Row>) =
            rows.iter().partition(|row| is_told_by_tests_alone(&row.name));
        group(&mut text, "Missing", &listed, |state| (*state == State::Missing).then(String::new));
        let missing = counted.iter().filter(|row| row.state == State::Missing).count();
        if missing > 0 {
            let _ = writeln!(
                text,
                "Not named by a test yet: {missing} of {} rows of coverage/more.tsv.",
                counted.len()
            );
        }
    }
    text
}

/// The deviations from dockerd that the tests allow, with their reasons.
fn differences() -> String {
    let list = std::fs::read_to_string(workspace().join("tests/recordings/allowed.tsv")).unwrap_or_default();
    let mut text = String::from("\n## Differences from dockerd's answers\n\n");
    for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let [route, path, reason] = line.split('\t').collect::<Vec<_>>()[..] {
            let _ = writeln!(text, "- `{route}` `{path}`: {reason}");
        }
    }
    text
}

fn group(text: &mut String, title: &str, rows: &[&Row], note: impl Fn(&State) -> Option<String>) {
    let lines: Vec<String> = rows
        .iter()
        .filter_map(|row| note(&row.state).map(|note| format!("- `{}`{note}\n", row.name)))
        .collect();
    if !lines.is_empty() {
        let _ = writeln!(text, "{title}:\n\n{}", lines.concat());
    }
}
