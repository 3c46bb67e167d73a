//! `cargo xtask clients`: the real docker CLI, compose, buildx and skopeo, from Debian's archive, and docker-py.
//!
//! Nothing is installed: the packages are unpacked beside each other ([`Apt`]), with the C library that they were built
//! for, so they run on older systems.
//!
//! docker-py comes from Python's registry into a virtual environment of its own, every file checked against the hash in
//! `requirements.txt`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use testkit::command::clients_folder;

use crate::apt::Apt;
use crate::process;

const PACKAGES: &[&str] = &["docker-cli", "docker-compose", "docker-buildx", "skopeo"];
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/requirements.txt");
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
    let root = cache.join("root");
    fs::create_dir_all(&root)?;
    Apt::open(&cache.join("apt"), "sid")?.unpack(PACKAGES, &root)
}
