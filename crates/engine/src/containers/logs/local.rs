//! Reading Docker's `local` format: protocol buffers between their length and their length.

use super::read::{Line, Stamp, Stream};

/// What a record says; `None` if it can't be one.
pub(super) fn decode(record: &[u8]) -> Option<Line> {
    let mut line =
        Line { log: Vec::new(), stream: Stream::Stdout, time: Stamp::Nanoseconds(0), attributes: None };
    let (mut partial, mut last) = (false, false);
    let mut fields = Fields(record);
    while let Some((number, value)) = fields.next()? {
        match (number, value) {
            (1, Value::Bytes(b"stderr")) => line.stream = Stream::Stderr,
            (2, Value::Number(time)) => line.time = Stamp::Nanoseconds(time),
            (3, Value::Bytes(text)) => line.log = text.to_vec(),
            (4, Value::Number(flag)) => partial = flag != 0,
            (5, Value::Bytes(about)) => last = is_last(about)?,
            _ => {}
        }
    }
    if !partial || last {
        line.log.push(b'\n');
    }
    Some(line)
}

/// Whether a piece of a line is its last.
fn is_last(about: &[u8]) -> Option<bool> {
    let (mut fields, mut last) = (Fields(about), false);
    while let Some((number, value)) = fields.next()? {
        if let (1, Value::Number(flag)) = (number, value) {
            last = flag != 0;
        }
    }
    Some(last)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field: `Some(None)` at the end, `None` where there is nothing sensible.
    fn next(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (value, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(value)
            }
            _ => return None,
        };
        Some(Some((tag >> 3, value)))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_dockerd_wrote_is_read() {
        let line = decode(b"\n\x06stdout\x10\x96\xed\xf3\xef\xdc\xd5\xdd\xbe\x18\x1a\x06line 2").unwrap();
        assert_eq!((line.log.as_slice(), line.stream), (&b"line 2\n"[..], Stream::Stdout));
        let piece = decode(b"\n\x06stderr\x10\x05\x1a\x01x \x01*\x06\x12\x02ab\x18\x01").unwrap();
        assert_eq!((piece.log.as_slice(), piece.stream), (&b"x"[..], Stream::Stderr));
        let last = decode(b"\n\x06stdout\x10\x05\x1a\x01x \x01*\x02\x08\x01").unwrap();
        assert_eq!(last.log, b"x\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail_in_another_way(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            decode(&bytes);
        }
    }
}
