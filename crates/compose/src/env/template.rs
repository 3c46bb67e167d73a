//! `$NAME` and `${NAME…}` in values.

/// Words within words.
const DEEPEST: usize = 50;

/// Why a text can't be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unexpandable {
    /// A dollar sign with something behind it that means nothing.
    Malformed(String),
    /// `${NAME?words}` without the variable.
    Required { name: String, words: String },
}

/// A variable that a text mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// `:-` or `-`: what it is worth when it isn't set.
    pub default: Option<String>,
    /// `:+` or `+`: what stands in its place when it is set.
    pub alternate: Option<String>,
    /// `:?` or `?`.
    pub required: bool,
}

/// Fills in a text. `lookup` knows the variables; `unset` hears of those that are missing and have no default.
pub(crate) fn expand(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
) -> Result<String, Unexpandable> {
    within(text, lookup, unset, 0)
}

fn within(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    unset: &mut dyn FnMut(&str),
    depth: usize,
) -> Result<String, Unexpandable> {
    if depth > DEEPEST {
        return Err(Unexpandable::Malformed(text.to_owned()));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match piece(rest) {
            Piece::Escape => out.push('$'),
            Piece::Literal => {
                out.push('$');
                continue;
            }
            Piece::Malformed => return Err(Unexpandable::Malformed(text.to_owned())),
            Piece::Plain(name) => out.push_str(&lookup(name).unwrap_or_else(|| {
                unset(name);
                String::new()
            })),
            Piece::Braced { name, operator, word, .. } => {
                let value = lookup(name);
                match choose(operator, value) {
                    Choice::Value(value) => out.push_str(&value),
                    Choice::Nothing => {}
                    Choice::Unset => unset(name),
                    Choice::Word => out.push_str(&within(word, lookup, unset, depth + 1)?),
                    Choice::Refuse => {
                        let words = within(word, lookup, unset, depth + 1)?;
                        return Err(Unexpandable::Required { name: name.to_owned(), words });
                    }
                }
            }
        }
        rest = &rest[piece(rest).length()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The variables that a text mentions, those in words of others included.
pub(crate) fn variables(text: &str) -> Vec<Variable> {
    let mut found = Vec::new();
    let mut pending = vec![(text, 0)];
    while let Some((text, depth)) = pending.pop() {
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            rest = &rest[at + 1..];
            let piece = piece(rest);
            let plain = |name: &str| Variable {
                name: name.to_owned(),
                default: None,
                alternate: None,
                required: false,
            };
            match &piece {
                Piece::Plain(name) => found.push(plain(name)),
                Piece::Braced { name, operator, word, .. } => {
                    let word_for = |wanted: char| operator.ends_with(wanted).then(|| (*word).to_owned());
                    let required = operator.ends_with('?');
                    found.push(Variable {
                        default: word_for('-'),
                        alternate: word_for('+'),
                        required,
                        ..plain(name)
                    });
                    if depth < DEEPEST {
                        pending.push((word, depth + 1));
                    }
                }
                _ => {}
            }
            rest = &rest[piece.length()..];
        }
    }
    found
}

/// What stands behind a dollar sign.
enum Piece<'t> {
    Escape,
    /// The sign stands for itself.
    Literal,
    Malformed,
    Plain(&'t str),
    Braced {
        name: &'t str,
        operator: &'t str,
        word: &'t str,
        length: usize,
    },
}

impl Piece<'_> {
    fn length(&self) -> usize {
        match self {
            Self::Escape => 1,
            Self::Literal | Self::Malformed => 0,
            Self::Plain(name) => name.len(),
            Self::Braced { length, .. } => *length,
        }
    }
}

fn piece(rest: &str) -> Piece<'_> {
    if rest.starts_with('$') {
        return Piece::Escape;
    }
    let Some(inner) = rest.strip_prefix('{') else {
        return match name(rest) {
            "" => Piece::Literal,
            name => Piece::Plain(name),
        };
    };
    let Some(end) = closing(inner) else { return Piece::Malformed };
    let body = &inner[..end];
    let name = name(body);
    let behind = &body[name.len()..];
    let operators = [":-", ":?", ":+", "-", "?", "+"];
    let operator = operators.into_iter().find(|operator| behind.starts_with(operator)).unwrap_or_default();
    if name.is_empty() || operator.is_empty() && !behind.is_empty() {
        return Piece::Malformed;
    }
    Piece::Braced { name, operator, word: &behind[operator.len()..], length: end + 2 }
}

fn name(text: &str) -> &str {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if starts { &text[..end] } else { "" }
}

/// Where the brace closes that was opened before this text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut previous = ' ';
    for (at, letter) in text.char_indices() {
        match letter {
            '{' if previous == '$' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
        previous = letter;
    }
    None
}

enum Choice {
    Value(String),
    Word,
    Nothing,
    Unset,
    Refuse,
}

fn choose(operator: &str, value: Option<String>) -> Choice {
    let strict = operator.starts_with(':');
    let counts = value.as_ref().is_some_and(|value| !strict || !value.is_empty());
    match (operator.chars().last(), counts) {
        (Some('+'), true) | (Some('-'), false) => Choice::Word,
        (Some('+'), false) => Choice::Nothing,
        (Some('?'), false) => Choice::Refuse,
        _ => value.map_or(Choice::Unset, Choice::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, Unexpandable> {
        let mut lookup = |name: &str| match name {
            "A" => Some("plain".to_owned()),
            "F" => Some(String::new()),
            _ => None,
        };
        expand(text, &mut lookup, &mut |_| {})
    }

    #[test]
    fn texts_are_filled_in_as_docker_does() {
        let table = [
            ("x${A}y", "xplainy"),
            ("$A-$A", "plain-plain"),
            ("${ZZ}", ""),
            ("$$A", "$A"),
            ("x$", "x$"),
            ("$1", "$1"),
            ("$(x)", "$(x)"),
            ("${A:+yes}|${ZZ:+no}|${A+set}|${F:+fno}|${F+fset}", "yes||set||fset"),
            ("${ZZ:-${A:-q}}", "plain"),
            ("${F:-d}|${F-d}|${ZZ-}", "d||"),
            ("${A:?}", "plain"),
            ("${ZZ:-{a}}", "{a}"),
        ];
        for (text, expected) in table {
            assert_eq!(filled(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in ["${", "${A", "${}", "${1A}", "${A!x}", "${A:}", "${A:-${B}", "${a.b}"] {
            assert_eq!(filled(text), Err(Unexpandable::Malformed(text.to_owned())), "{text}");
        }
        let required = |words: &str| Err(Unexpandable::Required { name: "ZZ".into(), words: words.into() });
        assert_eq!(filled("${ZZ?}"), required(""));
        assert_eq!(filled("${ZZ:?a ${A} b}"), required("a plain b"));
        assert_eq!(
            filled("${F:?empty}"),
            Err(Unexpandable::Required { name: "F".into(), words: "empty".into() })
        );
    }

    #[test]
    fn variables_are_listed() {
        let names: Vec<_> = variables("${A:-${B?}} $C $$D").into_iter().map(|v| v.name).collect();
        assert_eq!(names, ["A", "C", "B"]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[$\\{\\}A:?+-]{0,40}") {
            let _ = filled(&text);
            let _ = variables(&text);
        }
    }
}
