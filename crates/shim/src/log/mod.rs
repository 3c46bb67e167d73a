//! The container's log, in the format that Docker keeps on disk.

mod json;
mod lines;
mod rotate;

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use lines::{Lines, Stream};

use crate::LogConfig;
use json::encode;
use rotate::RotatingFile;

/// Takes what a container writes. A log that can't be written never stops the container.
pub(crate) enum Log {
    None,
    JsonFile(JsonFile),
}

pub(crate) struct JsonFile {
    file: RotatingFile,
    stdout: Lines,
    stderr: Lines,
    batch: Vec<u8>,
    record: Vec<u8>,
}

impl Log {
    pub(crate) fn open(config: &LogConfig) -> std::io::Result<Self> {
        Ok(match config {
            LogConfig::None => Self::None,
            LogConfig::JsonFile(config) => Self::JsonFile(JsonFile {
                file: RotatingFile::open(config)?,
                stdout: Lines::default(),
                stderr: Lines::default(),
                batch: Vec::new(),
                record: Vec::new(),
            }),
        })
    }

    /// Takes bytes as they came from a stream and writes the lines that are complete.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if let Self::JsonFile(log) = self {
            log.take(stream, |lines, record| lines.push(bytes, now(), record));
        }
    }

    /// Writes what a stream ended with, complete or not.
    pub(crate) fn end(&mut self, stream: Stream) {
        if let Self::JsonFile(log) = self {
            log.take(stream, |lines, record| lines.end(now(), record));
        }
    }
}

impl JsonFile {
    fn take(&mut self, stream: Stream, feed: impl FnOnce(&mut Lines, &mut dyn FnMut(lines::Line<'_>))) {
        let Self { file, stdout, stderr, batch, record } = self;
        let lines = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        feed(lines, &mut |line| {
            record.clear();
            encode(&line, stream, record);
            // A record is never divided between two files.
            if file.is_full_for(record.len(), batch.len()) {
                file.append(batch);
                batch.clear();
                file.rotate();
            }
            batch.extend_from_slice(record);
        });
        file.append(batch);
        batch.clear();
    }
}

/// Nanoseconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}
