//! A volume on its way: filled where no record and no volume's name leads, and only then a volume.
//!
//! Its folder gets its name in the transaction that records it. Whoever dies before leaves a folder that no record names,
//! which the next start sweeps.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use state::Durability;

use super::{Volume, VolumeError, Volumes, check_name, lock};
use crate::Error;

/// No volume's name begins with a dot.
const PREFIX: &str = ".new-";

#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
}

impl Staged {
    /// What is to be filled.
    pub(super) fn content(&self) -> PathBuf {
        self.path.join("_data")
    }

    pub(super) fn open(&self) -> Result<File, Error> {
        let path = self.content();
        File::open(&path).map_err(|source| Error::File { doing: "open", path, source })
    }

    /// What was written is on the disk: a record that survives a power cut has to have what it is of.
    fn sync(&self) -> Result<(), Error> {
        let path = self.content();
        let failed = |source| Error::File { doing: "sync", path, source };
        rustix::fs::syncfs(self.open()?).map_err(|errno| failed(errno.into()))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "cannot remove a volume that came to nothing");
            }
            _ => {}
        }
    }
}

impl Volumes {
    /// Begins a volume, of which there must be none. Blocking.
    pub(super) fn stage(&self, name: &str) -> Result<Staged, Error> {
        check_name(name)?;
        if self.find(name)?.is_some() {
            return Err(VolumeError::Exists(name.to_owned()).into());
        }
        let staged = Staged { path: self.root.join(format!("{PREFIX}{}", crate::id::container_id())) };
        let path = staged.content();
        fs::create_dir_all(&path).map_err(|source| Error::File { doing: "create", path, source })?;
        Ok(staged)
    }

    /// Makes a volume of what has been filled, unless somebody else made one of that name meanwhile. Blocking.
    pub(super) fn publish(&self, staged: &Staged, volume: Volume) -> Result<Volume, Error> {
        staged.sync()?;
        let place = self.place(&volume.name);
        let _alone = lock(&place);
        let target = self.root.join(&volume.name);
        let entered = self.db.write(Durability::Power, |tx| {
            if tx.find::<Volume>(&volume.name)?.is_some() {
                return Err(Error::from(VolumeError::Exists(volume.name.clone())));
            }
            rename(&staged.path, &target)?;
            tx.put(&volume)?;
            Ok(())
        });
        entered.inspect_err(|_| {
            // It may have its name already, and is none without its record.
            if !staged.path.exists() {
                let _ = rename(&target, &staged.path);
            }
        })?;
        self.tell(&volume, "create", &[]);
        Ok(volume)
    }
}

/// Makes the folder of a volume, if there is none. Where ext4 puts a folder depends on the name that it is made under
/// ([`crate::disk::spread`]): one that comes after another of its name would lie where that one's files have just been removed.
pub(super) fn make_apart(root: &Path, name: &str) -> io::Result<()> {
    let (made, place) = (root.join(format!("{PREFIX}{}", crate::id::container_id())), root.join(name));
    if place.exists() {
        return Ok(());
    }
    fs::create_dir(&made)?;
    match renameat_with(CWD, &made, CWD, &place, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(errno) => {
            fs::remove_dir(&made)?;
            // Somebody else made it meanwhile.
            if errno == rustix::io::Errno::EXIST { Ok(()) } else { Err(errno.into()) }
        }
    }
}

/// A folder's new name, which nothing has.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let renamed = renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE);
    renamed.map_err(|errno| Error::File {
        doing: "make a volume of",
        path: to.to_owned(),
        source: errno.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_and_keeps_what_is_in_it() {
        let root = tempfile::tempdir().unwrap();
        make_apart(root.path(), "data").unwrap();
        fs::write(root.path().join("data/file"), "kept").unwrap();
        make_apart(root.path(), "data").unwrap();
        assert_eq!(fs::read(root.path().join("data/file")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing beside it");
        assert!(make_apart(&root.path().join("absent"), "data").is_err());
    }
}
