//! Patterns for names: `*` is any text without `/`, `**` any text.

/// A pattern that whole names are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

/// No name is longer, so no useful pattern is.
const LONGEST: usize = 512;

impl Pattern {
    pub(crate) fn all() -> Self {
        Self("**".into())
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-/*".contains(c);
        match !text.is_empty() && text.len() <= LONGEST && text.chars().all(known) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("{text:?} is not a pattern of names")),
        }
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        matches(self.0.as_bytes(), name.as_bytes())
    }
}

/// By the positions of the pattern that the beginning of the text can have led to: no pattern is slow.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut steps = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        match (pattern[at], pattern.get(at + 1)) {
            (b'*', Some(b'*')) => {
                steps.push(Step::Any);
                at += 1;
            }
            (b'*', _) => steps.push(Step::Within),
            (byte, _) => steps.push(Step::Byte(byte)),
        }
        at += 1;
    }
    let mut here = vec![false; steps.len() + 1];
    here[0] = true;
    skip(&steps, &mut here);
    for byte in text {
        let mut next = vec![false; steps.len() + 1];
        for (at, step) in steps.iter().enumerate().filter(|(at, _)| here[*at]) {
            match step {
                Step::Any => next[at] = true,
                Step::Within => next[at] |= *byte != b'/',
                Step::Byte(wanted) => next[at + 1] |= wanted == byte,
            }
        }
        skip(&steps, &mut next);
        here = next;
    }
    here[steps.len()]
}

/// A star may also be nothing.
fn skip(steps: &[Step], here: &mut [bool]) {
    for (at, step) in steps.iter().enumerate() {
        if here[at] && !matches!(step, Step::Byte(_)) {
            here[at + 1] = true;
        }
    }
}

enum Step {
    Byte(u8),
    Within,
    Any,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_parts_and_wholes() {
        let matches = |pattern: &str, name: &str| Pattern::parse(pattern).unwrap().matches(name);
        assert!(matches("a/*", "a/b") && !matches("a/*", "a/b/c") && !matches("a/*", "b/a"));
        assert!(matches("a/**", "a/b/c") && matches("**", "x/y") && !matches("*", "x/y"));
        assert!(
            matches("v*.0", "v1.0") && !matches("v*.0", "v1.01") && matches("a", "a") && !matches("a", "ab")
        );
        assert!(Pattern::parse("").is_err() && Pattern::parse("a?").is_err());
        let many = "*a".repeat(100);
        assert!(!matches(&many, &"a".repeat(99)));
    }
}
