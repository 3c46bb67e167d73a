//! The fuzzer's corpus, replayed, and a bounded run from it: the same changes by chance each time, or those of `KETCH_SEED`.

use std::path::Path;

use e2e::fuzzing::{Mutator, TARGETS, feed, with_checksums};
use testkit::http::Request;
use testkit::{Engine, Faults, images};

use crate::hostile_images::kept;
use crate::registry_faults::call;

#[test]
fn the_fuzzers_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, _) in TARGETS {
        let files: Vec<_> =
            std::fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            println!("{}", file.display());
            feed(name, &std::fs::read(&file).unwrap());
        }
    }
}

fn mutator() -> Mutator {
    let seed = std::env::var("KETCH_SEED").ok().and_then(|text| text.parse().ok());
    Mutator::new(seed.unwrap_or(0x006b_6574_6368))
}

#[test]
fn small_changes_to_the_corpus_break_no_reader() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut mutator = mutator();
    for (name, _) in TARGETS {
        // A layer is unpacked by both drivers and mounted by each; a project is read, printed and read again.
        let full = match *name {
            "layer_tar" => 3000,
            "compose" => 10_000,
            _ => 50_000,
        };
        let rounds = Faults::of(full).count;
        let mut files: Vec<_> =
            std::fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for round in 0..rounds {
            let seed = std::fs::read(&files[usize::try_from(round).unwrap() % files.len()]).unwrap();
            let changed = mutator.mutate(&seed);
            let changed = if *name == "layer_tar" { with_checksums(changed) } else { changed };
            // What is printed is shown if it fails: the input to be kept.
            println!("{name} {round}: {}", changed.escape_ascii());
            feed(name, &changed);
        }
    }
}

#[test]
fn small_changes_to_an_archive_end_no_engine_and_leave_nothing() {
    let engine = Engine::ours();
    let before = kept(&engine);
    let layer = images::archive_of(&[("folder/file", b"content"), ("other", b"more")]);
    let archive = images::archive("changed:1", &layer, &serde_json::json!({"Cmd": ["x"]})).unwrap();
    let mut mutator = mutator();
    for round in 0..Faults::of(2000).count {
        let changed = with_checksums(mutator.mutate(&archive));
        let load = Request::new("POST", "/images/load").header("Content-Type", "application/x-tar");
        let reply = engine.request_unchecked(&load.body(changed.clone()));
        assert!(reply.status() < 500, "{round}: {} {}", reply.text(), changed.escape_ascii());
        let list = call(&engine, "GET", "/images/json?all=1").expect(200).json();
        for image in list.as_array().unwrap() {
            call(&engine, "DELETE", &format!("/images/{}?force=1", image["Id"].as_str().unwrap()))
                .expect(200);
        }
        assert_eq!(kept(&engine), before, "{round}: {}", changed.escape_ascii());
    }
    assert!(!engine.log().contains("panicked"));
}
