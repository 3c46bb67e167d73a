//! What is in a client's directory, by path.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::Path;

use build::Error;
use layers::About;
use oci::Digest;
use serde::{Deserialize, Serialize};

use super::identify;
use crate::builds::error::work;
use crate::builds::files::{Seen, SeenKind};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    Directory,
    File {
        size: u64,
        digest: String,
        /// Equal for the names of one file; 0 for a file of one name.
        #[serde(default)]
        same: u64,
    },
    Symlink(Vec<u8>),
    Fifo,
    Device {
        block: bool,
        major: u32,
        minor: u32,
    },
}

impl Item {
    pub(super) fn seen(&self) -> Seen {
        let kind = match &self.what {
            What::Directory => SeenKind::Directory,
            What::File { size, same, .. } => {
                SeenKind::File { size: *size, same: (*same > 0).then_some((0, *same)) }
            }
            What::Symlink(to) => SeenKind::Symlink(to.clone()),
            What::Fifo => SeenKind::Fifo,
            What::Device { block, major, minor } => {
                SeenKind::Device { block: *block, major: *major, minor: *minor }
            }
        };
        Seen { about: self.about(), kind }
    }

    fn about(&self) -> About {
        let time = (
            self.mtime.div_euclid(1_000_000_000),
            u32::try_from(self.mtime.rem_euclid(1_000_000_000)).unwrap_or_default(),
        );
        About { mode: self.mode, uid: self.uid, gid: self.gid, time, xattrs: self.xattrs.clone() }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.what == What::Directory
    }
}

/// All entries of a directory.
#[derive(Debug)]
pub(crate) struct Index {
    items: BTreeMap<Vec<u8>, Item>,
    /// The names in each directory.
    names: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    id: Digest,
    /// When it began to be received, in nanoseconds since 1970.
    begun: i64,
}

impl Index {
    pub(super) fn new(items: BTreeMap<Vec<u8>, Item>, begun: i64) -> Self {
        let mut names: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
        for path in items.keys() {
            let at = path.iter().rposition(|byte| *byte == b'/');
            let (parent, name) = match at {
                Some(at) => (path[..at].to_vec(), path[at + 1..].to_vec()),
                None => (Vec::new(), path.clone()),
            };
            names.entry(parent).or_default().push(name);
        }
        names.values_mut().for_each(|names| names.sort_unstable());
        Self { id: identify(&items), items, names, begun }
    }

    /// Whether a time of a file's tells that it hasn't changed since: not if it may have changed twice within what its
    /// file system takes for one moment.
    pub(super) fn can_tell(&self, mtime: i64) -> bool {
        // Times in whole seconds come from where there are no finer ones.
        let moment = if mtime % 1_000_000_000 == 0 { 2_000_000_000 } else { 50_000_000 };
        mtime < self.begun - moment
    }

    /// The digest of everything but times.
    pub(super) fn id(&self) -> &Digest {
        &self.id
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn items(&self) -> &BTreeMap<Vec<u8>, Item> {
        &self.items
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Item> {
        self.items.get(path)
    }

    pub(super) fn names(&self, path: &[u8]) -> Vec<Vec<u8>> {
        self.names.get(path).cloned().unwrap_or_default()
    }

    /// The directory itself, of which no client says anything: as old as the newest thing in it.
    pub(super) fn root(&self) -> About {
        let newest = self.items.values().map(|item| item.about().time).max().unwrap_or_default();
        About { mode: 0o755, time: newest, ..About::default() }
    }

    /// Reads it; nothing where there is none, or none that can be read. One from before the machine's last start is
    /// none: the files' bytes may not have been on the disk when the power went.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let bytes = fs::read(folder.join("index")).ok()?;
        let (start, begun, items): (String, i64, Vec<(Vec<u8>, Item)>) =
            serde_json::from_slice(&bytes).ok()?;
        (start == machine_start()).then(|| Self::new(items.into_iter().collect(), begun))
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let items: Vec<_> = self.items.iter().collect();
        let temporary = folder.join("index.new");
        let write = || {
            let mut out = std::io::BufWriter::new(fs::File::create(&temporary)?);
            serde_json::to_writer(&mut out, &(machine_start(), self.begun, &items))?;
            out.flush()?;
            fs::rename(&temporary, folder.join("index"))
        };
        write().map_err(|e| {
            let _ = fs::remove_file(&temporary);
            work("write down what a build's directory has", e)
        })
    }

    /// It is in use again.
    pub(super) fn touch(folder: &Path) {
        let touched = fs::File::options()
            .append(true)
            .open(folder.join("index"))
            .and_then(|file| file.set_modified(std::time::SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!(%error, "cannot tell that a build's directory was used");
        }
    }

    /// What is here is about to change.
    pub(super) fn forget(folder: &Path) -> Result<(), Error> {
        match fs::remove_file(folder.join("index")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(work("change a build's directory", e)),
            _ => Ok(()),
        }
    }
}

/// Different after each start of the machine.
fn machine_start() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
