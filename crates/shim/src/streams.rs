//! The container's standard streams, as the shim holds them: three pipes, or the master of a terminal.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::termios::Winsize;

use crate::Stdin;
use crate::log::Stream;

/// Bytes for the container's standard input that it didn't take yet. No more is read from clients meanwhile.
const MAX_PENDING: usize = 64 * 1024;

#[derive(Default)]
pub(crate) struct Streams {
    outputs: Vec<(Stream, OwnedFd)>,
    input: Option<Input>,
    terminal: bool,
}

struct Input {
    fd: OwnedFd,
    pending: Vec<u8>,
    /// Close it when everything has been written.
    ending: bool,
}

impl Streams {
    /// What a process gets, and our ends of it.
    pub(crate) fn make(terminal: bool, stdin: Stdin) -> io::Result<(Self, runtime::Stdio)> {
        if terminal { Self::for_terminal() } else { Self::pipes(stdin) }
    }

    /// Pipes for a container without a terminal, and the ends that its process gets.
    fn pipes(stdin: Stdin) -> io::Result<(Self, runtime::Stdio)> {
        let (stdout, child_stdout): (PipeReader, PipeWriter) = io::pipe()?;
        let (stderr, child_stderr) = io::pipe()?;
        let mut streams = Self::default();
        for (stream, fd) in [(Stream::Stdout, OwnedFd::from(stdout)), (Stream::Stderr, stderr.into())] {
            set_nonblocking(&fd)?;
            streams.outputs.push((stream, fd));
        }
        let child_stdin = match stdin {
            Stdin::Closed => File::open("/dev/null")?.into(),
            Stdin::Open | Stdin::Once => {
                let (child, ours) = io::pipe()?;
                streams.set_input(ours.into())?;
                child.into()
            }
        };
        let stdio =
            runtime::Stdio { stdin: child_stdin, stdout: child_stdout.into(), stderr: child_stderr.into() };
        Ok((streams, stdio))
    }

    /// For a container whose process opens a terminal, which replaces what it is given here.
    fn for_terminal() -> io::Result<(Self, runtime::Stdio)> {
        let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
        let stdio = runtime::Stdio { stdin: null()?, stdout: null()?, stderr: null()? };
        Ok((Self { terminal: true, ..Self::default() }, stdio))
    }

    /// The terminal's master, once init has handed it over.
    pub(crate) fn set_terminal(&mut self, master: OwnedFd, stdin: Stdin) -> io::Result<()> {
        set_nonblocking(&master)?;
        if stdin != Stdin::Closed {
            self.set_input(master.try_clone()?)?;
        }
        self.outputs.push((Stream::Stdout, master));
        Ok(())
    }

    fn set_input(&mut self, fd: OwnedFd) -> io::Result<()> {
        set_nonblocking(&fd)?;
        self.input = Some(Input { fd, pending: Vec::new(), ending: false });
        Ok(())
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        match self.outputs.first().filter(|_| self.terminal) {
            Some((_, master)) => Ok(rustix::termios::tcsetwinsize(master, size)?),
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "the container has no terminal")),
        }
    }

    pub(crate) fn outputs(&self) -> impl Iterator<Item = (Stream, BorrowedFd<'_>)> {
        self.outputs.iter().map(|(stream, fd)| (*stream, fd.as_fd()))
    }

    /// Reads what an output has now: zero bytes are its end, nothing means not now. An output that ended is dropped.
    pub(crate) fn read(&mut self, stream: Stream, buffer: &mut [u8]) -> Option<usize> {
        let at = self.outputs.iter().position(|(s, _)| *s == stream)?;
        match rustix::io::read(&self.outputs[at].1, buffer) {
            Ok(count) if count > 0 => Some(count),
            Err(Errno::AGAIN | Errno::INTR) => None,
            // A terminal without a slave answers EIO: nobody can write to it any more.
            Ok(_) | Err(_) => {
                self.outputs.remove(at);
                Some(0)
            }
        }
    }

    /// No output will be read any more: the container has ended and whatever still has them open is none of its.
    pub(crate) fn close(&mut self) -> Vec<Stream> {
        self.input = None;
        self.outputs.drain(..).map(|(stream, _)| stream).collect()
    }

    /// The descriptor to wait for, while there are bytes for the container.
    pub(crate) fn pending_input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().filter(|input| !input.pending.is_empty()).map(|input| input.fd.as_fd())
    }

    /// Whether bytes from a client would be taken.
    pub(crate) fn takes_input(&self) -> bool {
        self.input.as_ref().is_some_and(|input| input.pending.len() < MAX_PENDING)
    }

    pub(crate) fn has_input(&self) -> bool {
        self.input.is_some()
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if let Some(input) = &mut self.input {
            input.pending.extend_from_slice(bytes);
        }
        self.flush_input();
    }

    /// The container sees the end of its input after what it has yet to be given.
    pub(crate) fn end_input(&mut self) {
        // A terminal has no end while somebody could attach again.
        if self.terminal {
            return;
        }
        if let Some(input) = &mut self.input {
            input.ending = true;
        }
        self.flush_input();
    }

    pub(crate) fn flush_input(&mut self) {
        let Some(input) = &mut self.input else { return };
        while !input.pending.is_empty() {
            match rustix::io::write(&input.fd, &input.pending) {
                Ok(count) => drop(input.pending.drain(..count)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                // The container closed its standard input: what comes for it goes nowhere, as it does in a shell.
                Err(_) => {
                    self.input = None;
                    return;
                }
            }
        }
        input.pending = Vec::new();
        if input.ending {
            self.input = None;
        }
    }
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = fcntl_getfl(fd)?;
    Ok(fcntl_setfl(fd, flags | OFlags::NONBLOCK)?)
}
