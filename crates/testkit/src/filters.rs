//! What changes from run to run is replaced before texts are compared: ids, times, paths, versions.

use std::sync::LazyLock;

use regex::Regex;

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| panic!("a filter of the testkit: {error}"))
}

/// The filters that every snapshot wants, as `insta` takes them.
pub const SNAPSHOT: &[(&str, &str)] = &[
    (r"\b[0-9a-f]{64}\b", "[ID]"),
    (r"\b[0-9a-f]{12}\b", "[ID]"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", "[TIME]"),
    (
        r"(Less than a second|About an? (minute|hour)|\d+ (second|minute|hour|day|week|month|year)s?) ago",
        "[AGO]",
    ),
    (r"/tmp/kt-[^\s/]+", "[SCRATCH]"),
];

/// A text with [`SNAPSHOT`]'s filters applied.
pub fn snapshot(text: &str) -> String {
    static COMPILED: LazyLock<Vec<(Regex, &str)>> =
        LazyLock::new(|| SNAPSHOT.iter().map(|(from, to)| (pattern(from), *to)).collect());
    COMPILED.iter().fold(text.to_owned(), |text, (from, to)| from.replace_all(&text, *to).into_owned())
}

/// The engine's own oldest and newest API version, which differ from dockerd's.
pub fn api_versions(text: &str) -> String {
    static BOUND: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(M(?:in|ax)imum supported API version is) \d+\.\d+"));
    BOUND.replace_all(text, "$1 [VERSION]").into_owned()
}
