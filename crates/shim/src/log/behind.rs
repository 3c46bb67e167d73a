//! A log file that never holds the container up (`mode=non-blocking`): a process of its own writes it, and what waits for
//! that process is a socket's buffer, which is bounded. What doesn't fit is dropped, as Docker drops it.
//!
//! A process and not a thread, because this one is copied for each `exec`, which a process with threads can't be.
//!
//! ```text
//! shim ── a batch of records ─► socket (max-buffer-size) ─► ketch shim --log ── append, rotate, compress ─► files
//!      ◄─ one byte when a file was rotated away ───────────
//! ```

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use super::file::FileLog;
use super::lines::{Line, Stream};
use super::wire;
use crate::LogFile;

/// The writer's end, as a descriptor.
const SOCKET: i32 = 3;
/// One batch is what was read from the container at once, with its records' heads.
const MOST: usize = 1 << 20;
const READY: u8 = b'+';
const ROTATED: u8 = b'r';

/// This side of it.
pub(super) struct Behind {
    config: LogFile,
    size: usize,
    /// None where it ended and another couldn't be started.
    writer: Option<Writer>,
    batch: Vec<u8>,
    rotated: bool,
}

struct Writer {
    socket: OwnedFd,
    process: OwnedFd,
}

impl Writer {
    /// Starts it and waits until it has the file.
    fn start(config: &LogFile, buffer: usize) -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Half as much: the kernel doubles what it is told, for its own needs.
        set_socket_send_buffer_size_force(&ours, (buffer / 2).max(wire::LARGEST))?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let program = File::open("/proc/self/exe")?;
        let args = [c"ketch".to_owned(), c"shim".to_owned(), c"--log".to_owned()];
        let fds = [null.as_fd(), null.as_fd(), null.as_fd(), theirs.as_fd()];
        let spawned = sys::spawn(&sys::Spawn { program: program.as_fd(), args: &args, env: &[], fds: &fds })?;
        drop(theirs);
        send(&ours, &serde_json::to_vec(config)?, SendFlags::NOSIGNAL)?;
        let mut said = [0; 512];
        let (count, _) = recv(&ours, &mut said, RecvFlags::empty())?;
        if said[..count] != [READY] {
            return Err(io::Error::other(String::from_utf8_lossy(&said[..count]).into_owned()));
        }
        Ok(Self { socket: ours, process: spawned.pidfd })
    }

    /// Until everything that was handed over is in the file.
    fn end(self) {
        drop(self.socket);
        let _ = sys::wait_for(&self.process);
    }
}

impl Behind {
    pub(super) fn open(config: &LogFile, size: usize) -> io::Result<Self> {
        let writer = Some(Writer::start(config, size)?);
        Ok(Self { config: config.clone(), size, writer, batch: Vec::new(), rotated: false })
    }

    pub(super) fn take(&mut self, line: &Line<'_>, stream: Stream) {
        // Two batches fit: what is larger than the whole buffer would never be taken.
        let most = (self.size / 2).clamp(wire::LARGEST, MOST);
        if self.batch.len() + wire::length(line) > most {
            self.flush();
        }
        if self.batch.len() + wire::length(line) <= most {
            wire::put(line, stream, &mut self.batch);
        }
    }

    /// Hands over what was taken. Where there is no room it waits here, for a short record takes as much of a socket as a
    /// long one; what then doesn't fit here is dropped.
    pub(super) fn flush(&mut self) {
        let Some(writer) = self.writer.as_ref().filter(|_| !self.batch.is_empty()) else {
            return self.batch.clear();
        };
        match send(&writer.socket, &self.batch, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => {}
            _ => self.batch.clear(),
        }
    }

    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let mut flags = PollFlags::IN;
        flags.set(PollFlags::OUT, !self.batch.is_empty());
        self.writer.as_ref().map(|writer| (writer.socket.as_fd(), flags))
    }

    /// Hears what the writer says; one that was ended has a successor.
    pub(super) fn listen(&mut self) {
        let mut said = [0; 16];
        while let Some(writer) = &self.writer {
            match recv(&writer.socket, &mut said, RecvFlags::DONTWAIT) {
                Ok((1.., _)) => self.rotated = true,
                Err(Errno::AGAIN | Errno::INTR) => return self.flush(),
                Ok(_) | Err(_) => {
                    self.writer.take().into_iter().for_each(Writer::end);
                    self.writer = Writer::start(&self.config, self.size).ok();
                }
            }
        }
    }

    pub(super) fn has_rotated(&mut self) -> bool {
        std::mem::take(&mut self.rotated)
    }

    pub(super) fn close(self) {
        if let Some(writer) = self.writer.as_ref().filter(|_| !self.batch.is_empty()) {
            // The container is over: nobody waits for it any more.
            let _ = send(&writer.socket, &self.batch, SendFlags::NOSIGNAL);
        }
        self.writer.into_iter().for_each(Writer::end);
    }
}

/// The role `ketch shim --log`.
pub(crate) fn main() -> i32 {
    let Ok(socket) = sys::inherited(SOCKET) else { return 125 };
    sys::block_signals();
    let _ = rustix::thread::set_name(c"ketch-log");
    let mut buffer = vec![0; MOST];
    match begin(&socket, &mut buffer) {
        Ok(mut file) => {
            let _ = send(&socket, &[READY], SendFlags::NOSIGNAL);
            write(&socket, &mut file, &mut buffer);
            file.close();
            0
        }
        Err(error) => {
            let _ = send(&socket, error.to_string().as_bytes(), SendFlags::NOSIGNAL);
            1
        }
    }
}

fn begin(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<FileLog> {
    let (count, _) = recv(socket, &mut *buffer, RecvFlags::empty())?;
    FileLog::open(&serde_json::from_slice(&buffer[..count])?)
}

/// Writes what comes until nobody is left to send. Between two batches there is time to compress.
fn write(socket: &OwnedFd, file: &mut FileLog, buffer: &mut [u8]) {
    loop {
        let how = if file.is_compressing() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        match recv(socket, &mut *buffer, how) {
            Ok((0, _)) => return,
            Ok((count, _)) => {
                wire::each(&buffer[..count], |line, stream| file.take(&line, stream));
                file.flush();
            }
            Err(Errno::AGAIN) => file.compress_some(),
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if file.has_rotated() {
            let _ = send(socket, &[ROTATED], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }
}
