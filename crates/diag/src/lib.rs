//! How Ketch tells a person what went wrong: what was being done, why it failed, what to do next.
//!
//! Every crate has one error enum that implements [`Explain`]. The class decides the HTTP status (in `api`) and the
//! exit code (in `cli`), each in one function there; the chain of `source`s is the *why*; the hint is the *what next*.

use std::error::Error;
use std::fmt::Write as _;

/// What kind of failure this is, in the words of the Engine API's status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request itself is wrong: 400.
    Invalid,
    /// Credentials are missing or wrong: 401.
    Unauthorized,
    /// The caller may not do this: 403.
    Forbidden,
    /// The named thing doesn't exist: 404.
    NotFound,
    /// The thing exists but is in a state that doesn't allow this: 409.
    Conflict,
    /// Already as wanted; for the API a success without a body: 304.
    NotModified,
    /// The request is larger than we accept: 413.
    TooLarge,
    /// Understood, and not built here: 501.
    NotImplemented,
    /// Not available in this state of the engine: 503.
    Unavailable,
    /// Our fault or the machine's: 500.
    Internal,
}

/// An error that knows its class and may know a remedy.
pub trait Explain: Error {
    /// The kind of failure.
    fn class(&self) -> Class;
    /// What the person can do about it, as one imperative sentence without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// Text with the kernel's sentences as people know them from other programs: `permission denied`, not
/// `Permission denied (os error 13)`, which is how the standard library prints an error of the kernel's.
pub fn plain(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(NUMBER) {
        let (sentence, tail) = rest.split_at(at);
        let tail = &tail[NUMBER.len()..];
        let digits = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest = tail;
        match tail[digits..].strip_prefix(')') {
            Some(tail) if digits > 0 => {
                plain.push_str(&beginning_small(sentence));
                rest = tail;
            }
            _ => {
                plain.push_str(sentence);
                plain.push_str(NUMBER);
            }
        }
    }
    plain + rest
}

/// What the standard library appends to the kernel's sentence, before the number and a bracket.
const NUMBER: &str = " (os error ";

/// The last sentence of a text without its capital, if it has one that no other follows.
fn beginning_small(text: &str) -> String {
    let start = text.rfind([':', '\n']).map_or(0, |at| at + 1);
    let (before, sentence) = text.split_at(start);
    let blank = sentence.len() - sentence.trim_start().len();
    let (blank, words) = sentence.split_at(blank);
    let mut letters = words.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            format!("{before}{blank}{}{}", first.to_lowercase(), &words[first.len_utf8()..])
        }
        _ => text.to_owned(),
    }
}

/// The whole chain in one line, `what: why: deeper why`, as the API's `message` carries it.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // A wrapper that repeats its source would double the sentence.
        if !line.ends_with(&text) {
            let _ = write!(line, ": {text}");
        }
        next = cause.source();
    }
    plain(&line)
}

/// The rendering for people: `error:`, one `cause:` for each deeper reason, `hint:`.
pub fn render(error: &dyn Explain) -> String {
    let mut text = format!("error: {}", printable(&plain(&error.to_string())));
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, "\ncause: {}", printable(&plain(&cause.to_string())));
        next = cause.source();
    }
    if let Some(hint) = error.hint() {
        let _ = write!(text, "\nhint:  {}", printable(&hint));
    }
    text
}

/// Names come from images, registries and containers: no control character of theirs reaches a terminal, nor one that
/// turns the direction of what follows.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let escape = turns || c.is_control() && c != '\n' && c != '\t';
            let escaped = escape.then(|| c.escape_default());
            escaped.into_iter().flatten().chain((!escape).then_some(c))
        })
        .collect()
}

/// An address without who is to be let in: what is remembered of it or shown is read by others, too. The user of ssh,
/// who is let in by a key, is a part of the address.
pub fn without_password(address: &str) -> String {
    match let_in(address) {
        Some((scheme, who, rest)) if who.contains(':') || scheme.starts_with("http") => {
            format!("{scheme}://xxxxx@{rest}")
        }
        _ => address.to_owned(),
    }
}

/// Who an address wants to be let in, between its scheme and its host with all that follows.
pub fn let_in(address: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let at = rest[..end].rfind('@')?;
    Some((scheme, &rest[..at], &rest[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start container web")]
    struct Start(#[source] std::io::Error);

    impl Explain for Start {
        fn class(&self) -> Class {
            Class::Internal
        }
        fn hint(&self) -> Option<String> {
            Some("stop it first: `ketch stop api`".into())
        }
    }

    fn example() -> Start {
        Start(std::io::Error::other("port 8080 is taken"))
    }

    #[test]
    fn a_chain_is_one_line() {
        assert_eq!(chain(&example()), "cannot start container web: port 8080 is taken");
    }

    #[test]
    fn a_rendering_says_what_why_and_what_next() {
        let expected = "error: cannot start container web\ncause: port 8080 is taken\n\
                        hint:  stop it first: `ketch stop api`";
        assert_eq!(render(&example()), expected);
    }

    #[test]
    fn the_kernels_sentences_have_no_numbers() {
        let denied = std::io::Error::from_raw_os_error(13);
        assert_eq!(chain(&Start(denied)), "cannot start container web: permission denied");
        for (text, expected) in [
            ("open /a: Not a directory (os error 20)", "open /a: not a directory"),
            (
                "Permission denied (os error 13), and Is a directory (os error 21): b",
                "permission denied, and Is a directory: b",
            ),
            ("a (os error x) (os error ", "a (os error x) (os error "),
            ("a\nIO (os error 5)", "a\nIO"),
            (" (os error 5)", ""),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn control_characters_are_spelt_out() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\nc");
    }

    #[test]
    fn addresses_lose_their_passwords() {
        for (given, kept) in [
            ("https://user:secret@example.com/a.git#main", "https://xxxxx@example.com/a.git#main"),
            ("https://token@example.com/a.git", "https://xxxxx@example.com/a.git"),
            ("ssh://git@example.com/a.git", "ssh://git@example.com/a.git"),
            ("ssh://git:secret@example.com/a.git", "ssh://xxxxx@example.com/a.git"),
            ("https://a:b@c@example.com?d@e", "https://xxxxx@example.com?d@e"),
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("value", "value"),
        ] {
            assert_eq!(without_password(given), kept);
        }
    }
}
