//! A volume gets ready for a container: mounted, if its options say so, and filled with what the image has in its place.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};

use super::{Volume, VolumeError, Volumes, folder, local, lock, within_limits};
use crate::Error;
use crate::containers::mounts::Point;

impl Volumes {
    /// Makes a volume ready for a container, once for all that want it at the same time. Blocking.
    pub(crate) fn take(
        &self,
        container: &str,
        point: &Point,
        root: BorrowedFd<'_>,
        limits: &layers::Limits,
    ) -> Result<(), Error> {
        let volume = self.get(&point.name)?;
        let place = self.place(&point.name);
        let mut users = lock(&place);
        self.make_folder(&volume)?;
        let target = self.attach(&volume, container)?;
        let _within = within_limits(&volume)?;
        let filled = self.fill(point, &target, root, limits);
        if filled.is_err() {
            self.detach(&volume, container, users.is_empty());
        }
        filled?;
        if users.insert(container.to_owned()) {
            let writable = point.writable.to_string();
            self.tell(
                &volume,
                "mount",
                &[
                    ("container", container),
                    ("destination", &point.destination),
                    ("propagation", &point.propagation),
                    ("read/write", &writable),
                ],
            );
        }
        Ok(())
    }

    /// A container has it, as its record says.
    pub(crate) fn adopt(&self, container: &str, name: &str) {
        lock(&self.place(name)).insert(container.to_owned());
    }

    /// A container has ended. What was mounted for the last one goes.
    pub(crate) fn give_back(&self, container: &str, name: &str) {
        let place = self.place(name);
        let mut users = lock(&place);
        if !users.remove(container) {
            return;
        }
        let Ok(volume) = self.get(name) else { return };
        self.detach(&volume, container, users.is_empty());
        self.tell(&volume, "unmount", &[("container", container)]);
    }

    /// Has what the volume is in its place; where that is.
    pub(super) fn attach(&self, volume: &Volume, container: &str) -> Result<PathBuf, Error> {
        let name = &volume.name;
        if let Some(driver) = &volume.plugin {
            let mounted = self.plugin("mount", name, driver)?.mount(name, container);
            let path = mounted.map_err(|source| VolumeError::Asked {
                doing: "error while mounting volume",
                name: name.clone(),
                source: Box::new(source),
            })?;
            self.elsewhere().insert(name.clone(), path.clone());
            return Ok(path);
        }
        let target = self.mountpoint(volume);
        if let Some(options) = volume.options.as_ref().filter(|options| local::is_given(options, "type")) {
            local::attach(&target, options)?;
        }
        Ok(target)
    }

    /// One container has it no more; perhaps the last one.
    pub(super) fn detach(&self, volume: &Volume, container: &str, last: bool) {
        let name = &volume.name;
        if let Some(driver) = &volume.plugin {
            let asked = self.plugins.get(driver).and_then(|plugin| plugin.unmount(name, container));
            if let Err(error) = asked {
                tracing::warn!(
                    volume = name,
                    driver,
                    error = diag::chain(&error),
                    "a plugin keeps a volume mounted"
                );
            }
            if last {
                self.elsewhere().remove(name);
            }
        } else if last && volume.options.is_some() {
            local::detach(&self.mountpoint(volume));
        }
    }

    /// Whether nobody began to fill it and came to no end.
    pub(super) fn is_whole(&self, volume: &Volume) -> bool {
        !self.mark(&volume.name).exists()
    }

    fn mark(&self, name: &str) -> PathBuf {
        folder(&self.root, name).with_file_name("filling")
    }

    /// What is copied counts only when all of it is there: until then a mark stands beside it, and whoever finds that begins
    /// anew.
    fn fill(
        &self,
        point: &Point,
        target: &Path,
        root: BorrowedFd<'_>,
        limits: &layers::Limits,
    ) -> Result<(), Error> {
        let mark = self.mark(&point.name);
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| Error::File { doing, path, source }
        };
        if mark.exists() {
            clear(target).map_err(failed("clear", target))?;
        }
        if !point.copy_up || !is_empty(target).map_err(failed("read", target))? {
            return Ok(());
        }
        File::create(&mark).map_err(failed("create", &mark))?;
        let copied = copy_up(point, target, root, limits);
        // Half of it would keep the room that may be what was missing.
        if copied.is_ok() || clear(target).is_ok() {
            fs::remove_file(&mark).map_err(failed("remove", &mark))?;
        }
        copied
    }

    /// A volume that has been taken, or a folder of it, wherever links in it lead: never out of it.
    pub(crate) fn open_below(&self, point: &Point) -> Result<OwnedFd, Error> {
        let target = self.mountpoint(&self.get(&point.name)?);
        let shown = target.join(&point.subpath);
        let failed = |source: io::Error| VolumeError::Subpath { path: shown.clone(), source };
        let base = open(&target, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let base = base.map_err(|errno| failed(errno.into()))?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if point.subpath.is_empty() {
            return Ok(base);
        }
        let found = openat2(&base, &point.subpath, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
        Ok(found.map_err(|errno| failed(errno.into()))?)
    }
}

fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
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
    // Its program hasn't begun yet.
    let still = layers::Source::Still;
    Ok(layers::copy_tree(source.as_fd(), still, into.as_fd(), limits, &mut |_| Ok(()))?)
}
