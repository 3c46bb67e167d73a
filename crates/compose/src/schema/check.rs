//! Whether a project says only what it may.

use crate::error::Mistake;
use yaml::{At, Map, Node, Tag, Value};

use super::{Key, nearest};

/// The first thing that may not stand where it does.
pub(crate) fn check(node: &Node) -> Result<(), Mistake> {
    value(node, Key::root(), &mut Path::default())
}

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn within<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(name.to_owned());
        let result = work(self);
        self.0.pop();
        result
    }

    fn says(&self, at: At, what: impl std::fmt::Display) -> Mistake {
        let path = self.0.join(".");
        let gap = if path.is_empty() { "" } else { " " };
        Mistake::new(at, format!("{path}{gap}{what}"))
    }
}

fn value(node: &Node, key: &Key, path: &mut Path) -> Result<(), Mistake> {
    // What is taken away may be written as anything.
    if node.tag == Tag::Reset {
        return Ok(());
    }
    if !allowed(key.kinds, &node.value) {
        return Err(path.says(node.at, format_args!("must be a {}", kinds(key.kinds))));
    }
    must(node, key, path)?;
    match &node.value {
        Value::Map(map) => mapping(node, map, key, path),
        Value::List(list) => {
            let Some(item) = key.item() else { return Ok(()) };
            for (index, node) in list.iter().enumerate() {
                path.within(&index.to_string(), |path| value(node, item, path))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn mapping(node: &Node, map: &Map, key: &Key, path: &mut Path) -> Result<(), Mistake> {
    // Anything may stand below what the table doesn't look into.
    if key.below.is_empty() {
        return Ok(());
    }
    for (name, below) in map {
        let extension = name.starts_with("x-") && key.extensible;
        if extension && !key.below.contains_key(name.as_str()) {
            continue;
        }
        match key.find(name) {
            Some(found) if is_name_right(key, name, path) => {
                path.within(name, |path| value(below, found, path))?;
            }
            _ => return Err(unknown(name, below, key, path)),
        }
    }
    let needed = key.must.strip_prefix('!').unwrap_or_default();
    for name in needed.split(',').filter(|name| !name.is_empty()) {
        if !map.contains_key(name) {
            return Err(path
                .says(node.at, format_args!("is missing {name}"))
                .hint(format!("add the key {name}")));
        }
    }
    Ok(())
}

/// Names that people choose for services and the like.
fn is_name_right(key: &Key, name: &str, path: &Path) -> bool {
    let top = matches!(path.0.as_slice(), [top] if matches!(top.as_str(), "services" | "networks" | "volumes" | "secrets" | "configs" | "models"));
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !top || !key.below.contains_key("*") || !name.is_empty() && name.chars().all(letter)
}

fn unknown(name: &str, node: &Node, key: &Key, path: &Path) -> Mistake {
    let mistake = path.says(node.key, format_args!("additional properties '{name}' not allowed"));
    match nearest(name, key.names()) {
        Some(near) => mistake.hint(format!("did you mean {near}?")),
        None if key.below.contains_key("*") => {
            mistake.hint("a name has letters, digits, dots, dashes and underscores")
        }
        None if key.extensible => mistake.hint("keys of your own begin with x-"),
        None => mistake,
    }
}

fn allowed(kinds: &str, value: &Value) -> bool {
    let one = |letters: &str| kinds.contains(['*']) || letters.chars().any(|letter| kinds.contains(letter));
    match value {
        Value::Null => one("z") || kinds == "o",
        Value::Bool(_) => one("b"),
        Value::Int(_) => one("in"),
        // What is whole is an integer, however it is written.
        Value::Float(number) => one("n") || number.fract() == 0.0 && one("i"),
        Value::Text(_) => one("s"),
        Value::List(_) => one("l"),
        Value::Map(_) => one("o"),
    }
}

fn kinds(letters: &str) -> String {
    let mut names: Vec<_> = letters
        .chars()
        .filter_map(|letter| match letter {
            's' => Some("string"),
            'n' => Some("number"),
            'i' => Some("integer"),
            'b' => Some("boolean"),
            'z' => Some("null"),
            'l' => Some("array"),
            'o' => Some("mapping"),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

fn must(node: &Node, key: &Key, path: &Path) -> Result<(), Mistake> {
    let (rule, rest) = key.must.split_at(key.must.len().min(1));
    match (rule, &node.value) {
        ("=", Value::Text(text)) if rest.split('|').all(|word| word != text) => {
            let words: Vec<_> = rest.split('|').map(|word| format!("'{word}'")).collect();
            let mistake = path.says(node.at, format_args!("value must be one of {}", words.join(", ")));
            return Err(match nearest(text, rest.split('|')) {
                Some(near) => mistake.hint(format!("did you mean {near}?")),
                None => mistake,
            });
        }
        // Where variables are not filled in, nobody can say what it will look like.
        ("~", Value::Text(text)) if !text.contains('$') => {
            let (right, pattern) = match rest {
                "name" => (is_container_name(text), "[a-zA-Z0-9][a-zA-Z0-9_.-]+"),
                _ => (
                    is_pull_policy(text),
                    "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+",
                ),
            };
            if !right {
                return Err(path.says(node.at, format_args!("'{text}' does not match pattern '{pattern}'")));
            }
        }
        ("[", Value::Int(_) | Value::Float(_)) => {
            let number = match node.value {
                Value::Int(number) => number as f64,
                Value::Float(number) => number,
                _ => return Ok(()),
            };
            let (low, high) = rest.trim_end_matches(']').split_once(',').unwrap_or_default();
            if low.parse().is_ok_and(|low: f64| number < low) {
                return Err(path.says(node.at, format_args!("must be greater than or equal to {low}")));
            }
            if high.parse().is_ok_and(|high: f64| number > high) {
                return Err(path.says(node.at, format_args!("must be less than or equal to {high}")));
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_container_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.len() > 1 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(letter)
}

fn is_pull_policy(text: &str) -> bool {
    let words = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let every = text.strip_prefix("every_").is_some_and(|span| {
        let digits_then_unit = span.split_inclusive(|c: char| c.is_ascii_alphabetic());
        !span.is_empty()
            && digits_then_unit.into_iter().all(|part| {
                let (digits, unit) = part.split_at(part.len().saturating_sub(1));
                !digits.is_empty()
                    && digits.bytes().all(|c| c.is_ascii_digit())
                    && matches!(unit, "w" | "d" | "h" | "m" | "s")
            })
    });
    words.contains(&text) || every
}
