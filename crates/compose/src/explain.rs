//! Where a value came from: the file and line that said it, and what the variables in that line are worth, and why.

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
    /// The variables in that line: name, what each is worth, who said so.
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
        let variables = place.iter().flat_map(|place| env::variables(&place.text)).map(|variable| {
            let (value, who) = match (self.environment.get(&variable.name), &variable.default) {
                (Some(value), _) => (value.to_owned(), self.who(&variable.name)),
                (None, Some(default)) => (default.clone(), "its default in that line".to_owned()),
                (None, None) => (String::new(), "not set".to_owned()),
            };
            (variable.name, value, who)
        });
        let variables = variables.collect();
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
