//! What steps made, by their keys: records in the database that hold layers.
//!
//! A record is written after its layers are in the store and goes before they do, so whatever the moment of a crash, a
//! record that is found names layers that are there. That is checked all the same when it is used.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use oci::Digest;
use serde::{Deserialize, Serialize};
use state::{Db, Durability, Record};

use super::explain::Ingredients;
use super::tree::{Layer, Layers, Tree};
use crate::Error;
use crate::images::{BLOB, Images, LAYER};

/// What one step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cached {
    /// The step's key: what was done, to what.
    pub(crate) key: String,
    /// For each output its layers, lowest first.
    pub(crate) outputs: Vec<Vec<Layer>>,
    /// What was done, for people.
    pub(crate) name: String,
    pub(crate) made: SystemTime,
    pub(crate) used: SystemTime,
    pub(crate) uses: u64,
}

impl Record for Cached {
    const KIND: &'static str = "built";
    fn key(&self) -> &str {
        &self.key
    }
}

/// Another key of what a step made: by its inputs instead of their content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alias {
    pub(crate) key: String,
    pub(crate) of: String,
}

impl Record for Alias {
    const KIND: &'static str = "built-alias";
    fn key(&self) -> &str {
        &self.key
    }
}

/// What steps made.
#[derive(Debug)]
pub(crate) struct Cache {
    db: Arc<Db>,
    images: Arc<Images>,
    /// What steps were made of: a file beside each record that has one, for people who ask why.
    made_of: PathBuf,
}

/// The file with what a step was made of.
fn file_name(record: &Cached) -> String {
    record.key.rsplit(':').next().unwrap_or_default().to_owned()
}

/// A record is written again for its use only after so long: a build of nothing new writes nothing.
const USED_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

impl Cache {
    /// `made_of` is a folder of its own. What a crash left there without a record goes.
    pub(crate) fn open(db: Arc<Db>, images: Arc<Images>, made_of: PathBuf) -> Result<Self, Error> {
        let failed = |doing| {
            let path = made_of.clone();
            move |source| Error::File { doing, path, source }
        };
        std::fs::create_dir_all(&made_of).map_err(failed("create"))?;
        let known: HashSet<String> = db.read(|tx| tx.list::<Cached>())?.iter().map(file_name).collect();
        for entry in std::fs::read_dir(&made_of).map_err(failed("list"))? {
            let entry = entry.map_err(failed("list"))?;
            if !known.contains(&*entry.file_name().to_string_lossy()) {
                std::fs::remove_file(entry.path()).map_err(failed("clean"))?;
            }
        }
        Ok(Self { db, images, made_of })
    }

