//! Uploads to the store: parts as soon as they are full, and between two requests a document that any process goes on
//! from. It holds the hash of what came, so that nothing is read again.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, PoisonError};

use bytes::{Buf as _, Bytes};
use content::Session;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use oci::{Algorithm, Digest};
use serde::{Deserialize, Serialize};

use super::bucket::{Bucket, Payload, Replace};
use super::hash::Running;
use super::{Place, S3, data_key, link_key, place_key};
use crate::error::{Error, Problem};
use crate::route::Name;
use crate::storage::{Key, Storage as _, Upload};

/// The specification's number.
const PARTS: usize = 10_000;
/// After so many parts it is written down how far the upload is, so that a killed process loses no more.
const REMEMBER: usize = 16;
const PIECE: usize = 256 << 10;

/// How far an upload is. In its document, the bytes that fill no part follow behind a line feed.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    hash: Running,
    /// The store's name for the parts together; none before the first.
    id: Option<String>,
    /// The store's names for them.
    parts: Vec<String>,
}

impl State {
    fn document(&self, rest: &[u8]) -> Result<Bytes, Error> {
        let mut bytes = serde_json::to_vec(self).map_err(|error| Error::System {
            doing: "write down how far an upload is",
            source: io::Error::other(error),
        })?;
        bytes.push(b'\n');
        bytes.extend_from_slice(rest);
        Ok(bytes.into())
    }

    fn read(mut document: Bytes) -> Option<(Self, Bytes)> {
        let end = document.iter().position(|byte| *byte == b'\n')?;
        let state: Self = serde_json::from_slice(&document[..end]).ok()?;
        document.advance(end + 1);
        (state.hash.is_sound() && state.hash.length() >= document.len() as u64).then_some((state, document))
    }
}

/// What is read as a document is written as the same.
pub(super) fn fuzz(bytes: &[u8]) {
    if let Some((state, rest)) = State::read(bytes.to_vec().into())
        && let Ok(written) = state.document(&rest)
    {
        let again = State::read(written);
        assert!(again.is_some_and(|(again, left)| again.hash == state.hash && left == rest));
    }
}

fn document_key(name: &Name, session: &Session) -> String {
    super::key(&Key::upload(name, session))
}

/// Writes down that an upload has begun.
pub(super) fn begin(s3: &S3, name: &Name, session: &Session, algorithm: Algorithm) -> Result<(), Error> {
    let state = State { hash: Running::new(algorithm), id: None, parts: Vec::new() };
    let document = Payload::Bytes(state.document(b"")?);
    s3.bucket().put(&document_key(name, session), document, Replace::Yes).map(drop)
}

/// One upload is one request's at a time, as far as this process knows; of two processes', one loses in the end: the
/// store knows the other's parts by other names.
struct Busy {
    s3: S3,
    session: Session,
}

impl Busy {
    fn new(s3: &S3, session: &Session) -> Option<Self> {
        let mut busy = s3.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(session.clone()).then(|| Self { s3: s3.clone(), session: session.clone() })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.s3.0.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.session);
    }
}

/// Goes on with an upload where its document says that it is.
pub(super) fn resume(
    s3: &S3,
    name: &Name,
    session: &Session,
    limit: u64,
) -> Result<Box<dyn Upload>, Problem> {
    let under_way = || Problem::from(content::Error::Busy(session.as_str().to_owned()));
    let busy = Busy::new(s3, session).ok_or_else(under_way)?;
    let key = document_key(name, session);
    let document = s3.bucket().get(&key)?.ok_or_else(|| Problem::upload_unknown(session.as_str()))?;
    let damaged = || Error::Damaged { path: key.clone().into(), why: "it tells of no upload".into() };
    let (state, rest) = State::read(document.bytes).ok_or_else(damaged)?;
    let mut begun = Begun::new(s3, name, session, state, limit, busy)?;
    begun.spool(&rest)?;
    Ok(Box::new(begun))
}

