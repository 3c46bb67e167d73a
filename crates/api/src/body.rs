//! Bodies: bounded when read whole, pulled piece by piece when streamed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Frame, Incoming};
use serving::Body;
use tokio::sync::mpsc;

/// No JSON that a client sends is longer.
pub(crate) const MAX_JSON: usize = 4 << 20;

/// How many pieces of a streamed reply may wait for a slow client before its producer waits too.
const PIECES: usize = 16;
/// What is written is gathered to pieces of this size.
const PIECE: usize = 128 << 10;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is written while it is sent. It ends when the sender goes; a send fails when the client has gone.
pub(crate) fn streamed() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, pieces) = mpsc::channel(PIECES);
    (sender, Pieces(pieces, Ok).boxed_unsync())
}

/// A body that `work` writes on a thread of its own. What it fails with breaks the connection off, so that nobody takes
/// half of it for all; when the client goes, its next write fails.
pub(crate) fn written<E>(work: impl FnOnce(&mut dyn io::Write) -> Result<(), E> + Send + 'static) -> Body {
    let (sender, pieces) = mpsc::channel(PIECES);
    tasks::blocking(move || {
        let mut out = io::BufWriter::with_capacity(PIECE, PieceWriter(sender.clone()));
        let ended = work(&mut out).map_err(|_| io::Error::other("the work behind this answer failed"));
        if let Err(error) = ended.and_then(|()| io::Write::flush(&mut out)) {
            let _ = sender.blocking_send(Err(error));
        }
    });
    Pieces(pieces, |piece| piece).boxed_unsync()
}

struct PieceWriter(mpsc::Sender<io::Result<Bytes>>);

impl io::Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Pieces<T>(mpsc::Receiver<T>, fn(T) -> io::Result<Bytes>);

impl<T> hyper::body::Body for Pieces<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let take = self.1;
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| take(piece).map(Frame::data)))
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

/// What of a body is still read after it turned out to be wrong, or to have ended already.
const MAX_DRAINED: u64 = 1 << 30;

impl BlockingReader {
    /// Lets `work` read, and reads what it left: the blocks behind an archive's end, or all of what it found wrong. A client
    /// that is cut off while it sends would tell its user of a broken pipe, not of what happened.
    pub(crate) fn lend<T, E>(mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let result = work(&mut self);
        // What can't be read needn't be.
        let _ = io::copy(&mut io::Read::take(self, MAX_DRAINED), &mut io::sink());
        result
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
