//! The keys by which a person at a terminal leaves a container that goes on: `ctrl-p,ctrl-q` unless said otherwise.

use crate::error::Error;

/// Docker's own.
pub(crate) const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Looks for the keys in what a client types.
#[derive(Debug)]
pub(crate) struct Escape {
    keys: Vec<u8>,
    seen: usize,
}

impl Escape {
    /// Reads `ctrl-a,b,ctrl-@`; an empty text means the default.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = if text.is_empty() { DEFAULT } else { text };
        let keys = text.split(',').map(key).collect::<Option<Vec<u8>>>()?;
        Some(Self { keys, seen: 0 })
    }

    /// The same for what a client sent.
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        Self::parse(text).ok_or_else(|| Error::invalid(format!("Invalid detach keys ({text}) provided")))
    }

    /// Appends to `passed` what isn't part of the keys; whether they are complete. Keys that turn out to be something else
    /// are passed on late.
    pub(crate) fn feed(&mut self, typed: &[u8], passed: &mut Vec<u8>) -> bool {
        for byte in typed {
            if *byte == self.keys[self.seen] {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    self.seen = 0;
                    return true;
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.seen]);
            self.seen = 0;
            if *byte == self.keys[0] && self.keys.len() > 1 {
                self.seen = 1;
            } else {
                passed.push(*byte);
            }
        }
        false
    }
}

fn key(text: &str) -> Option<u8> {
    if let [byte] = text.as_bytes() {
        return Some(*byte);
    }
    match text.strip_prefix("ctrl-")?.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        [b'@'] => Some(0),
        [b'['] => Some(27),
        [b'\\'] => Some(28),
        [b']'] => Some(29),
        [b'^'] => Some(30),
        [b'_'] => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(escape: &mut Escape, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::new();
        let complete = escape.feed(typed, &mut passed);
        (passed, complete)
    }

    #[test]
    fn the_keys_are_found_across_reads_and_nothing_else_is_lost() {
        let mut escape = Escape::parse("").unwrap();
        assert_eq!(feed(&mut escape, b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(feed(&mut escape, b"c\x10\x10"), (b"\x10c\x10".to_vec(), false));
        assert_eq!(feed(&mut escape, b"\x11rest"), (Vec::new(), true));
    }

    #[test]
    fn one_key_is_enough() {
        let mut escape = Escape::parse("ctrl-@").unwrap();
        assert_eq!(feed(&mut escape, b"a\0b"), (b"a".to_vec(), true));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for wrong in ["ctrl-", "ctrl-A", "alt-x", "a,,b", "ctrl-aa"] {
            assert!(Escape::parse(wrong).is_none(), "{wrong}");
        }
    }
}
