//! journald's native protocol: one datagram an entry, one field after the other.

use std::collections::BTreeMap;

use super::severity;
use crate::log::json;
use crate::log::lines::{Line, Stream};

pub(super) fn entry(
    fields: &BTreeMap<String, String>,
    ordinal: u64,
    line: &Line<'_>,
    stream: Stream,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.text.len() + 512);
    let mut time = Vec::new();
    json::time(line.time, &mut time);
    field("MESSAGE", line.text, &mut out);
    field("PRIORITY", severity(stream).to_string().as_bytes(), &mut out);
    field("SYSLOG_TIMESTAMP", &time, &mut out);
    field("CONTAINER_LOG_ORDINAL", ordinal.to_string().as_bytes(), &mut out);
    for (name, value) in fields {
        field(name, value.as_bytes(), &mut out);
    }
    if let Some(piece) = &line.piece {
        field("CONTAINER_PARTIAL_ID", piece.hex().as_bytes(), &mut out);
        field("CONTAINER_PARTIAL_ORDINAL", piece.ordinal.to_string().as_bytes(), &mut out);
        field("CONTAINER_PARTIAL_LAST", piece.last.to_string().as_bytes(), &mut out);
        if !piece.last {
            field("CONTAINER_PARTIAL_MESSAGE", b"true", &mut out);
        }
    }
    out
}

/// `NAME=value`, or its name, its length and the value where that has more lines than one.
fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_several_lines_comes_with_its_length() {
        let mut out = Vec::new();
        field("A", b"b", &mut out);
        field("C", b"d\ne", &mut out);
        assert_eq!(out, b"A=b\nC\n\x03\0\0\0\0\0\0\0d\ne\n");
    }
}
