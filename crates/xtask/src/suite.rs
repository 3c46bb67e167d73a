//! `cargo xtask test`: everything that CI asks, in the order in which a failure is cheapest.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::process::{self, cargo, is_installed, run};
use crate::{check, clients, coverage, vm};

/// Programs that tests call, and the packages that hold them.
const NEEDED: &[(&str, &str)] = &[
    ("gcc", "gcc libc6-dev"),
    ("busybox", "busybox-static"),
    ("bzip2", "bzip2"),
    ("git", "git"),
    ("ip", "iproute2"),
    ("ssh-agent", "openssh-client"),
    ("dpkg-deb", "dpkg"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("openssl", "openssl"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("python3", "python3"),
    ("ps", "procps"),
    ("zstd", "zstd"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("strip", "binutils"),
    ("xz", "xz-utils"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("npm", "npm"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("debugfs", "e2fsprogs"),
    ("redis-cli", "redis-tools"),
    ("curl", "curl"),
];
const LIMIT: u64 = 25_000_000;

pub(crate) fn test() -> anyhow::Result<()> {
    install()?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo().args(["build", "--quiet", "--package", "ketch"]))?;
    check::run()?;
    coverage::run(&["--check".to_owned()])?;
    clients::run()?;
    let ketch = process::ketch("debug")?;
    let mut tests = cargo();
    match cargo().args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success()) {
        true => tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]),
        false => tests.args(["test", "--workspace", "--no-fail-fast"]),
    };
    run(tests.env("KETCH_BIN", ketch))?;
    vm::run(&[])
}

/// A test that lacks a tool fails; so the tools are brought here, where that can be done.
fn install() -> anyhow::Result<()> {
    let mut missing: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    // Debian keeps what makes virtual environments in a package of its own.
    let venv = Command::new("python3").args(["-c", "import ensurepip"]).output();
    if !venv.is_ok_and(|output| output.status.success()) {
        missing.push("python3-venv");
    }
    let packages: Vec<&str> = missing.iter().flat_map(|list| list.split(' ')).collect();
    if packages.is_empty() {
        return Ok(());
    }
    run(Command::new("apt-get").args(["update", "--quiet"]))?;
    run(Command::new("apt-get")
        .args(["install", "--yes", "--quiet", "--no-install-recommends"])
        .args(&packages))
    .with_context(|| format!("the tests need {}: install them as root", packages.join(" ")))
}

pub(crate) fn size() -> anyhow::Result<()> {
    run(cargo().args(["build", "--release", "--package", "ketch"]))?;
    let ketch = process::ketch("release")?;
    let bytes = std::fs::metadata(&ketch)?.len();
    println!("{bytes} bytes of {LIMIT}");
    ensure!(bytes <= LIMIT, "the binary is larger than {LIMIT} bytes");
    check::is_static(&ketch)
}

pub(crate) fn demo() -> anyhow::Result<()> {
    run(cargo().args(["run", "--release", "--quiet", "--package", "ketch", "--", "demo"]))
}
