//! The harness' own promise: what an engine leaves is found, also after a test that failed.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use testkit::Engine;

/// Leaves a process, a mount and a file behind, as a bad engine would.
fn leak(engine: &Engine) -> Child {
    let scratch = engine.scratch();
    scratch.write("run/containers/left", "");
    let folder = scratch.join("data/left");
    std::fs::create_dir_all(&folder).expect("a folder");
    mount("none", &folder, "tmpfs", MountFlags::empty(), None).expect("a mount");
    let mut process = Command::new("sleep");
    process.arg("600").env("LEFT_BY", scratch.path()).stdin(Stdio::null());
    process.spawn().expect("a process")
}

#[track_caller]
fn assert_found(found: &[String]) {
    for word in ["process ", "mount: ", "file: "] {
        assert!(found.iter().any(|line| line.starts_with(word)), "no {word}in {found:#?}");
    }
}

fn tidy(scratch: &std::path::Path, mut process: Child) {
    // The check has killed it already.
    let _ = process.wait();
    unmount(scratch.join("data/left"), UnmountFlags::DETACH).expect("the mount that was left");
    std::fs::remove_dir_all(scratch).expect("the folder that was left");
}

#[test]
fn what_was_left_is_found() {
    let engine = Engine::ours();
    let (scratch, process) = (engine.scratch().path().to_owned(), leak(&engine));
    let found = engine.close();
    tidy(&scratch, process);
    assert_found(&found);
}

/// Closes the engine while its test fails, as its `Drop` would.
struct Closing(Option<Engine>, Arc<Mutex<Vec<String>>>);

impl Drop for Closing {
    fn drop(&mut self) {
        assert!(std::thread::panicking());
        let found = self.0.take().map(Engine::close).unwrap_or_default();
        *self.1.lock().expect("nobody else") = found;
    }
}

#[test]
fn what_was_left_by_a_failed_test_is_found_too() {
    let engine = Engine::ours();
    let (scratch, process) = (engine.scratch().path().to_owned(), leak(&engine));
    let found = Arc::new(Mutex::new(Vec::new()));
    let closing = Closing(Some(engine), found.clone());
    let failed = std::thread::spawn(move || {
        let _closing = closing;
        panic!("this test fails on purpose");
    });
    assert!(failed.join().is_err());
    tidy(&scratch, process);
    assert_found(&found.lock().unwrap());
}

#[test]
fn a_good_engine_leaves_nothing() {
    assert_eq!(Engine::ours().close(), [""; 0]);
}
