//! The typed form of a project: each field in its place, each value of its kind, what says nothing left out. Documents,
//! hashes and the engine's requests are made from this form.

mod convert;
mod fields;
mod order;

use std::collections::BTreeMap;

use serde_json::Value as Json;

pub use convert::{bytes, duration};
pub(crate) use convert::{shape, sorted};
pub(crate) use fields::{PROJECT, SERVICE};
pub(crate) use order::natural;

use yaml::{At, Map, Node, Value};

/// What a field is, and how it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// Left out when false.
    Flag,
    /// Said or not said.
    Maybe,
    Whole,
    MaybeWhole,
    Number,
    /// Bytes, written as a text.
    Bytes,
    Span,
    MaybeSpan,
    /// A file's mode, written in octal as a text.
    Mode,
    /// One or several texts.
    Texts,
    /// Texts by name; nothing is an empty text.
    Labels,
    /// Texts by name; nothing is nothing.
    Variables,
    /// Lists of texts by name.
    Lists,
    /// A command: words, or a line that is split into words. An empty one counts.
    Command,
    /// A health check's command: words, or a line for a shell.
    Test,
    /// Names with their addresses.
    Hosts,
    Ulimit,
    Ssh,
    Struct(&'static Struct),
    /// Written in JSON also when there is nothing in it.
    Always(&'static Struct),
    List(&'static Kind),
    Map(&'static Kind),
    Any,
}

/// Fields in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) fields: &'static [(&'static str, Kind)],
}

/// The form as JSON, with what JSON has and YAML leaves out.
pub(crate) fn json(node: &Node, kind: &Kind) -> Json {
    match (kind, &node.value) {
        (Kind::Struct(shape) | Kind::Always(shape), Value::Map(map)) => {
            let mut object = serde_json::Map::new();
            for (name, kind) in shape.fields {
                match (map.get(*name), kind) {
                    (Some(node), kind) => drop(object.insert((*name).to_owned(), json(node, kind))),
                    (None, Kind::Command) => drop(object.insert((*name).to_owned(), Json::Null)),
                    (None, Kind::Always(_)) => {
                        let empty = Node::map(Map::default(), At::default());
                        drop(object.insert((*name).to_owned(), json(&empty, kind)));
                    }
                    _ => {}
                }
            }
            Json::Object(object)
        }
        // Soft comes before hard.
        (Kind::Ulimit, Value::Map(map)) => {
            Json::Object(map.iter().map(|(name, node)| (name.clone(), plain_json(node))).collect())
        }
        (Kind::List(kind), Value::List(list)) => list.iter().map(|node| json(node, kind)).collect(),
        (Kind::Map(kind), Value::Map(map)) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            Json::Object(sorted.into_iter().map(|(name, node)| (name.clone(), json(node, kind))).collect())
        }
        _ => plain_json(node),
    }
}

/// A value without a shape.
pub(crate) fn plain_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(list) => list.iter().map(plain_json).collect(),
        Value::Map(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            Json::Object(sorted.into_iter().map(|(name, node)| (name.clone(), plain_json(node))).collect())
        }
    }
}
