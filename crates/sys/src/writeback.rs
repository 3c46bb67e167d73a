//! Having the kernel write a growing file to the disk while it grows, so that the `fsync` at its end is short.

use std::os::fd::{AsRawFd, BorrowedFd};

/// What is begun at once: few calls, and never much that the last `fsync` has to wait for.
const STEP: u64 = 8 << 20;

/// How far a file that is written from its beginning to its end is on its way to the disk.
#[derive(Debug, Default)]
pub struct Writeback {
    begun: u64,
}

impl Writeback {
    /// The file has so many bytes now. Only a matter of speed: what the kernel makes of it is not asked, and what must be
    /// on the disk is synced all the same.
    pub fn grown(&mut self, file: BorrowedFd<'_>, size: u64) {
        let waiting = size.saturating_sub(self.begun);
        if waiting < STEP {
            return;
        }
        let (Ok(from), Ok(count)) = (self.begun.try_into(), waiting.try_into()) else { return };
        // SAFETY: takes a descriptor that is borrowed for the call and three numbers; touches no memory.
        unsafe { libc::sync_file_range(file.as_raw_fd(), from, count, libc::SYNC_FILE_RANGE_WRITE) };
        self.begun = size;
    }
}
