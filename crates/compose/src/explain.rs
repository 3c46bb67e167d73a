//! Where a value came from: the file and line that said it, and what the variables in that line are worth, and why.

use std::collections::BTreeSet;

use yaml::{Node, Value};

use crate::env::{self, Origin};
use crate::project::Project;
use crate::source::Place;

/// One value of the project and where it came from.
#[derive(Debug, Clone)]
pub struct Explained {
    /// Its path: `services.web.ports.0`.
    pub key: String,
    /// What it is, for a person.
    pub value: String,
    /// Where it was written; nobody wrote a default.
    pub place: Option<Place>,
    /// The variables in it: name, what each is worth, who said so.
    pub variables: Vec<(String, String, String)>,
}

impl Project {
    /// Each value at a path or below it. Nothing if there is none.
    pub fn explain(&self, key: &str) -> Vec<Explained> {
        let mut found = Vec::new();
        let parts: Vec<&str> = key.split('.').filter(|part| !part.is_empty()).collect();
        if let Some((path, node)) = walk(self.tree(), &parts, String::new()) {
            self.gather(node, path, &mut found);
        }
        found
    }

    fn gather(&self, node: &Node, key: String, found: &mut Vec<Explained>) {
        match &node.value {
            Value::Map(map) if !map.is_empty() => {
                map.iter().for_each(|(name, node)| self.gather(node, joined(&key, name), found));
            }
            Value::List(list) if !list.is_empty() => {
                let numbered = list.iter().enumerate();
                numbered
                    .for_each(|(number, node)| self.gather(node, joined(&key, &number.to_string()), found));
            }
            _ => found.push(self.explained(node, key)),
        }
    }

    fn explained(&self, node: &Node, key: String) -> Explained {
        let place = self.sources.place(node.at);
        let variables = place.iter().flat_map(|place| env::variables(written(place))).map(|variable| {
            let (value, who) = match (self.environment.get(&variable.name), &variable.default) {
                (Some(value), _) => (value.to_owned(), self.who(&variable.name)),
                (None, Some(default)) => (default.clone(), "its default in that line".to_owned()),
                (None, None) => (String::new(), "not set".to_owned()),
            };
            (variable.name, value, who)
        });
        let mut variables: Vec<_> = variables.collect();
        let mut seen = BTreeSet::new();
        variables.retain(|(name, ..)| seen.insert(name.clone()));
        Explained { key, value: node.scalar().unwrap_or_else(|| node.kind().to_owned()), place, variables }
    }

    fn who(&self, name: &str) -> String {
        match self.environment.origin(name) {
            Some(Origin::File(path)) => path.display().to_string(),
            Some(Origin::Project) => "the project's name".to_owned(),
            Some(Origin::Process) | None => match self.environment.overruled(name) {
                Some(path) => format!("the environment; {} says otherwise", path.display()),
                None => "the environment".to_owned(),
            },
        }
    }
}

/// What its line says of a value: other values may stand before and behind it.
fn written(place: &Place) -> &str {
    let column = place.text.char_indices().nth((place.column as usize).saturating_sub(1));
    let (before, rest) = place.text.split_at(column.map_or(place.text.len(), |(at, _)| at));
    let end = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted_end(rest, quote),
        _ if before.contains(['{', '[']) => plain_end(rest),
        _ => None,
    };
    &rest[..end.unwrap_or(rest.len())]
}

/// Where a quoted value ends: a quote within it is escaped, or doubled.
fn quoted_end(text: &str, quote: char) -> Option<usize> {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        let escapes = quote == '"' && letter == '\\';
        let doubled =
            quote == '\'' && letter == quote && letters.peek().is_some_and(|(_, next)| *next == '\'');
        if escapes || doubled {
            letters.next();
        } else if letter == quote {
            return Some(at + 1);
        }
    }
    None
}

/// Where a value without quotes ends between braces or brackets, which variables have, too.
fn plain_end(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.char_indices().find_map(|(at, letter)| {
        match letter {
            '{' => open += 1,
            '}' if open > 0 => open -= 1,
            '}' | ']' | ',' if open == 0 => return Some(at),
            _ => {}
        }
        None
    })
}

fn joined(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

/// Names may have dots in them: the longest one that is there counts.
fn walk<'n>(node: &'n Node, parts: &[&str], path: String) -> Option<(String, &'n Node)> {
    if parts.is_empty() {
        return Some((path, node));
    }
    (1..=parts.len()).rev().find_map(|count| {
        let name = parts[..count].join(".");
        let inner = match &node.value {
            Value::Map(map) => map.get(&name),
            Value::List(list) => name.parse().ok().and_then(|number: usize| list.get(number)),
            _ => None,
        };
        walk(inner?, &parts[count..], joined(&path, &name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_a_value_is_its() {
        let says = |text: &str, column| {
            let place = Place { path: "f".into(), line: 1, column, text: text.to_owned() };
            written(&place).to_owned()
        };
        assert_eq!(says("image: a:${A:-b, c} # d", 8), "a:${A:-b, c} # d");
        assert_eq!(says("e: {A: \"${A}\", B: \"${B}\"}", 8), "\"${A}\"");
        assert_eq!(says("e: {A: ${A:-{x}}, B: ${B}}", 8), "${A:-{x}}");
        assert_eq!(says("e: [${A}, '${B}']", 11), "'${B}'");
        assert_eq!(says("é: [ü, ${B}]", 8), "${B}");
        assert_eq!(says(r#"e: {A: "\"${A}", B: 1}"#, 8), r#""\"${A}""#);
        assert_eq!(says("e: ['it''s ${A}', b]", 5), "'it''s ${A}'");
        assert_eq!(says("a: \"open ${A}", 4), "\"open ${A}");
        assert_eq!(says("a", 9), "");
    }
}
