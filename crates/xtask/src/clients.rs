//! `cargo xtask clients`: the real docker CLI, compose, buildx and skopeo, from Debian's archive, and docker-py.
//!
//! A private apt does the fetching, with its own lists and cache below the client cache: it verifies the archive's
//! signature with Debian's keyring, the package lists by it, and every package by them. Nothing is installed: the
//! packages are unpacked beside each other, with the C library that they were built for, so they run on older systems.
//!
//! docker-py comes from Python's registry into a virtual environment of its own, every file checked against the hash in
//! `requirements.txt`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use testkit::command::clients_folder;

use crate::process;

const PACKAGES: &[&str] = &["docker-cli", "docker-compose", "docker-buildx", "skopeo"];
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/requirements.txt");
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Older clients than these don't speak what the tests ask.
const AT_LEAST: &[(&str, &[&str], u32)] =
    &[("docker", &["--version"], 28), ("docker-compose", &["version"], 2), ("skopeo", &["--version"], 1)];

pub(crate) fn run() -> anyhow::Result<()> {
    let cache = clients_folder();
    let stamp = cache.join("complete");
    if !stamp.exists() {
        fetch(&cache).context("cannot fetch the real clients")?;
    }
    for (name, arguments, major) in AT_LEAST {
        let text = process::output(testkit::command::client(name).args(*arguments))?;
        let found = text.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse::<u32>().ok());
        anyhow::ensure!(found >= Some(*major), "{name} is older than {major}: {text}");
        println!("{}", text.lines().next().unwrap_or_default());
    }
    fs::write(stamp, "")?;
    docker_py(&cache).context("cannot fetch docker-py")
}

/// The stamp is the list itself: another list is another environment.
fn docker_py(cache: &Path) -> anyhow::Result<()> {
    let (folder, wanted) = (cache.join("python"), fs::read_to_string(REQUIREMENTS)?);
    let stamp = folder.join("complete");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(testkit::command::python());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--only-binary", ":all:", "--require-hashes", "--requirement", REQUIREMENTS]);
    process::run(&mut pip)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

fn fetch(cache: &Path) -> anyhow::Result<()> {
    for folder in ["apt/state/lists/partial", "apt/cache/archives/partial", "root"] {
        fs::create_dir_all(cache.join(folder))?;
    }
    let source = format!("deb [signed-by={KEYRING}] {} sid main\n", mirror());
    fs::write(cache.join("apt/sources.list"), source)?;
    fs::write(cache.join("apt/state/status"), "")?;
    process::run(apt(cache).arg("update"))?;
    process::run(apt(cache).args(["install", "--download-only", "--yes"]).args(PACKAGES))?;
    for entry in fs::read_dir(cache.join("apt/cache/archives"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            process::output(Command::new("dpkg-deb").arg("--extract").arg(&path).arg(cache.join("root")))?;
        }
    }
    Ok(())
}

/// The mirror that this machine uses, or Debian's own: any will do, since the signature decides.
fn mirror() -> String {
    let files = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"];
    let text: String = files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let own = text
        .split_whitespace()
        .find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"));
    own.unwrap_or("http://deb.debian.org/debian").to_owned()
}

fn apt(cache: &Path) -> Command {
    let state = cache.join("apt");
    let mut command = Command::new("apt-get");
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    for (name, path) in [
        ("Dir::State", "state"),
        ("Dir::State::status", "state/status"),
        ("Dir::Cache", "cache"),
        ("Dir::Etc::sourcelist", "sources.list"),
    ] {
        command.args(["-o", &option(name, &state.join(path))]);
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
