//! One record of Docker's `json-file`, byte for byte: `{"log":"…\n","stream":"stdout","time":"…"}`.

use std::collections::BTreeMap;
use std::io::Write as _;

use super::lines::{Line, Stream};

/// What is around each line of a container.
#[derive(Default)]
pub(super) struct Encoder {
    /// What [`attributes`] made.
    attributes: Vec<u8>,
    /// The last time, and how it is written: all lines that come at once have the same.
    time: (u64, Vec<u8>),
}

impl Encoder {
    pub(super) fn new(of: &BTreeMap<String, String>) -> Self {
        Self { attributes: attributes(of), ..Self::default() }
    }

    pub(super) fn encode(&mut self, line: &Line<'_>, stream: Stream, out: &mut Vec<u8>) {
        let (of, text) = &mut self.time;
        if *of != line.time || text.is_empty() {
            text.clear();
            time(line.time, text);
            *of = line.time;
        }
        encode(line, stream, &self.attributes, text, out);
    }
}

fn encode(line: &Line<'_>, stream: Stream, attributes: &[u8], time: &[u8], out: &mut Vec<u8>) {
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
    out.extend_from_slice(time);
    out.extend_from_slice(b"\"}\n");
}

/// A record as [`Encoder`] writes it without attributes: appends its line to `log`, and says whether that went to standard error and
/// its time. Nothing for one of another form, which may be as good.
pub fn decode<'a>(record: &'a [u8], log: &mut Vec<u8>) -> Option<(bool, &'a str)> {
    let mut rest = unescape(record.strip_prefix(b"{\"log\":\"")?, log)?;
    rest = rest.strip_prefix(b",\"stream\":\"std")?;
    let is_error = rest.starts_with(b"err\"");
    rest = rest.strip_prefix(b"err\"").or_else(|| rest.strip_prefix(b"out\""))?;
    let time = rest.strip_prefix(b",\"time\":\"")?.strip_suffix(b"\"}\n")?;
    let plain = time.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    Some((is_error, std::str::from_utf8(time).ok().filter(|_| plain)?))
}

/// Up to the end of the string; what comes after it.
fn unescape<'a>(mut bytes: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let from = out.len();
    loop {
        let at = memchr::memchr2(b'"', b'\\', bytes)?;
        out.extend_from_slice(&bytes[..at]);
        let escaped = bytes[at] == b'\\';
        bytes = &bytes[at + 1..];
        if !escaped {
            return std::str::from_utf8(&out[from..]).is_ok().then_some(bytes);
        }
        let (letter, rest) = bytes.split_first()?;
        bytes = rest;
        match letter {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b'"' | b'\\' => out.push(*letter),
            b'u' => {
                let (digits, rest) = bytes.split_at_checked(4)?;
                let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                let letter = char::from_u32(number)?;
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                bytes = rest;
            }
            _ => return None,
        }
    }
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
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        escape_text(chunk.valid(), out);
        // Go replaces byte by byte, not sequence by sequence.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

/// Most lines. Without a branch for each byte, so that many are looked at in one step.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| {
        let special = matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
        plain & (*byte >= 0x20) & (*byte < 0x80) & !special
    })
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
    use proptest::prelude::*;

    use super::*;

    fn record(text: &[u8], complete: bool, time: u64) -> String {
        let mut out = Vec::new();
        let line = Line { text, complete, time, piece: None };
        Encoder::default().encode(&line, Stream::Stderr, &mut out);
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
        let given = BTreeMap::from([("a".into(), "b\"".into()), ("E".into(), "f".into())]);
        let mut out = Vec::new();
        let line = Line { text: b"x", complete: true, time: 1_700_000_000_000_000_000, piece: None };
        Encoder::new(&given).encode(&line, Stream::Stdout, &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"attrs\":{\"E\":\"f\",\"a\":\"b\\\"\"},\
             \"time\":\"2023-11-14T22:13:20Z\"}\n"
        );
        assert!(attributes(&BTreeMap::new()).is_empty());
        assert_eq!(decode(&out, &mut Vec::new()), None, "that is for a whole reader of JSON");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            text in "[ -~\n\r\t\u{0}é€\u{2028}😀]{0,60}", times in proptest::collection::vec(0_u64..1 << 62, 1..4),
        ) {
            let mut encoder = Encoder::default();
            for time in times {
                let mut record = Vec::new();
                let line = Line { text: text.as_bytes(), complete: true, time, piece: None };
                encoder.encode(&line, Stream::Stderr, &mut record);
                let known: serde_json::Value = serde_json::from_slice(&record).unwrap();
                let mut log = Vec::new();
                let (is_error, told) = decode(&record, &mut log).unwrap();
                prop_assert_eq!((is_error, told), (true, known["time"].as_str().unwrap()));
                prop_assert_eq!(&log[..], known["log"].as_str().unwrap().as_bytes());
                prop_assert_eq!(&log[..log.len() - 1], text.as_bytes());
            }
        }

        #[test]
        fn what_is_no_record_is_refused_or_read_as_json_reads_it(record in "[{]\"log\":\"[a\"\\\\nu0{}:,]{0,20}\",\"stream\":\"stdout\",\"time\":\"[0-9Z\"\\\\]{0,5}\"[}]\n") {
            let mut log = Vec::new();
            if let Some((is_error, time)) = decode(record.as_bytes(), &mut log) {
                let known: serde_json::Value = serde_json::from_str(&record).unwrap();
                prop_assert!(!is_error);
                prop_assert_eq!(time, known["time"].as_str().unwrap());
                prop_assert_eq!(&log[..], known["log"].as_str().unwrap().as_bytes());
            }
        }
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
