//! Uploads to the local disk: a file that is hashed while it grows, and is locked while a request or this process has it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use content::{Ingest, Session};
use oci::{Algorithm, Digest};

use super::Disk;
use crate::error::Problem;
use crate::route::Name;
use crate::storage::{Hold, Key, Storage as _, Upload};

/// Uploads between two requests whose hashes are kept; what is more is hashed again when it goes on.
const KEPT: usize = 256;

/// The uploads that wait for their next request.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<Session, (Ingest, Instant)>>);

impl Kept {
    fn take(&self, session: &Session) -> Option<Ingest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(session).map(|(ingest, _)| ingest)
    }

    fn put(&self, session: Session, ingest: Ingest) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT
            && let Some(other) =
                kept.iter().min_by_key(|(_, (_, since))| *since).map(|(other, _)| other.clone())
        {
            kept.remove(&other);
        }
        kept.insert(session, (ingest, Instant::now()));
    }
}

/// Goes on with an upload: what came before is hashed again, unless this process remembers.
pub(super) fn resume(
    disk: &Disk,
    name: &Name,
    session: &Session,
    limit: u64,
) -> Result<Box<dyn Upload>, Problem> {
    let document = disk.read(&Key::upload(name, session))?;
    let document = document.ok_or_else(|| Problem::upload_unknown(session.as_str()))?;
    let algorithm = if document == b"sha512" { Algorithm::Sha512 } else { Algorithm::Sha256 };
    let ingest = match disk.kept.take(session) {
        Some(ingest) => ingest,
        None => disk.content.resume_session(session, algorithm, limit)?,
    };
    Ok(Box::new(Begun { disk: disk.clone(), name: name.clone(), session: session.clone(), ingest }))
}

/// An upload in the hands of a request.
struct Begun {
    disk: Disk,
    name: Name,
    session: Session,
    ingest: Ingest,
}

impl Upload for Begun {
    fn size(&self) -> u64 {
        self.ingest.size()
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        Ok(self.ingest.push(bytes)?)
    }

    fn pause(self: Box<Self>) -> Result<(), Problem> {
        self.disk.kept.put(self.session, self.ingest);
        Ok(())
    }

    fn commit(self: Box<Self>, digest: &Digest) -> Result<(), Problem> {
        let Self { disk, name, session, mut ingest } = *self;
        ingest.rehash(digest.algorithm())?;
        let committed = ingest.commit(digest);
        if committed.is_ok() {
            let _hold = disk.hold(Hold::Shared)?;
            if !disk.link(&name, digest)? {
                return Err(Problem::internal("a blob went while it was given to a repository"));
            }
        }
        // A session ends with the attempt to close it, whether it worked or not.
        disk.remove(&Key::upload(&name, &session))?;
        committed.map(drop).map_err(Problem::from)
    }

    fn abandon(self: Box<Self>) -> Result<(), Problem> {
        self.disk.remove(&Key::upload(&self.name, &self.session))?;
        Ok(self.ingest.abandon()?)
    }
}
