//! Fluentd's forward protocol: MessagePack, one event a line.

use std::collections::BTreeMap;

use crate::log::lines::{Line, Stream};

/// `[tag, time, record, options]`.
pub(super) fn event(
    tag: &str,
    record: &BTreeMap<String, String>,
    nanoseconds: bool,
    line: &Line<'_>,
    stream: Stream,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.text.len() + 256);
    out.push(0x94);
    text(tag.as_bytes(), &mut out);
    time(line.time, nanoseconds, &mut out);
    let pieces = line.piece.map_or(0, |_| 4);
    map(record.len() + 2 + pieces, &mut out);
    for (name, value) in record {
        pair(name, value.as_bytes(), &mut out);
    }
    pair("source", stream.name().as_bytes(), &mut out);
    pair("log", line.text, &mut out);
    if let Some(piece) = &line.piece {
        pair("partial_message", b"true", &mut out);
        pair("partial_id", piece.hex().as_bytes(), &mut out);
        pair("partial_ordinal", piece.ordinal.to_string().as_bytes(), &mut out);
        pair("partial_last", piece.last.to_string().as_bytes(), &mut out);
    }
    map(0, &mut out);
    out
}

/// Seconds, or the extension type for seconds and nanoseconds.
fn time(time: u64, nanoseconds: bool, out: &mut Vec<u8>) {
    let (seconds, rest) = (time / 1_000_000_000, time % 1_000_000_000);
    if nanoseconds {
        out.extend_from_slice(&[0xd7, 0x00]);
        out.extend_from_slice(&(seconds as u32).to_be_bytes());
        out.extend_from_slice(&(rest as u32).to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&seconds.to_be_bytes());
    }
}

fn map(entries: usize, out: &mut Vec<u8>) {
    match entries {
        0..16 => out.push(0x80 | entries as u8),
        _ => {
            out.push(0xde);
            out.extend_from_slice(&(entries as u16).to_be_bytes());
        }
    }
}

fn pair(name: &str, value: &[u8], out: &mut Vec<u8>) {
    text(name.as_bytes(), out);
    text(value, out);
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes.len() {
        length @ 0..32 => out.push(0xa0 | length as u8),
        length @ 32..256 => out.extend_from_slice(&[0xd9, length as u8]),
        length @ 256..65_536 => {
            out.push(0xda);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0xdb);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_what_fluentd_reads() {
        let record = BTreeMap::from([("container_name".to_owned(), "/c".to_owned())]);
        let line = Line { text: b"hi", complete: true, time: 5_000_000_007, piece: None };
        let event = |nanoseconds| event("t", &record, nanoseconds, &line, Stream::Stderr);
        let rest = b"\x83\xaecontainer_name\xa2/c\xa6source\xa6stderr\xa3log\xa2hi\x80";
        assert_eq!(event(false), [&b"\x94\xa1t\xd3\0\0\0\0\0\0\0\x05"[..], rest].concat());
        assert_eq!(event(true), [&b"\x94\xa1t\xd7\0\0\0\0\x05\0\0\0\x07"[..], rest].concat());
    }

    #[test]
    fn long_texts_and_many_fields_have_longer_heads() {
        let mut out = Vec::new();
        text(&[b'x'; 300], &mut out);
        assert_eq!(out[..3], [0xda, 1, 44]);
        out.clear();
        map(16, &mut out);
        assert_eq!(out, [0xde, 0, 16]);
    }
}