    /// What a step was made of, if it is known.
    pub(crate) fn made_of(&self, key: &Digest) -> Option<Ingredients> {
        let bytes = std::fs::read(self.made_of.join(key.hex())).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Remembers what a step was made of. It explains and decides nothing: a failure is for the log.
    pub(crate) fn put_made_of(&self, key: &Digest, made_of: &Ingredients) {
        let written = serde_json::to_vec(made_of).map_err(std::io::Error::other);
        let written = written.and_then(|bytes| std::fs::write(self.made_of.join(key.hex()), bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write down what a step was made of");
        }
    }

    /// What a step with this key made, held for as long as it is used. Blocking, for microseconds.
    pub(crate) fn find(&self, key: &Digest) -> Result<Option<Vec<Tree>>, Error> {
        Ok(self.find_by_any(key)?.map(|(_, trees)| trees))
    }

    /// The same with the key by which it was made.
    pub(crate) fn find_by_any(&self, key: &Digest) -> Result<Option<(Digest, Vec<Tree>)>, Error> {
        let found = self.db.read(|tx| match tx.find::<Cached>(key.as_str())? {
            Some(found) => Ok(Some(found)),
            None => match tx.find::<Alias>(key.as_str())? {
                Some(alias) => tx.find::<Cached>(&alias.of),
                None => Ok::<_, state::Error>(None),
            },
        })?;
        let Some(found) = found else { return Ok(None) };
        let Some(trees) = self.hold(&found.outputs) else {
            tracing::warn!(key = found.key, "what a step made is gone: it is made again");
            return Ok(None);
        };
        let own = found.key.parse().unwrap_or_else(|_| key.clone());
        self.touch(found)?;
        Ok(Some((own, trees)))
    }

    /// Trees of these layers; nothing if one of them isn't there.
    pub(crate) fn hold(&self, outputs: &[Vec<Layer>]) -> Option<Vec<Tree>> {
        let hold = |list: &Vec<Layer>| {
            let kept = self.images.keep(list.iter().map(|layer| &layer.diff_id))?;
            Some(Tree::Layers(Arc::new(Layers { list: list.clone(), kept: vec![kept] })))
        };
        outputs.iter().map(hold).collect()
    }

    fn touch(&self, found: Cached) -> Result<(), Error> {
        let now = SystemTime::now();
        if now.duration_since(found.used).is_ok_and(|since| since < USED_AGAIN) {
            return Ok(());
        }
        let used = Cached { used: now, uses: found.uses + 1, ..found };
        self.db.write(Durability::Process, |tx| match tx.find::<Cached>(&used.key)? {
            Some(_) => tx.put(&used),
            // Removed meanwhile.
            None => Ok::<_, state::Error>(()),
        })?;
        Ok(())
    }

    /// Remembers what a step made.
    pub(crate) fn put(&self, key: &Digest, name: &str, outputs: &[Tree]) -> Result<(), Error> {
        let now = SystemTime::now();
        let outputs: Vec<Vec<Layer>> = outputs.iter().map(|tree| tree.list().to_vec()).collect();
        let record =
            Cached { key: key.to_string(), outputs, name: name.to_owned(), made: now, used: now, uses: 0 };
        self.db.write(Durability::Process, |tx| {
            tx.delete::<Cached>(&record.key)?;
            tx.put(&record)?;
            for layer in record.outputs.iter().flatten() {
                tx.hold::<Cached>(&record.key, LAYER, layer.diff_id.as_str())?;
                tx.hold::<Cached>(&record.key, BLOB, layer.diff_id.as_str())?;
            }
            Ok::<_, state::Error>(())
        })?;
        Ok(())
    }

    /// Remembers that two keys are of the same.
    pub(crate) fn alias(&self, key: &Digest, of: &Digest) -> Result<(), Error> {
        let alias = Alias { key: key.to_string(), of: of.to_string() };
        self.db.write(Durability::Process, |tx| {
            match alias.key == alias.of || tx.find::<Cached>(&alias.key)?.is_some() {
                true => Ok(()),
                false => {
                    tx.put(&alias)?;
                    // Goes with what it is of.
                    tx.hold::<Alias>(&alias.key, Cached::KIND, &alias.of)
                }
            }
        })?;
        Ok(())
    }

    /// A layer's length, if a step made it.
    pub(crate) fn layer_size(&self, layer: &Digest) -> Result<Option<u64>, Error> {
        let holders = self.db.read(|tx| {
            let mut records = Vec::new();
            for (kind, key) in tx.holders(LAYER, layer.as_str())? {
                if kind == Cached::KIND {
                    records.extend(tx.find::<Cached>(&key)?);
                    break;
                }
            }
            Ok::<_, state::Error>(records)
        })?;
        let mut layers = holders.iter().flat_map(|record| record.outputs.iter().flatten());
        Ok(layers.find(|known| known.diff_id == *layer).map(|known| known.size))
    }

    /// Everything that is remembered.
    pub(crate) fn list(&self) -> Result<Vec<Cached>, Error> {
        Ok(self.db.read(|tx| tx.list())?)
    }

    /// Bytes of each layer that no image has, with how many records have it.
    pub(crate) fn own_layers(&self, records: &[Cached]) -> BTreeMap<Digest, (u64, usize)> {
        let catalogue = self.images.catalogue();
        let others: std::collections::HashSet<&Digest> =
            catalogue.images.values().flat_map(|image| &image.config.rootfs.diff_ids).collect();
        let mut layers = BTreeMap::new();
        for record in records {
            let mut seen = std::collections::HashSet::new();
            let all = record.outputs.iter().flatten();
            for layer in all.filter(|layer| !others.contains(&layer.diff_id)) {
                if seen.insert(&layer.diff_id) {
                    layers.entry(layer.diff_id.clone()).or_insert((layer.size, 0)).1 += 1;
                }
            }
        }
        layers
    }

    /// Forgets one and removes the layers that nothing else needs.
    pub(crate) fn remove(&self, record: &Cached) -> Result<(), Error> {
        self.db.write(Durability::Process, |tx| {
            for (kind, alias) in tx.holders(Cached::KIND, &record.key)? {
                if kind == Alias::KIND {
                    tx.delete::<Alias>(&alias)?;
                }
            }
            tx.delete::<Cached>(&record.key)
        })?;
        // There may be none.
        let _ = std::fs::remove_file(self.made_of.join(file_name(record)));
        let layers: Vec<Digest> =
            record.outputs.iter().flatten().map(|layer| layer.diff_id.clone()).collect();
        self.images.let_go(&layers)
    }
}
