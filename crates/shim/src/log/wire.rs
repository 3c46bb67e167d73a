//! Records of a log between two processes of the same program.

use super::lines::{Line, Piece, Stream};

/// The largest record: a line that is cut is as long as this side's buffer.
pub(super) const LARGEST: usize = 17 * 1024;
/// Length, stream, completeness, time, and whether it is a piece.
const HEAD: usize = 4 + 1 + 1 + 8 + 1;

/// How much a record takes.
pub(super) fn length(line: &Line<'_>) -> usize {
    HEAD + line.text.len() + line.piece.map_or(0, |_| Piece::BYTES)
}

/// Adds a record to a batch.
pub(super) fn put(line: &Line<'_>, stream: Stream, batch: &mut Vec<u8>) {
    batch.extend_from_slice(&u32::try_from(line.text.len()).unwrap_or(0).to_ne_bytes());
    batch.push(u8::from(stream == Stream::Stderr));
    batch.push(u8::from(line.complete));
    batch.extend_from_slice(&line.time.to_ne_bytes());
    batch.push(u8::from(line.piece.is_some()));
    if let Some(piece) = &line.piece {
        batch.extend_from_slice(&piece.bytes());
    }
    batch.extend_from_slice(line.text);
}

/// Each record of a batch; it ends where one isn't whole.
pub(super) fn each(mut batch: &[u8], mut record: impl FnMut(Line<'_>, Stream)) {
    while let Some((head, rest)) = batch.split_at_checked(HEAD) {
        let (piece, rest) = match head[14] {
            0 => (None, rest),
            _ => match rest.split_at_checked(Piece::BYTES) {
                Some((bytes, rest)) => (Piece::of_bytes(bytes), rest),
                None => return,
            },
        };
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]);
        let Some((text, rest)) = rest.split_at_checked(length as usize) else { return };
        let mut time = [0; 8];
        time.copy_from_slice(&head[6..14]);
        let stream = if head[4] == 1 { Stream::Stderr } else { Stream::Stdout };
        record(Line { text, complete: head[5] == 1, time: u64::from_ne_bytes(time), piece }, stream);
        batch = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::lines::Lines;

    #[test]
    fn records_arrive_as_they_were_put() {
        let mut batch = Vec::new();
        let mut seen = Vec::new();
        let mut lines = Lines::default();
        let text = [b"one\ntwo\n".to_vec(), vec![b'x'; 40_000], b"\nend".to_vec()].concat();
        let mut take = |line: Line<'_>| {
            let before = batch.len();
            put(&line, Stream::Stderr, &mut batch);
            assert_eq!(batch.len() - before, length(&line));
            assert!(length(&line) <= LARGEST);
            seen.push((line.text.to_vec(), line.complete, line.time, line.piece));
        };
        lines.push(&text, 7, &mut take);
        lines.end(8, &mut take);
        let mut got = Vec::new();
        each(&batch, |line, stream| {
            assert_eq!(stream, Stream::Stderr);
            got.push((line.text.to_vec(), line.complete, line.time, line.piece));
        });
        assert_eq!(got, seen);
        assert!(got.len() > 4 && got.iter().any(|record| record.3.is_some()));
        for end in 0..batch.len().min(200) {
            each(&batch[..end], |_, _| {});
        }
    }
}
