//! Repositories as OCI layouts: folders that other tools read and write.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use content::Session;
use oci::Digest;
use oci::image::{Descriptor, media_type};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Admin, refused, split};
use crate::error::{Error, Problem};
use crate::manifest::{MAX_MANIFEST, Manifest};
use crate::repository::Overwrite;
use crate::route::{Name, Tag, Target};
use crate::storage::{Hold, Source};

/// The annotation that holds a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Indexes within indexes; nobody has more than two.
const MAX_DEPTH: usize = 8;
const PIECE: usize = 1 << 20;

/// How much was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    pub manifests: usize,
    pub blobs: usize,
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Store { doing, path: path.to_owned(), source }
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join(digest.algorithm().name()).join(digest.hex())
}

/// One layout being written.
struct Export<'a> {
    admin: &'a Admin,
    name: Name,
    folder: &'a Path,
    seen: HashSet<Digest>,
    moved: Moved,
}

impl Export<'_> {
    /// Writes a manifest after everything that it needs; its descriptor.
    fn manifest(&mut self, digest: &Digest, depth: usize) -> Result<Value, Error> {
        let unknown = || Error::Unknown(format!("{}@{digest}", self.name));
        let stored = self.admin.repositories.manifest(&self.name, digest)?.ok_or_else(unknown)?;
        let descriptor =
            json!({ "mediaType": stored.media_type, "digest": digest, "size": stored.bytes.len() });
        if depth > MAX_DEPTH {
            return Err(Error::Refused {
                what: digest.to_string(),
                why: "indexes are nested too deeply".into(),
            });
        }
        if !self.seen.insert(digest.clone()) {
            return Ok(descriptor);
        }
        let manifest = self.admin.repositories.parsed(&self.name, digest)?.ok_or_else(unknown)?;
        for child in &manifest.manifests {
            self.manifest(child, depth + 1)?;
        }
        for blob in &manifest.blobs {
            self.blob(blob)?;
        }
        self.write(digest, &mut &stored.bytes[..])?;
        self.moved.manifests += 1;
        Ok(descriptor)
    }

    fn blob(&mut self, digest: &Digest) -> Result<(), Error> {
        if !self.seen.insert(digest.clone()) {
            return Ok(());
        }
        let blob = self.admin.repositories.storage.blob(&self.name, digest)?;
        let blob = blob.ok_or_else(|| Error::Unknown(format!("{}@{digest}", self.name)))?;
        match blob.source {
            Source::File(mut file) => self.write(digest, &mut file)?,
            Source::Remote(remote) => self.write(digest, &mut remote.reader()?)?,
        }
        self.moved.blobs += 1;
        Ok(())
    }

    fn write(&self, digest: &Digest, from: &mut dyn io::Read) -> Result<(), Error> {
        let path = blob_path(self.folder, digest);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        whole(&path, |file| io::copy(from, file).map(drop))
    }
}

/// Writes a file that is there whole or not at all.
fn whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        write(file.as_file_mut())?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    });
    written.map_err(failed("write", path))
}

