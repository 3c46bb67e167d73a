//! OCI layouts in folders of ours: caches (`type=local`) and images that builds begin with. The engine reads and writes the
//! blobs through the session, and we the index.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use buildkit::attach::Offer;
use buildkit::proto::control::{CacheOptions, CacheOptionsEntry};
use oci::image::{Descriptor, Index, media_type};

use crate::error::Error;
use crate::ui;

/// Under which an index names a document.
const NAME: &str = "org.opencontainers.image.ref.name";
/// No index is longer.
const MAX_INDEX: u64 = 8 << 20;
const LAYOUT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// A folder that gets a cache.
pub(super) struct Folder {
    path: PathBuf,
    tag: String,
}

fn usage(text: String) -> Error {
    Error::Usage(text)
}

/// Lends the folders of these caches. What an index says of a tag is looked up here. A folder that nothing was put into yet is none:
/// a first build names the cache that the next ones begin with, too.
pub(super) fn lend(cache: &mut CacheOptions, offer: &mut Offer) -> Result<Vec<Folder>, Error> {
    cache.imports.retain(|entry| {
        let folder = entry.attrs.get("src").filter(|src| entry.r#type == "local" && !src.is_empty());
        let is_empty = folder.is_some_and(|src| !Path::new(src).join("index.json").exists());
        if is_empty && !entry.attrs.contains_key("digest") {
            ui::err(&format!(
                "WARNING: --cache-from: nothing is in {} yet",
                folder.map_or("", String::as_str)
            ));
            return false;
        }
        true
    });
    for entry in cache.imports.iter_mut().filter(|entry| entry.r#type == "local") {
        let path = path(entry, "src", "--cache-from")?;
        if !entry.attrs.contains_key("digest") {
            let tag = tag(entry);
            let found = read(&path)?.manifests.into_iter().find(|known| is_named(known, &tag));
            let found = found.ok_or_else(|| {
                usage(format!(
                    "--cache-from: {} has neither a digest given nor a tag {tag:?}",
                    path.display()
                ))
            })?;
            entry.attrs.insert("digest".into(), found.digest.to_string());
        }
        offer.stores.insert(store(entry, "src"), path);
    }
    let mut folders = Vec::new();
    for entry in cache.exports.iter().filter(|entry| entry.r#type == "local") {
        let path = path(entry, "dest", "--cache-to")?;
        fs::create_dir_all(&path).map_err(|e| usage(format!("cannot create {}: {e}", path.display())))?;
        offer.stores.insert(store(entry, "dest"), path.clone());
        folders.push(Folder { path, tag: tag(entry) });
    }
    Ok(folders)
}

/// An image in a layout, `folder[:tag][@digest]`, by the folder and its digest.
pub(super) fn image(text: &str) -> Result<(PathBuf, String), Error> {
    let (place, digest) = text.split_once('@').map_or((text, None), |(place, digest)| (place, Some(digest)));
    let (folder, tag) = match place.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((folder, tag)) => (folder, Some(tag)),
        None => (place, None),
    };
    let folder = PathBuf::from(folder);
    if let Some(digest) = digest {
        return Ok((folder, digest.to_owned()));
    }
    let index = read(&folder)?.manifests;
    let found = match (tag, &index[..]) {
        // The only image needs no name.
        (None, [only]) => Some(only),
        (tag, all) => all.iter().find(|known| is_named(known, tag.unwrap_or("latest"))),
    };
    let missing =
        || usage(format!("oci-layout reference {text:?} could not be resolved: no such image there"));
    Ok((folder, found.ok_or_else(missing)?.digest.to_string()))
}

/// As BuildKit's clients name a store.
fn store(entry: &CacheOptionsEntry, key: &str) -> String {
    format!("local:{}", entry.attrs.get(key).map(String::as_str).unwrap_or_default())
}

fn path(entry: &CacheOptionsEntry, key: &str, flag: &str) -> Result<PathBuf, Error> {
    let given = entry.attrs.get(key).filter(|path| !path.is_empty());
    given.map(PathBuf::from).ok_or_else(|| usage(format!("{flag}: type=local needs {key}=<folder>")))
}

fn tag(entry: &CacheOptionsEntry) -> String {
    entry.attrs.get("tag").filter(|tag| !tag.is_empty()).cloned().unwrap_or_else(|| "latest".into())
}

fn is_named(entry: &Descriptor, tag: &str) -> bool {
    entry.annotations.get(NAME).is_some_and(|name| name == tag)
}

/// The folder's index; an empty one where there is none yet.
fn read(folder: &Path) -> Result<Index, Error> {
    let path = folder.join("index.json");
    let wrong = |why: String| usage(format!("cannot read {}: {why}", path.display()));
    let empty = Index {
        schema_version: 2,
        media_type: Some(media_type::OCI_INDEX.to_owned()),
        manifests: Vec::new(),
        annotations: Default::default(),
    };
    match fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(empty),
        Ok(meta) if meta.len() > MAX_INDEX => {
            return Err(wrong(format!("it is longer than {MAX_INDEX} bytes")));
        }
        _ => {}
    }
    let bytes = fs::read(&path).map_err(|e| wrong(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))
}

impl Folder {
    /// Names what the engine gave. Nothing, where giving failed and that was forgiven.
    pub(super) fn note(&self, response: &HashMap<String, String>) -> Result<(), Error> {
        let Some(text) = response.get("cache.manifest") else { return Ok(()) };
        let mut given: Descriptor = serde_json::from_slice(text.as_bytes())
            .map_err(|e| usage(format!("the engine's word about the cache can't be read: {e}")))?;
        given.annotations.insert(NAME.into(), self.tag.clone());
        let mut index = read(&self.path)?;
        index.manifests.retain(|known| !is_named(known, &self.tag));
        index.manifests.push(given);
        let failed = |e: std::io::Error| usage(format!("cannot write into {}: {e}", self.path.display()));
        let bytes = serde_json::to_vec(&index).map_err(|e| failed(e.into()))?;
        put(&self.path, "oci-layout", LAYOUT.as_bytes()).map_err(failed)?;
        put(&self.path, "index.json", &bytes).map_err(failed)
    }
}

/// Whole or not at all.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let draft = folder.join(format!(".{name}-{}", std::process::id()));
    let written = fs::File::create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()
    });
    let kept = written.and_then(|()| fs::rename(&draft, folder.join(name)));
    if kept.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(&draft);
    }
    kept
}
