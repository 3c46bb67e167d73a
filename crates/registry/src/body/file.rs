//! A file that is sent: what the page cache has goes out at once, only what a disk has to bring costs a trip to a thread.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use rustix::io::ReadWriteFlags;
use serving::Body;
use tokio::task::JoinHandle;

use super::room::{Piece, Room};

/// Part of a file.
pub(crate) fn file(file: File, range: Range<u64>, room: Room) -> Body {
    // It is read from one end to the other: let the kernel look further ahead. If it won't, it is only slower.
    let _ = rustix::fs::fadvise(&file, range.start, None, rustix::fs::Advice::Sequential);
    FileBody { file: Arc::new(file), range, room, reading: None }.boxed_unsync()
}

struct FileBody {
    file: Arc<File>,
    /// What wasn't read yet.
    range: Range<u64>,
    room: Room,
    reading: Option<JoinHandle<io::Result<Piece>>>,
}

impl FileBody {
    /// What is to be had without waiting, or a thread that waits for it.
    fn read(&mut self) -> Option<Piece> {
        let mut piece = self.room.piece(self.range.end - self.range.start);
        if let Some(count) = cached(&self.file, piece.buffer(), self.range.start) {
            piece.truncate(count);
            return Some(piece);
        }
        let (file, start) = (self.file.clone(), self.range.start);
        self.reading = Some(tokio::task::spawn_blocking(move || {
            file.read_exact_at(piece.buffer(), start)?;
            Ok(piece)
        }));
        None
    }

    fn next(&mut self, piece: Piece) -> Frame<Bytes> {
        self.range.start += piece.as_ref().len() as u64;
        Frame::data(Bytes::from_owner(piece))
    }
}

/// How much of it the page cache has; file systems that can't tell have nothing.
fn cached(file: &File, buffer: &mut [u8], start: u64) -> Option<usize> {
    let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], start, ReadWriteFlags::NOWAIT);
    read.ok().filter(|count| *count > 0)
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.reading.is_none() {
            if self.range.is_empty() {
                return Poll::Ready(None);
            }
            if let Some(piece) = self.read() {
                return Poll::Ready(Some(Ok(self.next(piece))));
            }
        }
        let Some(reading) = self.reading.as_mut() else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx)).unwrap_or_else(|error| Err(io::Error::other(error)));
        self.reading = None;
        if read.is_err() {
            self.range.start = self.range.end;
        }
        Poll::Ready(Some(read.map(|piece| self.next(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none() && self.range.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.range.end - self.range.start)
    }
}
