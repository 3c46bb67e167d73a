//! A volume that somebody else than a container works with: it is mounted as for one, and stays.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use layers::{Extract, Overwrite, Owner};
use rustix::fs::{Mode, OFlags, open};

use super::{Volume, VolumeError, Volumes, lock, within_limits};
use crate::Error;
use crate::containers::{Archive, PathStat, Wanted};

/// Given back when it goes.
#[derive(Debug)]
pub(super) struct Lent {
    volumes: Arc<Volumes>,
    pub(super) volume: Volume,
    /// Who has it, as those hear who want to remove it. No container's id has a space.
    user: String,
    root: OwnedFd,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let place = self.volumes.place(&self.volume.name);
        let mut users = lock(&place);
        users.remove(&self.user);
        self.volumes.detach(&self.volume, &self.user, users.is_empty());
    }
}

impl Volumes {
    /// Has a volume ready for some work, which is told to who wants to remove it meanwhile. Blocking.
    pub(super) fn lend(self: &Arc<Self>, name: &str, work: &str) -> Result<Lent, Error> {
        let volume = self.get(name)?;
        let user = format!("{work} {}", &crate::id::container_id()[..12]);
        let place = self.place(name);
        let mut users = lock(&place);
        // It may have gone while its lock was somebody else's.
        self.get(name)?;
        self.make_folder(&volume)?;
        let target = self.attach(&volume, &user)?;
        let opened = open(&target, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let opened = match opened {
            Ok(root) if self.is_whole(&volume) => Ok(root),
            Ok(_) => Err(VolumeError::Filling(name.to_owned()).into()),
            Err(errno) => Err(Error::File { doing: "open", path: target, source: errno.into() }),
        };
        let root = opened.inspect_err(|_| self.detach(&volume, &user, users.is_empty()))?;
        users.insert(user.clone());
        drop(users);
        Ok(Lent { volumes: self.clone(), volume, user, root })
    }

    /// The whole of a volume, to be written as a tar. Blocking.
    pub fn export(self: &Arc<Self>, name: &str) -> Result<Export, Error> {
        Ok(Export(self.lend(name, "export")?))
    }

    /// What is at a path of a volume. Blocking.
    pub fn stat(self: &Arc<Self>, name: &str, path: &str) -> Result<PathStat, Error> {
        Ok(self.archive(name, path)?.archive.stat)
    }

    /// The same with what is needed to archive it. Blocking.
    pub fn archive(self: &Arc<Self>, name: &str, path: &str) -> Result<Part, Error> {
        let lent = self.lend(name, "cp")?;
        let archive = lent.part(path)?;
        Ok(Part { archive, _lent: lent })
    }

    /// Extracts a tar into a directory of a volume. Blocking.
    pub fn put(
        self: &Arc<Self>,
        name: &str,
        path: &str,
        overwrite: Overwrite,
        tar: impl Read,
    ) -> Result<(), Error> {
        let lent = self.lend(name, "cp")?;
        let unreadable = |source| Error::Layers(layers::Error::ReadTar { source });
        lent.take(path, overwrite, None, layers::decompress_archive(tar).map_err(unreadable)?)
    }
}

impl Lent {
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// What is at a path.
    pub(super) fn part(&self, path: &str) -> Result<Archive, Error> {
        let failed = |source| Error::System { doing: "open a volume", source };
        let root = self.root.try_clone().map_err(failed)?;
        Archive::of(root, &self.volume.name, path, self.volumes.limits.clone())
            .map_err(|error| self.missing(error))
    }

    /// Extracts a tar, uncompressed, into a directory. What its names begin with may be called otherwise.
    pub(super) fn take(
        &self,
        path: &str,
        overwrite: Overwrite,
        rename: Option<(String, String)>,
        tar: impl Read,
    ) -> Result<(), Error> {
        let folder = Wanted::read(path)?.open_directory(self.root(), &self.volume.name);
        let folder = folder.map_err(|error| self.missing(error))?;
        let how = Extract { owner: Owner::Archive, overwrite, rename, shown: path.to_owned() };
        let _within = within_limits(&self.volume)?;
        Ok(layers::extract(tar, folder.as_fd(), &how, &self.volumes.limits)?)
    }

    fn missing(&self, error: Error) -> Error {
        match error {
            Error::NoSuchFile { path, .. } => {
                VolumeError::NoSuchFile { path, volume: self.volume.name.clone() }.into()
            }
            other => other,
        }
    }
}

/// The whole of a volume on its way into a tar.
#[derive(Debug)]
pub struct Export(Lent);

impl Export {
    /// Writes it, the top directory first. Blocking.
    pub fn write(self, out: &mut dyn Write) -> Result<(), Error> {
        Ok(layers::pack_tree(self.0.root(), b".", out, &self.0.volumes.limits)?)
    }
}

/// What is at a path of a volume, to be written as a tar.
#[derive(Debug)]
pub struct Part {
    pub archive: Archive,
    _lent: Lent,
}

impl Part {
    /// Writes it. Blocking.
    pub fn write(self, out: &mut dyn Write) -> Result<(), Error> {
        self.archive.write(out)
    }
}