/// Brings a blob that came from another registry to the store and gives it to a repository.
pub(super) fn from_staging(s3: &S3, name: &Name, digest: &Digest) -> Result<(), Error> {
    let session = crate::random().map(Session::new);
    let session = session.map_err(|source| Error::System { doing: "get random bytes", source })?;
    let refused = |problem: Problem| Error::Refused { what: digest.to_string(), why: problem.message };
    begin(s3, name, &session, digest.algorithm())?;
    let mut upload = resume(s3, name, &session, u64::MAX).map_err(refused)?;
    let mut file = s3.0.staging.get(digest)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let count = file.read(&mut buffer);
        let read = |source| Error::Store { doing: "read", path: digest.as_str().into(), source };
        match count.map_err(read)? {
            0 => return upload.commit(digest).map_err(refused),
            count => upload.push(&buffer[..count]).map_err(refused)?,
        }
    }
}

/// An upload in the hands of a request.
struct Begun {
    s3: S3,
    name: Name,
    session: Session,
    state: State,
    limit: u64,
    /// The bytes that fill no part yet.
    spool: Arc<File>,
    spooled: u64,
    /// Whether the document says less than is known here.
    changed: bool,
    _busy: Busy,
}

impl Begun {
    fn new(
        s3: &S3,
        name: &Name,
        session: &Session,
        state: State,
        limit: u64,
        busy: Busy,
    ) -> Result<Self, Error> {
        let spool = tempfile::tempfile_in(&s3.0.spool);
        let spool = spool.map_err(|source| Error::Store {
            doing: "create a file in",
            path: s3.0.spool.clone(),
            source,
        })?;
        let (s3, name, session, spool) = (s3.clone(), name.clone(), session.clone(), Arc::new(spool));
        Ok(Self { s3, name, session, state, limit, spool, spooled: 0, changed: false, _busy: busy })
    }

    fn bucket(&self) -> &Bucket {
        self.s3.bucket()
    }

    fn data_key(&self) -> String {
        data_key(self.session.as_str())
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = self.s3.0.spool.clone();
        move |source| Error::Store { doing, path, source }
    }

    /// Writes to the part that isn't full; that it came is known already.
    fn spool(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.spool.as_ref().write_all(bytes).map_err(self.failed("write a part in"))?;
        self.spooled += bytes.len() as u64;
        Ok(())
    }

    /// Sends the part that was filled.
    fn send_part(&mut self) -> Result<(), Problem> {
        if self.state.parts.len() == PARTS {
            let most = self.s3.0.part * PARTS as u64;
            tracing::warn!(most, "a larger storage.s3.chunksize would have room for this upload");
            return Err(Problem::too_large("SIZE_INVALID", most));
        }
        let key = self.data_key();
        let id = match &self.state.id {
            Some(id) => id.clone(),
            None => self.state.id.insert(self.s3.bucket().begin(&key)?).clone(),
        };
        let payload = Payload::File(self.spool.clone(), self.spooled);
        let part = self.bucket().part(&key, &id, self.state.parts.len() + 1, payload)?;
        self.state.parts.push(part);
        self.spool.set_len(0).map_err(self.failed("empty a part in"))?;
        self.spool.as_ref().rewind().map_err(self.failed("empty a part in"))?;
        self.spooled = 0;
        if self.state.parts.len() % REMEMBER == 1 {
            self.remember()?;
        }
        Ok(())
    }

    /// Writes down how far it is.
    fn remember(&mut self) -> Result<(), Error> {
        let mut rest = vec![0; usize::try_from(self.spooled).unwrap_or_default()];
        self.spool.read_exact_at(&mut rest, 0).map_err(self.failed("read a part in"))?;
        let document = Payload::Bytes(self.state.document(&rest)?);
        self.bucket().put(&document_key(&self.name, &self.session), document, Replace::Yes)?;
        self.changed = false;
        Ok(())
    }

    /// Ends it without its bytes.
    fn forget(&self) -> Result<(), Error> {
        if let Some(id) = &self.state.id {
            self.bucket().abort(&self.data_key(), id)?;
        }
        self.bucket().delete(&document_key(&self.name, &self.session))
    }

    /// Makes the bytes one object, which nothing names yet.
    fn complete(&mut self) -> Result<Place, Problem> {
        let key = self.data_key();
        if self.state.id.is_some() && self.spooled > 0 {
            self.send_part()?;
        }
        match self.state.id.take() {
            Some(id) => self.bucket().complete(&key, &id, &self.state.parts)?,
            None => {
                let payload = Payload::File(self.spool.clone(), self.spooled);
                self.bucket().put(&key, payload, Replace::Yes)?;
            }
        }
        Ok(Place { data: self.session.as_str().to_owned(), size: self.state.hash.length() })
    }

