//! `cargo xtask soak`: the fault loops with their full numbers; the result goes into docs/reliability.md.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::ensure;

use crate::process::{self, cargo, workspace};

/// The end-to-end modules that break things on purpose.
const LOOPS: &[&str] = &[
    "bad_input::",
    "corpus::",
    "exec::",
    "handover::",
    "builds::",
    "containers::",
    "faults::",
    "hostile",
    "image_crashes::",
    "killed_engines::",
    "registry",
];

pub(crate) fn run() -> anyhow::Result<()> {
    process::run(cargo().args(["build", "--quiet", "--package", "ketch"]))?;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let begun = Instant::now();
    let ketch = process::ketch("debug")?;
    let mut tests = cargo();
    tests.args(["test", "--package", "e2e", "--test", "e2e", "--"]).args(LOOPS);
    tests.args(["--nocapture", "--test-threads=1"]);
    let output = tests
        .env("KETCH_BIN", ketch)
        .env("KETCH_FAULTS", "100")
        .env("KETCH_SEED", seed.to_string())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let result = text.lines().rfind(|line| line.starts_with("test result")).unwrap_or("the tests didn't run");
    let loops: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once("faults: "))
        .map(|(_, tail)| format!("- {tail}"))
        .collect();
    let page = format!(
        "# Reliability\n\nWritten by `cargo xtask soak`: every fault loop with its full number.\n\n\
         - result: {result}\n- seed: {seed} (`KETCH_FAULTS=100 KETCH_SEED={seed}`)\n- duration: {} s\n\nLoops:\n\n{}\n",
        begun.elapsed().as_secs(),
        loops.join("\n")
    );
    std::fs::create_dir_all(workspace().join("docs"))?;
    std::fs::write(workspace().join("docs/reliability.md"), page)?;
    ensure!(output.status.success(), "{result}");
    Ok(())
}
