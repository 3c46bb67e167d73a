//! Bodies: read in batches that are worth a trip to the disk; files are sent as [`file`] has it.

mod file;
mod room;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use serving::Body;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::Problem;
use crate::manifest::MAX_MANIFEST;
use crate::storage::Upload;

pub(crate) use file::{Way, file};
pub(crate) use room::Room;

/// What came is written after this, even if it is little.
const IDLE_FLUSH: Duration = Duration::from_secs(1);
/// A client may be silent for so long in the middle of a body,
const SILENCE: Duration = Duration::from_secs(60);
/// and after that long its body has to have come at this pace.
const PACE_AFTER: Duration = Duration::from_secs(300);
const PACE: u64 = 1024;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What another server sends.
pub(crate) fn remote(body: Incoming) -> Body {
    body.map_err(io::Error::other).boxed_unsync()
}

/// A request's body, whose sender has to keep going.
struct Incomings {
    body: Incoming,
    begun: Instant,
    received: u64,
    quiet_since: Instant,
}

enum Next {
    Bytes(Bytes),
    /// Nothing came for a moment.
    Pause,
    End,
}

impl Incomings {
    fn new(body: Incoming) -> Self {
        let now = Instant::now();
        Self { body, begun: now, received: 0, quiet_since: now }
    }

    async fn next(&mut self) -> Result<Next, Problem> {
        let Ok(frame) = tokio::time::timeout(IDLE_FLUSH, self.body.frame()).await else {
            return match self.quiet_since.elapsed() > SILENCE || self.is_too_slow() {
                true => Err(too_slow()),
                false => Ok(Next::Pause),
            };
        };
        self.quiet_since = Instant::now();
        let Some(frame) = frame else { return Ok(Next::End) };
        let frame = frame.map_err(|error| Problem::upload_invalid(diag::chain(&error)))?;
        let bytes = frame.into_data().unwrap_or_default();
        self.received += bytes.len() as u64;
        if self.is_too_slow() {
            return Err(too_slow());
        }
        Ok(Next::Bytes(bytes))
    }

    fn is_too_slow(&self) -> bool {
        let elapsed = self.begun.elapsed();
        elapsed > PACE_AFTER && self.received / elapsed.as_secs() < PACE
    }
}

fn too_slow() -> Problem {
    Problem::new(http::StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID", "the body came too slowly")
}

/// Writes a body to an upload. What came before an interruption stays: the client may ask how much that was.
pub(crate) async fn receive(
    upload: Box<dyn Upload>,
    body: Incoming,
    room: &Room,
) -> (Option<Box<dyn Upload>>, Result<(), Problem>) {
    let mut incoming = Incomings::new(body);
    let mut writer = Writer::Idle(upload);
    let mut batch = Batch::new(room);
    loop {
        let next = incoming.next().await;
        let (flush, ended) = match next {
            Ok(Next::Bytes(bytes)) => {
                batch.push(bytes);
                (batch.is_full(), None)
            }
            Ok(Next::Pause) => (!batch.pieces.is_empty(), None),
            Ok(Next::End) => (true, Some(Ok(()))),
            Err(problem) => (true, Some(Err(problem))),
        };
        if !flush {
            continue;
        }
        // One batch is written while the next one is received.
        let upload = match writer.settle().await {
            Ok(upload) => upload,
            Err((upload, problem)) => return (upload, Err(problem)),
        };
        let full = std::mem::replace(&mut batch, Batch::new(room));
        writer = Writer::Busy(tasks::blocking(move || full.write(upload)));
        if let Some(result) = ended {
            return match writer.settle().await {
                Ok(upload) => (Some(upload), result),
                Err((upload, problem)) => (upload, Err(problem)),
            };
        }
    }
}

/// Who has the upload.
enum Writer {
    Idle(Box<dyn Upload>),
    Busy(JoinHandle<(Box<dyn Upload>, Result<(), Problem>)>),
}

impl Writer {
    async fn settle(self) -> Result<Box<dyn Upload>, (Option<Box<dyn Upload>>, Problem)> {
        match self {
            Self::Idle(upload) => Ok(upload),
            Self::Busy(handle) => match handle.await {
                Ok((upload, Ok(()))) => Ok(upload),
                Ok((upload, Err(problem))) => Err((Some(upload), problem)),
                Err(error) => Err((None, Problem::internal(&error.to_string()))),
            },
        }
    }
}

/// What came and isn't written yet.
struct Batch {
    pieces: Vec<Bytes>,
    length: usize,
    size: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Batch {
    fn new(room: &Room) -> Self {
        let (size, permit) = room.take();
        Self { pieces: Vec::new(), length: 0, size, _permit: permit }
    }

    fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        self.pieces.push(bytes);
    }

    fn is_full(&self) -> bool {
        self.length >= self.size
    }

    fn write(self, mut upload: Box<dyn Upload>) -> (Box<dyn Upload>, Result<(), Problem>) {
        let result = self.pieces.iter().try_for_each(|piece| upload.push(piece));
        (upload, result)
    }
}

/// Reads a small body whole.
pub(crate) async fn collect(body: Incoming, limit: usize, code: &'static str) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Problem::too_large(code, limit as u64));
    }
    let mut incoming = Incomings::new(body);
    let mut collected = Vec::new();
    loop {
        match incoming.next().await? {
            Next::Bytes(bytes) if collected.len() + bytes.len() > limit => {
                return Err(Problem::too_large(code, limit as u64));
            }
            Next::Bytes(bytes) => collected.extend_from_slice(&bytes),
            Next::Pause => {}
            Next::End => return Ok(collected.into()),
        }
    }
}

/// A manifest's body.
pub(crate) async fn manifest(body: Incoming) -> Result<Bytes, Problem> {
    collect(body, MAX_MANIFEST, "MANIFEST_INVALID").await
}
