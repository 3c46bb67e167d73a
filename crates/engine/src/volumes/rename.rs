//! Another name for a volume that no container is made for.
//!
//! Record and folder can't change in one step. The record goes first and says what its folder was called; a start that
//! finds such a record finishes the work.

use state::Durability;

use super::staged::rename;
use super::{ANONYMOUS, VOLUME, Volume, VolumeError, Volumes, check_name, lock};
use crate::Error;

impl Volumes {
    /// Gives a volume another name. Blocking.
    pub fn rename(&self, old: &str, new: &str) -> Result<Volume, Error> {
        check_name(new)?;
        if old == new {
            return Err(VolumeError::Exists(new.to_owned()).into());
        }
        // Always in the same order, so that two renamings don't wait for each other.
        let (first, second) = (self.place(old.min(new)), self.place(old.max(new)));
        let (one, two) = (lock(&first), lock(&second));
        let users = if old < new { &one } else { &two };
        refuse_users(old, users.iter().cloned().collect())?;
        let volume = self.db.write(Durability::Power, |tx| {
            let known: Option<Volume> = tx.find(old)?;
            let mut volume = known.ok_or_else(|| VolumeError::Unknown(old.to_owned()))?;
            if let Some(driver) = volume.plugin {
                let feature =
                    format!("renaming a volume of the driver {driver}, which knows it by its name,");
                return Err(Error::Unsupported { feature, instead: None });
            }
            if tx.find::<Volume>(new)?.is_some() {
                return Err(VolumeError::Exists(new.to_owned()).into());
            }
            refuse_users(old, tx.holders(VOLUME, old)?.into_iter().map(|(_, id)| id).collect())?;
            tx.delete::<Volume>(old)?;
            new.clone_into(&mut volume.name);
            // Somebody has named it now.
            volume.anonymous = false;
            volume.labels = volume.labels.map(|mut labels| {
                labels.remove(ANONYMOUS);
                labels
            });
            volume.renamed_from = Some(old.to_owned());
            tx.put(&volume)?;
            Ok(volume)
        })?;
        let volume = self.finish_renaming(volume)?;
        self.tell(&volume, "rename", &[("oldName", old)]);
        Ok(volume)
    }

    /// The folder's turn, whoever began it.
    fn finish_renaming(&self, mut volume: Volume) -> Result<Volume, Error> {
        let Some(old) = volume.renamed_from.take() else { return Ok(volume) };
        let (from, to) = (self.root.join(old), self.root.join(&volume.name));
        if from.exists() && !to.exists() {
            rename(&from, &to)?;
        }
        self.db.write(Durability::Power, |tx| tx.put(&volume))?;
        Ok(volume)
    }

    /// After a crash, before anything is swept.
    pub(super) fn finish_renamings(&self) -> Result<(), Error> {
        for volume in self.list()?.into_iter().filter(|volume| volume.renamed_from.is_some()) {
            self.finish_renaming(volume)?;
        }
        Ok(())
    }
}

fn refuse_users(name: &str, users: Vec<String>) -> Result<(), Error> {
    match users.is_empty() {
        true => Ok(()),
        false => Err(VolumeError::Renamed { name: name.to_owned(), users }.into()),
    }
}
