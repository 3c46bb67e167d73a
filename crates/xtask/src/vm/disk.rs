//! Empty file systems for machines that can't make any: this machine's tools do, and what is in them travels as pieces.

use std::fs::{self, File};
use std::process::Command;

use anyhow::Context;

use super::archive::Archive;
use crate::process;

/// Who looks into a file system that isn't mounted: `tools/ld tools/debugfs …`, with this machine's libraries beside it.
const LOOKS: &str = "/usr/sbin/debugfs";

/// As much as xfs has at least.
const SIZE: u64 = 300 << 20;
const PIECE: usize = 64 << 10;

/// A program of this machine's that runs in one with other libraries, or with none.
pub(super) fn tool(archive: &mut Archive) -> anyhow::Result<()> {
    archive.folder("tools")?;
    archive.file("tools/debugfs", &fs::read(LOOKS).context(LOOKS)?)?;
    for line in process::output(Command::new("ldd").arg(LOOKS))?.lines() {
        let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        archive.file(
            &format!("tools/{}", if name.starts_with("ld-") { "ld" } else { name }),
            &fs::read(path)?,
        )?;
    }
    Ok(())
}

/// `disks/<kind>/<number of the piece>` for each piece that isn't all zeros.
pub(super) fn made(archive: &mut Archive, kind: &str) -> anyhow::Result<()> {
    let path = std::env::temp_dir().join(format!("ketch-vm-{}.{kind}", std::process::id()));
    File::create(&path)?.set_len(SIZE)?;
    let options: &[&str] = match kind {
        "ext4" => &["-q", "-O", "quota,project", "-E", "quotatype=prjquota"],
        _ => &["-q"],
    };
    let content = process::run(Command::new(format!("mkfs.{kind}")).args(options).arg(&path))
        .and_then(|()| Ok(fs::read(&path)?));
    fs::remove_file(&path)?;
    archive.folder(&format!("disks/{kind}"))?;
    for (number, piece) in content?.chunks(PIECE).enumerate() {
        if piece.iter().any(|byte| *byte != 0) {
            archive.file(&format!("disks/{kind}/{number}"), piece)?;
        }
    }
    Ok(())
}
