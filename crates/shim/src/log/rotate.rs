//! A file that gives way to a new one when it is full: `x`, `x.1`, `x.2` … from new to old. Those that are full may be
//! compressed to `x.1.gz` …, a little at a time, so that the container doesn't wait for it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::{json, local};
use crate::{LogFile, LogFormat};

/// Compressed at one go: about a millisecond.
const STEP: usize = 64 * 1024;

pub(super) struct RotatingFile {
    config: LogFile,
    file: File,
    size: u64,
    /// Of the last record that was written to it.
    last: u64,
    compressing: Option<Compressing>,
    rotations: u32,
}

/// The newest full file, on its way to `.gz`.
struct Compressing {
    from: File,
    to: GzEncoder<File>,
    temporary: PathBuf,
}

impl RotatingFile {
    pub(super) fn open(config: &LogFile) -> io::Result<Self> {
        if let Some(folder) = config.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append_to(&config.path)?;
        let size = file.metadata()?.len();
        let config = config.clone();
        let mut log = Self { config, file, size, last: 0, compressing: None, rotations: 0 };
        let torn = log.config.format == LogFormat::Local && !local::is_whole(&log.file, size);
        match torn {
            true => log.rotate(),
            // What the shim before this one didn't get to.
            false => log.compress(None),
        }
        Ok(log)
    }

    /// Whether this record is to go to the next file, when so much waits to be written to this one. A record that is
    /// larger than a whole file has a file to itself.
    pub(super) fn is_full_for(&self, record: usize, waiting: usize) -> bool {
        let used = self.size + waiting as u64;
        used > 0 && used + record as u64 > self.config.max_size
    }

    /// Takes records of which the last is of this time. A full disk loses lines and not the container.
    pub(super) fn append(&mut self, bytes: &[u8], last: u64) {
        if !bytes.is_empty() && self.file.write_all(bytes).is_ok() {
            self.size += bytes.len() as u64;
            self.last = last;
        }
    }

    pub(super) fn rotate(&mut self) {
        while self.work() {}
        let suffixes = ["", ".gz"];
        for suffix in suffixes {
            let _ = fs::remove_file(self.numbered(self.config.max_files.saturating_sub(1).max(1), suffix));
        }
        // What can't be renamed or made is written on to: better a file that is too large than lines that are lost.
        for number in (1..self.config.max_files.saturating_sub(1)).rev() {
            for suffix in suffixes {
                let _ = fs::rename(self.numbered(number, suffix), self.numbered(number + 1, suffix));
            }
        }
        let made_room = match self.config.max_files {
            0 | 1 => fs::remove_file(&self.config.path),
            _ => fs::rename(&self.config.path, self.numbered(1, "")),
        };
        if made_room.is_ok()
            && let Ok(file) = append_to(&self.config.path)
        {
            self.file = file;
        }
        self.size = 0;
        self.rotations += 1;
        self.compress(Some(self.last).filter(|last| *last > 0));
    }

    /// How often it was rotated since this was last asked.
    pub(super) fn take_rotations(&mut self) -> u32 {
        std::mem::take(&mut self.rotations)
    }

    fn compress(&mut self, last: Option<u64>) {
        if self.config.compress {
            // Without it the file stays as it is, and is read all the same.
            self.compressing = self.start_compressing(last).ok();
        }
    }

    fn start_compressing(&self, last: Option<u64>) -> io::Result<Compressing> {
        let from = File::open(self.numbered(1, ""))?;
        let temporary = self.numbered(1, ".new");
        let to = File::options().write(true).create(true).truncate(true).mode(0o640).open(&temporary)?;
        let builder = GzBuilder::new().extra(about(from.metadata()?.ino(), last));
        Ok(Compressing { from, to: builder.write(to, Compression::fast()), temporary })
    }

    pub(super) fn is_compressing(&self) -> bool {
        self.compressing.is_some()
    }

    /// Compresses a little; whether there is more to do.
    pub(super) fn work(&mut self) -> bool {
        let Some(mut job) = self.compressing.take() else { return false };
        match job.step() {
            Ok(false) => self.compressing = Some(job),
            Ok(true) => self.compressed(job),
            Err(_) => job.abandon(),
        }
        self.compressing.is_some()
    }