impl Admin {
    /// Writes a repository, or one manifest of it, as a layout. What the folder holds already stays.
    pub fn export(&self, reference: &str, folder: &Path) -> Result<Moved, Error> {
        let (name, target) = split(reference)?;
        let name = self.known(name.as_str())?;
        // Nothing of it goes meanwhile.
        let _hold = self.repositories.storage.hold(Hold::Shared)?;
        let mut wanted: Vec<(Digest, Option<Tag>)> = Vec::new();
        match target {
            Some(Target::Digest(digest)) => wanted.push((digest, None)),
            Some(Target::Tag(tag)) => {
                let digest = self.repositories.tagged(&name, &tag)?;
                wanted.push((digest.ok_or_else(|| Error::Unknown(reference.to_owned()))?, Some(tag)));
            }
            None => {
                for tag in self.repositories.tags(&name)? {
                    wanted.extend(self.repositories.tagged(&name, &tag)?.map(|digest| (digest, Some(tag))));
                }
                let tagged: HashSet<Digest> = wanted.iter().map(|(digest, _)| digest.clone()).collect();
                let all = self.repositories.manifests(&name)?.into_iter().map(|(digest, _)| digest);
                wanted.extend(all.filter(|digest| !tagged.contains(digest)).map(|digest| (digest, None)));
            }
        }
        let mut export = Export { admin: self, name, folder, seen: HashSet::new(), moved: Moved::default() };
        let mut manifests = Vec::new();
        for (digest, tag) in wanted {
            let mut descriptor = export.manifest(&digest, 0)?;
            if let Some(tag) = tag {
                descriptor["annotations"] = json!({ REF_NAME: tag.as_str() });
            }
            manifests.push(descriptor);
        }
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests });
        whole(&folder.join("index.json"), |file| file.write_all(index.to_string().as_bytes()))?;
        let version = json!({ "imageLayoutVersion": "1.0.0" }).to_string();
        whole(&folder.join("oci-layout"), |file| file.write_all(version.as_bytes()))?;
        Ok(export.moved)
    }

    /// Reads a layout into a repository. Every byte is checked as if it had been pushed.
    pub fn import(&self, folder: &Path, reference: &str) -> Result<Moved, Error> {
        let (name, target) = split(reference)?;
        let tag = match target {
            None => None,
            Some(Target::Tag(tag)) => Some(tag),
            Some(Target::Digest(_)) => {
                let why = "a layout is imported under a tag, or under those that it names".to_owned();
                return Err(Error::Refused { what: reference.to_owned(), why });
            }
        };
        #[derive(Deserialize)]
        struct Index {
            manifests: Vec<Descriptor>,
        }
        let path = folder.join("index.json");
        let damaged = |why: String| Error::Damaged { path: path.clone(), why };
        let index: Index =
            serde_json::from_slice(&read(&path)?).map_err(|error| damaged(error.to_string()))?;
        if tag.is_some() && index.manifests.len() != 1 {
            return Err(damaged(format!("it has {} manifests; a tag is for one", index.manifests.len())));
        }
        let mut import = Import { admin: self, name, folder, moved: Moved::default() };
        for descriptor in &index.manifests {
            let named = descriptor.annotations.get(REF_NAME).and_then(|text| {
                // Some tools write the whole reference.
                Tag::parse(text.rsplit_once(':').map_or(text.as_str(), |(_, tag)| tag)).ok()
            });
            import.manifest(descriptor, tag.clone().or(named), 0)?;
        }
        Ok(import.moved)
    }
}

/// One layout being read.
struct Import<'a> {
    admin: &'a Admin,
    name: Name,
    folder: &'a Path,
    moved: Moved,
}

impl Import<'_> {
    fn manifest(&mut self, descriptor: &Descriptor, tag: Option<Tag>, depth: usize) -> Result<(), Error> {
        let digest = &descriptor.digest;
        let what = digest.to_string();
        if depth > MAX_DEPTH {
            return Err(Error::Refused { what, why: "indexes are nested too deeply".into() });
        }
        let bytes = read(&blob_path(self.folder, digest))?;
        let refused = |problem: Problem| refused(&what, &problem);
        let manifest = Manifest::read(&bytes, &descriptor.media_type).map_err(refused)?;
        for child in &manifest.manifests {
            // What a child is stands in itself, or is guessed as of a client that doesn't say.
            let media_type = String::new();
            let child = Descriptor { media_type, digest: child.clone(), ..descriptor.clone() };
            self.manifest(&child, None, depth + 1)?;
        }
        for blob in &manifest.blobs {
            self.blob(blob)?;
        }
        let (target, tags) = (Target::Digest(digest.clone()), Vec::from_iter(tag));
        let repositories = &self.admin.repositories;
        repositories
            .push(&self.name, &target, &tags, &descriptor.media_type, &bytes, Overwrite::Yes)
            .map_err(refused)?;
        self.moved.manifests += 1;
        Ok(())
    }

    fn blob(&mut self, digest: &Digest) -> Result<(), Error> {
        let storage = &self.admin.repositories.storage;
        if storage.size(&self.name, digest)?.is_some() {
            return Ok(());
        }
        let path = blob_path(self.folder, digest);
        let mut file = File::open(&path).map_err(failed("read", &path))?;
        let session = Session::new(
            crate::random().map_err(|source| Error::System { doing: "get random bytes", source })?,
        );
        let problem = |problem: Problem| refused(digest.as_str(), &problem);
        storage.begin(&self.name, &session, digest.algorithm())?;
        let mut upload = storage.resume(&self.name, &session, u64::MAX).map_err(problem)?;
        let mut buffer = vec![0; PIECE];
        loop {
            let count = file.read(&mut buffer).map_err(failed("read", &path))?;
            if count == 0 {
                break;
            }
            upload.push(&buffer[..count]).map_err(problem)?;
        }
        upload.commit(digest).map_err(problem)?;
        self.moved.blobs += 1;
        Ok(())
    }
}

/// A small file of a layout.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed("read", path))?;
    file.take(MAX_MANIFEST as u64 + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    match bytes.len() > MAX_MANIFEST {
        true => Err(Error::Damaged {
            path: path.to_owned(),
            why: format!("it is longer than {MAX_MANIFEST} bytes"),
        }),
        false => Ok(bytes),
    }
}
