//! Folders that may take only so much of the disk, where the file system counts projects' files.
//!
//! Which numbers are taken is the file system's own knowledge: one is free when no file has it and no limit is set for it. So
//! engines beside each other need not agree, and nothing is remembered. A folder gets its number before the limit is set, and
//! the limit goes after the folder: what a crash leaves is a limit that nobody has, which the next start takes away.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The numbers that are the engine's: high ones, which nobody gives away by hand.
const FIRST: u32 = 0x4b00_0000;
const COUNT: u32 = 0x0100_0000;

/// Why folders of a file system can't be held to a size.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error("quotas of projects need Linux 5.14 or later")]
    Kernel,
    #[error("{} is on xfs without quotas of projects: mount it with the option pquota (the kernel needs CONFIG_XFS_QUOTA)", .0.display())]
    Xfs(PathBuf),
    #[error(
        "{} is on ext4 without quotas of projects: tune2fs -O quota,project -Q prjquota, and mount it with the option prjquota \
         (the kernel needs CONFIG_QFMT_V2)", .0.display()
    )]
    Ext4(PathBuf),
    #[error("{} is on a file system without quotas of projects: xfs mounted with pquota has them, and ext4 with prjquota", .0.display())]
    Other(PathBuf),
}

/// Why a folder isn't held to its size.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("cannot hold {} to {size} bytes", path.display())]
    Set { path: PathBuf, size: u64, source: io::Error },
}

/// A size as docker's clients write it.
pub(crate) fn read_size(text: &str) -> Result<u64, String> {
    crate::containers::logs::size(text, 1024).ok_or_else(|| format!("invalid size: '{text}'"))
}

/// Whether folders below this one can be held to a size.
pub(crate) fn check(place: &Path) -> Result<(), Missing> {
    const XFS: u64 = 0x5846_5342;
    const EXT4: u64 = 0xef53;
    let opened = File::open(place);
    if opened.as_ref().is_ok_and(|place| sys::holds_projects(place.as_fd())) {
        return Ok(());
    }
    let kind = opened.ok().and_then(|place| rustix::fs::fstatfs(&place).ok()).map(|kind| kind.f_type as u64);
    Err(match kind {
        _ if !sys::quotas_by_descriptor() => Missing::Kernel,
        Some(XFS) => Missing::Xfs(place.to_owned()),
        Some(EXT4) => Missing::Ext4(place.to_owned()),
        _ => Missing::Other(place.to_owned()),
    })
}

/// Holds new folders, together, to a size, unless they are already.
pub(crate) fn limit(folders: &[&Path], size: u64) -> Result<(), QuotaError> {
    let path = folders[0].to_owned();
    if of(&path).is_some() {
        return Ok(());
    }
    check(&path)?;
    let set = || {
        let opened = folders.iter().map(File::open).collect::<io::Result<Vec<_>>>()?;
        let place = opened[0].as_fd();
        let number = free_number(place)?;
        opened.iter().try_for_each(|folder| sys::give_to_project(folder.as_fd(), number))?;
        sys::limit_project(place, number, size)
    };
    set().map_err(|source| QuotaError::Set { path, size, source })
}

/// One of ours that is nobody's. It starts anywhere, so that engines on one file system don't meet.
fn free_number(place: std::os::fd::BorrowedFd<'_>) -> io::Result<u32> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let start = u32::from_ne_bytes(bytes) % COUNT;
    for step in 0..COUNT {
        let number = FIRST + (start + step) % COUNT;
        let account = sys::account(place, number)?;
        if account.files == 0 && account.limit == 0 {
            return Ok(number);
        }
    }
    Err(io::Error::new(io::ErrorKind::QuotaExceeded, "no number is left for a project"))
}

/// The number of a folder that was held to a size.
pub(crate) fn of(folder: &Path) -> Option<u32> {
    let number = sys::project_of(File::open(folder).ok()?.as_fd()).ok()?;
    (FIRST..FIRST + COUNT).contains(&number).then_some(number)
}

/// Gives back the number of a folder that has gone from below `place`.
pub(crate) fn free(place: &Path, number: Option<u32>) {
    let Some(number) = number else { return };
    let freed = File::open(place).and_then(|place| sys::limit_project(place.as_fd(), number, 0));
    if let Err(error) = freed {
        tracing::warn!(path = %place.display(), number, %error, "a quota stays");
    }
}

/// Limits of folders that have gone: an engine died between the two.
pub(crate) fn sweep(place: &Path) {
    let Ok(place) = File::open(place) else { return };
    let mut next = FIRST;
    while let Ok(Some(account)) = sys::next_account(place.as_fd(), next) {
        if account.project < next || account.project >= FIRST + COUNT {
            return;
        }
        if account.files == 0 && account.limit != 0 {
            let _ = sys::limit_project(place.as_fd(), account.project, 0);
        }
        next = account.project + 1;
    }
}
