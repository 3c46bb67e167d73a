//! `kill -9` of the engine while images come and go: nothing that was acknowledged is gone, what is listed is whole, and not
//! a byte is left that no image explains.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use testkit::http::{self, Request};
use testkit::registry::Registry;
use testkit::{Engine, Faults, images};

/// How an image comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Load,
    Pull,
}

struct Subject {
    name: String,
    way: Way,
    archive: Vec<u8>,
}

/// What a client may believe of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Belief {
    Here,
    Gone,
    /// Asked for when the engine died: either.
    Open,
}

/// A static program and bytes that don't compress, in one layer.
fn archive(name: &str, faults: &mut Faults) -> Vec<u8> {
    let noise: Vec<u8> = (0..300_000).map(|_| faults.below(256) as u8).collect();
    let busybox = fs::read("/bin/busybox").expect("a static busybox");
    let mut layer = images::Layer::default();
    layer.file("bin/busybox", &busybox).expect("in memory");
    layer.file("noise", &noise).expect("in memory");
    for number in 0..50 {
        layer.file(&format!("small/{number}"), number.to_string().as_bytes()).expect("in memory");
    }
    let layer = layer.finish().expect("in memory");
    images::archive(name, &layer, &json!({"Entrypoint": ["/bin/busybox"], "WorkingDir": "/"}))
        .expect("an archive")
}

fn come(subject: &Subject) -> Request {
    match subject.way {
        Way::Load => Request::new("POST", "/images/load")
            .header("Content-Type", "application/x-tar")
            .body(subject.archive.clone()),
        Way::Pull => Request::new("POST", &format!("/images/create?fromImage={}", subject.name)),
    }
}

fn go(subject: &Subject) -> Request {
    Request::new("DELETE", &format!("/images/{}", subject.name))
}

/// Whether the engine said that it was done. A pull's and a load's failures come in the stream, after the status.
fn is_acknowledged(socket: &Path, request: &Request) -> bool {
    match http::call(socket, request) {
        Ok(reply) => {
            let text = reply.text();
            assert!(reply.status() == 200 && !text.contains("\"error\""), "{}: {text}", request.path);
            true
        }
        // The engine is dead. An answer that broke off promises nothing.
        Err(_) => false,
    }
}

/// Brings and removes images until the engine dies, and writes down what it was promised.
fn disturb(socket: &Path, subject: &Subject, belief: &mut Belief, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let (request, after) = match belief {
            Belief::Here => (go(subject), Belief::Gone),
            _ => (come(subject), Belief::Here),
        };
        let before = std::mem::replace(belief, Belief::Open);
        // Asked before anything could have changed.
        if stop.load(Ordering::Relaxed) {
            *belief = before;
            return;
        }
        if !is_acknowledged(socket, &request) {
            return;
        }
        *belief = after;
    }
}

/// Every file of the store with its size, but for downloads that can be gone on with and the driver's bookkeeping.
fn store(engine: &Engine) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    for folder in ["blobs", "layers"] {
        list(&engine.data_root().join(folder), &mut files);
    }
    let root = engine.data_root();
    let relative = |(path, size): (PathBuf, u64)| (path.strip_prefix(root).unwrap_or(&path).to_owned(), size);
    files.into_iter().map(relative).filter(|(path, _)| !path.starts_with("blobs/partial")).collect()
}

fn list(folder: &Path, files: &mut BTreeMap<PathBuf, u64>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let meta = entry.metadata().expect("metadata");
        match meta.is_dir() {
            true => list(&entry.path(), files),
            false => drop(files.insert(entry.path(), meta.len())),
        }
    }
}

fn is_listed(engine: &Engine, subject: &Subject) -> bool {
    let reply = engine.request_unchecked(&Request::new("GET", &format!("/images/{}/json", subject.name)));
    assert!(matches!(reply.status(), 200 | 404), "{}", reply.text());
    reply.status() == 200
}

/// A container reads every byte of the image's files.
fn assert_whole(engine: &Engine, subject: &Subject) {
    let script = "/bin/busybox cat /noise /small/* | /bin/busybox wc -c";
    let output = engine.ketch(["run", "--rm", "--network", "none", &subject.name, "sh", "-c", script]).ok();
    assert_eq!(output.trim(), (300_000 + 10 + 40 * 2).to_string(), "{}", subject.name);
}

/// What the store holds when these images came undisturbed.
fn expected(calm: &Engine, subjects: &[Subject], present: &BTreeSet<usize>) -> BTreeMap<PathBuf, u64> {
    for (number, subject) in subjects.iter().enumerate() {
        let wanted = present.contains(&number);
        if wanted != is_listed(calm, subject) {
            let request = if wanted { come(subject) } else { go(subject) };
            assert!(is_acknowledged(calm.socket(), &request), "an undisturbed engine does it");
        }
    }
    store(calm)
}

#[test]
fn a_crash_loses_and_leaves_nothing_of_images() {
    let mut faults = Faults::of(200);
    let (registry, mut engine, calm) = (Registry::start(), Engine::ours(), Engine::ours());
    let mut subject = |name: &str, way: Way| {
        let name = if way == Way::Pull { registry.name(name) } else { name.to_owned() };
        let archive = archive(&name, &mut faults);
        if way == Way::Pull {
            registry.receive(name.split_once('/').map_or("", |(_, rest)| rest), &archive);
        }
        Subject { name, way, archive }
    };
    let subjects = [
        subject("loaded/one:1", Way::Load),
        subject("loaded/two:1", Way::Load),
        subject("pulled/three:1", Way::Pull),
    ];
    let mut beliefs = [Belief::Gone; 3];
    let mut baselines = BTreeMap::new();
    for round in 0..faults.count {
        let stop = AtomicBool::new(false);
        let socket = engine.socket().to_path_buf();
        thread::scope(|scope| {
            for (subject, belief) in subjects.iter().zip(&mut beliefs) {
                scope.spawn(|| disturb(&socket, subject, belief, &stop));
            }
            faults.moment(Duration::from_millis(80));
            stop.store(true, Ordering::Relaxed);
            engine.daemon().kill();
        });
        engine.crash_and_restart();
        let mut present = BTreeSet::new();
        for (number, subject) in subjects.iter().enumerate() {
            let listed = is_listed(&engine, subject);
            match beliefs[number] {
                Belief::Here => {
                    assert!(listed, "round {round}: {} was acknowledged and is gone", subject.name);
                }
                Belief::Gone => assert!(!listed, "round {round}: {} was removed and is back", subject.name),
                Belief::Open => {}
            }
            beliefs[number] = if listed { Belief::Here } else { Belief::Gone };
            if listed {
                assert_whole(&engine, subject);
                present.insert(number);
            }
        }
        let wanted = baselines.entry(present.clone()).or_insert_with(|| expected(&calm, &subjects, &present));
        assert_eq!(&store(&engine), wanted, "round {round}: the store with images {present:?}");
    }
}
