//! An S3-compatible store, which several registries may serve at once.
//!
//! ```text
//! <folder>/data/<uuid>                             bytes, named before their digest was known; never written again
//! <folder>/blobs/sha256/<hex>                      a place: which data has this digest, and its size
//! <folder>/repositories/<name>/_blobs/<digest>     a place: this repository may read it
//! <folder>/repositories/<name>/_manifests, _tags, _referrers   documents, as on the disk
//! <folder>/repositories/<name>/_manifests/         nothing: a repository whose manifests are gone
//! <folder>/collecting/<name>/_/<uuid>               somebody collects this repository just now
//! <folder>/collecting/_blobs/<uuid>                somebody collects blobs that no repository has
//! <folder>/repositories/<name>/_uploads/<uuid>     how far an upload is, and the bytes that fill no part yet
//! ```
//!
//! Nothing can be renamed there and nobody can be kept out. So no byte is ever moved: what an upload wrote stays, and a
//! place that points at it appears when its digest is known. Who collects leaves a mark, and only then looks what is in
//! use. Who relies on something writes that down, and only then looks for marks: while there are any it waits, and looks
//! then whether what it relies on is still there. One of the two sees the other. A mark that is old is nobody's.

mod bucket;
mod hash;
mod mark;
mod upload;
pub(crate) mod xml;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use content::Session;
use oci::{Algorithm, Digest};
use tokio::runtime::Handle;

use super::{Blob, Entry, Freed, Held, Hold, Key, Source, Storage, Upload, digest_of, file};
use crate::config;
use crate::error::{Error, Problem};
use crate::route::Name;
use bucket::{Bucket, Payload, Replace};
use mark::BLOBS;
pub(crate) use mark::Mark;

/// Half of the shortest grace: a blob that was asked for so recently needn't be touched again.
const TOUCH: Duration = Duration::from_secs(15 * 60);
/// How many small objects are read at once.
const AT_ONCE: usize = 16;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct S3(Arc<Inner>);

struct Inner {
    bucket: Bucket,
    /// Where bytes of other registries come in before they go to the store.
    staging: content::Store,
    /// Where parts come in.
    spool: PathBuf,
    part: u64,
    redirect: bool,
    /// Uploads that a request of this process has.
    busy: Mutex<HashSet<Session>>,
}

/// Where bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The upload that wrote them.
    data: String,
    size: u64,
}

impl Place {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (data, size) = std::str::from_utf8(bytes).ok()?.trim().split_once(' ')?;
        let data = Session::parse(data)?.as_str().to_owned();
        Some(Self { data, size: size.parse().ok()? })
    }

    fn payload(&self) -> Payload {
        Payload::Bytes(self.to_string().into())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.data, self.size)
    }
}

/// A blob that isn't on this machine.
pub(crate) struct Remote {
    s3: S3,
    key: String,
    size: u64,
}

impl Remote {
    /// Where a client may read it by itself, unless the administrator wants no client there.
    pub(crate) fn address(&self) -> Option<String> {
        self.s3.0.redirect.then(|| self.s3.0.bucket.lend(&self.key))
    }

    /// Part of its bytes, as they come.
    pub(crate) fn body(&self, part: std::ops::Range<u64>) -> Result<hyper::body::Incoming, Error> {
        let whole = part == (0..self.size) || part.is_empty();
        let range = format!("bytes={}-{}", part.start, part.end.saturating_sub(1));
        self.s3.0.bucket.open(&self.key, (!whole).then_some(range))
    }

    /// All of its bytes.
    pub(crate) fn reader(&self) -> Result<upload::Reader<'_>, Error> {
        Ok(upload::Reader::new(&self.s3.0.bucket, self.body(0..self.size)?))
    }
}

fn data_key(upload: &str) -> String {
    format!("data/{upload}")
}

