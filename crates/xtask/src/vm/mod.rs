//! `cargo xtask vm`: the runtime on cgroup v2, in virtual machines under software emulation. Kernels and systemd are
//! Debian's; beside them a machine has busybox, the built `ketch` and `tests/vm`, and nothing else.
//!
//! ```text
//! kernel ─► init.sh (moves everything to a file system that can be left) ─► systemd ─► checks.service ─► checks.sh
//!                                                                      └──────────────── without it ──►
//! ```

mod archive;
mod disk;
mod modules;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::apt::Apt;
use crate::process::{self, cargo};
use archive::Archive;

const KERNEL: &str = "linux-image-cloud-amd64";
/// What nobody needs of the packages of systemd.
const LEFT_OUT: &[&str] =
    &["usr/share/doc", "usr/share/locale", "usr/share/man", "usr/lib/udev", "usr/share/debconf"];

struct Machine {
    name: &'static str,
    /// Of Debian's.
    release: &'static str,
    packages: &'static [&'static str],
}

/// The first is the one that CI boots.
const MACHINES: &[Machine] = &[
    Machine { name: "Linux 6.12 with systemd", release: "trixie", packages: &["systemd", "ksmbd-tools"] },
    Machine { name: "Linux 6.1 without", release: "bookworm", packages: &[] },
    Machine { name: "Linux 5.10 with systemd", release: "bullseye", packages: &["systemd"] },
];

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let is_release = |word: &str| MACHINES.iter().any(|machine| machine.release == word);
    let words = || arguments.iter().map(String::as_str);
    let all = words().any(|word| word == "--all");
    let parts: Vec<&str> = words().filter(|word| !word.starts_with("--") && !is_release(word)).collect();
    let releases: Vec<&str> = words().filter(|word| is_release(word)).collect();
    let first = MACHINES[0].release;
    let wanted =
        |release: &str| all || releases.contains(&release) || releases.is_empty() && release == first;
    process::run(cargo().args(["build", "-q", "-p", "ketch"]))?;
    process::run(cargo().args(["build", "-q", "-p", "testkit", "--bin", "sctp"]))?;
    let cache = testkit::command::clients_folder().join("vm");
    let ketch = cache.join("ketch");
    fs::create_dir_all(&cache)?;
    process::run(Command::new("strip").arg("-o").args([&ketch, &process::wanted_ketch()?]))?;
    for machine in MACHINES.iter().filter(|machine| wanted(machine.release)) {
        println!("{}:", machine.name);
        let folder = machine.fetch(&cache)?;
        let initrd = folder.join("initrd");
        fs::write(&initrd, machine.archive(&folder, &ketch)?)?;
        boot(&find(&folder.join("kernel/boot"), "vmlinuz")?, &initrd, &parts.join(","))?;
        fs::remove_file(&initrd)?;
    }
    Ok(())
}

impl Machine {
    /// Fetched once for a list of packages; newer ones are asked for by removing the cache.
    fn fetch(&self, cache: &Path) -> anyhow::Result<PathBuf> {
        let (folder, wanted) = (cache.join(self.release), self.packages.join(" "));
        let fetched = fs::read_to_string(folder.join("packages"));
        if fetched.is_ok_and(|fetched| fetched == wanted) {
            return Ok(folder);
        }
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        let half = cache.join(format!("{}.part", self.release));
        if half.is_dir() {
            fs::remove_dir_all(&half)?;
        }
        fs::create_dir_all(half.join("root"))?;
        let apt = Apt::open(&half.join("apt"), self.release)?;
        apt.unpack_behind(KERNEL, &half.join("kernel"))?;
        if !self.packages.is_empty() {
            apt.unpack(self.packages, &half.join("root"))?;
            merge(&half.join("root"))?;
        }
        for name in LEFT_OUT.iter().map(|name| half.join("root").join(name)).filter(|path| path.is_dir()) {
            fs::remove_dir_all(name)?;
        }
        fs::remove_dir_all(half.join("apt"))?;
        fs::write(half.join("packages"), wanted)?;
        fs::rename(half, &folder)?;
        Ok(folder)
    }

    fn archive(&self, folder: &Path, ketch: &Path) -> anyhow::Result<Vec<u8>> {
        let mut archive = Archive::default();
        for name in ["proc", "dev", "new", "usr"] {
            archive.folder(name)?;
        }
        for name in ["usr", "etc", "var"].into_iter().filter(|name| folder.join("root").join(name).is_dir()) {
            archive.tree(name, &folder.join("root").join(name))?;
        }
        for name in ["usr/bin", "usr/lib", "usr/lib64"] {
            archive.folder(name)?;
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            let target = if name == "sbin" { "usr/bin".to_owned() } else { format!("usr/{name}") };
            archive.link(name, &target)?;
        }
        let modules = tempfile::tempdir()?;
        modules::gather(&folder.join("kernel"), modules.path())?;
        archive.tree("usr/lib/modules", &modules.path().join("lib/modules"))?;
        disk::tool(&mut archive)?;
        archive.folder("disks")?;
        for kind in ["ext4", "xfs"] {
            disk::made(&mut archive, kind)?;
        }
        archive.tree("checks", &process::workspace().join("tests/vm"))?;
        archive.file("init", &fs::read(process::workspace().join("tests/vm/init.sh"))?)?;
        let sctp = process::ketch("debug")?.with_file_name("sctp");
        let programs =
            [("ketch", ketch), ("usr/bin/busybox", Path::new("/bin/busybox")), ("usr/bin/sctp", &sctp)];
        for (name, path) in programs {
            archive.file(name, &fs::read(path).with_context(|| path.display().to_string())?)?;
        }
        archive.finish()
    }
}

/// Older releases' packages have `/lib` and the like beside `/usr`, of which a machine has `/usr` alone.
fn merge(root: &Path) -> anyhow::Result<()> {
    for (name, place) in [("bin", "bin"), ("sbin", "bin"), ("lib", "lib"), ("lib64", "lib64")] {
        let (from, to) = (root.join(name), root.join("usr").join(place));
        if fs::symlink_metadata(&from).is_ok_and(|about| about.is_dir()) {
            fs::create_dir_all(&to)?;
            process::run(Command::new("cp").arg("-a").arg(from.join(".")).arg(to))?;
        }
    }
    Ok(())
}

fn find(folder: &Path, start: &str) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut found: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)));
    found.into_iter().min().with_context(|| format!("no {start} in {}", folder.display()))
}

/// Shows what the machine says, and fails unless it says at last that all went well.
fn boot(image: &Path, initrd: &Path, parts: &str) -> anyhow::Result<()> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-m", "2048", "-nographic", "-no-reboot"]);
    qemu.args(["-nic", "none"]).arg("-kernel").arg(image).arg("-initrd").arg(initrd);
    let words = "console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init systemd.unit=checks.service systemd.show_status=0 loglevel=1";
    qemu.args(["-append", &format!("{words} ketch.checks={parts}")]);
    let mut child =
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context(
            "qemu-system-x86_64 is missing: apt-get install --no-install-recommends qemu-system-x86",
        )?;
    let mut passed = false;
    for line in BufReader::new(child.stdout.take().context("no output")?).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        let shown = ["ok: ", "WRONG: ", "VM: "].iter().any(|start| line.starts_with(start));
        if shown || line.contains("panic") || std::env::var_os("KETCH_VM_ALL").is_some() {
            println!("{line}");
        }
        passed |= line == "VM: passed";
    }
    child.wait()?;
    ensure!(passed, "the runtime fails on cgroup v2 (or the machine never came to its end)");
    Ok(())
}
