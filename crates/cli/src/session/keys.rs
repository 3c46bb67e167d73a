//! The keys that leave a container running: `ctrl-p,ctrl-q`.

/// Reads `a`, `ctrl-a`, `ctrl-@`, `ctrl-[`… separated by commas.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    text.split(',')
        .map(|word| key(word).ok_or_else(|| format!("invalid detach keys ({text}) provided")))
        .collect()
}

fn key(word: &str) -> Option<u8> {
    if let [byte] = word.as_bytes() {
        return byte.is_ascii().then_some(*byte);
    }
    match word.strip_prefix("ctrl-")?.as_bytes() {
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

/// Looks for the keys in what is typed. What could be their beginning is held back until the next byte decides.
pub(crate) struct Matcher {
    keys: Vec<u8>,
    matched: usize,
}

impl Matcher {
    /// Without keys everything passes.
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// The bytes that pass, and whether the keys are complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        if self.keys.is_empty() {
            return (bytes.to_vec(), false);
        }
        let mut pass = Vec::with_capacity(bytes.len() + self.matched);
        for byte in bytes {
            if *byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (pass, true);
                }
                continue;
            }
            pass.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(*byte == self.keys[0]);
            if self.matched == 0 {
                pass.push(*byte);
            }
        }
        (pass, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_across_reads_and_nothing_else_is_lost() {
        let keys = parse("ctrl-p,ctrl-q").unwrap();
        assert_eq!(keys, [16, 17]);
        let mut matcher = Matcher::new(keys);
        assert_eq!(matcher.feed(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(matcher.feed(b"b\x10"), (b"\x10b".to_vec(), false));
        assert_eq!(matcher.feed(b"\x11zz"), (vec![], true));
        assert!(parse("ctrl-").is_err() && parse("ab").is_err() && parse("").is_err());
        // One key alone can be the whole sequence.
        assert_eq!(Matcher::new(parse("x").unwrap()).feed(b"ax"), (b"a".to_vec(), true));
    }
}
