//! Removing volumes that no container is made for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::thread::JoinHandle;

use state::Durability;

use super::{ANONYMOUS, VOLUME, Volume, VolumeError, Volumes, local, lock};
use crate::Error;
use crate::events::Kind;
use crate::filters::Filters;

/// The filter keys of `POST /volumes/prune`.
pub const PRUNE_KEYS: &[&str] = &["all", "label", "label!"];

/// So many volumes are removed in one transaction: the disk is waited for once.
const TOGETHER: usize = 4096;

/// The folders of so many are removed before what they leave goes.
const PIECE: usize = 256;
/// So many threads remove them: a file system that tells the disk of each block that is free waits for it each time.
const HANDS: usize = 8;
/// Fewer are removed by one.
const FEW: usize = 16;

/// What the removed folders of volumes leave: how many bytes, and they themselves, which nobody can reach any more. Their
/// blocks are free when these are closed.
#[derive(Debug, Default)]
struct Left {
    bytes: u64,
    folders: Vec<File>,
}

impl Left {
    fn and(mut self, more: Self) -> Self {
        self.bytes += more.bytes;
        self.folders.extend(more.folders);
        self
    }
}

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
        let failed = |source| Error::File { doing: "create", path: self.root.clone(), source };
        fs::create_dir_all(&self.root).map_err(failed)?;
        crate::disk::spread(&self.root);
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

    /// Removes those of them that nobody uses by now, in one transaction.
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
        let mut freeing = Vec::new();
        for piece in gone.chunks(PIECE) {
            let left = self.discard_side_by_side(piece);
            pruned.reclaimed += left.bytes;
            for volume in piece {
                self.tell(volume, "destroy", &[]);
                pruned.names.push(volume.name.clone());
            }
            // No more than one piece's are open beside those of the next.
            freeing.drain(..).for_each(|hand: JoinHandle<()>| drop(hand.join()));
            freeing = close(left.folders);
        }
        Ok(())
    }

    fn discard_side_by_side(&self, volumes: &[&Volume]) -> Left {
        let discard = |volumes: &[&Volume]| {
            let each = volumes.iter().map(|volume| self.discard_measured(volume));
            each.fold(Left::default(), Left::and)
        };
        let (first, others) = volumes.split_at(volumes.len().div_ceil(HANDS).max(FEW).min(volumes.len()));
        std::thread::scope(|scope| {
            let others = others.chunks(first.len().max(1));
            let others: Vec<_> = others.map(|part| scope.spawn(move || discard(part))).collect();
            let left = discard(first);
            others.into_iter().filter_map(|part| part.join().ok()).fold(left, Left::and)
        })
    }

    /// Removes a volume's files, and measures what they took of the disk.
    fn discard_measured(&self, volume: &Volume) -> Left {
        let (outer, content) = (self.root.join(&volume.name), super::folder(&self.root, &volume.name));
        let is_plain = volume.options.is_none();
        let folders =
            [&outer, &content].into_iter().filter(|_| is_plain).filter_map(|path| File::open(path).ok());
        let folders = folders.collect();
        // Of an empty one there is nothing to measure, and nothing can be mounted where the kernel removes a folder.
        if is_plain && fs::remove_dir(&content).is_ok() && fs::remove_dir(&outer).is_ok() {
            self.forget_place(&volume.name);
            return Left { bytes: 0, folders };
        }
        let bytes = crate::disk::written_below(&content);
        self.discard(&volume.name);
        Left { bytes, folders }
    }
}

/// Closes what is left of folders. The disk has to hear of each, for which nobody has to wait; an end of the engine closes
/// them, too.
fn close(mut folders: Vec<File>) -> Vec<JoinHandle<()>> {
    let each = folders.len().div_ceil(HANDS).max(FEW);
    let mut hands = Vec::new();
    while !folders.is_empty() {
        let part = folders.split_off(folders.len().saturating_sub(each));
        let hand = std::thread::Builder::new().name("free".to_owned());
        hands.extend(hand.spawn(move || drop(part)));
    }
    hands
}
