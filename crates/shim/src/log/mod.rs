//! Where a container's output goes: a file in one of Docker's formats, a log server, both or neither.

pub(crate) mod behind;
mod file;
mod forward;
mod json;
mod lines;
mod local;
mod rotate;
mod wire;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::event::PollFlags;

pub use json::decode as decode_json;
pub(crate) use lines::{Lines, Stream};

use crate::{LogConfig, LogFile};
use behind::Behind;
use file::FileLog;
use forward::Forwarder;

/// Takes what a container writes. A log that can't be written never stops the container; a log server that is connected
/// may hold it up, if that is asked for.
#[derive(Default)]
pub(crate) struct Log {
    stdout: Lines,
    stderr: Lines,
    file: Option<Sink>,
    forward: Option<Forwarder>,
}

/// Who writes the file.
enum Sink {
    Here(Box<FileLog>),
    Behind(Behind),
}

impl Sink {
    fn open(config: &LogFile) -> io::Result<Self> {
        match config.buffer {
            None => FileLog::open(config).map(|file| Self::Here(Box::new(file))),
            Some(buffer) => Behind::open(config, buffer).map(Self::Behind),
        }
    }

    fn take(&mut self, line: &lines::Line<'_>, stream: Stream) {
        match self {
            Self::Here(file) => file.take(line, stream),
            Self::Behind(writer) => writer.take(line, stream),
        }
    }

    fn flush(&mut self) {
        match self {
            Self::Here(file) => file.flush(),
            Self::Behind(writer) => writer.flush(),
        }
    }

    fn is_compressing(&self) -> bool {
        matches!(self, Self::Here(file) if file.is_compressing())
    }

    fn work(&mut self) {
        match self {
            Self::Here(file) => file.compress_some(),
            Self::Behind(writer) => writer.listen(),
        }
    }

    fn has_rotated(&mut self) -> bool {
        match self {
            Self::Here(file) => file.has_rotated(),
            Self::Behind(writer) => writer.has_rotated(),
        }
    }

    fn close(self) {
        match self {
            Self::Here(mut file) => file.close(),
            Self::Behind(writer) => writer.close(),
        }
    }
}

impl Log {
    pub(crate) fn open(config: LogConfig) -> io::Result<Self> {
        Ok(Self {
            file: config.file.as_ref().map(Sink::open).transpose()?,
            forward: config.forward.map(Forwarder::open).transpose()?,
            ..Self::default()
        })
    }

    /// Takes bytes as they came from a stream and writes the lines that are complete.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.take(stream, |lines, record| lines.push(bytes, now(), record));
    }

    /// Writes what a stream ended with, complete or not.
    pub(crate) fn end(&mut self, stream: Stream) {
        self.take(stream, |lines, record| lines.end(now(), record));
    }

    fn take(&mut self, stream: Stream, feed: impl FnOnce(&mut Lines, &mut dyn FnMut(lines::Line<'_>))) {
        let Self { stdout, stderr, file, forward } = self;
        if file.is_none() && forward.is_none() {
            return;
        }
        let lines = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        feed(lines, &mut |line| {
            if let Some(file) = file {
                file.take(&line, stream);
            }
            if let Some(forward) = forward {
                forward.take(&line, stream);
            }
        });
        file.iter_mut().for_each(Sink::flush);
        forward.iter_mut().for_each(Forwarder::work);
    }

    /// Nothing should be read from the container now.
    pub(crate) fn is_full(&self) -> bool {
        self.forward.as_ref().is_some_and(Forwarder::is_full)
    }

    /// How much is to be read at once: each line grows by what a log server is told with it.
    pub(crate) fn appetite(&self) -> usize {
        if self.forward.is_some() { 4096 } else { usize::MAX }
    }

    /// The socket of a server or of a file's writer, and what to wait for on it. There is never both: the file that is kept
    /// beside a server is written here.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.file {
            Some(Sink::Behind(writer)) => writer.interest(),
            _ => self.forward.as_ref().and_then(Forwarder::interest),
        }
    }

    /// When there is something to do though nothing has happened.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let compressing = self.file.as_ref().is_some_and(Sink::is_compressing).then(Instant::now);
        compressing.into_iter().chain(self.forward.as_ref().and_then(Forwarder::deadline)).min()
    }

    /// Does a little of what waits.
    pub(crate) fn work(&mut self) {
        self.file.iter_mut().for_each(Sink::work);
        self.forward.iter_mut().for_each(Forwarder::work);
    }

    /// Whether the file was rotated since this was last asked.
    pub(crate) fn has_rotated(&mut self) -> bool {
        self.file.as_mut().is_some_and(Sink::has_rotated)
    }

    /// The files are the next run's from here on.
    pub(crate) fn close_files(&mut self) {
        self.file.take().into_iter().for_each(Sink::close);
    }

    /// Whether a server has yet to be told something.
    pub(crate) fn has_more_to_send(&self) -> bool {
        self.forward.as_ref().is_some_and(Forwarder::has_more_to_send)
    }
}

/// Nanoseconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}
