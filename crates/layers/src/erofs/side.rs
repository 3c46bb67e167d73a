//! Content that can't be pointed at in the tar: written out beside it, holes as holes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};

use super::{BLOCK, SIDE};
use crate::Error;
use crate::unpack::Place;

/// The side file, made when the first content comes.
pub(super) struct Side {
    folder: OwnedFd,
    file: Option<File>,
    end: u64,
}

impl Side {
    pub(super) fn new(folder: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { folder: folder.try_clone_to_owned()?, file: None, end: 0 })
    }

    /// Whole blocks that it has.
    pub(super) fn blocks(&self) -> u64 {
        self.end / BLOCK
    }

    /// Writes a file's content at the next block and returns where it is and how long.
    pub(super) fn append(&mut self, content: &mut dyn Read, place: &Place) -> Result<(u64, u64), Error> {
        let failed = |source: io::Error| place.failed("write", source);
        let start = self.end;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(create(&self.folder).map_err(failed)?),
        };
        let mut buffer = vec![0; 64 * 1024];
        let mut size = 0_u64;
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(Error::ReadTar { source }),
            };
            let piece = &buffer[..count];
            // Zeros are not written: the file is longer than what it takes.
            if piece.iter().any(|byte| *byte != 0) {
                file.seek(SeekFrom::Start(start + size)).map_err(failed)?;
                file.write_all(piece).map_err(failed)?;
            }
            size += count as u64;
        }
        self.end = (start + size).next_multiple_of(BLOCK);
        file.set_len(self.end).map_err(failed)?;
        Ok((start, size))
    }
}

fn create(folder: &OwnedFd) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat(folder, SIDE, flags, Mode::from_raw_mode(0o600))?.into())
}
