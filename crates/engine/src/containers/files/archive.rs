//! `cp`: a part of a root as a tar, and a tar into a root.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use layers::{Extract, IdMap, Overwrite, Owner};
use rustix::fs::FileType;

use super::path::Wanted;
use super::{PathStat, Writing};
use crate::Error;
use crate::containers::exec::root_of;
use crate::containers::{Containers, Handle, Shared, user};

/// What is at a path, to be written as a tar.
#[derive(Debug)]
pub struct Archive {
    pub stat: PathStat,
    found: OwnedFd,
    name: String,
    limits: layers::Limits,
    /// Whose files they are, as whoever gets them shall be told.
    ids: IdMap,
    /// The mount that it is in stays as long as this.
    _root: OwnedFd,
}

impl Archive {
    /// What is at a path below a root, which a client calls `name`.
    pub(crate) fn of(root: OwnedFd, name: &str, path: &str, limits: layers::Limits) -> Result<Self, Error> {
        let wanted = Wanted::read(path)?;
        let found = wanted.open(root.as_fd(), name)?;
        let stat = wanted.stat(root.as_fd(), &found)?;
        Ok(Self { stat, found, name: wanted.base().to_owned(), limits, ids: IdMap::default(), _root: root })
    }

    /// Writes it. Blocking.
    pub fn write(self, out: &mut dyn Write) -> Result<(), Error> {
        Ok(self.pack(out)?)
    }

    pub(crate) fn pack(self, out: &mut dyn Write) -> Result<(), layers::Error> {
        let kind = rustix::fs::fstat(&self.found).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::Directory) => {
                let (folder, name) = (self.found.as_fd(), self.name.as_bytes());
                layers::pack_tree_of(&self.ids, folder, name, out, &self.limits)?;
            }
            _ => layers::pack_file_of(&self.ids, self.found, self.name.as_bytes(), out)?,
        }
        Ok(())
    }
}

/// How a tar is put into a container.
#[derive(Debug, Clone)]
pub struct Put {
    /// As the client calls the container.
    pub container: String,
    pub path: String,
    /// A directory and something else don't replace each other.
    pub same_kind: bool,
    /// Everything becomes the user's that the container runs as.
    pub own: bool,
}

impl Containers {
    /// What is at a path of a container that a client calls `name`. Blocking.
    pub fn stat(&self, handle: &Handle, name: &str, path: &str) -> Result<PathStat, Error> {
        self.find(handle, name, path).map(|archive| archive.stat)
    }

    /// The same with what is needed to archive it. Blocking.
    pub fn archive(&self, handle: &Handle, name: &str, path: &str) -> Result<Archive, Error> {
        let found = self.find(handle, name, path)?;
        self.shared.emit(&handle.view().container, "archive-path", &[]);
        Ok(found)
    }

    fn find(&self, handle: &Handle, name: &str, path: &str) -> Result<Archive, Error> {
        let container = &handle.view().container;
        let root = self.shared.visible(container)?;
        let found = Archive::of(root, name, path, self.shared.layers.limits().clone())?;
        // On disk they are who they are in it.
        let ids = if container.state.live().is_some() { container.id_map() } else { IdMap::default() };
        Ok(Archive { ids, ..found })
    }

    /// Waits for the right to write to the root, if it is one that nobody else has.
    pub async fn writing(&self, handle: &Handle) -> Writing {
        self.shared.writers.write(handle.id()).await
    }

    /// Extracts a tar into a directory of the container. Blocking.
    pub fn put(
        &self,
        handle: &Handle,
        put: &Put,
        writing: Writing,
        tar: impl Read + Send,
    ) -> Result<(), Error> {
        let container = &handle.view().container;
        let wanted = Wanted::read(&put.path)?;
        // In a running container there is one mount for everybody, and the next start needn't wait.
        let (root, writing) = match container.state.live().and_then(|live| root_of(live.pid).ok()) {
            Some(root) => (root, None),
            None => (self.shared.writable(container)?, Some(writing)),
        };
        let folder = wanted.open_directory(root.as_fd(), &put.container)?;
        if container.host.readonly_rootfs {
            return Err(Error::Invalid("container rootfs is marked read-only".into()));
        }
        let ids = if writing.is_none() { container.id_map() } else { IdMap::default() };
        let owner = match put.own && !container.config.user.is_empty() {
            true => {
                let user = user::resolve(&container.config.user, root.as_fd())?;
                let (uid, gid) = ids.on_host(user.uid, user.gid);
                Owner::All { uid, gid }
            }
            false if ids.is_empty() => Owner::Archive,
            false => Owner::Containers(ids.clone()),
        };
        let overwrite = if put.same_kind { Overwrite::SameKind } else { Overwrite::Anything };
        let how = Extract { owner, overwrite, rename: None, shown: put.path.clone() };
        let unreadable = |source| Error::Layers(layers::Error::ReadTar { source });
        extract_as(&ids, || {
            let tar = layers::decompress_archive(tar).map_err(unreadable)?;
            Ok(layers::extract(tar, folder.as_fd(), &how, self.shared.layers.limits())?)
        })?;
        self.shared.emit(container, "extract-to-dir", &[]);
        Ok(())
    }
}

/// What a container's root does can be done only by whom the host knows as that: the host's own root is nobody there.
fn extract_as(ids: &IdMap, extract: impl FnOnce() -> Result<(), Error> + Send) -> Result<(), Error> {
    if ids.is_empty() {
        return extract();
    }
    let (uid, gid) = ids.on_host(0, 0);
    let done = sys::as_owner(uid, gid, extract);
    done.map_err(|source| Error::System { doing: "write as the container's root", source })?
}

impl Shared {
    /// A mount of the root that can be written to; for whoever has the right to, while nothing runs in it.
    fn writable(&self, container: &crate::containers::Container) -> Result<OwnedFd, Error> {
        let places = self.places(&container.id);
        Ok(self.layers.mount_root(&container.layers, &places.upper(), &places.work())?)
    }
}
