//! A body for code that reads blockingly.

use std::io::{self, Read, Write as _};

use bytes::Bytes;
use client::Body;
use tokio::sync::mpsc;

use crate::error::Error;

pub(crate) struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.rest = piece?,
            }
        }
        let count = self.rest.len().min(buffer.len());
        buffer.write_all(&self.rest.split_to(count))?;
        Ok(count)
    }
}

/// Lets `work` read a body on a thread of its own, and counts its bytes. Where the body breaks off, that is what went wrong,
/// whatever `work` makes of it.
pub(crate) async fn read<T: Send + 'static>(
    mut body: Body,
    work: impl FnOnce(Pieces) -> Result<T, Error> + Send + 'static,
) -> Result<(T, usize), Error> {
    let (sender, receiver) = mpsc::channel(4);
    let working = tasks::blocking(move || work(Pieces { receiver, rest: Bytes::new() }));
    let mut size = 0;
    let mut broken = None;
    loop {
        match body.next().await {
            Ok(Some(bytes)) => {
                size += bytes.len();
                if sender.send(Ok(bytes)).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                let _ = sender.send(Err(io::Error::other("the archive broke off"))).await;
                broken = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let done = working.await.map_err(|e| Error::Io("read the archive", io::Error::other(e)))?;
    match broken {
        Some(error) => Err(error.into()),
        None => Ok((done?, size)),
    }
}
