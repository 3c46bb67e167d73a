//! One record of Docker's `local` driver: a `LogEntry` in protocol buffers between its length and its length, so that a
//! file can be read from either end.
//!
//! ```text
//! u32 big endian   length of what is between
//! 1: source   2: time in nanoseconds   3: the line, without its newline
//! 4: whether it is a piece   5: { 1: whether the last one   2: its id   3: which one }
//! u32 big endian   the same length again
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::lines::{Line, Stream};

pub(super) fn encode(line: &Line<'_>, stream: Stream, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    bytes(1, stream.name().as_bytes(), out);
    number(2, line.time, out);
    bytes(3, line.text, out);
    if let Some(piece) = &line.piece {
        let mut about = Vec::with_capacity(72);
        number(1, u64::from(piece.last), &mut about);
        bytes(2, piece.hex().as_bytes(), &mut about);
        number(3, piece.ordinal.into(), &mut about);
        number(4, 1, out);
        bytes(5, &about, out);
    }
    let length = ((out.len() - start - 4) as u32).to_be_bytes();
    out[start..start + 4].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

fn bytes(field: u8, value: &[u8], out: &mut Vec<u8>) {
    // What is empty isn't written, as protocol buffers have it.
    if !value.is_empty() {
        out.push(field << 3 | 2);
        varint(value.len() as u64, out);
        out.extend_from_slice(value);
    }
}

fn number(field: u8, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        out.push(field << 3);
        varint(value, out);
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Whether a file ends with a whole record. One that doesn't, after a power cut, can't be written on to: what follows would
/// never be found.
pub(super) fn is_whole(file: &File, size: u64) -> bool {
    if size == 0 {
        return true;
    }
    let read = |at: u64| {
        let mut length = [0; 4];
        file.read_exact_at(&mut length, at).ok().map(|()| u32::from_be_bytes(length))
    };
    let length = size.checked_sub(4).and_then(read);
    let first = length.and_then(|length| size.checked_sub(8 + u64::from(length))).and_then(read);
    length.is_some() && first == length
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::log::lines::Lines;

    #[test]
    fn a_record_is_byte_for_byte_docker_s() {
        let mut out = Vec::new();
        let time = 1795963110172301811;
        encode(&Line { text: b"line 2", complete: true, time, piece: None }, Stream::Stdout, &mut out);
        let expected =
            b"\0\0\0\x1a\n\x06stdout\x10\xf3\xb3\x9a\xdc\xee\xdd\xa2\xf6\x18\x1a\x06line 2\0\0\0\x1a";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_piece_says_which_one_it_is() {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        lines.push(&[b'y'; 16 * 1024], 5, &mut |line| encode(&line, Stream::Stderr, &mut out));
        lines.push(b"z\n", 9, &mut |line| encode(&line, Stream::Stderr, &mut out));
        let last = &out[out.len() - 4 - 0x57..];
        assert_eq!(&last[..19], b"\n\x06stderr\x10\x05\x1a\x01z \x01*F\x08\x01");
        assert_eq!((&last[19..21], &last[85..]), (&b"\x12@"[..], &b"\x18\x02\0\0\0\x57"[..]));
    }

    #[test]
    fn a_torn_end_is_found() {
        let mut file = tempfile::tempfile().unwrap();
        let mut out = Vec::new();
        encode(&Line { text: b"x", complete: true, time: 1, piece: None }, Stream::Stdout, &mut out);
        file.write_all(&out.repeat(2)).unwrap();
        let size = 2 * out.len() as u64;
        assert!(is_whole(&file, size) && is_whole(&file, 0));
        for cut in 1..out.len() as u64 {
            assert!(!is_whole(&file, size - cut), "{cut}");
        }
    }
}
