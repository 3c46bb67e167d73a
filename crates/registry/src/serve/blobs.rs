//! Downloads and removals of blobs.

use http::{Method, Response, StatusCode};
use oci::Digest;

use super::{Call, Reply, blocking, empty, put};
use crate::auth::Action;
use crate::body;
use crate::config::EventAction;
use crate::error::Problem;
use crate::notify::Subject;
use crate::range::{self, Wanted};
use crate::route::Name;
use crate::storage::{Hold, Source};

impl Call {
    pub(crate) async fn blob(self, name: Name, digest: Digest) -> Result<Reply, Problem> {
        match self.method {
            Method::GET => self.download(name, digest).await,
            Method::HEAD => self.head_blob(name, digest).await,
            Method::DELETE => self.delete_blob(name, digest).await,
            _ => Err(self
                .only(&[Method::GET, Method::HEAD, Method::DELETE])
                .err()
                .unwrap_or_else(Problem::not_found)),
        }
    }

    /// What is kept from another registry is fetched by who asks first.
    async fn ensure(&self, name: &Name, digest: &Digest) -> Result<(), Problem> {
        let Some(kept) = self.registry.upstreams.find(name) else { return Ok(()) };
        let (storage, asked) = (self.registry.repositories.storage.clone(), digest.clone());
        if blocking(move || Ok(storage.size(&kept.name, &asked)?)).await?.is_some() {
            self.registry.metrics.cached.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Ok(());
        }
        // In a task of its own: who comes next has use for it even if this client goes.
        let (registry, name, digest) = (self.registry.clone(), name.clone(), digest.clone());
        let fetching = tasks::spawn(async move {
            match registry.upstreams.find(&name) {
                Some(kept) => registry.upstreams.fetch(&kept, &digest).await.map(drop),
                None => Ok(()),
            }
        });
        fetching.await.unwrap_or_else(|error| Err(Problem::internal(&error.to_string())))
    }

    async fn head_blob(self, name: Name, digest: Digest) -> Result<Reply, Problem> {
        self.permit(&name, Action::Pull)?;
        self.ensure(&name, &digest).await?;
        let (storage, asked) = (self.registry.repositories.storage.clone(), digest.clone());
        let size = blocking(move || Ok(storage.size(&name, &asked)?)).await?;
        let size = size.ok_or_else(|| Problem::blob_unknown(&digest))?;
        let mut reply = empty(StatusCode::OK);
        describe(&mut reply, &digest);
        put(&mut reply, "content-length", &size.to_string());
        Ok(reply)
    }

    async fn download(self, name: Name, digest: Digest) -> Result<Reply, Problem> {
        self.permit(&name, Action::Pull)?;
        if self.unchanged(&digest) {
            return Ok(not_modified(&digest));
        }
        self.ensure(&name, &digest).await?;
        let (storage, owner, asked) =
            (self.registry.repositories.storage.clone(), name.clone(), digest.clone());
        let blob = blocking(move || Ok(storage.blob(&owner, &asked)?)).await?;
        let blob = blob.ok_or_else(|| Problem::blob_unknown(&digest))?;
        if let Source::Remote(remote) = &blob.source
            && let Some(address) = remote.address()
        {
            // The store knows ranges by itself.
            self.registry.tell(EventAction::Pull, &Subject::blob(&name, &digest, blob.size), &self.origin);
            let mut reply = empty(StatusCode::TEMPORARY_REDIRECT);
            put(&mut reply, "location", &address);
            put(&mut reply, "docker-content-digest", digest.as_str());
            put(&mut reply, "cache-control", "no-store");
            return Ok(reply);
        }
        let (status, part) = match self.wanted(&digest, blob.size) {
            Wanted::Whole => (StatusCode::OK, 0..blob.size),
            Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Wanted::Unsatisfiable => {
                let problem =
                    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "there is no such part");
                return Err(problem.header("content-range", format!("bytes */{}", blob.size)));
            }
        };
        let length = part.end - part.start;
        let range = format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), blob.size);
        let content = match blob.source {
            Source::File(file) => body::file(file, part, self.registry.room.clone(), self.way),
            Source::Remote(remote) => body::remote(blocking(move || Ok(remote.body(part)?)).await?),
        };
        let mut reply = Response::new(content);
        *reply.status_mut() = status;
        describe(&mut reply, &digest);
        put(&mut reply, "content-length", &length.to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            put(&mut reply, "content-range", &range);
        }
        self.registry.metrics.sent(length);
        self.registry.tell(EventAction::Pull, &Subject::blob(&name, &digest, blob.size), &self.origin);
        Ok(reply)
    }

    /// A range holds only for the bytes that the client has the beginning of.
    fn wanted(&self, digest: &Digest, size: u64) -> Wanted {
        let condition = self.header("if-range");
        match condition.is_empty() || condition == quoted(digest) {
            true => range::wanted(self.header("range"), size),
            false => Wanted::Whole,
        }
    }

    /// Whether the client has these very bytes already.
    pub(crate) fn unchanged(&self, digest: &Digest) -> bool {
        let tag = |tag: &str| {
            let tag = tag.trim();
            tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == digest.as_str()
        };
        let sent = self.header("if-none-match");
        !sent.is_empty() && sent.split(',').any(tag)
    }

    async fn delete_blob(self, name: Name, digest: Digest) -> Result<Reply, Problem> {
        self.permit(&name, Action::Delete)?;
        let (storage, asked) = (self.registry.repositories.storage.clone(), digest.clone());
        let owner = name.clone();
        let removed = blocking(move || {
            let _hold = storage.hold(Hold::Shared)?;
            Ok(storage.unlink(&owner, &asked)?)
        });
        match removed.await? {
            true => {
                self.registry.tell(
                    EventAction::Delete,
                    &Subject::gone(&name, Some(&digest), None),
                    &self.origin,
                );
                Ok(empty(StatusCode::ACCEPTED))
            }
            false => Err(Problem::blob_unknown(&digest)),
        }
    }
}

fn quoted(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

pub(crate) fn not_modified(digest: &Digest) -> Reply {
    let mut reply = empty(StatusCode::NOT_MODIFIED);
    put(&mut reply, "etag", &quoted(digest));
    put(&mut reply, "docker-content-digest", digest.as_str());
    reply
}

fn describe(reply: &mut Reply, digest: &Digest) {
    put(reply, "content-type", "application/octet-stream");
    put(reply, "docker-content-digest", digest.as_str());
    put(reply, "etag", &quoted(digest));
    put(reply, "accept-ranges", "bytes");
    put(reply, "cache-control", "max-age=31536000");
}
