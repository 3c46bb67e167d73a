//! Puts the commit and its time into the binary. The build's own time is left out, so that a build can be reproduced.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn main() {
    println!("cargo::rerun-if-env-changed=KETCH_COMMIT");
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={head}");
    }
    let commit = std::env::var("KETCH_COMMIT").ok().or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo::rustc-env=KETCH_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    let time = git(&["show", "-s", "--format=%cI", "HEAD"]);
    println!("cargo::rustc-env=KETCH_COMMIT_TIME={}", time.as_deref().unwrap_or("1970-01-01T00:00:00+00:00"));
}
