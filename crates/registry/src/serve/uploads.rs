//! Uploads: begun, gone on with in order, closed by their digest. Nothing of one is visible before it is closed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use content::{Ingest, Session};
use http::{Method, StatusCode};
use oci::{Algorithm, Digest};

use super::{Call, Registry, Reply, blocking, empty, put};
use crate::auth::Action;
use crate::body;
use crate::config::EventAction;
use crate::error::Problem;
use crate::notify::Subject;
use crate::range;
use crate::route::{self, Name};
use crate::storage::{Hold, Key};

/// Uploads between two requests whose hashes are kept; what is more is hashed again when it goes on.
const KEPT: usize = 256;

/// The uploads that wait for their next request.
#[derive(Default)]
pub(crate) struct Uploads(Mutex<HashMap<Session, (Ingest, Instant)>>);

impl Uploads {
    fn take(&self, session: &Session) -> Option<Ingest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(session).map(|(ingest, _)| ingest)
    }

    /// Lets go of those that nobody went on with for so long: what is kept is locked.
    pub(crate) fn forget(&self, longest: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (_, since)| since.elapsed() < longest);
    }

    fn keep(&self, session: Session, ingest: Ingest) {
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

impl Registry {
    /// The upload of a session of this repository.
    fn resume(&self, name: &Name, session: &Session) -> Result<Ingest, Problem> {
        let document = self.repositories.storage.read(&Key::upload(name, session))?;
        let document = document.ok_or_else(|| Problem::upload_unknown(session.as_str()))?;
        let algorithm = if document == b"sha512" { Algorithm::Sha512 } else { Algorithm::Sha256 };
        match self.uploads.take(session) {
            Some(ingest) => Ok(ingest),
            None => self.repositories.storage.resume(session, algorithm, self.settings.blob_limit),
        }
    }

    fn begin(&self, name: &Name, algorithm: Algorithm) -> Result<Session, Problem> {
        let session = new_session()?;
        let key = Key::upload(name, &session);
        let _hold = self.repositories.storage.hold(Hold::Shared)?;
        self.repositories.storage.write(&key, algorithm.name().as_bytes())?;
        Ok(session)
    }

    /// Makes the blob visible in this repository if it is what was promised.
    fn close(
        &self,
        name: &Name,
        session: &Session,
        mut ingest: Ingest,
        digest: &Digest,
    ) -> Result<(), Problem> {
        let storage = &self.repositories.storage;
        ingest.rehash(digest.algorithm())?;
        let committed = ingest.commit(digest);
        if committed.is_ok() {
            let _hold = storage.hold(Hold::Shared)?;
            if !storage.link(name, digest)? {
                return Err(Problem::internal("a blob went while it was given to a repository"));
            }
        }
        // A session ends with the attempt to close it, whether it worked or not.
        storage.remove(&Key::upload(name, session))?;
        committed.map(drop).map_err(Problem::from)
    }

    fn cancel(&self, name: &Name, session: &Session) -> Result<(), Problem> {
        let ingest = self.resume(name, session)?;
        self.repositories.storage.remove(&Key::upload(name, session))?;
        Ok(ingest.abandon()?)
    }
}

fn new_session() -> Result<Session, Problem> {
    crate::random().map(Session::new).map_err(|error| Problem::internal(&error.to_string()))
}

fn algorithm(name: &str) -> Result<Algorithm, Problem> {
    match name {
        "" | "sha256" => Ok(Algorithm::Sha256),
        "sha512" => Ok(Algorithm::Sha512),
        other => Err(Problem::digest_invalid(&format!("{} is not supported", route::shorten(other)))),
    }
}

impl Call {
    /// `POST …/blobs/uploads/`, in all its forms.
    pub(crate) async fn begin_upload(self, name: Name) -> Result<Reply, Problem> {
        self.only(&[Method::POST])?;
        self.permit(&name, Action::Create)?;
        if let Some(digest) = self.mounted(&name).await? {
            let from = Name::parse(self.query.get("from")).ok();
            let subject = Subject { from: from.as_ref(), ..Subject::blob(&name, &digest, 0) };
            self.registry.tell(EventAction::Mount, &subject, &self.origin);
            return Ok(self.created(&name, &digest));
        }
        let digest = match self.query.get("digest") {
            "" => None,
            text => Some(route::digest(text)?),
        };
        let algorithm = algorithm(self.query.get("digest-algorithm"))?;
        let (registry, owner) = (self.registry.clone(), name.clone());
        let session = blocking(move || registry.begin(&owner, algorithm)).await?;
        match digest {
            Some(digest) => self.finish(name, session, digest).await,
            None => Ok(self.accepted(&name, &session, 0, StatusCode::ACCEPTED)),
        }
    }

    /// The digest that was asked to be mounted, if it could be.
    async fn mounted(&self, name: &Name) -> Result<Option<Digest>, Problem> {
        let text = self.query.get("mount");
        if text.is_empty() {
            return Ok(None);
        }
        let digest = route::digest(text)?;
        let from = match self.query.get("from") {
            // Without a source, only where everything is everybody's.
            "" if !self.registry.auth.is_open() => return Ok(None),
            "" => None,
            from => Some(Name::parse(from)?),
        };
        // Who may not read the source gets an upload, as if there were nothing.
        if from
            .as_ref()
            .is_some_and(|from| self.registry.auth.permit(&self.caller, from, Action::Pull).is_err())
        {
            return Ok(None);
        }
        let (storage, name) = (self.registry.repositories.storage.clone(), name.clone());
        blocking(move || {
            let _hold = storage.hold(Hold::Shared)?;
            let there = match &from {
                Some(from) => storage.size(from, &digest)?.is_some(),
                None => true,
            };
            Ok((there && storage.link(&name, &digest)?).then_some(digest))
        })
        .await
    }

    /// `PATCH`, `PUT`, `GET` and `DELETE` of one upload.
    pub(crate) async fn upload(self, name: Name, session: Session) -> Result<Reply, Problem> {
        self.only(&[Method::PATCH, Method::PUT, Method::GET, Method::HEAD, Method::DELETE])?;
        self.permit(&name, Action::Create)?;
        match self.method {
            Method::PATCH => self.chunk(name, session).await,
            Method::PUT => {
                let digest = route::digest(self.query.get("digest"))?;
                self.finish(name, session, digest).await
            }
            Method::DELETE => {
                let registry = self.registry.clone();
                blocking(move || registry.cancel(&name, &session)).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => {
                let ingest = self.resume(&name, &session).await?;
                let size = ingest.size();
                self.registry.uploads.keep(session.clone(), ingest);
                Ok(self.accepted(&name, &session, size, StatusCode::NO_CONTENT))
            }
        }
    }

    async fn resume(&self, name: &Name, session: &Session) -> Result<Ingest, Problem> {
        let (registry, name, session) = (self.registry.clone(), name.clone(), session.clone());
        blocking(move || registry.resume(&name, &session)).await
    }

    async fn chunk(self, name: Name, session: Session) -> Result<Reply, Problem> {
        let head = self.head();
        let ingest = self.resume(&name, &session).await?;
        let ingest = self.in_order(&name, &session, ingest)?;
        let before = ingest.size();
        let registry = self.registry.clone();
        let (ingest, result) = body::receive(ingest, self.body, &registry.room).await;
        let Some(ingest) = ingest else { return Err(result.err().unwrap_or_else(Problem::not_found)) };
        let size = ingest.size();
        registry.metrics.received(size - before);
        let result = result.and_then(|()| head.check_length(size - before));
        match result {
            Ok(()) => {
                registry.uploads.keep(session.clone(), ingest);
                Ok(head.accepted(&name, &session, size, StatusCode::ACCEPTED))
            }
            Err(problem) => Err(registry.interrupted(&session, ingest, problem)),
        }
    }

    /// Takes the last bytes, if there are any, and closes the upload.
    async fn finish(self, name: Name, session: Session, digest: Digest) -> Result<Reply, Problem> {
        let head = self.head();
        let ingest = self.resume(&name, &session).await?;
        let ingest = self.in_order(&name, &session, ingest)?;
        let before = ingest.size();
        let registry = self.registry.clone();
        let (ingest, result) = body::receive(ingest, self.body, &registry.room).await;
        let Some(ingest) = ingest else { return Err(result.err().unwrap_or_else(Problem::not_found)) };
        registry.metrics.received(ingest.size() - before);
        if let Err(problem) = result.and_then(|()| head.check_length(ingest.size() - before)) {
            return Err(registry.interrupted(&session, ingest, problem));
        }
        let (owner, expected, size) = (name.clone(), digest.clone(), ingest.size());
        blocking(move || registry.close(&owner, &session, ingest, &expected)).await?;
        head.registry.tell(EventAction::Push, &Subject::blob(&name, &digest, size), &self.origin);
        Ok(head.created(&name, &digest))
    }

    /// Refuses a chunk that doesn't begin where the last one ended.
    fn in_order(&self, name: &Name, session: &Session, ingest: Ingest) -> Result<Ingest, Problem> {
        let text = self.header("content-range");
        if text.is_empty() {
            return Ok(ingest);
        }
        let size = ingest.size();
        match range::chunk(text) {
            Some(range) if range.start == size => Ok(ingest),
            Some(_) => {
                let location = self.location(&format!("/v2/{name}/blobs/uploads/{}", session.as_str()));
                self.registry.uploads.keep(session.clone(), ingest);
                let message = "the chunk does not begin where the upload ended";
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let problem = Problem::new(status, "BLOB_UPLOAD_INVALID", message);
                Err(problem.header("range", so_far(size)).header("location", location))
            }
            None => {
                self.registry.uploads.keep(session.clone(), ingest);
                Err(Problem::upload_invalid("its Content-Range is not <start>-<end>"))
            }
        }
    }

    fn created(&self, name: &Name, digest: &Digest) -> Reply {
        self.head().created(name, digest)
    }

    fn accepted(&self, name: &Name, session: &Session, size: u64, status: StatusCode) -> Reply {
        self.head().accepted(name, session, size, status)
    }

    /// What an answer needs of a request whose body is gone.
    fn head(&self) -> Head {
        Head {
            registry: self.registry.clone(),
            range: range::chunk(self.header("content-range")),
            fresh: self.method == Method::POST,
        }
    }
}

impl Registry {
    /// What came stays, unless it fills a disk that is full.
    fn interrupted(&self, session: &Session, ingest: Ingest, problem: Problem) -> Problem {
        match problem.status {
            StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE => {
                if let Err(error) = ingest.abandon() {
                    tracing::warn!(
                        error = diag::chain(&error),
                        "an upload that has no room can't be removed"
                    );
                }
            }
            _ => self.uploads.keep(session.clone(), ingest),
        }
        problem
    }
}

struct Head {
    registry: Arc<Registry>,
    range: Option<Range<u64>>,
    fresh: bool,
}

impl Head {
    /// Whether as much came as the chunk's range said.
    fn check_length(&self, received: u64) -> Result<(), Problem> {
        match &self.range {
            Some(range) if range.end - range.start != received => Err(Problem::size_invalid(format!(
                "{received} bytes came, the range has {}",
                range.end - range.start
            ))),
            _ => Ok(()),
        }
    }

    fn location(&self, path: &str) -> String {
        format!("{}{path}", self.registry.settings.host.as_deref().unwrap_or_default())
    }

    fn created(&self, name: &Name, digest: &Digest) -> Reply {
        let mut reply = empty(StatusCode::CREATED);
        put(&mut reply, "location", &self.location(&format!("/v2/{name}/blobs/{digest}")));
        put(&mut reply, "docker-content-digest", digest.as_str());
        reply
    }

    fn accepted(&self, name: &Name, session: &Session, size: u64, status: StatusCode) -> Reply {
        let mut reply = empty(status);
        let uuid = session.as_str();
        put(&mut reply, "location", &self.location(&format!("/v2/{name}/blobs/uploads/{uuid}")));
        put(&mut reply, "docker-upload-uuid", uuid);
        put(&mut reply, "range", &so_far(size));
        if self.fresh && self.registry.settings.chunk_min > 0 {
            put(&mut reply, "oci-chunk-min-length", &self.registry.settings.chunk_min.to_string());
        }
        reply
    }
}

/// The part of an upload that is there. Of nothing, the specification has no word: `0-0`, as docker's registry says.
fn so_far(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}
