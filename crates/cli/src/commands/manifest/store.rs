//! Lists that are not pushed yet: docker's files, `<configuration>/manifests/<list>/<image>`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use client::files;
use oci::Reference;

use super::entry::Entry;
use crate::error::Error;

/// No list has more images.
const LIMIT: usize = 10_000;

/// The folder of all lists.
pub(super) struct Store {
    root: PathBuf,
}

/// A reference as a file's name. Its grammar knows no `..`, and has a tag or a digest behind every name.
fn file_name(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}

impl Store {
    pub(super) fn new(config_dir: &Path) -> Self {
        Self { root: config_dir.join("manifests") }
    }

    fn folder(&self, list: &Reference) -> PathBuf {
        self.root.join(file_name(list))
    }

    /// The images of a list, in the order of their files; `None` where there is no such list.
    pub(super) fn list(&self, list: &Reference) -> Result<Option<Vec<Entry>>, Error> {
        let folder = self.folder(list);
        let failed = |e: io::Error| client::Error::File { verb: "read", path: folder.clone(), source: e };
        let found = match fs::read_dir(&folder) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e).into()),
        };
        let paths: Result<Vec<PathBuf>, io::Error> =
            found.take(LIMIT).map(|entry| entry.map(|entry| entry.path())).collect();
        let mut paths = paths.map_err(failed)?;
        paths.sort_unstable();
        let mut entries = Vec::new();
        for path in paths {
            entries.push(read(&path)?.ok_or_else(|| {
                Error::Usage(format!(
                    "{} is no manifest with its bytes: remove the list with `manifest rm` and create it again",
                    path.display()
                ))
            })?);
        }
        Ok(Some(entries).filter(|entries| !entries.is_empty()))
    }

    /// One image of a list.
    pub(super) fn get(&self, list: &Reference, image: &Reference) -> Result<Option<Entry>, Error> {
        read(&self.folder(list).join(file_name(image)))
    }

    pub(super) fn save(&self, list: &Reference, image: &Reference, entry: &Entry) -> Result<(), Error> {
        let path = self.folder(list).join(file_name(image));
        Ok(files::write(&path, entry.json().to_string().as_bytes())?)
    }

    pub(super) fn remove(&self, list: &Reference) -> Result<(), Error> {
        let path = self.folder(list);
        fs::remove_dir_all(&path)
            .map_err(|source| client::Error::File { verb: "remove", path, source }.into())
    }
}

fn read(path: &Path) -> Result<Option<Entry>, Error> {
    Ok(files::read_json(path)?.and_then(|value| Entry::read(&value)))
}
