//! Uploads: begun, gone on with in order, closed by their digest. Nothing of one is visible before it is closed.

use std::ops::Range;
use std::sync::Arc;

use content::Session;
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
use crate::storage::{Hold, Upload};

impl Registry {
    /// The upload of a session of this repository.
    fn resume(&self, name: &Name, session: &Session) -> Result<Box<dyn Upload>, Problem> {
        self.repositories.storage.resume(name, session, self.settings.blob_limit)
    }

    fn begin(&self, name: &Name, algorithm: Algorithm) -> Result<Session, Problem> {
        let session = new_session()?;
        let _hold = self.repositories.storage.hold(Hold::Shared)?;
        self.repositories.storage.begin(name, &session, algorithm)?;
        Ok(session)
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
                blocking(move || registry.resume(&name, &session)?.abandon()).await?;
                Ok(empty(StatusCode::NO_CONTENT))
            }
            _ => {
                let upload = self.resume(&name, &session).await?;
                let size = upload.size();
                blocking(move || upload.pause()).await?;
                Ok(self.accepted(&name, &session, size, StatusCode::NO_CONTENT))
            }
        }
    }

    async fn resume(&self, name: &Name, session: &Session) -> Result<Box<dyn Upload>, Problem> {
        let (registry, name, session) = (self.registry.clone(), name.clone(), session.clone());
        blocking(move || registry.resume(&name, &session)).await
    }

    async fn chunk(self, name: Name, session: Session) -> Result<Reply, Problem> {
        let head = self.head();
        let upload = self.resume(&name, &session).await?;
        let upload = self.in_order(&name, &session, upload).await?;
        let before = upload.size();
        let registry = self.registry.clone();
        let (upload, result) = body::receive(upload, self.body, &registry.room).await;
        let Some(upload) = upload else { return Err(result.err().unwrap_or_else(Problem::not_found)) };
        let size = upload.size();
        registry.metrics.received(size - before);
        match result.and_then(|()| head.check_length(size - before)) {
            Ok(()) => {
                blocking(move || upload.pause()).await?;
                Ok(head.accepted(&name, &session, size, StatusCode::ACCEPTED))
            }
            Err(problem) => Err(interrupted(upload, problem).await),
        }
    }

    /// Takes the last bytes, if there are any, and closes the upload.
    async fn finish(self, name: Name, session: Session, digest: Digest) -> Result<Reply, Problem> {
        let head = self.head();
        let upload = self.resume(&name, &session).await?;
        let upload = self.in_order(&name, &session, upload).await?;
        let before = upload.size();
        let registry = self.registry.clone();
        let (upload, result) = body::receive(upload, self.body, &registry.room).await;
        let Some(upload) = upload else { return Err(result.err().unwrap_or_else(Problem::not_found)) };
        let size = upload.size();
        registry.metrics.received(size - before);
        if let Err(problem) = result.and_then(|()| head.check_length(size - before)) {
            return Err(interrupted(upload, problem).await);
        }
        let expected = digest.clone();
        blocking(move || upload.commit(&expected)).await?;
        head.registry.tell(EventAction::Push, &Subject::blob(&name, &digest, size), &self.origin);
        Ok(head.created(&name, &digest))
    }

    /// Refuses a chunk that doesn't begin where the last one ended.
    async fn in_order(
        &self,
        name: &Name,
        session: &Session,
        upload: Box<dyn Upload>,
    ) -> Result<Box<dyn Upload>, Problem> {
        let text = self.header("content-range");
        if text.is_empty() {
            return Ok(upload);
        }
        let size = upload.size();
        let problem = match range::chunk(text) {
            Some(range) if range.start == size => return Ok(upload),
            Some(_) => {
                let location = self.location(&format!("/v2/{name}/blobs/uploads/{}", session.as_str()));
                let message = "the chunk does not begin where the upload ended";
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let problem = Problem::new(status, "BLOB_UPLOAD_INVALID", message);
                problem.header("range", so_far(size)).header("location", location)
            }
            None => Problem::upload_invalid("its Content-Range is not <start>-<end>"),
        };
        blocking(move || upload.pause()).await?;
        Err(problem)
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

/// What came stays, unless it has no room.
async fn interrupted(upload: Box<dyn Upload>, problem: Problem) -> Problem {
    let full = matches!(problem.status, StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE);
    let kept = blocking(move || if full { upload.abandon() } else { upload.pause() }).await;
    if let Err(error) = kept {
        tracing::warn!(error = error.message, "an interrupted upload can't be put aside");
    }
    problem
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
