//! The log on disk: lines in one of Docker's formats, in files that rotate.

use std::io;

use super::lines::{Line, Stream};
use super::rotate::RotatingFile;
use super::{json, local};
use crate::{LogFile, LogFormat};

pub(super) struct FileLog {
    file: RotatingFile,
    format: Format,
    batch: Vec<u8>,
    record: Vec<u8>,
    /// Of the last record in the batch.
    last: u64,
}

enum Format {
    Json(json::Encoder),
    Local,
}

impl FileLog {
    pub(super) fn open(config: &LogFile) -> io::Result<Self> {
        let format = match &config.format {
            LogFormat::Json { attributes } => Format::Json(json::Encoder::new(attributes)),
            LogFormat::Local => Format::Local,
        };
        Ok(Self { file: RotatingFile::open(config)?, format, batch: Vec::new(), record: Vec::new(), last: 0 })
    }

    pub(super) fn take(&mut self, line: &Line<'_>, stream: Stream) {
        self.record.clear();
        match &mut self.format {
            Format::Json(encoder) => encoder.encode(line, stream, &mut self.record),
            Format::Local => local::encode(line, stream, &mut self.record),
        }
        // A record is never divided between two files.
        if self.file.is_full_for(self.record.len(), self.batch.len()) {
            self.flush();
            self.file.rotate();
        }
        self.batch.extend_from_slice(&self.record);
        self.last = line.time;
    }

    pub(super) fn flush(&mut self) {
        self.file.append(&self.batch, self.last);
        self.batch.clear();
    }

    pub(super) fn is_compressing(&self) -> bool {
        self.file.is_compressing()
    }

    pub(super) fn compress_some(&mut self) {
        self.file.work();
    }

    pub(super) fn has_rotated(&mut self) -> bool {
        self.file.take_rotations() > 0
    }

    pub(super) fn close(&mut self) {
        self.file.close();
    }
}