    fn compressed(&self, job: Compressing) {
        let Compressing { to, temporary, .. } = job;
        let done = to.finish().and_then(|_| fs::rename(&temporary, self.numbered(1, ".gz")));
        let _ = match done {
            Ok(()) => fs::remove_file(self.numbered(1, "")),
            Err(_) => fs::remove_file(&temporary),
        };
    }

    /// Leaves the files to whoever comes next.
    pub(super) fn close(&mut self) {
        self.compressing.take().into_iter().for_each(Compressing::abandon);
    }

    fn numbered(&self, number: u32, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.config.path);
        name.push(format!(".{number}{suffix}"));
        name.into()
    }
}

impl Compressing {
    /// Whether everything has been compressed.
    fn step(&mut self) -> io::Result<bool> {
        let mut buffer = vec![0; STEP];
        let count = self.from.read(&mut buffer)?;
        self.to.write_all(&buffer[..count])?;
        Ok(count == 0)
    }

    fn abandon(self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

/// What Docker puts into the file's header, so that readers that want what came later needn't open it, and which file it
/// was: who follows the log knows by that which one was read.
fn about(inode: u64, last: Option<u64>) -> Vec<u8> {
    let mut text = b"{".to_vec();
    if let Some(last) = last {
        text.extend_from_slice(b"\"lastTime\":\"");
        json::time(last, &mut text);
        text.extend_from_slice(b"\",");
    }
    text.extend_from_slice(format!("\"file\":{inode}}}").as_bytes());
    text
}

fn append_to(path: &Path) -> io::Result<File> {
    // Read, too: its end is looked at before it is written on to.
    File::options().read(true).append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotated(folder: &Path, compress: bool) -> RotatingFile {
        let format = LogFormat::Json { attributes: Default::default() };
        let config =
            LogFile { path: folder.join("log"), format, max_size: 4, max_files: 3, compress, buffer: None };
        let mut file = RotatingFile::open(&config).unwrap();
        for text in ["1111", "2222", "3333", "4444"] {
            if file.is_full_for(4, 0) {
                file.rotate();
            }
            file.append(text.as_bytes(), 1_700_000_000_000_000_000);
        }
        file
    }

    #[test]
    fn the_newest_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(rotated(folder.path(), false).take_rotations(), 3);
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("log").as_deref(), Some("4444"));
        assert_eq!((read("log.1").as_deref(), read("log.2").as_deref()), (Some("3333"), Some("2222")));
        assert_eq!(read("log.3"), None);
    }

    #[test]
    fn full_files_are_compressed_and_say_when_they_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = rotated(folder.path(), true);
        assert!(file.is_compressing());
        while file.work() {}
        let unpack = |name: &str| {
            let mut reader = flate2::read::GzDecoder::new(File::open(folder.path().join(name)).unwrap());
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            let extra = reader.header().and_then(|header| header.extra()).unwrap_or_default().to_vec();
            (text, String::from_utf8(extra).unwrap())
        };
        for (name, expected) in [("log.1.gz", "3333"), ("log.2.gz", "2222")] {
            let (text, about) = unpack(name);
            assert_eq!(text, expected);
            assert!(about.starts_with("{\"lastTime\":\"2023-11-14T22:13:20Z\",\"file\":"), "{about}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn what_was_not_compressed_yet_is_found_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = rotated(folder.path(), true);
        file.close();
        assert!(folder.path().join("log.1").exists() && !folder.path().join("log.1.new").exists());
        let mut next = RotatingFile::open(&file.config).unwrap();
        while next.work() {}
        assert!(!folder.path().join("log.1").exists() && folder.path().join("log.1.gz").exists());
    }

    #[test]
    fn a_torn_file_is_not_written_on_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, [0, 0, 0, 9, 1]).unwrap();
        let file = RotatingFile::open(&LogFile::bounded(path, LogFormat::Local)).unwrap();
        assert_eq!((file.size, folder.path().join("log.1").exists()), (0, true));
    }
}
