//! From a writer to a reader.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, sync_channel};

use crate::Error;

/// What `work` writes on a thread of its own, to be read. It ends with an error if the work failed: half of a tar must
/// not be taken for one.
#[derive(Debug)]
pub struct Written {
    pipe: io::PipeReader,
    ended: Receiver<Result<(), Error>>,
    heard: bool,
}

impl Written {
    /// Begins. Whoever drops the reader ends the work.
    pub fn by(work: impl FnOnce(&mut dyn Write) -> Result<(), Error> + Send + 'static) -> io::Result<Self> {
        let (pipe, writer) = io::pipe()?;
        let (end, ended) = sync_channel(1);
        let write = move || {
            let mut out = io::BufWriter::with_capacity(64 * 1024, writer);
            // Said before the pipe is closed, which happens when this returns.
            let _ = end.send(work(&mut out));
        };
        std::thread::Builder::new().name("tar".into()).spawn(write)?;
        Ok(Self { pipe, ended, heard: false })
    }
}

impl Read for Written {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.pipe.read(buffer)? {
            0 if !self.heard => {
                let ended =
                    self.ended.recv().map_err(|_| io::Error::other("the thread that writes it failed"))?;
                ended.map_err(io::Error::other)?;
                self.heard = true;
                Ok(0)
            }
            count => Ok(count),
        }
    }
}
