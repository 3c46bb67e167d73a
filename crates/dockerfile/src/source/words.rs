//! How each instruction's rest of the line is divided. Quotes and variables stay; they are read when values are known.

use crate::error::Problem;
use crate::instruction::Pair;
use crate::source::Node;

/// What follows keyword and flags.
#[derive(Debug, Clone)]
pub(crate) enum Arguments {
    /// Nothing, or an instruction that doesn't exist.
    None,
    /// One text to the end of the line.
    Text(String),
    /// Words between blanks.
    Words(Vec<String>),
    /// A JSON array.
    Json(Vec<String>),
    /// `name=value`s, or one `name value`.
    Pairs(Vec<Pair>),
    /// A word, and after it what the word is about.
    Typed(String, Box<Arguments>),
    /// Another instruction.
    Trigger(Box<Node>),
}

impl Arguments {
    /// Divides `rest` as instruction `keyword`, in small letters, wants it.
    pub(crate) fn read(keyword: &str, rest: &str, escape: char) -> Result<Self, Problem> {
        if rest.is_empty() {
            return Ok(Self::None);
        }
        Ok(match keyword {
            "add" | "copy" | "volume" => match json(rest)? {
                Some(array) => Self::Json(array),
                None => Self::Words(between_blanks(rest)),
            },
            "cmd" | "entrypoint" | "run" | "shell" => text_or_json(rest)?,
            "expose" | "from" => Self::Words(between_blanks(rest)),
            "arg" => Self::Words(quoted_words(rest, escape)),
            "env" => Self::Pairs(pairs(rest, "ENV", escape)?),
            "label" => Self::Pairs(pairs(rest, "LABEL", escape)?),
            "healthcheck" => {
                let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let rest = rest.trim_start();
                let rest = if rest.is_empty() { Self::None } else { text_or_json(rest)? };
                Self::Typed(kind.to_owned(), Box::new(rest))
            }
            "maintainer" | "stopsignal" | "user" | "workdir" => Self::Text(rest.to_owned()),
            "onbuild" => trigger(rest, escape)?,
            _ => Self::None,
        })
    }

    /// Whether here-documents can stand below: not where the words were JSON.
    pub(crate) fn may_have_heredocs(&self, keyword: &str) -> bool {
        match self {
            Self::Trigger(node) => node.arguments.may_have_heredocs(&node.keyword),
            Self::Json(_) => false,
            _ => ["add", "copy", "run"].iter().any(|known| known.eq_ignore_ascii_case(keyword)),
        }
    }
}

/// A trigger that is itself one isn't followed further: it will be refused.
fn trigger(rest: &str, escape: char) -> Result<Arguments, Problem> {
    let (keyword, _) = first(rest);
    if keyword.eq_ignore_ascii_case("onbuild") {
        return Ok(Arguments::Words(vec![keyword.to_owned()]));
    }
    Ok(Arguments::Trigger(Box::new(super::node(rest, escape)?)))
}

/// What the builder takes for a blank between words.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// The first word and the rest.
pub(super) fn first(line: &str) -> (&str, &str) {
    match line.split_once(is_blank) {
        Some((word, rest)) => (word, rest.trim_start_matches(is_blank)),
        None => (line, ""),
    }
}

fn between_blanks(text: &str) -> Vec<String> {
    text.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn text_or_json(rest: &str) -> Result<Arguments, Problem> {
    Ok(json(rest)?.map_or_else(|| Arguments::Text(rest.to_owned()), Arguments::Json))
}

/// The array, or nothing if this is no JSON: then it's meant for a shell.
fn json(text: &str) -> Result<Option<Vec<String>>, Problem> {
    if !text.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Ok(None) };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(Problem::JsonNotStrings),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

/// `--flag`s before anything else, with their quotes and escapes gone, and what follows them. `--` ends them.
pub(super) fn flags(line: &str, escape: char) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (flags, rest);
        }
        let (word, after) = flag(rest, escape);
        rest = after;
        match word.as_deref() {
            Some("--") => return (flags, rest),
            Some(_) => flags.extend(word),
            None => {}
        }
    }
}

/// The first word without quotes and escapes. Nothing where nothing but escapes was.
fn flag(text: &str, escape: char) -> (Option<String>, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut quoted = false;
    let mut chars = text.char_indices();
    let mut rest = "";
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                rest = &text[at..];
                break;
            }
            None if c == '\'' || c == '"' => (quote, quoted) = (Some(c), true),
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    ((quoted || !word.is_empty()).then_some(word), rest)
}

/// Words between blanks that aren't in quotes; quotes and escapes stay.
fn quoted_words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        // Nothing is escaped between single quotes, and an escape character at the very end says nothing.
        if c == escape && quote != Some('\'') {
            let Some(escaped) = chars.next() else { break };
            word.push(c);
            word.push(escaped);
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `name=value name=value`, or the old `name value`: which one, the first word tells.
fn pairs(rest: &str, keyword: &'static str, escape: char) -> Result<Vec<Pair>, Problem> {
    let words = quoted_words(rest, escape);
    if words.first().is_some_and(|word| !word.contains('=')) {
        let (name, value) = first(rest);
        if value.is_empty() {
            return Err(Problem::TwoArguments(keyword));
        }
        return Ok(vec![Pair { name: name.to_owned(), value: value.to_owned(), legacy: true }]);
    }
    words
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) => Ok(Pair { name: name.to_owned(), value: value.to_owned(), legacy: false }),
            None => Err(Problem::NoEquals(word)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_end_at_the_first_word_without_dashes() {
        for (line, expected, rest) in [
            ("--a=b --c d e", vec!["--a=b", "--c"], "d e"),
            ("--a='b c' d", vec!["--a=b c"], "d"),
            ("--a=\"b\\\"c\" d", vec!["--a=b\"c"], "d"),
            ("--a=b\\ c d", vec!["--a=b c"], "d"),
            ("-- --a b", vec![], " --a b"),
            ("--mount=type=ü x", vec!["--mount=type=ü"], "x"),
            ("- --a", vec![], "- --a"),
        ] {
            assert_eq!(
                flags(line, '\\'),
                (expected.into_iter().map(str::to_owned).collect(), rest),
                "{line}"
            );
        }
    }

    // covers: dockerfile syntax JSON form double quotes only; anything that is not valid JSON is shell form
    #[test]
    fn json_is_an_array_of_strings_or_a_shells() {
        assert_eq!(json("[\"a\", \"b\"]"), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(json("[]"), Ok(Some(vec![])));
        for shell in ["['a']", "[ -f x ]", "[\"a\"] && b", "[\"a\"", "a", "[\"\\ud800\"]"] {
            assert_eq!(json(shell), Ok(None), "{shell}");
        }
        assert_eq!(json("[1]"), Err(Problem::JsonNotStrings));
    }

    #[test]
    fn words_keep_their_quotes() {
        for (text, expected) in [
            ("a=b 'c d'=e f\\ g", vec!["a=b", "'c d'=e", "f\\ g"]),
            ("a=\"b \\\" c\" d", vec!["a=\"b \\\" c\"", "d"]),
            ("a='b\\' c", vec!["a='b\\'", "c"]),
            ("\"\"", vec!["\"\""]),
            ("a\\", vec!["a"]),
        ] {
            assert_eq!(quoted_words(text, '\\'), expected, "{text}");
        }
    }
}
