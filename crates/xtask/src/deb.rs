//! `cargo xtask deb`: a Debian package of the release binary, as its own `install` puts things.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::process::{self, cargo, workspace};

pub(crate) fn run() -> anyhow::Result<()> {
    process::run(cargo().args(["build", "--release", "--package", "ketch"]))?;
    let ketch = process::ketch("release")?;
    // target/<host>/release/ketch
    let package = make(&ketch, ketch.ancestors().nth(3).context("a binary without a folder")?, &[])?;
    println!("{}", package.display());
    Ok(())
}

/// Makes the package of this program in `folder`; `packing` is for dpkg-deb.
pub(crate) fn make(ketch: &Path, folder: &Path, packing: &[&str]) -> anyhow::Result<PathBuf> {
    let root = folder.join(format!("deb-{}", std::process::id()));
    let made = fill(&root, ketch).and_then(|name| build(&root, &folder.join(name), packing));
    fs::remove_dir_all(&root)?;
    made
}

/// Puts everything into the folder that stands for a machine; returns what the package is called.
fn fill(root: &Path, ketch: &Path) -> anyhow::Result<String> {
    fs::create_dir_all(root.join("DEBIAN"))?;
    process::run(Command::new(ketch).args(["install", "--prefix", "/usr", "--root"]).arg(root))?;
    let (version, architecture) = (version()?, architecture());
    let size = size_of(root)? / 1024;
    fs::write(
        root.join("DEBIAN/control"),
        format!(
            "Package: ketch\nVersion: {version}\nArchitecture: {architecture}\nInstalled-Size: {size}\n\
             Maintainer: The Ketch developers <ketch@example.org>\nSection: admin\nPriority: optional\n\
             Description: containers, images, builds, Compose and a registry in one program\n \
             It speaks Docker's protocols: command line, Engine API, BuildKit, Dockerfiles,\n \
             Compose files and registries.\n"
        ),
    )?;
    script(root, "postinst", &["daemon-reload", "enable --now ketch.socket"])?;
    // Containers outlive their engine, and an upgrade ends neither.
    script(root, "postrm", &["daemon-reload"])?;
    Ok(format!("ketch_{version}_{architecture}.deb"))
}

fn build(root: &Path, package: &Path, packing: &[&str]) -> anyhow::Result<PathBuf> {
    let mut build = Command::new("dpkg-deb");
    build.args(packing).args(["--build", "--root-owner-group"]).arg(root).arg(package);
    // The same bytes on another day.
    let time =
        process::output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace()))?;
    process::run(build.env("SOURCE_DATE_EPOCH", time.trim()))?;
    Ok(package.to_owned())
}

/// A script that tells systemd, where it runs.
fn script(root: &Path, name: &str, calls: &[&str]) -> anyhow::Result<()> {
    let calls: Vec<String> = calls.iter().map(|call| format!("    systemctl {call} || true\n")).collect();
    let text = format!("#!/bin/sh\nset -e\nif [ -d /run/systemd/system ]; then\n{}fi\n", calls.concat());
    let path = root.join("DEBIAN").join(name);
    fs::write(&path, text)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

fn version() -> anyhow::Result<String> {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    Ok(line.context("no version in Cargo.toml")?.trim_matches('"').to_owned())
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        size += if meta.is_dir() { size_of(&entry.path())? } else { meta.len() };
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_what_install_puts_and_is_the_same_on_another_day() {
        let scratch = testkit::Scratch::create();
        let ketch = testkit::command::ketch_binary();
        let package = make(&ketch, scratch.path(), &["-Znone"]).unwrap();
        let first = fs::read(&package).unwrap();
        let list = process::output(Command::new("dpkg-deb").arg("--contents").arg(&package)).unwrap();
        for file in
            ["./usr/bin/ketch", "./usr/lib/systemd/system/ketch.socket", "./usr/share/man/man1/ketch-run.1"]
        {
            assert!(list.lines().any(|line| line.ends_with(file)), "{file}: {list}");
        }
        assert!(list.lines().all(|line| line.contains(" root/root ")), "{list}");
        assert!(
            make(&ketch, scratch.path(), &["-Znone"])
                .is_ok_and(|package| fs::read(package).unwrap() == first)
        );
        scratch.remove();
    }
}
