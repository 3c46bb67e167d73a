//! Removing volumes that no container is made for.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, io};

use state::Durability;

use super::{ANONYMOUS, VOLUME, Volume, VolumeError, Volumes, local, lock};
use crate::Error;
use crate::events::Kind;
use crate::filters::Filters;

/// The filter keys of `POST /volumes/prune`.
pub const PRUNE_KEYS: &[&str] = &["all", "label", "label!"];

/// So many volumes are removed in one transaction.
const TOGETHER: usize = 512;

/// What a pruning removed.
#[derive(Debug, Default)]
pub struct Pruned {
    pub names: Vec<String>,
    pub reclaimed: u64,
}

impl Volumes {
    /// Removes a volume with all that is in it, unless a container is made for it.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let volume = self.get(name)?;
        let refused = |users: Vec<String>| match users.is_empty() {
            true => Ok(()),
            false => Err(Error::from(VolumeError::InUse { name: name.to_owned(), users })),
        };
        // Whoever waits for a volume that is being filled learns at once that it is in use.
        refused(self.users(name)?)?;
        let place = self.place(name);
        let users = lock(&place);
        refused(users.iter().filter(|user| user.contains(' ')).cloned().collect())?;
        self.db.write(Durability::Power, |tx| {
            refused(tx.holders(VOLUME, name)?.into_iter().map(|(_, id)| id).collect())?;
            Ok::<_, Error>(tx.delete::<Volume>(name)?)
        })?;
        if let Some(driver) = &volume.plugin {
            let asked = self.plugin("remove", name, driver).and_then(|plugin| {
                let removed = plugin.remove(name);
                removed.map_err(|source| VolumeError::Asked {
                    doing: "remove",
                    name: name.to_owned(),
                    source: Box::new(source),
                })
            });
            // It is still there: so is what is known of it.
            if let Err(error) = asked {
                self.db.write(Durability::Power, |tx| tx.put(&volume))?;
                return Err(error.into());
            }
        }
        self.discard(name);
        self.tell(&volume, "destroy", &[]);
        Ok(())
    }

    /// The same; of a volume whose plugin doesn't remove it nothing is known any more.
    pub fn remove_by_force(&self, name: &str) -> Result<(), Error> {
        match self.remove(name) {
            Err(Error::Volume(error @ (VolumeError::Plugin { .. } | VolumeError::Asked { .. }))) => {
                tracing::warn!(
                    volume = name,
                    error = diag::chain(&error),
                    "a plugin keeps a volume that was removed"
                );
                self.db.write(Durability::Power, |tx| tx.delete::<Volume>(name))?;
                self.discard(name);
                Ok(())
            }
            other => other,
        }
    }

    /// Removes a volume's files. What can't be removed now is swept at the next start.
    pub(super) fn discard(&self, name: &str) {
        local::detach(&super::folder(&self.root, name));
        let path = self.root.join(name);
        if local::has_mounts(&path) {
            tracing::error!(path = %path.display(), "something is mounted in a volume that goes: its folder stays");
            return;
        }
        let project = crate::quota::of(&super::folder(&self.root, name));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot remove a volume's folder");
            }
            _ => crate::quota::free(&self.root, project),
        }
        self.forget_place(name);
    }

    fn forget_place(&self, name: &str) {
        let mut places = self.places.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Who waits for this one must not be beside who comes later: that is the table's, the remover's and nobody else's.
        if places.get(name).is_some_and(|place| std::sync::Arc::strong_count(place) <= 2) {
            places.remove(name);
        }
    }

    /// Removes those of these volumes that nobody named and nobody mounts any more.
    pub(crate) fn remove_unheld<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        for name in names {
            let unheld = self.db.read(|tx| {
                let anonymous = tx.find::<Volume>(name)?.is_some_and(|volume| volume.anonymous);
                Ok::<_, Error>(anonymous && tx.holders(VOLUME, name)?.is_empty())
            })?;
            if unheld {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    /// Folders that no record names: an engine died between making one and recording it, or the other way round.
    pub(crate) fn sweep(&self) -> Result<(), Error> {
        self.finish_renamings()?;
        let known: BTreeSet<String> = self.list()?.into_iter().map(|volume| volume.name).collect();
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !known.contains(&name) {
                self.discard(&name);
            }
        }
        Ok(())
    }

    /// Removes those that no container is made for and that the filters admit: without `all`, only those that nobody named.
    pub fn prune(&self, filters: &Filters, everything: bool) -> Result<Pruned, Error> {
        let all = filters.flag("all")?.unwrap_or(everything);
        let (mut pruned, mut going) = (Pruned::default(), Vec::new());
        let (volumes, held) =
            self.db.read(|tx| Ok::<_, state::Error>((tx.list::<Volume>()?, tx.held(VOLUME)?)))?;
        for volume in volumes {
            let label = |name: &str| volume.labels.as_ref()?.get(name).map(String::as_str);
            // What a plugin keeps is nobody's to prune, as with dockerd.
            let wanted = volume.plugin.is_none()
                && (all || volume.anonymous || label(ANONYMOUS).is_some())
                && filters.admits_labels("label", label)
                && (!filters.has("label!") || !filters.admits_labels("label!", label));
            if wanted && !held.contains(&volume.name) {
                going.push(volume);
            }
        }
        for volumes in going.chunks(TOGETHER) {
            self.remove_together(volumes, &mut pruned)?;
        }
        let reclaimed = BTreeMap::from([("reclaimed".to_owned(), pruned.reclaimed.to_string())]);
        self.events.emit(Kind::Volume, "prune", "", reclaimed);
        Ok(pruned)
    }

    /// Removes those of them that nobody uses by now, in one transaction: the disk is waited for once.
    fn remove_together(&self, volumes: &[Volume], pruned: &mut Pruned) -> Result<(), Error> {
        let places: Vec<_> = volumes.iter().map(|volume| self.place(&volume.name)).collect();
        // Nobody is waited for while others are kept waiting. Who has a place now works with the volume, which stays.
        let held: Vec<_> = places.iter().map(|place| place.try_lock().ok()).collect();
        let is_free = |users: &BTreeSet<String>| !users.iter().any(|user| user.contains(' '));
        let free = held.iter().map(|place| place.as_deref().is_some_and(is_free));
        let free: Vec<&Volume> =
            volumes.iter().zip(free).filter_map(|(volume, free)| free.then_some(volume)).collect();
        let gone: Vec<&Volume> = self.db.write(Durability::Power, |tx| {
            let (mut gone, held) = (Vec::new(), tx.held(VOLUME)?);
            for volume in free {
                let same = tx.find::<Volume>(&volume.name)?.is_some_and(|now| now.created == volume.created);
                if same && !held.contains(&volume.name) {
                    tx.delete::<Volume>(&volume.name)?;
                    gone.push(volume);
                }
            }
            Ok::<_, Error>(gone)
        })?;
        for volume in gone {
            pruned.reclaimed += self.discard_measured(volume);
            self.tell(volume, "destroy", &[]);
            pruned.names.push(volume.name.clone());
        }
        Ok(())
    }

    /// Removes a volume's files, and tells what they took of the disk.
    fn discard_measured(&self, volume: &Volume) -> u64 {
        let content = super::folder(&self.root, &volume.name);
        let is_plain = volume.options.is_none();
        // Of an empty one there is nothing to measure, and nothing can be mounted where the kernel removes a folder.
        if is_plain
            && fs::remove_dir(&content).is_ok()
            && fs::remove_dir(self.root.join(&volume.name)).is_ok()
        {
            self.forget_place(&volume.name);
            return 0;
        }
        let size = crate::disk::written_below(&content);
        self.discard(&volume.name);
        size
    }
}
