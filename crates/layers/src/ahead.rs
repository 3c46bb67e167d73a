//! Inflating on a thread of its own: while one core inflates, another one hashes and writes what came before.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::decompress;

const PIECE: usize = 256 * 1024;
/// Pieces that wait to be taken: no more memory than this.
const WAITING: usize = 8;

/// The uncompressed bytes of a layer; see [`decompress_ahead`].
pub struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    taken: usize,
}

/// [`decompress`], on a thread that ends when the reader is dropped or everything was read. What is wrong with the
/// bytes is told by the first read.
pub fn decompress_ahead(packed: impl Read + Send + 'static) -> io::Result<Ahead> {
    let (sender, pieces) = sync_channel(WAITING);
    let work = move || {
        if let Err(error) = send(packed, &sender) {
            let _ = sender.send(Err(error));
        }
    };
    std::thread::Builder::new().name("inflate".into()).spawn(work)?;
    Ok(Ahead { pieces, piece: Vec::new(), taken: 0 })
}

fn send(packed: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    let mut tar = decompress(packed)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        if tar.by_ref().take(PIECE as u64).read_to_end(&mut piece)? == 0 || sender.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.taken) = (piece?, 0),
                // The other side has sent everything.
                Err(_) => return Ok(0),
            }
        }
        let rest = &self.piece[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_and_so_does_what_is_wrong() {
        let text = b"some text".repeat(200_000);
        let mut packed = Vec::new();
        crate::compress(&text[..], &mut packed).unwrap();
        let mut read = Vec::new();
        decompress_ahead(io::Cursor::new(packed.clone())).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, text);
        packed.truncate(packed.len() / 2);
        let cut = decompress_ahead(io::Cursor::new(packed.clone())).unwrap().read_to_end(&mut Vec::new());
        assert!(cut.is_err());
        let refused = decompress_ahead(&b"BZh9"[..]).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(refused.to_string().contains("bzip2"));
        // Nobody reads on: the thread ends, and nothing waits for it.
        drop(decompress_ahead(io::Cursor::new(packed)).unwrap());
    }
}
