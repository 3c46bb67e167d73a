//! Running other programs, and finding what they made.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Runs to the end with our output; a failure names the command.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    eprintln!("+ {command:?}");
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Runs to the end and returns what it printed.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{problem}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Where cargo puts what it builds, with our explicit target: the path of the `ketch` of one profile.
pub(crate) fn ketch(profile: &str) -> anyhow::Result<PathBuf> {
    Ok(target_directory()?.join(host()?).join(profile).join("ketch"))
}

pub(crate) fn target_directory() -> anyhow::Result<PathBuf> {
    let metadata: serde_json::Value =
        serde_json::from_str(&output(cargo().args(["metadata", "--format-version=1", "--no-deps"]))?)?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(target.into())
}

/// The machine that is built for: this one.
pub(crate) fn host() -> anyhow::Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// `KETCH_BIN`, or the debug build, which takes three times as long.
pub(crate) fn wanted_ketch() -> anyhow::Result<PathBuf> {
    std::env::var_os("KETCH_BIN").map_or_else(|| ketch("debug"), |path| Ok(path.into()))
}

pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).exists()))
}
