//! A file as the body of a request.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

const PIECE: usize = 64 << 10;

/// A file on its way to a bucket, piece by piece. It was written a moment ago and comes from memory, so that nobody waits.
pub struct Part {
    file: Arc<File>,
    at: u64,
    size: u64,
    sent: Arc<AtomicU64>,
}

impl Part {
    /// So many bytes of a file; what went is counted.
    pub fn new(file: Arc<File>, size: u64, sent: Arc<AtomicU64>) -> Self {
        Self { file, at: 0, size, sent }
    }
}

impl hyper::body::Body for Part {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.at == self.size {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.size - self.at).unwrap_or(PIECE).min(PIECE);
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, self.at);
        self.at += length as u64;
        self.sent.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Some(read.map(|()| Frame::data(bytes.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size - self.at)
    }
}
