//! Memory for transfers, shared by all of them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a transfer takes at once while there is room for it: a processor's own cache holds two of them.
const LARGE: usize = 256 << 10;
/// What it takes otherwise.
const SMALL: usize = 16 << 10;
/// How many transfers may take large pieces.
const ROOM: usize = 24;

#[derive(Clone)]
pub(crate) struct Room(Arc<Shared>);

struct Shared {
    permits: Arc<Semaphore>,
    /// Large buffers that nobody uses: the kernel needn't clear new ones, and they are still in the cache.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl Room {
    pub(crate) fn new() -> Self {
        let (permits, spare) = (Arc::new(Semaphore::new(ROOM)), Mutex::default());
        Self(Arc::new(Shared { permits, spare }))
    }

    /// The size of the next piece; a large one is counted until the permit goes.
    pub(crate) fn take(&self) -> (usize, Option<OwnedSemaphorePermit>) {
        match self.0.permits.clone().try_acquire_owned() {
            Ok(permit) => (LARGE, Some(permit)),
            Err(_) => (SMALL, None),
        }
    }

    /// A buffer for the next piece, of at most `most` bytes.
    pub(crate) fn piece(&self, most: u64) -> Piece {
        let (size, permit) = self.take();
        let length = size.min(usize::try_from(most).unwrap_or(size));
        let bytes = match permit {
            Some(_) => self.spare().pop().unwrap_or_else(|| vec![0; LARGE]),
            None => vec![0; length],
        };
        Piece { bytes, length, room: self.clone(), permit }
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that gives its room back when it is sent.
pub(crate) struct Piece {
    bytes: Vec<u8>,
    length: usize,
    room: Room,
    permit: Option<OwnedSemaphorePermit>,
}

impl Piece {
    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.permit.is_some() {
            // Before the permit goes: there are never more buffers than permits.
            self.room.spare().push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_is_used_again_and_there_are_only_so_many() {
        let room = Room::new();
        let held: Vec<_> = (0..ROOM).map(|_| room.piece(u64::MAX)).collect();
        assert!(held.iter().all(|piece| piece.as_ref().len() == LARGE));
        assert_eq!(room.piece(u64::MAX).as_ref().len(), SMALL);
        let place = held[0].as_ref().as_ptr();
        drop(held);
        assert_eq!(room.spare().len(), ROOM);
        let again: Vec<_> = (0..ROOM).map(|_| room.piece(10)).collect();
        assert!(again.iter().any(|piece| piece.as_ref().as_ptr() == place));
        assert!(again.iter().all(|piece| piece.as_ref().len() == 10));
    }
}
