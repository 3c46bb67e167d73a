//! `cargo xtask vm`: the runtime on cgroup v2, in a virtual machine under software emulation. Its kernel is Debian's, from
//! the mirror that this machine's apt uses; its only programs are busybox and the built `ketch`.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::process::{self, cargo};

const META_PACKAGE: &str = "linux-image-cloud-amd64";

pub(crate) fn run() -> anyhow::Result<()> {
    process::run(cargo().args(["build", "-q", "-p", "ketch"]))?;
    let cache = testkit::command::clients_folder().join("vm");
    let kernel = kernel(&cache)?;
    let initrd = cache.join("initrd");
    fs::write(&initrd, archive(&kernel)?)?;
    boot(&kernel.image, &initrd)
}

struct Kernel {
    image: PathBuf,
    loop_module: PathBuf,
}

/// Fetched once; a newer one is asked for by removing the cache.
fn kernel(cache: &Path) -> anyhow::Result<Kernel> {
    let unpacked = cache.join("kernel");
    if !unpacked.is_dir() {
        fs::create_dir_all(cache)?;
        let depends = process::output(Command::new("apt-cache").args(["depends", META_PACKAGE]))?;
        let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        let package =
            package.with_context(|| format!("apt knows no {META_PACKAGE}: run `apt-get update`"))?;
        process::run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(cache))?;
        let is_package = |path: &PathBuf| path.extension().is_some_and(|e| e == "deb");
        let file = files(cache)?.into_iter().find(is_package).context("apt-get left no package")?;
        let half = cache.join("kernel.part");
        process::run(Command::new("dpkg-deb").arg("-x").args([&file, &half]))?;
        fs::remove_file(file)?;
        fs::rename(half, &unpacked)?;
    }
    let named = |folder: &Path, start: &str| {
        let found = files(folder)?
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)));
        found.with_context(|| format!("no {start} in {}", folder.display()))
    };
    let modules = named(&unpacked.join("lib/modules"), "")?;
    Ok(Kernel {
        image: named(&unpacked.join("boot"), "vmlinuz")?,
        loop_module: named(&modules.join("kernel/drivers/block"), "loop.ko")?,
    })
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// The first file system: what cpio calls `newc`, as the kernel unpacks it.
fn archive(kernel: &Kernel) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    for folder in ["bin", "proc", "sys", "dev"] {
        entry(&mut out, folder, 0o040_755, &[])?;
    }
    let ketch = process::ketch("debug")?;
    let script = process::workspace().join("tests/vm/inside.sh");
    let busybox = PathBuf::from("/bin/busybox");
    let contents =
        [("ketch", &ketch), ("init", &script), ("bin/busybox", &busybox), ("loop.ko", &kernel.loop_module)];
    for (name, path) in contents {
        entry(&mut out, name, 0o100_755, &fs::read(path).with_context(|| path.display().to_string())?)?;
    }
    entry(&mut out, "TRAILER!!!", 0, &[])?;
    Ok(out)
}

fn entry(out: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    let (size, length) = (u32::try_from(content.len())?, name.len() + 1);
    // Inode (which makes no difference), mode, owner, links, time, size, devices, the name's length, no checksum.
    write!(out, "070701{:08X}{mode:08X}{:08X}{:08X}{:08X}{:08X}{size:08X}", 0, 0, 0, 1, 0)?;
    write!(out, "{:08X}{:08X}{:08X}{:08X}{length:08X}{:08X}", 0, 0, 0, 0, 0)?;
    out.extend(name.bytes().chain([0]));
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(content);
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(())
}

/// Shows what the machine says, and fails unless it says at last that all went well.
fn boot(image: &Path, initrd: &Path) -> anyhow::Result<()> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-machine",
        "q35,accel=tcg",
        "-cpu",
        "max",
        "-m",
        "1024",
        "-nographic",
        "-no-reboot",
        "-nic",
        "none",
    ]);
    qemu.arg("-kernel").arg(image).arg("-initrd").arg(initrd);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 rdinit=/init"]);
    let mut child =
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context(
            "qemu-system-x86_64 is missing: apt-get install --no-install-recommends qemu-system-x86",
        )?;
    let mut passed = false;
    for line in BufReader::new(child.stdout.take().context("no output")?).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.starts_with("ok: ")
            || line.starts_with("WRONG: ")
            || line.starts_with("VM: ")
            || line.contains("panic")
        {
            println!("{line}");
        }
        passed |= line == "VM: passed";
    }
    child.wait()?;
    ensure!(passed, "the runtime fails on cgroup v2 (or the machine never came to its end)");
    Ok(())
}
