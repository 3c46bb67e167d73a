//! `tmpcopyup`: a new tmpfs starts with what was in the directory that it covers.
//!
//! Everything is reached by the descriptors of the two directories, name by name, and links are copied, never followed:
//! the image may have put anything there.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chmodat, chownat, mkdirat, mknodat, openat,
    readlinkat, statat, symlinkat,
};

/// Deeper trees are refused.
const MAX_DEPTH: usize = 128;

pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let own = rustix::fs::fstat(from)?;
    // A new mount's descriptor only names it.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let to = openat(to, ".", flags, Mode::empty())?;
    rustix::fs::fchmod(&to, Mode::from_raw_mode(own.st_mode & 0o7777))?;
    rustix::fs::fchown(&to, Some(Uid::from_raw(own.st_uid)), Some(Gid::from_raw(own.st_gid)))?;
    entries(from, to.as_fd(), 0)
}

fn entries(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other("the directory is too deep"));
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            one(from, to, entry.file_name(), depth)?;
        }
    }
    Ok(())
}

fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let kind = FileType::from_raw_mode(stat.st_mode);
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match kind {
        FileType::Symlink => symlinkat(readlinkat(from, name, Vec::new())?.as_c_str(), to, name)?,
        FileType::Directory => {
            mkdirat(to, name, Mode::RWXU)?;
            let source = openat(from, name, read | OFlags::DIRECTORY, Mode::empty())?;
            let target = openat(to, name, read | OFlags::DIRECTORY, Mode::empty())?;
            entries(source.as_fd(), target.as_fd(), depth + 1)?;
        }
        FileType::RegularFile => {
            let mut source = File::from(openat(from, name, read | OFlags::NONBLOCK, Mode::empty())?);
            let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut target = File::from(openat(to, name, write, Mode::RWXU)?);
            io::copy(&mut source, &mut target)?;
        }
        _ => mknodat(to, name, kind, mode, stat.st_rdev)?,
    }
    give(to, name, &stat, mode, kind)
}

/// The owner first: changing it takes set-user-id bits away.
fn give(to: BorrowedFd<'_>, name: &CStr, stat: &Stat, mode: Mode, kind: FileType) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if kind != FileType::Symlink {
        chmodat(to, name, mode, AtFlags::empty())?;
    }
    Ok(())
}
