//! What a terminal sends for a key.

/// A key, or the character that it types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Delete,
    /// Ctrl-C, which is no signal on a raw terminal.
    Interrupt,
}

/// The keys that were read at once. A sequence that nobody here means is skipped as a whole.
pub fn keys(bytes: &[u8]) -> Vec<Key> {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = text.as_ref();
    let mut keys = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (key, length) = match sequence(rest) {
            Some((key, length)) => (key, length),
            None => (plain(first), first.len_utf8()),
        };
        keys.extend(key);
        rest = &rest[length..];
    }
    keys
}

fn plain(character: char) -> Option<Key> {
    match character {
        '\r' | '\n' => Some(Key::Enter),
        '\t' => Some(Key::Tab),
        '\x1b' => Some(Key::Escape),
        '\x7f' | '\x08' => Some(Key::Backspace),
        '\x03' => Some(Key::Interrupt),
        character if character.is_control() => None,
        character => Some(Key::Char(character)),
    }
}

/// `ESC [ … letter` or `ESC O letter`, and how many bytes it has.
fn sequence(text: &str) -> Option<(Option<Key>, usize)> {
    let after = text.strip_prefix("\x1b[").or_else(|| text.strip_prefix("\x1bO"))?;
    let end = after.find(|c: char| c.is_ascii_alphabetic() || c == '~')?;
    let key = match (&after[..end], after.as_bytes()[end]) {
        ("", b'A') => Some(Key::Up),
        ("", b'B') => Some(Key::Down),
        ("", b'C') => Some(Key::Right),
        ("", b'D') => Some(Key::Left),
        ("", b'H') | ("1" | "7", b'~') => Some(Key::Home),
        ("", b'F') | ("4" | "8", b'~') => Some(Key::End),
        ("", b'Z') => Some(Key::BackTab),
        ("3", b'~') => Some(Key::Delete),
        ("5", b'~') => Some(Key::PageUp),
        ("6", b'~') => Some(Key::PageDown),
        _ => None,
    };
    Some((key, 2 + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_what_is_typed() {
        assert_eq!(keys(b"j\x1b[A\x1bOB\r"), [Key::Char('j'), Key::Up, Key::Down, Key::Enter]);
        assert_eq!(keys(b"\x1b"), [Key::Escape]);
        assert_eq!(
            keys(b"\x1b[6~\x1b[Z\x7f\x03"),
            [Key::PageDown, Key::BackTab, Key::Backspace, Key::Interrupt]
        );
        assert_eq!(keys("é\x1b[1;5Cx".as_bytes()), [Key::Char('é'), Key::Char('x')]);
        assert_eq!(keys(b"\xff\x00"), [Key::Char('\u{fffd}')]);
    }
}
