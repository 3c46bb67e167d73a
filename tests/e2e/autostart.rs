//! The first command that needs an engine starts one.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use testkit::command::{self, ketch_binary};
use testkit::{DEADLINE, Scratch, eventually, leaks};

/// Our command line with the default socket and data root below `scratch`.
fn ketch(scratch: &Scratch) -> Command {
    let mut command = Command::new(ketch_binary());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", scratch.join("home"));
    command.env("KETCH_RUN_DIR", scratch.join("run")).env("KETCH_DATA_ROOT", scratch.join("data"));
    command
}

/// Ends whatever was started below `scratch`, by its own pid.
fn end_engines(scratch: &Scratch) {
    eventually(DEADLINE, || {
        let left = leaks::processes(scratch.path());
        for pid in left.iter().filter_map(|(pid, _)| Pid::from_raw(*pid)) {
            // It may have ended since it was listed.
            let _ = kill_process(pid, Signal::TERM);
        }
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    scratch.remove();
}

#[test]
fn the_first_command_starts_an_engine_and_the_next_one_finds_it() {
    let scratch = Scratch::create();
    let first = command::run(ketch(&scratch).args(["info", "--format", "{{.ID}}"]));
    let engines = leaks::processes(scratch.path());
    let second = command::run(ketch(&scratch).args(["info", "--format", "{{.ID}}"]));
    let still = leaks::processes(scratch.path());
    end_engines(&scratch);
    assert!(first.stderr.is_empty(), "starting is said only with --debug: {}", first.stderr);
    assert!(!first.clone().ok().is_empty());
    assert_eq!(first.ok(), second.ok());
    assert_eq!(engines.len(), 1, "{engines:?}");
    assert_eq!(engines, still);
}

#[test]
fn many_first_commands_start_one_engine() {
    let scratch = Scratch::create();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| command::run(ketch(&scratch).args(["info", "--format", "{{.ID}}"])));
        let clients: Vec<_> = (0..8).map(|_| ask()).collect();
        clients.into_iter().map(|client| client.join().expect("the client's thread")).collect()
    });
    let engines = leaks::processes(scratch.path());
    end_engines(&scratch);
    let ids: Vec<_> = ids.into_iter().map(testkit::command::Output::ok).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && !id.is_empty()), "{ids:?}");
    assert_eq!(engines.len(), 1, "{engines:?}");
}

#[test]
fn a_named_host_is_never_started() {
    let scratch = Scratch::create();
    let host = format!("unix://{}", scratch.join("other.sock").display());
    let told = command::run(ketch(&scratch).args(["-H", &host, "info"]));
    let engines = leaks::processes(scratch.path());
    end_engines(&scratch);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(engines.is_empty(), "{engines:?}");
}
