//! A file that gives way to a new one when it is full: `x`, `x.1`, `x.2` … from new to old.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::JsonFile;

pub(super) struct RotatingFile {
    config: JsonFile,
    file: File,
    size: u64,
}

impl RotatingFile {
    pub(super) fn open(config: &JsonFile) -> io::Result<Self> {
        let file = append_to(&config.path)?;
        let size = file.metadata()?.len();
        Ok(Self { config: config.clone(), file, size })
    }

    /// Whether this record is to go to the next file, when so much waits to be written to this one. A record that is
    /// larger than a whole file has a file to itself.
    pub(super) fn is_full_for(&self, record: usize, waiting: usize) -> bool {
        let used = self.size + waiting as u64;
        used > 0 && used + record as u64 > self.config.max_size
    }

    /// A full disk loses lines and not the container.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && self.file.write_all(bytes).is_ok() {
            self.size += bytes.len() as u64;
        }
    }

    pub(super) fn rotate(&mut self) {
        // What can't be renamed or made is written on to: better a file that is too large than lines that are lost.
        for number in (1..self.config.max_files.saturating_sub(1)).rev() {
            let _ = fs::rename(self.numbered(number), self.numbered(number + 1));
        }
        let made_room = match self.config.max_files {
            0 | 1 => fs::remove_file(&self.config.path),
            _ => fs::rename(&self.config.path, self.numbered(1)),
        };
        if made_room.is_ok()
            && let Ok(file) = append_to(&self.config.path)
        {
            self.file = file;
        }
        self.size = 0;
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.config.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = RotatingFile::open(&JsonFile { path, max_size: 4, max_files: 3 }).unwrap();
        for text in ["1111", "2222", "3333", "4444"] {
            if file.is_full_for(4, 0) {
                file.rotate();
            }
            file.append(text.as_bytes());
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("log").as_deref(), Some("4444"));
        assert_eq!((read("log.1").as_deref(), read("log.2").as_deref()), (Some("3333"), Some("2222")));
        assert_eq!(read("log.3"), None);
    }
}
