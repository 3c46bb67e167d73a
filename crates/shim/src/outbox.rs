//! What a client has yet to be sent.
//!
//! A client that reads never loses a byte, one that is slow never stalls the container, and neither costs memory: up to
//! [`IN_MEMORY`] waits in memory, what comes beyond it in an unnamed file of at most [`ON_DISK`]. Only a client for whom
//! even that is full holds the container up, as a full pipe would, and only as long as it goes on reading: one that
//! takes nothing for [`PATIENCE`] is hung up on.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use rustix::io::Errno;
use rustix::net::SendFlags;

const IN_MEMORY: usize = 64 * 1024;
const ON_DISK: u64 = 64 << 20;
const HOLE: FallocateFlags = FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE);
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Outbox {
    folder: PathBuf,
    memory: Vec<u8>,
    /// How much of `memory` was sent.
    sent: usize,
    spool: Option<Spool>,
    progress: Instant,
}

struct Spool {
    file: File,
    read: u64,
    written: u64,
}

impl Outbox {
    /// `folder` is where the unnamed file is made, if it comes to that.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), memory: Vec::new(), sent: 0, spool: None, progress: Instant::now() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.memory.len() && self.spool.is_none()
    }

    /// No more should be produced for it now.
    pub(crate) fn is_full(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.written - spool.read >= ON_DISK)
    }

    /// When the client is given up, if it is holding things up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.is_full().then(|| self.progress + PATIENCE)
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_empty() {
            self.progress = Instant::now();
        }
        if self.spool.is_none() && self.memory.len() - self.sent + bytes.len() <= IN_MEMORY {
            self.compact();
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(Spool::make(&self.folder)?),
        };
        spool.file.write_all_at(bytes, spool.written)?;
        spool.written += bytes.len() as u64;
        Ok(())
    }

    /// Sends what the client takes without waiting.
    pub(crate) fn flush(&mut self, socket: impl AsFd) -> io::Result<()> {
        while self.sent < self.memory.len() || self.refill()? {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(&socket, &self.memory[self.sent..], flags) {
                Ok(count) => {
                    self.sent += count;
                    self.progress = Instant::now();
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        // An idle client keeps no memory.
        self.memory = Vec::new();
        self.sent = 0;
        Ok(())
    }

    fn compact(&mut self) {
        self.memory.drain(..self.sent);
        self.sent = 0;
    }

    /// Gets the next bytes from the file; none when it has been read to its end, which is the file's.
    fn refill(&mut self) -> io::Result<bool> {
        let Some(spool) = &mut self.spool else { return Ok(false) };
        let size = (spool.written - spool.read).min(IN_MEMORY as u64) as usize;
        if size == 0 {
            self.spool = None;
            return Ok(false);
        }
        self.memory.resize(size, 0);
        self.sent = 0;
        spool.file.read_exact_at(&mut self.memory, spool.read)?;
        // What was read goes back to the disk: a client that is always a little behind must not fill it. A file system
        // that can't do this keeps the bytes until the client has caught up.
        let _ = fallocate(&spool.file, HOLE, spool.read, size as u64);
        spool.read += size as u64;
        Ok(true)
    }
}

impl Spool {
    fn make(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = open(folder, flags, Mode::from_raw_mode(0o600))?;
        Ok(Self { file: file.into(), read: 0, written: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_client_that_reads_late_gets_every_byte_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut outbox = Outbox::new(folder.path());
        let chunk: Vec<u8> = (0..50_000u32).map(|i| i as u8).collect();
        for _ in 0..40 {
            outbox.push(&chunk).unwrap();
            outbox.flush(&ours).unwrap();
        }
        assert!(outbox.spool.is_some() && outbox.memory.len() <= IN_MEMORY);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        while !outbox.is_empty() {
            let mut fds = [rustix::event::PollFd::new(&ours, rustix::event::PollFlags::OUT)];
            rustix::event::poll(&mut fds, None).unwrap();
            outbox.flush(&ours).unwrap();
        }
        drop(ours);
        assert_eq!(reader.join().unwrap(), chunk.repeat(40));
        assert_eq!(outbox.memory.capacity(), 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::new(folder.path());
        let chunk = vec![0; 1 << 20];
        while !outbox.is_full() {
            outbox.push(&chunk).unwrap();
        }
        assert!(outbox.memory.len() <= IN_MEMORY);
        assert!(outbox.deadline().is_some());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }
}
