//! A data root that can't be written: the engine says which and why, and doesn't hang.

use std::process::{Command, Stdio};

use testkit::Scratch;
use testkit::daemon::Plan;

use crate::daemon_config::refused;

/// The engine's own command line in a mount namespace of its own, after `prepare` has mounted something at `$ROOT`.
fn in_own_namespace(plan: &Plan, prepare: &str) -> Command {
    let engine = plan.command();
    let script = format!("mkdir -p \"$ROOT\" && {prepare} && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    command.arg(engine.get_program()).args(engine.get_args());
    command.env("ROOT", &plan.root).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn words_of(prepare: &str) -> String {
    let scratch = Scratch::create();
    let plan = Plan::below(&scratch);
    let (status, log) = refused(&mut in_own_namespace(&plan, prepare));
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    scratch.remove();
    log
}

#[test]
fn a_read_only_data_root_is_told() {
    let log = words_of("mount -t tmpfs -o ro none \"$ROOT\"");
    assert!(log.contains("/data") && log.to_lowercase().contains("read-only"), "{log}");
}

#[test]
fn a_full_data_root_is_told() {
    let log = words_of(
        "mount -t tmpfs -o size=64k none \"$ROOT\" && { cat /dev/zero >\"$ROOT/fill\" 2>/dev/null || true; }",
    );
    let lower = log.to_lowercase();
    assert!(log.contains("/data") && (lower.contains("no space left") || lower.contains("is full")), "{log}");
}
