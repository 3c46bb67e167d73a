//! Refused requests: dockerd's status, content type and exact words.

use std::collections::BTreeMap;

use testkit::Engine;
use testkit::cases::{Case, ERRORS};
use testkit::recording::{Recordings, versions};

/// Makes all the calls in all the versions and lists every answer that isn't dockerd's, with the first version that
/// shows it.
pub(crate) fn differences(engine: &Engine, cases: &[Case], document: &str) -> Vec<String> {
    let recordings = Recordings::committed();
    let allowed = recordings.allowed().expect("allowed.tsv");
    let mut list = BTreeMap::new();
    for version in versions() {
        let recorded = recordings.document(&version, document).ok().flatten().expect("recorded");
        for case in cases {
            let found = Case::outcome(&engine.request_unchecked(&case.request(&version)));
            for (part, expected) in recorded[case.name].as_object().expect("recorded") {
                let excused = allowed.contains(&(format!("case {}", case.name), part.clone()));
                if *expected != found[part] && !excused {
                    let line =
                        format!("{}: {part}\n  dockerd: {expected}\n  found:   {}", case.name, found[part]);
                    list.entry(line).or_insert_with(|| version.clone());
                }
            }
        }
    }
    list.into_iter().map(|(line, version)| format!("{version} {line}")).collect()
}

// covers: api error bodies
#[test]
fn errors_are_dockerds_word_for_word() {
    let engine = Engine::isolated();
    let list = differences(&engine, ERRORS, "errors");
    assert!(list.is_empty(), "{} differences\n{}", list.len(), list.join("\n"));
}
