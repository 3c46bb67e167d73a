//! `run -it` as a person meets it: a terminal, its size, the keys that detach.

use serde_json::Value;
use testkit::http::Request;
use testkit::{DEADLINE, Engine, Terminal, eventually};

fn run_in_terminal(engine: &Engine, command: &mut std::process::Command, name: &str) -> Terminal {
    let tag = engine.busybox();
    command.env("TERM", "xterm").args(["run", "-it", "--network", "none", "--name", name, &tag, "sh"]);
    Terminal::start(command, 31, 97)
}

#[test]
fn a_terminals_size_is_the_containers_and_follows_it() {
    let engine = Engine::isolated();
    for (mut command, name) in
        [(engine.ketch_command(), engine.name("ours")), (engine.docker_command(), engine.name("theirs"))]
    {
        let mut terminal = run_in_terminal(&engine, &mut command, &name);
        terminal.type_in("busybox stty size; tty\n");
        terminal.wait_for("31 97");
        terminal.wait_for("/dev/pts/0");
        // The container has its first size from its creation, before docker's client watches its own terminal: a window
        // that changes once in that moment changes unnoticed, so it changes until somebody notices.
        eventually(DEADLINE, || {
            terminal.resize(12, 76);
            terminal.resize(12, 77);
            terminal.type_in("busybox stty size\n");
            let seen = terminal.shown();
            if seen.contains("12 77") { Ok(()) } else { Err(format!("{name}: {seen:.300}")) }
        });
        terminal.type_in("exit 7\n");
        assert_eq!(terminal.wait(), Some(7), "{}", terminal.shown());
    }
}

fn inspect(engine: &Engine, name: &str) -> Value {
    // Unchecked: the recordings' containers were made with fewer fields than a command line sends.
    engine.request_unchecked(&Request::new("GET", &format!("/containers/{name}/json"))).expect(200).json()
}

#[test]
fn the_detach_keys_leave_the_container_running() {
    let engine = Engine::isolated();
    for (mut command, name) in
        [(engine.ketch_command(), engine.name("ours")), (engine.docker_command(), engine.name("theirs"))]
    {
        let mut terminal = run_in_terminal(&engine, &mut command, &name);
        terminal.type_in("echo is $((40+2))\n");
        terminal.wait_for("is 42");
        terminal.type_in("\u{10}\u{11}");
        assert_eq!(terminal.wait(), Some(0), "{}", terminal.shown());
        let state = inspect(&engine, &name)["State"].clone();
        assert_eq!(state["Running"], true, "{state}");
    }
}

#[test]
fn ctrl_c_reaches_the_program_in_the_container() {
    let engine = Engine::isolated();
    let name = engine.name("c");
    let mut terminal = run_in_terminal(&engine, &mut engine.ketch_command(), &name);
    // Two halves, so that the echo of the line isn't taken for its output.
    terminal.type_in("sh -c 'echo g''o; exec busybox sleep 600'\n");
    terminal.wait_for("go");
    terminal.type_in("\u{3}echo ended with $?\n");
    terminal.wait_for("ended with 130");
    terminal.type_in("exit\n");
    terminal.wait();
}
