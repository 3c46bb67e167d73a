//! `cargo xtask release`: the binary, its package, what it is made of, and their checksums. The same commit gives the same bytes, in whichever
//! folder and whosever cache: `--twice` builds in a second one and compares.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::process::{self, cargo, workspace};
use crate::{check, deb, sbom};

/// Whose flags these are added to: `.cargo/config.toml`.
const TARGET: &str = r#"target.'cfg(all(target_os = "linux", target_env = "gnu"))'.rustflags"#;

pub(crate) fn run(rest: &[String]) -> anyhow::Result<()> {
    let twice = match rest {
        [] => false,
        [flag] if flag == "--twice" => true,
        _ => anyhow::bail!("usage: cargo xtask release [--twice]"),
    };
    let changed = process::output(git(&workspace()).args(["status", "--porcelain"]))?;
    ensure!(changed.is_empty(), "a release is made of a commit; these files aren't part of one:\n{changed}");
    let folder = process::target_directory()?.join("dist");
    let ketch = build(&Place::own()?)?;
    check::is_static(&ketch)?;
    fs::create_dir_all(&folder)?;
    fs::copy(&ketch, folder.join("ketch"))?;
    let digest = digest(&ketch)?;
    if twice {
        built_elsewhere(&digest)?;
    }
    let package = deb::make(&ketch, &folder, &[])?;
    let parts = format!("{:#}\n", sbom::document(&digest)?);
    fs::write(folder.join("ketch.cdx.json"), parts)?;
    let package = package.file_name().context("a package without a name")?.to_owned();
    let sums = sums(&folder, &["ketch".as_ref(), "ketch.cdx.json".as_ref(), package.as_ref()])?;
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    println!("{}:\n{sums}", folder.display());
    Ok(())
}

/// Where a build finds its sources and puts its files: nothing of it may be left in what it makes.
struct Place {
    sources: PathBuf,
    target: PathBuf,
    cache: PathBuf,
}

impl Place {
    fn own() -> anyhow::Result<Self> {
        let cache = match std::env::var_os("CARGO_HOME") {
            Some(home) => home.into(),
            None => PathBuf::from(std::env::var_os("HOME").context("no HOME")?).join(".cargo"),
        };
        Ok(Self { sources: workspace(), target: process::target_directory()?.join("release-build"), cache })
    }

    /// Each path and what stands for it.
    fn names(&self) -> [String; 3] {
        [(&self.sources, "ketch"), (&self.target, "target"), (&self.cache, "cargo")]
            .map(|(path, name)| format!("{}=/{name}", path.display()))
    }
}

fn build(place: &Place) -> anyhow::Result<PathBuf> {
    let names = place.names();
    let flags = names.iter().map(|name| format!("{:?}", format!("--remap-path-prefix={name}")));
    let config = format!("{TARGET}=[{}]", flags.collect::<Vec<_>>().join(", "));
    let c_flags: Vec<String> = names.iter().map(|name| format!("'-ffile-prefix-map={name}'")).collect();
    let mut build = cargo();
    build.current_dir(&place.sources).env("CARGO_HOME", &place.cache);
    // Quoted as for a shell: a folder's name may have a space.
    build.env("CFLAGS", c_flags.join(" ")).env("CC_SHELL_ESCAPED_FLAGS", "1");
    // What the shell says besides would be part of it.
    build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    build.args(["build", "--release", "--locked", "--package", "ketch", "--config", &config, "--target-dir"]);
    process::run(build.arg(&place.target))?;
    Ok(place.target.join(process::host()?).join("release/ketch"))
}

/// Builds the same commit in a clone, with another target folder and a cache under another name.
fn built_elsewhere(digest: &str) -> anyhow::Result<()> {
    let elsewhere = tempfile::tempdir()?;
    let own = Place::own()?;
    let place = Place {
        sources: elsewhere.path().join("a clone"),
        target: elsewhere.path().join("made"),
        cache: elsewhere.path().join("cache"),
    };
    process::run(git(&own.sources).args(["clone", "--quiet", "."]).arg(&place.sources))?;
    std::os::unix::fs::symlink(&own.cache, &place.cache)?;
    let other = self::digest(&build(&place)?)?;
    ensure!(other == digest, "the same commit gave {digest} here and {other} in another folder");
    println!("the same bytes in two folders");
    Ok(())
}

fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder);
    git
}

fn digest(path: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// As `sha256sum --check` reads them.
fn sums(folder: &Path, names: &[&Path]) -> anyhow::Result<String> {
    let line = |name: &&Path| Ok(format!("{}  {}\n", digest(&folder.join(name))?, name.display()));
    names.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_that_people_check() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "one"), ("b c", "two")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let sums = sums(folder.path(), &["a".as_ref(), "b c".as_ref()]).unwrap();
        fs::write(folder.path().join("SHA256SUMS"), sums).unwrap();
        let mut check = Command::new("sha256sum");
        process::output(check.args(["--check", "SHA256SUMS"]).current_dir(folder.path())).unwrap();
    }
}
