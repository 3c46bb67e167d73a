//! The keys by which a person at a terminal leaves a container that goes on: `ctrl-p,ctrl-q` unless said otherwise.
//!
//! The client looks for them to restore the terminal, the engine for clients that pass on all that is typed.

/// Docker's own.
pub const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Looks for the keys in what is typed. What could be their beginning is held back until the next byte decides.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<u8>,
    seen: usize,
}

impl Keys {
    /// Reads `a`, `ctrl-a`, `ctrl-@`, `ctrl-[` … separated by commas.
    pub fn parse(text: &str) -> Option<Self> {
        let keys = text.split(',').map(key).collect::<Option<Vec<u8>>>()?;
        Some(Self { keys, seen: 0 })
    }

    /// Everything passes.
    pub fn none() -> Self {
        Self { keys: Vec::new(), seen: 0 }
    }

    /// Appends to `passed` what isn't part of the keys; whether they are complete. Keys that turn out to be something else
    /// are passed on late.
    pub fn feed(&mut self, typed: &[u8], passed: &mut Vec<u8>) -> bool {
        let Some(first) = self.keys.first().copied() else {
            passed.extend_from_slice(typed);
            return false;
        };
        for byte in typed {
            if *byte != self.keys[self.seen] {
                passed.extend_from_slice(&self.keys[..self.seen]);
                self.seen = 0;
                if *byte != first {
                    passed.push(*byte);
                    continue;
                }
            }
            self.seen += 1;
            if self.seen == self.keys.len() {
                self.seen = 0;
                return true;
            }
        }
        false
    }
}

fn key(text: &str) -> Option<u8> {
    if let [byte] = text.as_bytes() {
        return byte.is_ascii().then_some(*byte);
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

    fn feed(keys: &mut Keys, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::new();
        let complete = keys.feed(typed, &mut passed);
        (passed, complete)
    }

    #[test]
    fn the_keys_are_found_across_reads_and_nothing_else_is_lost() {
        let mut keys = Keys::parse(DEFAULT).unwrap();
        assert_eq!(feed(&mut keys, b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(feed(&mut keys, b"c\x10\x10"), (b"\x10c\x10".to_vec(), false));
        assert_eq!(feed(&mut keys, b"\x11rest"), (Vec::new(), true));
    }

    #[test]
    fn one_key_is_enough_and_none_lets_everything_pass() {
        assert_eq!(feed(&mut Keys::parse("ctrl-@").unwrap(), b"a\0b"), (b"a".to_vec(), true));
        assert_eq!(feed(&mut Keys::none(), b"\x10\x11"), (b"\x10\x11".to_vec(), false));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for wrong in ["", "ab", "ctrl-", "ctrl-A", "alt-x", "a,,b", "ctrl-aa", "ä"] {
            assert!(Keys::parse(wrong).is_none(), "{wrong}");
        }
    }
}
