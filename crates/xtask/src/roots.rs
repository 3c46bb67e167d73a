//! `cargo xtask roots`: the main job in fresh systems of Debian 11, 12 and 13, made by debootstrap. The machine's kernel, and nothing else of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{apt, process};

const RELEASES: [&str; 3] = ["bullseye", "bookworm", "trixie"];

/// The system becomes the root of a mount namespace of its own. A changed root alone wouldn't do: from there nobody may make users' namespaces.
/// It has a network of its own, where what the demo leaves is seen.
const ENTER: &str = r#"set -eu
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
ip link set lo up
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir tmp/before
cp "$2" tmp/ketch
pivot_root . tmp/before
umount -l /tmp/before
. /etc/os-release
echo "+ $PRETTY_NAME"
/tmp/ketch demo
test -z "$(ls /sys/class/net | grep '^ketch-')" || { echo "the demo left a bridge behind"; exit 1; }
"#;

pub(crate) fn run(rest: &[String]) -> anyhow::Result<()> {
    let releases = match rest {
        [] => RELEASES.to_vec(),
        names => names.iter().map(String::as_str).collect(),
    };
    let ketch = process::wanted_ketch()?;
    for release in releases {
        ensure!(RELEASES.contains(&release), "{release}: one of {}", RELEASES.join(", "));
        let root = root(release)?;
        let mut enter = Command::new("unshare");
        enter.args(["--mount", "--pid", "--net", "--fork", "sh", "-c", ENTER, "sh"]).arg(&root).arg(&ketch);
        // What the system itself has is what counts.
        enter.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        process::run(&mut enter).with_context(|| format!("the demo in {release}"))?;
    }
    Ok(())
}

/// Made once, and kept in the cache when it is whole.
fn root(release: &str) -> anyhow::Result<PathBuf> {
    let cache = cache();
    let root = cache.join(release);
    if root.exists() {
        return Ok(root);
    }
    ensure!(
        process::is_installed("debootstrap"),
        "debootstrap makes the systems: apt-get install debootstrap"
    );
    fs::create_dir_all(&cache)?;
    let making = tempfile::tempdir_in(&cache)?;
    let folder = making.path().join(release);
    let mut make = Command::new("debootstrap");
    process::run(make.args(["--variant=minbase", release]).arg(&folder).arg(apt::mirror()))?;
    fs::rename(&folder, &root)?;
    Ok(root)
}

fn cache() -> PathBuf {
    Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/ketch-roots")
}
