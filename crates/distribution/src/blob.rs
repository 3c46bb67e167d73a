//! Fetching a blob: streamed into the content store, gone on with after an interruption, checked before it is believed.

use std::ops::ControlFlow;

use bytes::Bytes;
use content::{Blob, Follower, Ingest, Store};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use oci::Digest;
use tokio::sync::mpsc;

use crate::repository::Repository;
use crate::{Error, MAX_MANIFEST};

/// Pieces between the network and the disk.
const AHEAD: usize = 32;

/// What a blob is told to be.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    digest: &'a Digest,
    size: u64,
}

impl Repository {
    /// Brings a blob into the store, from where an earlier attempt got to. `progress` hears of the bytes that are there.
    pub async fn fetch_blob(
        &self,
        content: &Store,
        digest: &Digest,
        size: u64,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Blob, Error> {
        self.fetch_blob_followed(content, digest, size, progress, |_| {}).await
    }

    /// The same, lending the blob to a reader while it comes in; a blob that is here already isn't lent.
    pub async fn fetch_blob_followed(
        &self,
        content: &Store,
        digest: &Digest,
        size: u64,
        progress: &(dyn Fn(u64) + Sync),
        follow: impl FnOnce(Follower),
    ) -> Result<Blob, Error> {
        if let Some(blob) = content.find(digest)? {
            progress(blob.size);
            return Ok(blob);
        }
        let wanted = Wanted { digest, size };
        let mut ingest = resume(content, wanted).await?;
        follow(ingest.follow()?);
        let mut attempts = self.attempts();
        loop {
            let before = ingest.size();
            progress(before);
            let (returned, result) = self.attempt(ingest, wanted, progress).await?;
            ingest = returned;
            match result {
                Ok(()) => break,
                Err(error) => {
                    if ingest.size() > before {
                        attempts.refill();
                    }
                    if let Err(error) = attempts.after(error).await {
                        // Nothing that a later attempt could go on with.
                        if ingest.size() == 0 {
                            ingest.abandon()?;
                        }
                        return Err(error);
                    }
                }
            }
        }
        let (expected, host) = (digest.clone(), self.host());
        let committed = blocking(move || ingest.commit(&expected)).await?;
        committed.map_err(|error| match error {
            content::Error::Mismatch { expected, found } => {
                Error::Mismatch { host, what: "a blob".into(), expected, found }
            }
            error => error.into(),
        })
    }

    /// A small blob (a config), whole and checked.
    pub async fn fetch_small(&self, content: &Store, digest: &Digest, size: u64) -> Result<Bytes, Error> {
        const LIMIT: u64 = 2 * MAX_MANIFEST as u64;
        if size > LIMIT {
            return Err(Error::TooLarge { host: self.host(), what: digest.to_string(), limit: LIMIT });
        }
        self.fetch_blob(content, digest, size, &|_| {}).await?;
        let (content, digest) = (content.clone(), digest.clone());
        let bytes = blocking(move || content.read(&digest, LIMIT)).await??;
        Ok(bytes.into())
    }

    /// One request. The outer error is ours and final; the inner one says how the registry failed.
    async fn attempt(
        &self,
        mut ingest: Ingest,
        wanted: Wanted<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(Ingest, Result<(), Error>), Error> {
        if ingest.size() == wanted.size {
            return Ok((ingest, Ok(())));
        }
        let body = match self.open_body(&mut ingest, wanted).await {
            Ok(body) => body,
            Err(Error::Content(error)) => return Err(error.into()),
            Err(error) => return Ok((ingest, Err(error))),
        };
        let (from, (sender, receiver)) = (ingest.size(), mpsc::channel(AHEAD));
        let writing = tasks::blocking(move || write(ingest, receiver));
        let show = |received: u64| progress(from.saturating_add(received).min(wanted.size));
        let received = self.pump(body, sender, &show).await;
        let (ingest, written) = writing.await.map_err(|error| task_failed(&error))?;
        match (written, received) {
            (Err(content::Error::TooLarge { limit }), _) => {
                // It is not the beginning of what it should be.
                ingest.abandon()?;
                Err(Error::TooLarge { host: self.host(), what: wanted.digest.to_string(), limit })
            }
            (Err(error), _) => Err(error.into()),
            (Ok(()), Err(error)) => Ok((ingest, Err(error))),
            (Ok(()), Ok(())) if ingest.size() < wanted.size => {
                let (received, expected) = (ingest.size(), wanted.size);
                Ok((ingest, Err(Error::Short { host: self.host(), received, expected })))
            }
            (Ok(()), Ok(())) => Ok((ingest, Ok(()))),
        }
    }

    /// The answer's body, which goes on where `ingest` ends.
    async fn open_body(&self, ingest: &mut Ingest, wanted: Wanted<'_>) -> Result<Incoming, Error> {
        let url = self.url(&format!("blobs/{}", wanted.digest));
        let mut headers = HeaderMap::new();
        let from = ingest.size();
        if from > 0 {
            let range = format!("bytes={from}-");
            let range = HeaderValue::from_str(&range).map_err(|e| self.malformed("a range", &e))?;
            headers.insert(header::RANGE, range);
        }
        let answer = match self.get(&url, &headers).await {
            Err(Error::Status { status: 416, .. }) if from > 0 => {
                ingest.restart()?;
                headers.clear();
                self.get(&url, &headers).await?
            }
            answer => answer?,
        };
        let response = answer.response;
        let continues = response.status() == StatusCode::PARTIAL_CONTENT
            && response
                .headers()
                .get(header::CONTENT_RANGE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|range| {
                    range.strip_prefix("bytes ").is_some_and(|r| r.starts_with(&format!("{from}-")))
                });
        match response.status() {
            StatusCode::OK if from > 0 => ingest.restart()?,
            StatusCode::PARTIAL_CONTENT if !continues => {
                return Err(self.malformed("a part of a blob", &"it is not the part that was asked for"));
            }
            _ => {}
        }
        Ok(response.into_body())
    }

    async fn pump(
        &self,
        mut body: Incoming,
        sender: mpsc::Sender<Piece>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        let patience = self.transport.config.patience;
        let mut received = 0;
        loop {
            let frame = tokio::time::timeout(patience, body.frame()).await;
            let frame = frame.map_err(|_| Error::Silent { host: self.host(), after: patience })?;
            let Some(frame) = frame else { return Ok(()) };
            let frame = frame.map_err(|source| Error::Http { host: self.host(), source })?;
            let Ok(bytes) = frame.into_data() else { continue };
            received += bytes.len() as u64;
            // The writer says why it stopped.
            if sender.send(Piece(bytes)).await.is_err() {
                return Ok(());
            }
            progress(received);
        }
    }
}

struct Piece(Bytes);

/// Hashes and writes what comes, away from the threads that serve the network.
fn write(mut ingest: Ingest, mut pieces: mpsc::Receiver<Piece>) -> (Ingest, Result<(), content::Error>) {
    let mut next = || match pieces.blocking_recv() {
        Some(Piece(bytes)) => ControlFlow::Continue(bytes),
        None => ControlFlow::Break(()),
    };
    while let ControlFlow::Continue(bytes) = next() {
        if let Err(error) = ingest.push(&bytes) {
            return (ingest, Err(error));
        }
    }
    (ingest, Ok(()))
}

async fn resume(content: &Store, wanted: Wanted<'_>) -> Result<Ingest, Error> {
    let (content, digest, size) = (content.clone(), wanted.digest.clone(), wanted.size);
    Ok(blocking(move || content.resume(&digest, size)).await??)
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tasks::blocking(work).await.map_err(|error| task_failed(&error))
}

/// Only a panic or the engine's end do this.
fn task_failed(error: &tokio::task::JoinError) -> Error {
    let source = std::io::Error::other(error.to_string());
    Error::Content(content::Error::Write { path: std::path::PathBuf::new(), source })
}
