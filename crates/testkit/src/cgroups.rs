//! Cgroups that engines make above those of containers, and that nobody takes away: they may be somebody's own.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// A cgroup named to an engine as a parent; it goes from every hierarchy when dropped.
#[derive(Debug)]
pub struct ParentCgroup {
    name: String,
}

impl ParentCgroup {
    /// By a name of its own.
    pub fn create(purpose: &str) -> Self {
        Self::named(&format!("kt-{}-{purpose}", std::process::id()))
    }

    /// By a name that stands in a recorded expectation.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// As an engine is told: from the root.
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Drop for ParentCgroup {
    fn drop(&mut self) {
        let hierarchies = fs::read_dir(ROOT).into_iter().flatten().flatten().map(|entry| entry.path());
        hierarchies.chain([PathBuf::from(ROOT)]).for_each(|hierarchy| remove(&hierarchy.join(&self.name)));
    }
}

/// What still has a process in it stays, and is seen by whoever looks for leaks.
fn remove(folder: &Path) {
    let inner = fs::read_dir(folder).into_iter().flatten().flatten();
    inner
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .for_each(|entry| remove(&entry.path()));
    let _ = fs::remove_dir(folder);
}
