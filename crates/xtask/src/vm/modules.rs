//! A machine's kernel modules: the kernel asks for them itself by `modprobe`, as on anybody's machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::find;
use crate::process;

/// Where what the checks need of a kernel is, below its `kernel` folder: folders, or the start of files' names.
const NEEDED: &[&str] = &[
    "arch/x86/crypto",
    "crypto",
    "drivers/block/loop",
    "drivers/net/dummy",
    "drivers/net/ipvlan",
    "drivers/net/macvlan",
    "drivers/net/veth",
    "fs/erofs",
    "fs/ext4",
    "fs/fscache",
    "fs/jbd2",
    "fs/mbcache",
    "fs/lockd",
    "fs/netfs",
    "fs/nfs",
    "fs/nfs_common",
    "fs/nfsd",
    "fs/nls",
    "fs/overlayfs",
    "fs/quota",
    "fs/smb",
    "fs/xfs",
    "lib",
    "net/802",
    "net/dns_resolver",
    "net/8021q",
    "net/bridge",
    "net/ipv4/netfilter",
    "net/ipv6/netfilter",
    "net/llc",
    "net/netfilter",
    "net/sctp",
    "net/sunrpc",
    "net/ipv4/udp_tunnel",
    "net/ipv6/ip6_udp_tunnel",
];

/// Unpacks them into `into/lib/modules/<release>` beside an index of theirs.
pub(super) fn gather(kernel: &Path, into: &Path) -> anyhow::Result<()> {
    let places = [kernel.join("lib/modules"), kernel.join("usr/lib/modules")];
    let place = places.iter().find(|path| path.is_dir()).context("a kernel without modules")?;
    let from = find(place, "")?;
    let release = from.file_name().context("a kernel without a release")?;
    let to = into.join("lib/modules").join(release);
    for needed in NEEDED {
        take(&from.join("kernel").join(needed), &to.join("kernel").join(needed))?;
    }
    for index in ["modules.builtin", "modules.order"] {
        fs::copy(from.join(index), to.join(index))?;
    }
    process::run(Command::new("busybox").args(["depmod", "-b"]).arg(into).arg(release))
}

fn take(from: &Path, to: &Path) -> anyhow::Result<()> {
    if from.is_dir() {
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            take(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    let folder = to.parent().context("a module without a folder")?;
    for packed in [with(from, "ko"), with(from, "ko.xz"), from.to_owned()] {
        if packed.is_file() {
            fs::create_dir_all(folder)?;
            let name = packed.file_name().context("a module without a name")?.to_string_lossy();
            return fs::write(folder.join(name.trim_end_matches(".xz")), unpacked(&packed)?)
                .map_err(Into::into);
        }
    }
    // Built in, or not at all: the checks tell.
    Ok(())
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Newer kernels have them compressed.
fn unpacked(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(fs::read(path)?);
    }
    let output = Command::new("xz").arg("-dc").arg(path).output().context("xz")?;
    ensure!(output.status.success(), "xz -dc {}: {}", path.display(), output.status);
    Ok(output.stdout)
}
