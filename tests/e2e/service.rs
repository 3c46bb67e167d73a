//! The engine of this machine: shown and stopped by the client, and refused to those who may not start one.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::command::{self, ketch_binary};
use testkit::{Engine, Scratch, leaks};

fn ketch(scratch: &Scratch) -> Command {
    let mut command = Command::new(ketch_binary());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", scratch.join("home"));
    command.env("KETCH_RUN_DIR", scratch.join("run")).env("KETCH_DATA_ROOT", scratch.join("data"));
    command
}

#[test]
fn the_service_is_shown_and_stopped() {
    let scratch = Scratch::create();
    let service = |verb: &str| command::run(ketch(&scratch).args(["system", "service", verb]));
    let before = service("status");
    let start = command::run(ketch(&scratch).arg("info"));
    let running = service("status");
    let (stopped, again, after) = (service("stop"), service("stop"), service("status"));
    let left = leaks::processes(scratch.path());
    let socket = scratch.join("run/ketch.sock");
    assert!(left.is_empty() && !socket.exists(), "{left:?}");
    start.ok();
    assert_eq!(before.code, 3, "{before:?}");
    let text = running.ok();
    assert!(text.contains("running") && text.contains(socket.to_str().unwrap()), "{text}");
    stopped.ok();
    assert!(again.code == 0 && again.stderr.contains("not running"), "{again:?}");
    assert_eq!(after.code, 3, "{after:?}");
    scratch.remove();
}

/// The binary where an ordinary user can reach it.
fn public_binary(scratch: &Scratch) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = scratch.join("ketch");
    std::fs::copy(ketch_binary(), &path).expect("a copy");
    for (path, mode) in [(path.as_path(), 0o755), (scratch.path(), 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    }
    path
}

fn as_nobody(binary: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    command
}

#[test]
fn an_ordinary_user_is_told_what_to_do() {
    let scratch = Scratch::create();
    let binary = public_binary(&scratch);
    let mut client = as_nobody(&binary);
    let told = command::run(client.env("KETCH_RUN_DIR", scratch.join("run")).arg("info"));
    assert!(!scratch.join("run").exists(), "something was begun");
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("root") && told.stderr.contains("DOCKER_HOST"), "{told:?}");
    let mut engine = as_nobody(&binary);
    let told = command::run(engine.args(["daemon", "--data-root"]).arg(scratch.join("data")));
    assert!(told.code == 1 && told.stderr.contains("root"), "{told:?}");
    scratch.remove();
}

#[test]
fn an_ordinary_user_is_told_why_a_socket_stays_closed() {
    use std::os::unix::fs::PermissionsExt;
    let engine = Engine::ours();
    let binary = public_binary(engine.scratch());
    let folder = engine.socket().parent().expect("a folder");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).expect("permissions");
    let mut client = as_nobody(&binary);
    client.env("DOCKER_HOST", format!("unix://{}", engine.socket().display()));
    let told = command::run(client.arg("version"));
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("permission denied") && told.stderr.contains("group"), "{told:?}");
}
