//! A private apt: its own lists and cache, so that packages of any of Debian's releases can be unpacked without being
//! installed. It verifies the archive's signature with Debian's keyring, the lists by it, and every package by them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::process;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Knows what a release holds.
    pub(crate) fn open(folder: &Path, release: &str) -> anyhow::Result<Self> {
        let apt = Self { folder: folder.to_owned() };
        for needed in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(needed))?;
        }
        let source = format!("deb [signed-by={KEYRING}] {} {release} main\n", mirror());
        fs::write(folder.join("sources.list"), source)?;
        fs::write(folder.join("state/status"), "")?;
        process::run(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    /// Packages and all that they depend on, unpacked beside each other, but for those that only install others.
    pub(crate) fn unpack(&self, packages: &[&str], into: &Path) -> anyhow::Result<()> {
        process::run(self.command("apt-get").args(["install", "--download-only", "--yes"]).args(packages))?;
        for entry in fs::read_dir(self.folder.join("cache/archives"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                extract(&path, into)?;
            }
        }
        Ok(())
    }

    /// What a package without content of its own stands for, alone.
    pub(crate) fn unpack_behind(&self, package: &str, into: &Path) -> anyhow::Result<()> {
        let depends = process::output(self.command("apt-cache").args(["depends", package]))?;
        let behind = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let behind = behind.with_context(|| format!("{package} stands for nothing"))?;
        let here = self.folder.join("alone");
        fs::create_dir_all(&here)?;
        process::run(self.command("apt-get").args(["download", behind]).current_dir(&here))?;
        for entry in fs::read_dir(&here)? {
            extract(&entry?.path(), into)?;
        }
        Ok(fs::remove_dir_all(here)?)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let option = |name: &str, value: &Path| format!("{name}={}", value.display());
        for (name, path) in [
            ("Dir::State", "state"),
            ("Dir::State::status", "state/status"),
            ("Dir::Cache", "cache"),
            ("Dir::Etc::sourcelist", "sources.list"),
        ] {
            command.args(["-o", &option(name, &self.folder.join(path))]);
        }
        for fixed in [
            "Dir::Etc::sourceparts=-",
            "APT::Sandbox::User=root",
            "APT::Install-Recommends=false",
            "Acquire::Languages=none",
            // A snapshot or a machine whose clock runs ahead still has a valid signature.
            "Acquire::Check-Valid-Until=false",
        ] {
            command.args(["-o", fixed]);
        }
        command.arg("--quiet");
        command
    }
}

fn extract(package: &Path, into: &Path) -> anyhow::Result<()> {
    process::output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(into)).map(drop)
}

/// The mirror that this machine uses, or Debian's own: any will do, since the signature decides.
pub(crate) fn mirror() -> String {
    let files = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"];
    let text: String = files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let own = text
        .split_whitespace()
        .find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"));
    own.unwrap_or("http://deb.debian.org/debian").to_owned()
}
