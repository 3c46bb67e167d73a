//! A file that is sent. Over a plain connection nobody but the kernel looks at the bytes, so a [`Window`] onto the page
//! cache is sent and nothing is copied on the way; what a disk has to bring first costs a trip to a thread.

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
use sys::Window;
use tokio::task::JoinHandle;

use super::room::{Piece, Room};

/// A window is address space, not memory. With larger ones the second half is no longer in the processor's cache.
const WINDOW: u64 = 1 << 20;

/// What becomes of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They go to a socket as they are.
    Plain,
    /// They are encrypted, or put into frames.
    Through,
}

/// Part of a file.
pub(crate) fn file(file: File, range: Range<u64>, room: Room, way: Way) -> Body {
    // It is read from one end to the other: let the kernel look further ahead. If it won't, it is only slower.
    let _ = rustix::fs::fadvise(&file, range.start, None, rustix::fs::Advice::Sequential);
    FileBody { file: Arc::new(file), range, room, way, waiting: None }.boxed_unsync()
}

struct FileBody {
    file: Arc<File>,
    /// What wasn't sent yet.
    range: Range<u64>,
    room: Room,
    way: Way,
    /// For the disk.
    waiting: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    /// The next piece, if the page cache has it; otherwise a thread waits for it.
    fn begin(&mut self) -> Option<Bytes> {
        match self.window() {
            Some(window) => self.through_window(window),
            None => self.through_buffer(),
        }
    }

    /// None where it is to be read: some file systems can't be mapped.
    fn window(&self) -> Option<Window> {
        let end = self.range.end.min(self.range.start + WINDOW);
        (self.way == Way::Plain).then(|| Window::open(&self.file, self.range.start..end).ok()).flatten()
    }

    fn through_window(&mut self, window: Window) -> Option<Bytes> {
        // Its ends stand for all of it: files come into the cache from one end to the other.
        let last = self.range.start + window.as_ref().len() as u64 - 1;
        let is_here =
            [self.range.start, last].iter().all(|place| cached(&self.file, &mut [0], *place) == Some(1));
        if is_here {
            return Some(Bytes::from_owner(window));
        }
        self.waiting = Some(tasks::blocking(move || {
            window.load()?;
            Ok(Bytes::from_owner(window))
        }));
        None
    }

    fn through_buffer(&mut self) -> Option<Bytes> {
        let mut piece: Piece = self.room.piece(self.range.end - self.range.start);
        if let Some(count) = cached(&self.file, piece.buffer(), self.range.start) {
            piece.truncate(count);
            return Some(Bytes::from_owner(piece));
        }
        let (file, start) = (self.file.clone(), self.range.start);
        self.waiting = Some(tasks::blocking(move || {
            file.read_exact_at(piece.buffer(), start)?;
            Ok(Bytes::from_owner(piece))
        }));
        None
    }

    fn pass(&mut self, bytes: Bytes) -> Frame<Bytes> {
        self.range.start += bytes.len() as u64;
        Frame::data(bytes)
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
        if self.waiting.is_none() {
            if self.range.is_empty() {
                return Poll::Ready(None);
            }
            if let Some(bytes) = self.begin() {
                return Poll::Ready(Some(Ok(self.pass(bytes))));
            }
        }
        let Some(waiting) = self.waiting.as_mut() else { return Poll::Ready(None) };
        let came = ready!(Pin::new(waiting).poll(cx)).unwrap_or_else(|error| Err(io::Error::other(error)));
        self.waiting = None;
        if came.is_err() {
            self.range.start = self.range.end;
        }
        Poll::Ready(Some(came.map(|bytes| self.pass(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.range.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.range.end - self.range.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn sent(part: Range<u64>, way: Way) -> Vec<u8> {
        let mut blob = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|place| (place % 251) as u8).collect();
        blob.write_all(&bytes).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = file(blob, part, Room::new(), way);
        runtime.block_on(async { body.collect().await.unwrap().to_bytes().to_vec() })
    }

    #[test]
    fn each_part_arrives_each_way() {
        for way in [Way::Plain, Way::Through] {
            for part in [0..3_000_000, 0..1, 2_999_999..3_000_000, 5000..5000, 12_345..2_222_222] {
                let expected: Vec<u8> = part.clone().map(|place| (place % 251) as u8).collect();
                assert!(sent(part.clone(), way) == expected, "{part:?} {way:?}");
            }
        }
    }
}
