//! One record of Docker's `json-file`, byte for byte: `{"log":"…\n","stream":"stdout","time":"…"}`.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::lines::{Line, Stream};

/// `attributes` is what [`attributes`] made.
pub(super) fn encode(line: &Line<'_>, stream: Stream, attributes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(line.text, out);
    if line.complete {
        out.extend_from_slice(b"\\n");
    }
    out.extend_from_slice(match stream {
        Stream::Stdout => b"\",\"stream\":\"stdout\"",
        Stream::Stderr => b"\",\"stream\":\"stderr\"",
    });
    out.extend_from_slice(attributes);
    out.extend_from_slice(b",\"time\":\"");
    time(line.time, out);
    out.extend_from_slice(b"\"}\n");
}

/// What every record of a container has beside its line, ready to be copied into each.
pub(super) fn attributes(of: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in of {
        out.extend_from_slice(if out.is_empty() { b",\"attrs\":{\"" } else { b",\"" });
        escape(name.as_bytes(), &mut out);
        out.extend_from_slice(b"\":\"");
        escape(value.as_bytes(), &mut out);
        out.push(b'"');
    }
    if !out.is_empty() {
        out.push(b'}');
    }
    out
}

/// Go's rules: the characters of HTML and the two line separators of Unicode are escaped, too; bytes that are no UTF-8
/// become the replacement character.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        escape_text(chunk.valid(), out);
        // Go replaces byte by byte, not sequence by sequence.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn escape_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let plain = *byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
        if plain {
            continue;
        }
        let separator = match bytes[at..] {
            [0xe2, 0x80, last @ (0xa8 | 0xa9), ..] => Some(last),
            _ => None,
        };
        if *byte == 0xe2 && separator.is_none() {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        match (byte, separator) {
            (_, Some(last)) => {
                let _ = write!(out, "\\u20{:02x}", last - 0x80);
                from = at + 3;
            }
            (b'"' | b'\\', _) => out.extend_from_slice(&[b'\\', *byte]),
            (b'\n', _) => out.extend_from_slice(b"\\n"),
            (b'\r', _) => out.extend_from_slice(b"\\r"),
            (byte, _) => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// RFC 3339 in UTC with as many digits of the second as are not zero, as Go's `RFC3339Nano`.
pub(super) fn time(nanoseconds: u64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let (day, clock) = (seconds / 86_400, seconds % 86_400);
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    let _ = write!(out, "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}");
    if fraction != 0 {
        let _ = write!(out, ".{fraction:09}");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

/// The date of a day since the epoch: years are counted from March, so that the leap day is the last of its year.
pub(super) fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &[u8], complete: bool, time: u64) -> String {
        let mut out = Vec::new();
        encode(&Line { text, complete, time, piece: None }, Stream::Stderr, b"", &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_is_byte_for_byte_docker_s() {
        assert_eq!(
            record(
                b"a\t\"b\\<&>\r\x1b\xff\xf0\x9f \xe2\x82\xac\xe2\x80\xa8.",
                true,
                1_700_000_000_120_000_000
            ),
            "{\"log\":\"a\\u0009\\\"b\\\\\\u003c\\u0026\\u003e\\r\\u001b\\ufffd\\ufffd\\ufffd €\\u2028.\\n\",\
             \"stream\":\"stderr\",\"time\":\"2023-11-14T22:13:20.12Z\"}\n"
        );
        assert!(record(b"", false, 951_782_400_000_000_000).contains("\"log\":\"\","));
    }

    #[test]
    fn attributes_stand_between_the_stream_and_the_time() {
        let attributes = attributes(&BTreeMap::from([("a".into(), "b\"".into()), ("E".into(), "f".into())]));
        let mut out = Vec::new();
        let line = Line { text: b"x", complete: true, time: 1_700_000_000_000_000_000, piece: None };
        encode(&line, Stream::Stdout, &attributes, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"attrs\":{\"E\":\"f\",\"a\":\"b\\\"\"},\
             \"time\":\"2023-11-14T22:13:20Z\"}\n"
        );
        assert!(super::attributes(&BTreeMap::new()).is_empty());
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(19_722), (2023, 12, 31));
        assert_eq!(civil(47_541), (2100, 3, 1));
    }
}
