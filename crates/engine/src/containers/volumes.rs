//! Anonymous volumes: folders that outlive a container's root, each made for one place of one container.
//!
//! ```text
//! <data root>/volumes/<name>/_data       what is mounted
//! <data root>/volumes/<name>/_data.new   being filled from the image; begun anew after a crash
//! ```
//!
//! A volume is recorded, and held by the containers that mount it, in the transaction that records the container. It is
//! removed with the last of them by `rm -v` or `--rm`, and otherwise stays.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ::state::{Durability, Record, Tx};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use serde::{Deserialize, Serialize};

use super::mounts::{Point, volume_of};
use super::{Container, Shared};
use crate::Error;

/// The kind of record, and of what containers hold.
pub(super) const VOLUME: &str = "volume";

/// What is remembered of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Volume {
    pub name: String,
    pub created: SystemTime,
    /// Made for a container that didn't name it.
    pub anonymous: bool,
}

impl Record for Volume {
    const KIND: &'static str = VOLUME;
    fn key(&self) -> &str {
        &self.name
    }
}

/// What of a volume is mounted.
pub(super) fn folder(data_root: &Path, name: &str) -> PathBuf {
    data_root.join(VOLUMES).join(name).join("_data")
}

/// Records a new container's volumes with it.
pub(super) fn record(tx: &Tx<'_>, container: &Container) -> Result<(), ::state::Error> {
    for name in container.mounts.iter().filter_map(volume_of) {
        if tx.find::<Volume>(name)?.is_none() {
            let created = container.created;
            tx.put(&Volume { name: name.to_owned(), created, anonymous: true })?;
        }
        tx.hold::<Container>(&container.id, VOLUME, name)?;
    }
    Ok(())
}

/// Makes a container's volumes that aren't there yet, with what its image has in their places. Blocking.
pub(super) fn prepare(
    container: &Container,
    root: BorrowedFd<'_>,
    limits: &layers::Limits,
) -> Result<(), Error> {
    for point in container.mounts.iter().filter(|point| volume_of(point).is_some()) {
        let target = Path::new(&point.source);
        if !target.exists() {
            fill(point, target, root, limits)?;
        }
    }
    Ok(())
}

fn fill(point: &Point, target: &Path, root: BorrowedFd<'_>, limits: &layers::Limits) -> Result<(), Error> {
    let failed = |doing| {
        let path = target.to_owned();
        move |source: io::Error| Error::File { doing, path, source }
    };
    let making = target.with_file_name("_data.new");
    match fs::remove_dir_all(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("clear")(error)),
        _ => {}
    }
    fs::create_dir_all(&making).map_err(failed("create"))?;
    if point.copy_up {
        copy_up(point, &making, root, limits)?;
    }
    fs::rename(&making, target).map_err(failed("finish"))
}

/// Owners, modes and links as in the image; the folder itself as the one that it is mounted on.
fn copy_up(point: &Point, making: &Path, root: BorrowedFd<'_>, limits: &layers::Limits) -> Result<(), Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let inside = point.destination.trim_start_matches('/');
    let source = match openat2(root, inside, flags, Mode::empty(), resolve) {
        Ok(source) => source,
        // The image has nothing there, or a file, which a folder hides.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
        Err(errno) => {
            let path = PathBuf::from(&point.destination);
            return Err(Error::File { doing: "copy from the image", path, source: errno.into() });
        }
    };
    let failed = |source: io::Error| Error::File { doing: "fill", path: making.to_owned(), source };
    let into = open(making, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
    let (reader, mut writer) = io::pipe().map_err(failed)?;
    let how = layers::Extract {
        owner: layers::Owner::Archive,
        overwrite: layers::Overwrite::Anything,
        rename: None,
        shown: point.destination.clone(),
    };
    std::thread::scope(|scope| {
        let source = source.as_fd();
        let packing = scope.spawn(move || layers::pack_tree(source, b"", &mut writer, limits));
        let extracted = layers::extract(reader, into.as_fd(), &how, limits);
        // Who can't write any more has a reader that failed first.
        extracted?;
        match packing.join() {
            Ok(packed) => packed.map_err(Error::from),
            Err(_) => Err(failed(io::Error::other("the thread that reads the image failed"))),
        }
    })?;
    like(source.as_fd(), into.as_fd()).map_err(failed)
}

fn like(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let stat = rustix::fs::fstat(source)?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(target, Some(uid), Some(gid))?;
    Ok(rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode & 0o7777))?)
}

/// Removes those of a removed container's volumes that nobody else mounts. Blocking.
pub(super) fn remove(shared: &Shared, container: &Container) -> Result<(), Error> {
    let mut unheld = Vec::new();
    shared.db.write(Durability::Process, |tx| {
        for name in container.mounts.iter().filter_map(volume_of) {
            let anonymous = tx.find::<Volume>(name)?.is_some_and(|volume| volume.anonymous);
            if anonymous && tx.holders(VOLUME, name)?.is_empty() {
                tx.delete::<Volume>(name)?;
                unheld.push(name.to_owned());
            }
        }
        Ok::<_, Error>(())
    })?;
    for name in unheld {
        let path = shared.settings.data_root.join(VOLUMES).join(&name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove a volume's folder");
            }
            _ => {}
        }
    }
    Ok(())
}

const VOLUMES: &str = "volumes";
