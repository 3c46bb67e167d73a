//! The state directory.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use runtime::Filter;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::error::{Doing, Error};
use crate::files::{read_json, write_whole};

const RECORD: &str = "container.json";
const PID: &str = "pid";
const GATE: &str = "start.sock";
/// Names of directories end there.
const MAX_ID: usize = 255;

/// What a container was made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: PathBuf,
    pub(crate) created: String,
    /// Below each hierarchy's root.
    pub(crate) cgroup: PathBuf,
    pub(crate) spec: Spec,
    /// The profile, compiled once for all processes.
    pub(crate) seccomp: Option<Filter>,
}

/// Process 1, told from a later one of the same number by when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Init {
    pub(crate) pid: i32,
    pub(crate) began: u64,
}

/// The folder of one container.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn create(root: &Path, id: &str) -> Result<Self, Error> {
        let path = root.join(check_id(id)?);
        let private = |recursive| {
            let mut builder = DirBuilder::new();
            builder.mode(0o700).recursive(recursive);
            builder
        };
        match private(false).create(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                private(true).create(root).at("create", root)?;
                private(false).create(&path)
            }
            other => other,
        }
        .map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists(id.to_owned()),
            _ => Error::Io { doing: format!("create {}", path.display()), source: e },
        })?;
        Ok(Self { path })
    }

    pub(crate) fn find(root: &Path, id: &str) -> Result<Self, Error> {
        let path = root.join(check_id(id)?);
        if path.is_dir() { Ok(Self { path }) } else { Err(Error::NotFound(id.to_owned())) }
    }

    /// Held until it is dropped: one command at a time changes a container.
    pub(crate) fn lock(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(&self.path, flags, Mode::empty()).at("open", &self.path)?;
        flock(&folder, FlockOperation::LockExclusive).at("lock", &self.path)?;
        Ok(folder)
    }

    pub(crate) fn gate(&self) -> PathBuf {
        self.path.join(GATE)
    }

    pub(crate) fn write_record(&self, record: &Record) -> Result<(), Error> {
        let text = serde_json::to_vec(record).map_err(io::Error::from).doing("write the container down")?;
        write_whole(&self.path.join(RECORD), &text)
    }

    pub(crate) fn write_init(&self, init: Init) -> Result<(), Error> {
        let text = serde_json::to_vec(&init).map_err(io::Error::from).doing("write the process down")?;
        write_whole(&self.path.join(PID), &text)
    }

    pub(crate) fn record(&self) -> Result<Record, Error> {
        read_json(&self.path.join(RECORD))
    }

    pub(crate) fn init(&self) -> Option<Init> {
        read_json(&self.path.join(PID)).ok()
    }

    pub(crate) fn remove(&self) -> Result<(), Error> {
        fs::remove_dir_all(&self.path).at("remove", &self.path)
    }
}

/// Every container there is, as far as it can be read.
pub(crate) fn all(root: &Path) -> Result<Vec<Container>, Error> {
    let entries = match fs::read_dir(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.at("list", root)?,
    };
    let mut found: Vec<Container> =
        entries.filter_map(|entry| Container::load(root, entry.ok()?.file_name().to_str()?).ok()).collect();
    found.sort_unstable_by(|a, b| a.record.id.cmp(&b.record.id));
    Ok(found)
}

fn check_id(id: &str) -> Result<&str, Error> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() || id.len() > MAX_ID || !id.chars().all(good) || matches!(id, "." | "..") {
        return Err(Error::InvalidId(id.to_owned()));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_name_of_a_directory() {
        let long = "a".repeat(256);
        for wrong in ["", ".", "..", "a/b", "../x", "a b", "ä", "a\0", "a\n", long.as_str()] {
            assert!(check_id(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(check_id("web-1.2_x+y").unwrap(), "web-1.2_x+y");
    }

    #[test]
    fn a_second_container_of_a_name_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create(&root.path().join("new"), "one").unwrap();
        assert!(matches!(Folder::create(&root.path().join("new"), "one"), Err(Error::Exists(_))));
        folder.remove().unwrap();
        assert!(matches!(Folder::find(root.path(), "one"), Err(Error::NotFound(_))));
    }
}
