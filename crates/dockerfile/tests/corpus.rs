//! Dockerfiles that have to be refused, with BuildKit's message and line, and some that have to be understood.
//!
//! `refused.tsv` was recorded from `docker build`: name, line (0 where none is said), message. Where we say something
//! else on purpose, our line and our message follow.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dockerfile::check::{Findings, Options};
use dockerfile::{Dockerfile, parse};

fn folder(name: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let entries = std::fs::read_dir(&folder).expect("the corpus");
    let files = entries.map(|entry| entry.expect("an entry").path());
    files
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("a Dockerfile"))
        })
        .collect()
}

fn understood(text: &[u8]) -> Result<Dockerfile, (usize, String)> {
    let options = Options::of_dockerfile(text).map_err(|problem| (0, problem.to_string()))?;
    parse(text, &mut Findings::new(options)).map_err(|error| (error.lines.first, error.to_string()))
}

// covers: dockerfile form ONBUILD not allowed: ONBUILD ONBUILD, ONBUILD FROM, ONBUILD MAINTAINER
#[test]
fn malformed_dockerfiles_are_refused_in_buildkits_words() {
    let files = folder("refused");
    let expected: BTreeMap<&str, (usize, &str)> = include_str!("refused.tsv")
        .lines()
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let (line, message) = (columns[columns.len() - 2], columns[columns.len() - 1]);
            (columns[0], (line.parse().expect("a line"), message))
        })
        .collect();
    assert_eq!(files.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for (name, text) in &files {
        let (line, message) = expected[name.as_str()];
        match understood(text) {
            Err((at, said)) if (at, said.as_str()) == (line, message) => {}
            other => wrong.push(format!("{name}: {:?}, not {line}: {message}", other.map(drop))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unusual_dockerfiles_are_understood() {
    for (name, text) in folder("accepted") {
        let (text, expected) = split(&text);
        let dockerfile = understood(text).unwrap_or_else(|(line, why)| panic!("{name}: line {line}: {why}"));
        let got: Vec<String> = dockerfile
            .stages
            .iter()
            .flat_map(|stage| {
                let from =
                    format!("{} {} {:?} {:?}", stage.lines.first, stage.keyword, stage.base, stage.name);
                let own = stage.instructions.iter().map(|i| format!("{} {:?}", i.lines.first, i.kind));
                std::iter::once(from).chain(own)
            })
            .collect();
        assert_eq!(got.join("\n"), expected.trim_end(), "{name}");
    }
}

/// A Dockerfile of the corpus ends at a line of dashes; what has to be understood of it follows.
fn split(text: &[u8]) -> (&[u8], &str) {
    const END: &[u8] = b"\n--------\n";
    let at = text.windows(END.len()).position(|window| window == END).expect("a line of dashes");
    (&text[..=at], std::str::from_utf8(&text[at + END.len()..]).expect("text"))
}
