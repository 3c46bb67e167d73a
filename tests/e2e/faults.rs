//! What befalls containers: shims that are killed, clients that get in each other's way, file systems that never answer.

use std::fs;
use std::os::fd::AsRawFd;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::http::{self, Request};
use testkit::{DEADLINE, Engine, eventually};

use crate::life::{created, inspected, post, runs, state};

/// The parent of a container's process 1.
pub(crate) fn shim_of(engine: &Engine, name: &str) -> Pid {
    let pid = state(engine, name)["Pid"].as_i64().expect("a pid");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    parent.trim().parse().ok().and_then(Pid::from_raw).expect("a parent's number")
}

fn is_alive(pid: &Value) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn a_killed_shim_takes_its_container_with_it() {
    let engine = Engine::ours();
    // Without a process namespace of its own, and with more than one process.
    let rounds = testkit::Faults::of(100).count.max(10);
    for host in [json!({}), json!({"PidMode": "host"})] {
        for round in 0..rounds / 2 {
            let name = runs(
                &engine,
                &format!("c{}{round}", host.as_object().map_or(0, serde_json::Map::len)),
                "sleep 1000 & sleep 1000",
                &host,
            );
            let pid = state(&engine, &name)["Pid"].clone();
            if round % 5 == 4 {
                post(&engine, &format!("/containers/{name}/pause")).expect(204);
            }
            kill_process(shim_of(&engine, &name), Signal::KILL).unwrap();
            let ended = post(&engine, &format!("/containers/{name}/wait")).expect(200).json();
            assert_eq!(ended["StatusCode"], 137);
            let after = state(&engine, &name);
            assert_eq!((&after["Status"], &after["ExitCode"]), (&json!("exited"), &json!(137)));
            assert!(after["Error"].as_str().unwrap().contains("shim of container"), "{after}");
            assert!(!is_alive(&pid), "process 1 lives on");
            // It can be started as any other.
            post(&engine, &format!("/containers/{name}/start")).expect(204);
            engine
                .request_unchecked(&Request::new("DELETE", &format!("/containers/{name}?force=1")))
                .expect(204);
        }
    }
}

#[test]
fn a_restart_policy_applies_also_when_the_shim_was_killed() {
    let engine = Engine::ours();
    let name = runs(&engine, "c", "sleep 1000", &json!({"RestartPolicy": {"Name": "always"}}));
    let before = state(&engine, &name)["Pid"].clone();
    kill_process(shim_of(&engine, &name), Signal::KILL).unwrap();
    eventually(DEADLINE, || match state(&engine, &name) {
        state if state["Status"] == "running" && state["Pid"] != before && state["Pid"] != 0 => Ok(()),
        state => Err(state),
    });
    assert_eq!(inspected(&engine, &name)["RestartCount"], 1);
}

#[test]
fn a_shim_that_was_killed_while_no_engine_ran_is_missed_by_the_next() {
    let mut engine = Engine::ours();
    let name = runs(&engine, "c", "sleep 1000", &json!({}));
    let (pid, shim) = (state(&engine, &name)["Pid"].clone(), shim_of(&engine, &name));
    engine.daemon().kill();
    kill_process(shim, Signal::KILL).unwrap();
    engine.crash_and_restart();
    let after = state(&engine, &name);
    assert_eq!((&after["Status"], &after["ExitCode"]), (&json!("exited"), &json!(137)));
    assert!(!is_alive(&pid), "process 1 lives on");
}

#[test]
fn clients_that_start_stop_and_remove_at_once_each_get_an_answer() {
    let engine = Engine::isolated();
    for round in 0..5 {
        let name = created(&engine, &format!("c{round}"), "sleep 1000", &json!({}));
        thread::scope(|scope| {
            for call in ["start", "stop?t=0", "restart?t=0", "kill", "start", "pause", "unpause", "remove"] {
                let (socket, name) = (engine.socket().to_owned(), &name);
                scope.spawn(move || {
                    let request = match call {
                        "remove" => Request::new("DELETE", &format!("/containers/{name}?force=1")),
                        call => Request::new("POST", &format!("/containers/{name}/{call}")),
                    };
                    let reply = http::call(&socket, &request).expect("an answer");
                    // Done, already so, gone, or in the way of another: never a failure of the engine's own. dockerd has
                    // 500 for what isn't paused.
                    let expected = [204, 304, 404, 409];
                    let fine =
                        expected.contains(&reply.status()) || call == "unpause" && reply.status() == 500;
                    assert!(fine, "{call}: {} {}", reply.status(), reply.text());
                });
            }
        });
        let gone = engine.request_unchecked(&Request::new("DELETE", &format!("/containers/{name}?force=1")));
        assert!([204, 404].contains(&gone.status()), "{}", gone.text());
    }
}

/// A file system whose server never says a word: whoever looks into it waits.
struct Hung {
    server: Option<fs::File>,
    place: std::path::PathBuf,
}

impl Hung {
    fn mount(place: std::path::PathBuf) -> Self {
        fs::create_dir_all(&place).expect("a folder to mount on");
        let server = fs::File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        let data = std::ffi::CString::new(data).expect("no zero");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("hung", &place, "fuse", flags, Some(data.as_c_str())).expect("mounting a FUSE");
        Self { server: Some(server), place }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // Without a server everybody's waiting ends.
        self.server = None;
        let _ = rustix::mount::unmount(&self.place, rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn a_container_on_a_file_system_that_never_answers_delays_nobody() {
    let engine = Engine::ours();
    let hung = Hung::mount(engine.scratch().join("hung"));
    let fine = runs(&engine, "fine", "sleep 1000", &json!({}));
    let stuck =
        created(&engine, "stuck", "true", &json!({"Binds": [format!("{}:/x", hung.place.display())]}));
    thread::scope(|scope| {
        let socket = engine.socket().to_owned();
        let start = Request::new("POST", &format!("/containers/{stuck}/start"));
        let starting = scope.spawn(move || http::call(&socket, &start).expect("an answer"));
        for _ in 0..20 {
            let listed =
                engine.request_unchecked(&Request::new("GET", "/containers/json?all=1")).expect(200).json();
            assert_eq!(listed.as_array().map(Vec::len), Some(2));
            for name in [&stuck, &fine] {
                assert_eq!(inspected(&engine, name)["Name"], format!("/{name}"));
            }
            engine.ketch(["exec", &fine, "true"]).ok();
        }
        let other = runs(&engine, "other", "sleep 1000", &json!({}));
        engine.ketch(["rm", "-f", &other]).ok();
        assert!(!starting.is_finished(), "nobody had to wait: {}", state(&engine, &stuck));
        drop(hung);
        // Whether there was anything to mount or not by then: its client is told.
        let answer = starting.join().unwrap();
        assert!(answer.status() == 204 || answer.status() >= 400, "{}", answer.text());
    });
}
