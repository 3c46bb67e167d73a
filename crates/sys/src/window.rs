//! Parts of files as memory, so that the kernel takes bytes from its page cache to a socket without a copy between.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;

/// A part of a file that is never written again, such as a blob: its bytes, to be handed to the kernel.
///
/// Reading it in the program itself is possible and a risk: where the disk fails, or somebody cuts the file, it ends the
/// process by a signal. A system call that is given it fails with `EFAULT` instead.
#[derive(Debug)]
pub struct Window {
    /// Where the first page is.
    place: NonNull<u8>,
    mapped: usize,
    /// Where in the first page the part begins.
    skip: usize,
}

// SAFETY: it owns its mapping and gives out nothing but shared references to it; no thread is special to a mapping.
unsafe impl Send for Window {}
// SAFETY: as above: nothing is written through it.
unsafe impl Sync for Window {}

impl Window {
    /// The window onto this part, which mustn't be empty. Nothing is read yet.
    pub fn open(file: &File, part: Range<u64>) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let skip = usize::try_from(part.start % page as u64).map_err(invalid)?;
        let length = usize::try_from(part.end.saturating_sub(part.start)).map_err(invalid)?;
        let mapped = skip.checked_add(length).filter(|_| length > 0).ok_or(io::ErrorKind::InvalidInput)?;
        let start = libc::off_t::try_from(part.start - skip as u64).map_err(invalid)?;
        // SAFETY: a new mapping at a place that the kernel chooses; no existing memory is touched. The descriptor is open.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                start,
            )
        };
        match NonNull::new(place.cast::<u8>()) {
            Some(place) if place.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { place, mapped, skip }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits until the part is in memory.
    pub fn load(&self) -> io::Result<()> {
        // SAFETY: the range is this window's own mapping; populating reads the file and changes nothing that is visible.
        let code =
            unsafe { libc::madvise(self.place.as_ptr().cast(), self.mapped, libc::MADV_POPULATE_READ) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `place` begins `mapped` readable bytes, of which `skip` is less than all, and they stay until the drop.
        // The file is one that is never written again (`Window`'s contract), so they don't change behind the reference.
        unsafe {
            std::slice::from_raw_parts(self.place.as_ptr().wrapping_add(self.skip), self.mapped - self.skip)
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the mapping is this window's alone, and no reference into it outlives the window.
        unsafe { libc::munmap(self.place.as_ptr().cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, Write as _};

    fn file(size: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..size).map(|place| (place % 251) as u8).collect();
        let fd = rustix::fs::memfd_create("window", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = File::from(fd);
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn a_window_shows_its_part_wherever_that_begins() {
        let (file, bytes) = file(20_000);
        for part in [0..1, 0..20_000, 1..4096, 4095..4097, 4096..8192, 5000..20_000] {
            let window = Window::open(&file, part.start..part.end).unwrap();
            window.load().unwrap();
            assert_eq!(window.as_ref(), &bytes[part.start as usize..part.end as usize], "{part:?}");
        }
        assert!(Window::open(&file, 5..5).is_err());
    }

    #[test]
    fn a_file_that_was_cut_fails_the_call_and_not_the_process() {
        let (file, _) = file(20_000);
        let window = Window::open(&file, 8192..20_000).unwrap();
        file.set_len(100).unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let error = (&writer).write(window.as_ref()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        assert!(window.load().is_err());
        drop(writer);
        assert_eq!(std::io::Read::read(&mut reader, &mut [0; 1]).unwrap(), 0);
        assert_eq!((&file).stream_position().unwrap(), 20_000);
    }
}
