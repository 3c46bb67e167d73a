//! What goes wrong in the middle: the next `up` goes on, and the next `down` finds everything.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use testkit::Engine;
use testkit::http::Request;

use super::Project;

const FILE: &str = "
services:
  a: {image: IMAGE, command: sleep 1000, init: true, volumes: [\"data:/data\"], environment: {TURN: \"${TURN:-0}\"}}
  b: {image: IMAGE, command: sleep 1000, init: true, depends_on: [a], environment: {TURN: \"${TURN:-0}\"}}
  c: {image: IMAGE, command: sleep 1000, init: true, networks: [other], environment: {TURN: \"${TURN:-0}\"}}
volumes: {data: {}}
networks: {other: {}}
";

impl Project<'_> {
    /// All containers with the project's label, by name: also those that only a crash leaves.
    fn names(&self) -> Vec<String> {
        let filters = format!("%7B%22label%22:%5B%22com.docker.compose.project={}%22%5D%7D", self.name);
        let path = format!("/containers/json?all=1&filters={filters}");
        let found = self.engine.request_unchecked(&Request::new("GET", &path)).expect(200).json();
        let mut names: Vec<String> = found
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["Names"][0].as_str().expect("a name").trim_start_matches('/').to_owned())
            .collect();
        names.sort();
        names
    }

    #[track_caller]
    fn is_whole_and_leaves_nothing(&self) {
        self.compose(["up", "-d"]).ok();
        assert_eq!(self.names(), ["a", "b", "c"].map(|service| self.container(service)));
        self.compose(["down", "--timeout", "0", "--volumes"]).ok();
        assert!(self.names().is_empty(), "{:?}", self.names());
    }
}

#[test]
fn a_port_that_is_taken_in_the_middle_of_up_is_told_and_the_next_up_goes_on() {
    let engine = Engine::isolated();
    let file = FILE.replace("depends_on: [a]", "depends_on: [a], ports: [\"127.0.0.1:18341:80\"]");
    let project = Project::new(&engine, "taken", &file);
    let listener = TcpListener::bind("127.0.0.1:18341").unwrap();
    let failed = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(failed.contains("18341"), "{failed}");
    let before = project.id("a");
    drop(listener);
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.id("a"), before, "what was made is kept");
    project.is_whole_and_leaves_nothing();
}

#[test]
fn a_missing_image_is_told_with_its_service_before_anything_is_made() {
    let engine = Engine::isolated();
    let file = FILE.replace("c: {image: IMAGE", "c: {image: \"no.such.registry.invalid/x:1\"");
    let project = Project::new(&engine, "missing", &file);
    let failed = project.compose(["up", "-d"]).assert_code(1).stderr;
    assert!(failed.contains("\"c\"") && failed.contains("no.such.registry.invalid/x:1"), "{failed}");
    assert!(project.names().is_empty());
}

fn begin(project: &Project<'_>, arguments: &[&str]) -> Child {
    let mut command = project.command();
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("compose")
}

/// Ends it with this signal when it has told so many things; whether it was still at work.
fn interrupt(mut child: Child, after: usize, signal: Signal) -> bool {
    let told = BufReader::new(child.stderr.take().expect("what it tells"));
    let mut lines = told.lines();
    let reached = lines.by_ref().take(after).filter(Result::is_ok).count() == after;
    let pid = Pid::from_child(&child);
    // It may have ended by itself.
    let _ = kill_process(pid, signal);
    lines.for_each(drop);
    child.wait().expect("its end");
    reached
}

#[test]
fn an_interruption_at_any_moment_leaves_nothing_that_the_next_command_does_not_find() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "interrupted", FILE);
    for (turn, signal) in [Signal::INT, Signal::KILL].into_iter().enumerate() {
        // While everything is made, and while everything is made anew.
        for again in [false, true] {
            for after in 0.. {
                if again {
                    project.write(".env", "TURN=0\n");
                    project.compose(["up", "-d"]).ok();
                    project.write(".env", &format!("TURN={turn}-{after}\n"));
                }
                let was_at_work = interrupt(begin(&project, &["up", "-d"]), after, signal);
                project.is_whole_and_leaves_nothing();
                if !was_at_work {
                    break;
                }
            }
        }
    }
}

#[test]
fn two_at_once_end_with_one_project() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "twice", FILE);
    for turn in 0..4 {
        project.write(".env", &format!("TURN={}\n", turn / 2));
        let both = [0; 2].map(|_| begin(&project, &["up", "-d", "--timeout", "0"]));
        for child in both {
            // One of the two may be told that the other one was faster.
            child.wait_with_output().expect("its end");
        }
        project.compose(["up", "-d", "--timeout", "0"]).ok();
        assert_eq!(project.names(), ["a", "b", "c"].map(|service| project.container(service)));
    }
    project.is_whole_and_leaves_nothing();
}

#[test]
fn an_engine_that_is_killed_in_the_middle_of_up_finds_it_again() {
    let mut engine = Engine::ours();
    let (folder, name, image) = {
        let project = Project::new(&engine, "killed", FILE);
        let kept = (project.folder.clone(), project.name.clone(), project.image.clone());
        std::mem::forget(project);
        kept
    };
    for after in [1, 4, 6, 8, 10] {
        let child = {
            let project =
                Project { engine: &engine, folder: folder.clone(), name: name.clone(), image: image.clone() };
            let mut child = begin(&project, &["up", "-d"]);
            let told = BufReader::new(child.stderr.take().expect("what it tells"));
            assert_eq!(told.lines().take(after).filter(Result::is_ok).count(), after);
            std::mem::forget(project);
            child
        };
        engine.crash_and_restart();
        let mut child = child;
        child.wait().expect("its end");
        let project =
            Project { engine: &engine, folder: folder.clone(), name: name.clone(), image: image.clone() };
        project.is_whole_and_leaves_nothing();
        std::mem::forget(project);
    }
}

#[test]
fn a_hundred_services_come_up_in_one_go() {
    let engine = Engine::isolated();
    let mut file = "services:\n".to_owned();
    for number in 0..100 {
        file.push_str(&format!(
            "  s{number}: {{image: IMAGE, command: sleep 1000, init: true, volumes: [\"v{number}:/data\"]}}\n"
        ));
    }
    file.push_str("volumes:\n");
    (0..100).for_each(|number| file.push_str(&format!("  v{number}: {{}}\n")));
    let project = Project::new(&engine, "hundred", &file);
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.compose(["ps", "-q"]).ok().lines().count(), 100);
    let again = project.compose(["up", "-d"]).assert_code(0).stderr;
    assert!(!again.contains("Recreate") && !again.contains("Creat"), "{again}");
    project.compose(["down", "--timeout", "0", "--volumes"]).ok();
    assert!(project.names().is_empty());
}
