//! The shell's patterns within `${…}`: `?` is a character, `*` any number of them, a backslash takes their meaning away.
//! There are no brackets. Neither crosses a line's end, as in the regular expressions that BuildKit makes of them.

use super::Problem;
use crate::limits;

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Exactly(char),
    One,
    Any,
}

impl Token {
    fn takes(self, c: char) -> bool {
        match self {
            Self::Exactly(expected) => c == expected,
            Self::One | Self::Any => c != '\n',
        }
    }
}

/// How much a star takes.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    Shortest,
    Longest,
}

/// `${name#word}`, `${name##word}`, `${name%word}`, `${name%%word}`; `end` is the sign, and a second one is in `word`.
pub(super) fn trim(value: &str, end: char, word: &str) -> Result<String, Problem> {
    let (reach, word) = match word.strip_prefix(end) {
        Some(rest) => (Reach::Longest, rest),
        None => (Reach::Shortest, word),
    };
    let mut tokens = tokens(word)?;
    let mut chars: Vec<char> = value.chars().collect();
    check(&tokens, &chars)?;
    if end == '#' {
        let taken = matched(&tokens, &chars, reach).unwrap_or(0);
        return Ok(chars.into_iter().skip(taken).collect());
    }
    // From the end: both are turned round.
    tokens.reverse();
    chars.reverse();
    let taken = matched(&tokens, &chars, reach).unwrap_or(0);
    Ok(chars.into_iter().skip(taken).rev().collect())
}

/// `${name/pattern/replacement}`, or every match of it.
pub(super) fn replace(value: &str, pattern: &str, replacement: &str, all: bool) -> Result<String, Problem> {
    let tokens = tokens(pattern)?;
    let chars: Vec<char> = value.chars().collect();
    check(&tokens, &chars)?;
    let mut replaced = String::with_capacity(value.len());
    let (mut at, mut after_match, mut budget) = (0, false, limits::PATTERN);
    while at <= chars.len() {
        // Every start looks at what is left of the value.
        budget =
            budget.checked_sub((chars.len() - at + 1) * (tokens.len() + 1)).ok_or(Problem::PatternTooLong)?;
        match matched(&tokens, &chars[at..], Reach::Longest) {
            // Nothing right after a match isn't one more match.
            Some(0) if after_match => after_match = false,
            Some(taken) => {
                replaced.push_str(replacement);
                if replaced.len() > limits::WORD {
                    return Err(Problem::TooLong);
                }
                at += taken;
                if !all {
                    replaced.extend(chars.iter().skip(at));
                    return Ok(replaced);
                }
                after_match = taken > 0;
                if after_match {
                    continue;
                }
            }
            None => after_match = false,
        }
        replaced.extend(chars.get(at));
        at += 1;
    }
    Ok(replaced)
}

fn check(tokens: &[Token], chars: &[char]) -> Result<(), Problem> {
    let steps = (tokens.len() + 1).saturating_mul(chars.len() + 1);
    if steps > limits::PATTERN { Err(Problem::PatternTooLong) } else { Ok(()) }
}

fn tokens(pattern: &str) -> Result<Vec<Token>, Problem> {
    let mut chars = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            // What had to be escaped to stand within `${…}` at all; it has no meaning in a pattern.
            '\\' if matches!(chars.peek(), Some('}' | '/')) => continue,
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '?' | '\\')) => Token::Exactly(escaped),
                other => {
                    let escaped = other.unwrap_or('\u{fffd}');
                    return Err(Problem::Pattern { pattern: pattern.to_owned(), escaped });
                }
            },
            c => Token::Exactly(c),
        });
    }
    Ok(tokens)
}

/// How many characters from the start the pattern takes. All ways are followed at once, so time is bounded by the one
/// length times the other.
fn matched(tokens: &[Token], chars: &[char], reach: Reach) -> Option<usize> {
    // places[i]: the first `i` tokens can have taken what is behind us.
    let mut places = vec![false; tokens.len() + 1];
    places[0] = true;
    skip_stars(tokens, &mut places);
    let mut best = None;
    for at in 0..=chars.len() {
        if places[tokens.len()] {
            best = Some(at);
            if reach == Reach::Shortest {
                break;
            }
        }
        let Some(&c) = chars.get(at) else { break };
        let mut next = vec![false; tokens.len() + 1];
        for (i, token) in tokens.iter().enumerate().filter(|(i, token)| places[*i] && token.takes(c)) {
            next[if *token == Token::Any { i } else { i + 1 }] = true;
        }
        skip_stars(tokens, &mut next);
        if !next.contains(&true) {
            break;
        }
        places = next;
    }
    best
}

/// A star may take nothing.
fn skip_stars(tokens: &[Token], places: &mut [bool]) {
    for (i, token) in tokens.iter().enumerate() {
        if places[i] && *token == Token::Any {
            places[i + 1] = true;
        }
    }
}