    /// The digest of another kind than was announced: what is in the store already is read once more.
    fn rehash(&mut self, algorithm: Algorithm) -> Result<Digest, Problem> {
        let place = self.complete()?;
        let mut reader = Reader::new(self.bucket(), self.bucket().open(&data_key(&place.data), None)?);
        let (mut hash, mut buffer) = (Running::new(algorithm), vec![0; PIECE]);
        loop {
            match reader.read(&mut buffer).map_err(self.failed("read again what came by"))? {
                0 => break,
                count => hash.update(&buffer[..count]),
            }
        }
        hash.finish().map_err(|error| Problem::internal(&error.to_string()))
    }

    /// Names the bytes, for this repository and then for everybody: in this order nobody collects them in between.
    fn publish(&self, digest: &Digest, place: &Place) -> Result<(), Error> {
        let bucket = self.bucket();
        bucket.put(&link_key(&self.name, digest), place.payload(), Replace::Yes)?;
        if bucket.put(&place_key(digest), place.payload(), Replace::No)? {
            return Ok(());
        }
        // Somebody brought the same at this moment. Theirs is as good, if it stays.
        if self.s3.link(&self.name, digest)? {
            return bucket.delete(&data_key(&place.data));
        }
        bucket.put(&link_key(&self.name, digest), place.payload(), Replace::Yes)?;
        bucket.put(&place_key(digest), place.payload(), Replace::Yes).map(drop)
    }
}

impl Upload for Begun {
    fn size(&self) -> u64 {
        self.state.hash.length()
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), Problem> {
        if self.size().saturating_add(bytes.len() as u64) > self.limit {
            return Err(Problem::too_large("SIZE_INVALID", self.limit));
        }
        while !bytes.is_empty() {
            // What is full waits for more: the last part may have any size, and one alone needs no parts.
            if self.spooled >= self.s3.0.part {
                self.send_part()?;
            }
            let room = usize::try_from(self.s3.0.part - self.spooled).unwrap_or(usize::MAX);
            let (first, rest) = bytes.split_at(bytes.len().min(room));
            self.spool(first)?;
            self.state.hash.update(first);
            self.changed = true;
            bytes = rest;
        }
        Ok(())
    }

    fn pause(mut self: Box<Self>) -> Result<(), Problem> {
        if self.changed {
            self.remember()?;
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>, digest: &Digest) -> Result<(), Problem> {
        let whole = digest.algorithm() == self.state.hash.algorithm();
        let found = match whole {
            true => {
                self.state.hash.clone().finish().map_err(|error| Problem::internal(&error.to_string()))?
            }
            false => self.rehash(digest.algorithm())?,
        };
        if found != *digest {
            if !whole {
                self.bucket().delete(&self.data_key())?;
            }
            self.forget()?;
            let (expected, found) = (digest.clone(), found);
            return Err(content::Error::Mismatch { expected, found }.into());
        }
        // The same bytes may be there already.
        let known = self.s3.place(&place_key(digest))?;
        if let Some((place, _)) = known.filter(|_| whole)
            && self.s3.give(&self.name, digest, &place)?
        {
            return Ok(self.forget()?);
        }
        let place = match whole {
            true => self.complete()?,
            false => Place { data: self.session.as_str().to_owned(), size: self.state.hash.length() },
        };
        self.publish(digest, &place)?;
        Ok(self.bucket().delete(&document_key(&self.name, &self.session))?)
    }

    fn abandon(self: Box<Self>) -> Result<(), Problem> {
        Ok(self.forget()?)
    }
}

/// An object's bytes, for who may wait for them.
pub(crate) struct Reader<'a> {
    bucket: &'a Bucket,
    body: Incoming,
    piece: Bytes,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bucket: &'a Bucket, body: Incoming) -> Self {
        Self { bucket, body, piece: Bytes::new() }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.bucket.wait(self.body.frame()) {
                Some(frame) => self.piece = frame.map_err(io::Error::other)?.into_data().unwrap_or_default(),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.split_to(count).copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
