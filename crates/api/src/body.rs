//! Bodies: bounded when read whole, pulled piece by piece when streamed.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Frame, Incoming};
use tokio::sync::mpsc;

/// A reply's body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// No JSON that a client sends is longer.
pub(crate) const MAX_JSON: usize = 4 << 20;

/// How many pieces of a streamed reply may wait for a slow client before its producer waits too.
const PIECES: usize = 16;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that is written while it is sent. It ends when the sender goes; a send fails when the client has gone.
pub(crate) fn streamed() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, pieces) = mpsc::channel(PIECES);
    (sender, Pieces(pieces).boxed_unsync())
}

struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// A request's body for code that reads blockingly: `load` hands it to a tar reader.
pub(crate) struct BlockingReader {
    body: Incoming,
    rest: Bytes,
    runtime: tokio::runtime::Handle,
}

impl BlockingReader {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, rest: Bytes::new(), runtime: tokio::runtime::Handle::current() }
    }
}

impl io::Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(io::Error::other(error)),
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

/// Why a body was not taken.
pub(crate) enum Refused {
    TooLarge,
    Broken(String),
}

/// Reads a whole body of at most [`MAX_JSON`] bytes.
pub(crate) async fn read_small(mut body: Incoming) -> Result<Vec<u8>, Refused> {
    if body.size_hint().lower() > MAX_JSON as u64 {
        return Err(Refused::TooLarge);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|error| Refused::Broken(diag::chain(&error)))?.into_data();
        let data = data.unwrap_or_default();
        if bytes.len() + data.len() > MAX_JSON {
            return Err(Refused::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
