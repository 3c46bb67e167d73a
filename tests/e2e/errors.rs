//! Refused requests: dockerd's status, content type and exact words.

use serde_json::Value;
use testkit::Engine;
use testkit::cases::{Case, ERRORS};
use testkit::recording::{Recordings, versions};

/// Makes all the calls in all the versions and lists every answer that isn't dockerd's.
pub(crate) fn differences(engine: &Engine, cases: &[Case], document: &str) -> Vec<String> {
    let mut list = Vec::new();
    for version in versions() {
        let recorded = Recordings::committed().document(&version, document).ok().flatten().expect("recorded");
        for case in cases {
            let expected = &recorded[case.name];
            let found = Case::outcome(&engine.request_unchecked(&case.request(&version)));
            if *expected != found {
                list.push(difference(&version, case.name, expected, &found));
            }
        }
    }
    list
}

fn difference(version: &str, name: &str, expected: &Value, found: &Value) -> String {
    format!("{version} {name}:\n  dockerd: {expected}\n  found:   {found}")
}

// covers: api error bodies
#[test]
fn errors_are_dockerds_word_for_word() {
    let engine = Engine::isolated();
    let list = differences(&engine, ERRORS, "errors");
    assert!(list.is_empty(), "{} differences\n{}", list.len(), list.join("\n"));
}
