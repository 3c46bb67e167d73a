//! Reading a blob while it comes in: what is made of it need not wait for its last byte.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A follower is woken for no less.
const STEP: u64 = 256 * 1024;

/// What is known of a blob on its way in.
#[derive(Debug, Default)]
struct Seen {
    size: u64,
    end: End,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// The bytes are those that were promised.
    Whole,
    /// They never will be, or not these.
    Lost,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side that writes. When it goes without a word, the follower hears that its blob is lost.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
    told: u64,
}

impl Feed {
    /// A reader of `file` from its beginning.
    pub(crate) fn follower(&self, file: &File) -> io::Result<Follower> {
        Ok(Follower { file: file.try_clone()?, read: 0, ready: 0, shared: self.shared.clone() })
    }

    pub(crate) fn grown(&mut self, size: u64) {
        if size >= self.told + STEP {
            self.tell(size, End::Open);
        }
    }

    /// All bytes are there and are the right ones.
    pub(crate) fn whole(&mut self, size: u64) {
        self.tell(size, End::Whole);
    }

    fn tell(&mut self, size: u64, end: End) {
        self.told = size;
        let mut seen = self.shared.lock();
        // What was lost stays lost: the follower has read bytes that are gone.
        if seen.end == End::Open {
            *seen = Seen { size, end };
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.tell(self.told, End::Lost);
    }
}

/// Reads a blob that is still coming in, waiting where nothing more has come. Its end is told only when the bytes were
/// found to be those that the digest promises; until then, nothing that was read may be believed.
#[derive(Debug)]
pub struct Follower {
    file: File,
    read: u64,
    /// Bytes known to be there.
    ready: u64,
    shared: Arc<Shared>,
}

impl Follower {
    /// Waits for bytes behind those that were read; false at the end.
    fn wait(&mut self) -> io::Result<bool> {
        let mut seen = self.shared.lock();
        loop {
            match seen.end {
                End::Lost => return Err(io::Error::other("the download did not come to its end")),
                _ if seen.size > self.read => {
                    self.ready = seen.size;
                    return Ok(true);
                }
                End::Whole => return Ok(false),
                End::Open => seen = self.shared.changed.wait(seen).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.ready && !self.wait()? {
            return Ok(0);
        }
        let most = usize::try_from(self.ready - self.read).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.read)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read += count as u64;
        Ok(count)
    }
}