fn place_key(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

fn key(key: &Key) -> String {
    format!("repositories/{key}")
}

fn link_key(name: &Name, digest: &Digest) -> String {
    format!("repositories/{name}/_blobs/{}", file(digest))
}

fn age(time: SystemTime) -> Duration {
    SystemTime::now().duration_since(time).unwrap_or_default()
}

/// Reads bytes as everything that comes from the store.
pub(crate) fn fuzz(bytes: &[u8]) {
    upload::fuzz(bytes);
    if let Some(place) = Place::parse(bytes) {
        assert_eq!(Place::parse(place.to_string().as_bytes()), Some(place));
    }
    let text = String::from_utf8_lossy(bytes);
    let found: usize = xml::each(&text, "Contents").map(str::len).sum();
    assert!(found <= text.len());
    for name in ["Key", "Size", "LastModified", "NextContinuationToken", "UploadId", "Error"] {
        assert!(xml::text(&text, name).is_none_or(|value| value.len() <= text.len()));
    }
}

impl S3 {
    /// Opens the bucket; what is on its way there is below `root`. Nothing is asked of the store yet.
    pub(crate) fn open(settings: &config::Bucket, root: &Path, runtime: Handle) -> Result<Self, Error> {
        let spool = root.join("tmp");
        std::fs::create_dir_all(&spool).map_err(|source| Error::Store {
            doing: "create",
            path: spool.clone(),
            source,
        })?;
        Ok(Self(Arc::new(Inner {
            bucket: Bucket::new(settings, runtime),
            staging: content::Store::open(root)?,
            spool,
            part: settings.part,
            redirect: settings.redirect,
            busy: Mutex::default(),
        })))
    }

    fn bucket(&self) -> &Bucket {
        &self.0.bucket
    }

    /// What a key says of where bytes are, and since when.
    fn place(&self, key: &str) -> Result<Option<(Place, SystemTime)>, Error> {
        let Some(document) = self.bucket().get(key)? else { return Ok(None) };
        let damaged = || Error::Damaged { path: key.into(), why: "it names no data".into() };
        Ok(Some((Place::parse(&document.bytes).ok_or_else(damaged)?, document.modified)))
    }

    /// Gives a repository a blob whose place is known; false if that went meanwhile.
    fn give(&self, name: &Name, digest: &Digest, place: &Place) -> Result<bool, Error> {
        let link = link_key(name, digest);
        self.bucket().put(&link, place.payload(), Replace::Yes)?;
        mark::wait(self, BLOBS)?;
        let still = self.place(&place_key(digest))?.is_some_and(|(now, _)| now == *place);
        if !still {
            self.bucket().delete(&link)?;
        }
        Ok(still)
    }

    /// Which blobs any repository has.
    fn linked(&self) -> Result<HashSet<Digest>, Error> {
        let all = self.bucket().list("repositories/", false)?.objects;
        let digest = |key: &str| {
            let (folder, file) = key.rsplit_once('/')?;
            folder.ends_with("/_blobs").then(|| digest_of(file))?
        };
        Ok(all.iter().filter_map(|object| digest(&object.key)).collect())
    }

    /// Reads many places at once.
    fn places(&self, keys: &[String]) -> Result<Vec<(String, Place)>, Error> {
        let mut found = Vec::new();
        for some in keys.chunks(AT_ONCE) {
            let read = std::thread::scope(|scope| {
                let reading: Vec<_> = some.iter().map(|key| scope.spawn(|| self.place(key))).collect();
                let read = reading.into_iter().map(|thread| thread.join().unwrap_or(Ok(None)));
                read.collect::<Result<Vec<_>, Error>>()
            })?;
            let both = some.iter().zip(read);
            found.extend(both.filter_map(|(key, place)| Some((key.clone(), place?.0))));
        }
        Ok(found)
    }

    /// Every repository with such a folder of ours, by name: level by level, so that what they hold is not listed.
    fn holding(&self, wanted: fn(&str) -> bool) -> Result<Vec<Name>, Error> {
        let (mut names, mut open) = (Vec::new(), vec![String::new()]);
        while let Some(path) = open.pop() {
            let mut holds = false;
            for folder in self.bucket().list(&format!("repositories/{path}"), true)?.folders {
                let below = folder.trim_start_matches("repositories/");
                match below.trim_end_matches('/').rsplit('/').next().unwrap_or_default() {
                    part if part.starts_with('_') => holds |= wanted(part),
                    _ => open.push(below.to_owned()),
                }
            }
            if holds && let Ok(name) = Name::parse(path.trim_end_matches('/')) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes data that no place names: of uploads that ended in the middle of their end, or of two that brought the
    /// same at once. They are looked for only where there is more data than places.
    fn collect_strays(&self, grace: Duration, really: bool, freed: &mut Freed) -> Result<(), Error> {
        let data = self.bucket().list("data/", false)?.objects;
        let blobs = self.bucket().list("blobs/", false)?.objects;
        if data.len() <= blobs.len() {
            return Ok(());
        }
        let all = self.bucket().list("repositories/", false)?.objects;
        let links = all.into_iter().filter(|object| object.key.contains("/_blobs/"));
        let keys: Vec<String> = blobs.into_iter().chain(links).map(|object| object.key).collect();
        let named: HashSet<String> = self.places(&keys)?.into_iter().map(|(_, place)| place.data).collect();
        for object in data {
            let upload = object.key.trim_start_matches("data/");
            if named.contains(upload) || age(object.modified) < grace {
                continue;
            }
            if really {
                self.bucket().delete(&object.key)?;
            }
            freed.bytes += object.size;
        }
        Ok(())
    }
}

impl Storage for S3 {
    fn is_local(&self) -> bool {
        false
    }

    fn read(&self, of: &Key) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.bucket().get(&key(of))?.map(|document| document.bytes.into()))
    }

    fn stamp(&self, of: &Key) -> Result<Option<SystemTime>, Error> {
        self.bucket().head(&key(of))
    }

    fn write(&self, of: &Key, bytes: &[u8]) -> Result<(), Error> {
        let payload = Payload::Bytes(bytes.to_vec().into());
        self.bucket().put(&key(of), payload, Replace::Yes).map(drop)
    }

    fn create(&self, of: &Key, bytes: &[u8]) -> Result<bool, Error> {
        self.bucket().put(&key(of), Payload::Bytes(bytes.to_vec().into()), Replace::No)
    }

    fn remove(&self, of: &Key) -> Result<bool, Error> {
        let key = key(of);
        let there = self.bucket().head(&key)?.is_some();
        if there {
            // A repository that had manifests is one until it is pruned: its folder needs an object of its own.
            if let Some((folder, _)) =
                key.rsplit_once('/').filter(|(folder, _)| folder.ends_with("/_manifests"))
            {
                self.bucket().put(&format!("{folder}/"), Payload::None, Replace::Yes)?;
            }
            self.bucket().delete(&key)?;
        }
        Ok(there)
    }

    fn list(&self, folder: &Key) -> Result<Option<Vec<Entry>>, Error> {
        let prefix = format!("{}/", key(folder));
        let objects = self.bucket().list(&prefix, true)?.objects;
        let entry = |object: bucket::Object| {
            let name = object.key.strip_prefix(&prefix).filter(|name| !name.is_empty())?.to_owned();
            Some(Entry { name, modified: object.modified })
        };
        let mut entries: Vec<Entry> = objects.into_iter().filter_map(entry).collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok((!entries.is_empty()).then_some(entries))
    }

    fn holds(&self, folder: &Key) -> Result<bool, Error> {
        self.bucket().any(&format!("{}/", key(folder)))
    }

    fn repositories(&self) -> Result<Vec<Name>, Error> {
        self.holding(|part| part == "_manifests")
    }

    fn names(&self) -> Result<Vec<Name>, Error> {
        self.holding(|_| true)
    }

    fn prune(&self, name: &Name) -> Result<bool, Error> {
        let left = self.bucket().list(&format!("repositories/{name}/_"), false)?.objects;
        if left.iter().any(|object| !object.key.contains("/_referrers/") && !object.key.ends_with('/')) {
            return Ok(false);
        }
        left.iter().try_for_each(|object| self.bucket().delete(&object.key))?;
        Ok(true)
    }

    fn blob(&self, name: &Name, digest: &Digest) -> Result<Option<Blob>, Error> {
        let Some((place, _)) = self.place(&link_key(name, digest))? else { return Ok(None) };
        let size = place.size;
        let source = Source::Remote(Remote { s3: self.clone(), key: data_key(&place.data), size });
        Ok(Some(Blob { size, source }))
    }

    fn size(&self, name: &Name, digest: &Digest) -> Result<Option<u64>, Error> {
        let link = link_key(name, digest);
        let Some((place, since)) = self.place(&link)? else { return Ok(None) };
        if age(since) > TOUCH {
            self.bucket().put(&link, place.payload(), Replace::Yes)?;
        }
        Ok(Some(place.size))
    }

    fn link(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        if let Some((place, _)) = self.place(&place_key(digest))? {
            return self.give(name, digest, &place);
        }
        if self.0.staging.find(digest)?.is_none() {
            return Ok(false);
        }
        upload::from_staging(self, name, digest)?;
        self.0.staging.remove(digest)?;
        Ok(true)
    }

    fn unlink(&self, name: &Name, digest: &Digest) -> Result<bool, Error> {
        let link = link_key(name, digest);
        let there = self.bucket().head(&link)?.is_some();
        if there {
            self.bucket().delete(&link)?;
        }
        Ok(there)
    }

    fn blobs(&self, name: &Name) -> Result<Vec<(Digest, u64, SystemTime)>, Error> {
        let listed = self.bucket().list(&format!("repositories/{name}/_blobs/"), true)?.objects;
        let times: HashMap<String, SystemTime> =
            listed.into_iter().map(|object| (object.key, object.modified)).collect();
        let keys: Vec<String> = times.keys().cloned().collect();
        let found = self.places(&keys)?.into_iter().filter_map(|(key, place)| {
            Some((digest_of(key.rsplit('/').next()?)?, place.size, *times.get(&key)?))
        });
        Ok(found.collect())
    }

    fn begin(&self, name: &Name, session: &Session, algorithm: Algorithm) -> Result<(), Error> {
        upload::begin(self, name, session, algorithm)
    }

    fn resume(&self, name: &Name, session: &Session, limit: u64) -> Result<Box<dyn Upload>, Problem> {
        upload::resume(self, name, session, limit)
    }

    fn idle(&self, name: &Name, session: &Session) -> Result<Option<Duration>, Error> {
        Ok(self.stamp(&Key::upload(name, session))?.map(age))
    }

    fn shared(&self) -> &content::Store {
        &self.0.staging
    }

    fn hold(&self, hold: Hold<'_>) -> Result<Held, Error> {
        match hold {
            Hold::Shared => Ok(Held::Nothing),
            Hold::Alone(name) => Mark::leave(self, &mark::of(name)).map(Held::Mark),
        }
    }

    fn settle(&self, name: &Name) -> Result<(), Error> {
        mark::wait(self, &mark::of(name))
    }

    fn collect(&self, grace: Duration, really: bool) -> Result<Freed, Error> {
        let (mut freed, mark) = (Freed::default(), Mark::leave(self, BLOBS)?);
        // In this order: a repository has its blob before others find it.
        let blobs = self.bucket().list("blobs/", false)?.objects;
        let linked = self.linked()?;
        for object in blobs {
            let digest =
                object.key.strip_prefix("blobs/").and_then(|rest| digest_of(&rest.replacen('/', "-", 1)));
            if digest.is_none_or(|digest| linked.contains(&digest)) || age(object.modified) < grace {
                continue;
            }
            let Some((place, _)) = self.place(&object.key)?.filter(|_| mark.lasts()) else { continue };
            if really {
                self.bucket().delete(&object.key)?;
                self.bucket().delete(&data_key(&place.data))?;
            }
            freed.blobs += 1;
            freed.bytes += place.size;
        }
        drop(mark);
        self.collect_strays(grace, really, &mut freed)?;
        mark::sweep(self)?;
        Ok(freed)
    }

    fn check(&self) -> Result<(), Error> {
        self.bucket().any("repositories/").map(drop)
    }

    fn used(&self) -> Result<u64, Error> {
        Ok(self.bucket().list("data/", false)?.objects.iter().map(|object| object.size).sum())
    }
}
