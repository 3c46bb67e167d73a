//! An exported directory on its way into one of ours: what is there already stays, what has the same name is replaced.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use build::Error;
use build::session::{Entry, Kind, Receive, Want};
use diag::Class;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

/// Writes below one directory, and nowhere else whatever it is told.
pub(super) struct Landing {
    top: OwnedFd,
    /// Files whose bytes are coming.
    coming: HashMap<u32, (File, Entry)>,
    /// Directories with the times that they have to have when all is in them.
    directories: Vec<(Vec<u8>, Timestamps)>,
    owners: bool,
}

impl Landing {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let make = || -> std::io::Result<OwnedFd> {
            std::fs::create_dir_all(path)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
        };
        let top = make().map_err(|e| Error::Work {
            doing: format!("write to {}", path.display()),
            class: Class::Internal,
            source: e.into(),
        })?;
        let owners = rustix::process::geteuid().is_root();
        Ok(Self { top, coming: HashMap::new(), directories: Vec::new(), owners })
    }

    /// The directory that a path is in, and its name there.
    fn parent<'a>(&self, path: &'a [u8]) -> rustix::io::Result<(OwnedFd, &'a [u8])> {
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b"."[..], path),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok((rustix::fs::openat2(&self.top, parent, flags, Mode::empty(), resolve)?, name))
    }

    fn place(&mut self, number: u32, entry: &Entry) -> rustix::io::Result<Want> {
        let (parent, name) = self.parent(&entry.path)?;
        let mode = Mode::from_raw_mode(entry.mode);
        if entry.kind == Kind::Directory {
            match rustix::fs::mkdirat(&parent, name, mode) {
                Err(Errno::EXIST) => {}
                other => other?,
            }
            // Something else may have the name; a link to a directory isn't one.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
            rustix::fs::fchmod(&made, mode)?;
            self.directories.push((entry.path.clone(), times(entry.mtime)));
            return Ok(Want::Nothing);
        }
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            other => other?,
        }
        match &entry.kind {
            Kind::File { .. } => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600))?;
                self.coming.insert(number, (file.into(), entry.clone()));
                return Ok(Want::Content);
            }
            Kind::Hardlink { to } => {
                let (from, old) = self.parent(to)?;
                rustix::fs::linkat(&from, old, &parent, name, AtFlags::empty())?;
                return Ok(Want::Nothing);
            }
            Kind::Symlink { to } => rustix::fs::symlinkat(to.as_slice(), &parent, name)?,
            Kind::Fifo => rustix::fs::mknodat(&parent, name, FileType::Fifo, mode, 0)?,
            Kind::Device { block, major, minor } => {
                let form = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
                rustix::fs::mknodat(&parent, name, form, mode, rustix::fs::makedev(*major, *minor))?;
            }
            Kind::Directory => {}
        }
        if self.owners {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        rustix::fs::utimensat(&parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Want::Nothing)
    }

    fn finish(&self, file: &File, entry: &Entry) -> rustix::io::Result<()> {
        if self.owners {
            rustix::fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))?;
        rustix::fs::futimens(file, &times(entry.mtime))
    }
}

impl Receive for Landing {
    fn entry(&mut self, number: u32, entry: Entry) -> Result<Want, Error> {
        self.place(number, &entry).map_err(|e| unwritable(&entry.path, e))
    }

    fn data(&mut self, number: u32, bytes: &[u8]) -> Result<(), Error> {
        match self.coming.get_mut(&number) {
            Some((file, entry)) => file.write_all(bytes).map_err(|e| unwritable(&entry.path, e)),
            None => Ok(()),
        }
    }

    fn file_end(&mut self, number: u32) -> Result<(), Error> {
        match self.coming.remove(&number) {
            Some((file, entry)) => self.finish(&file, &entry).map_err(|e| unwritable(&entry.path, e)),
            None => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        for (path, times) in self.directories.drain(..).rev() {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::openat2(self.top.as_fd(), &*path, flags, Mode::empty(), resolve);
            let set = opened.and_then(|directory| rustix::fs::futimens(directory, &times));
            set.map_err(|e| unwritable(&path, e))?;
        }
        Ok(())
    }
}

fn times(mtime: i64) -> Timestamps {
    let time =
        Timespec { tv_sec: mtime.div_euclid(1_000_000_000), tv_nsec: mtime.rem_euclid(1_000_000_000) as _ };
    Timestamps { last_access: time, last_modification: time }
}

fn unwritable(path: &[u8], error: impl Into<std::io::Error>) -> Error {
    let doing = format!("write {}", String::from_utf8_lossy(path));
    Error::Work { doing, class: Class::Internal, source: Box::new(error.into()) }
}
