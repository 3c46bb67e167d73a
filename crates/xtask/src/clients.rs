//! `cargo xtask clients`: the real docker CLI, compose, buildx and skopeo, from Debian's archive, and docker-py.
//!
//! Nothing is installed: the packages are unpacked beside each other ([`Apt`]), with the C library that they were built
//! for, so they run on older systems.
//!
//! docker-py and testcontainers come from Python's registry into a virtual environment of their own, every file checked against
//! the hash in `requirements.txt`; dockerode, testcontainers for Node, the Dev Containers CLI and Node itself from its registry,
//! against those in `node/package-lock.json`; bollard and testcontainers for Rust by cargo, against `tests/rust-clients/Cargo.lock`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use testkit::command::clients_folder;

use crate::apt::Apt;
use crate::process;

const PACKAGES: &[&str] = &["docker-cli", "docker-compose", "docker-buildx", "skopeo"];
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/requirements.txt");
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/node");
/// Older clients than these don't speak what the tests ask.
const AT_LEAST: &[(&str, &[&str], u32)] =
    &[("docker", &["--version"], 28), ("docker-compose", &["version"], 2), ("skopeo", &["--version"], 1)];

pub(crate) fn run() -> anyhow::Result<()> {
    let cache = clients_folder();
    let stamp = cache.join("complete");
    let wanted = PACKAGES.join(" ");
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
        fetch(&cache).context("cannot fetch the real clients")?;
    }
    for (name, arguments, major) in AT_LEAST {
        let text = process::output(testkit::command::client(name).args(*arguments))?;
        let found = text.split(|c: char| !c.is_ascii_digit()).find_map(|digits| digits.parse::<u32>().ok());
        anyhow::ensure!(found >= Some(*major), "{name} is older than {major}: {text}");
        println!("{}", text.lines().next().unwrap_or_default());
    }
    fs::write(stamp, wanted)?;
    docker_py(&cache).context("cannot fetch docker-py")?;
    node(&cache).context("cannot fetch dockerode and testcontainers")?;
    rust(&cache).context("cannot build the programs of tests/rust-clients")
}

/// Programs of ours with other people's libraries: built again when they or the list of libraries change.
fn rust(cache: &Path) -> anyhow::Result<()> {
    let (folder, source) = (cache.join("rust"), process::workspace().join("tests/rust-clients"));
    let files = ["Cargo.lock", "Cargo.toml", "src/lib.rs", "src/bin/bollard.rs", "src/bin/testcontainers.rs"];
    let texts: Result<Vec<String>, _> =
        files.iter().map(|name| fs::read_to_string(source.join(name))).collect();
    let (wanted, stamp) = (texts?.concat(), folder.join("complete"));
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let mut install = process::cargo();
    install.args(["install", "--locked", "--debug", "--force", "--quiet", "--path"]).arg(source);
    install.arg("--root").arg(&folder).env("CARGO_TARGET_DIR", folder.join("target"));
    process::run(&mut install)?;
    // What the libraries were compiled to is half a gigabyte, and needed again once in a while.
    fs::remove_dir_all(folder.join("target"))?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Packages' own scripts don't run: what they would compile is left out.
fn node(cache: &Path) -> anyhow::Result<()> {
    let (folder, source) = (cache.join("node"), Path::new(NODE));
    let wanted = fs::read_to_string(source.join("package-lock.json"))?;
    let stamp = folder.join("complete");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(source.join(name), folder.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder);
    process::run(&mut npm)?;
    fs::write(stamp, wanted)?;
    Ok(())
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
