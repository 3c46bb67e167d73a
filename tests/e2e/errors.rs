//! Refused requests: dockerd's status, content type and exact words.

use std::collections::{BTreeMap, BTreeSet};

use testkit::Engine;
use testkit::cases::{Case, ERRORS};
use testkit::recording::{Recordings, versions};

/// Makes all the calls in all the versions and lists every answer that isn't dockerd's, with the first version that
/// shows it.
pub(crate) fn differences(engine: &Engine, cases: &[Case], document: &str) -> Vec<String> {
    let recordings = Recordings::committed();
    let allowed = recordings.allowed().expect("allowed.tsv");
    let mut list = BTreeMap::new();
    let mut needless: BTreeSet<_> = allowed
        .iter()
        .filter(|(row, _)| cases.iter().any(|case| *row == format!("case {}", case.name)))
        .cloned()
        .collect();
    for version in versions() {
        let recorded = recordings.document(&version, document).ok().flatten().expect("recorded");
        for case in cases {
            let found = Case::outcome(&engine.request_unchecked(&case.request(&version)));
            for (part, expected) in recorded[case.name].as_object().expect("recorded") {
                let row = (format!("case {}", case.name), part.clone());
                let excused = allowed.contains(&row);
                if *expected != found[part] {
                    needless.remove(&row);
                }
                if *expected != found[part] && !excused {
                    let line =
                        format!("{}: {part}\n  dockerd: {expected}\n  found:   {}", case.name, found[part]);
                    list.entry(line).or_insert_with(|| version.clone());
                }
            }
        }
    }
    let mut list: Vec<_> = list.into_iter().map(|(line, version)| format!("{version} {line}")).collect();
    if !engine.is_peer() {
        list.extend(
            needless.iter().map(|(row, part)| format!("allowed.tsv excuses what is alike: {row} {part}")),
        );
    }
    list
}

// covers: field ErrorResponse message
#[test]
fn errors_are_dockerds_word_for_word() {
    let engine = Engine::isolated();
    let list = differences(&engine, ERRORS, "errors");
    assert!(list.is_empty(), "{} differences\n{}", list.len(), list.join("\n"));
}
