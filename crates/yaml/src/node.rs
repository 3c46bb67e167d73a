//! A value and where it stands.

use foldhash::fast::RandomState;
use indexmap::IndexMap;

/// Which of the files that were read; see [`crate::source::Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u32);

/// A place in a file. Lines and columns count from one; line zero is nowhere: what nobody wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    /// The file.
    pub file: FileId,
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// What a later file says of how it goes together with an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tag {
    /// As the rules of merging say.
    #[default]
    None,
    /// `!reset`: the earlier value goes, and so does this one.
    Reset,
    /// `!override`: this value and nothing of the earlier one.
    Override,
}

/// A mapping, in the order in which it was written. Whoever checks a document asks it for every key that there may be: the standard
/// library's hash was a sixth of the time in which a Compose file is read.
pub type Map = IndexMap<String, Node, RandomState>;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Its place.
    pub at: At,
    /// Its key's place, where it is in a mapping.
    pub key: At,
    /// Its tag.
    pub tag: Tag,
}

/// What YAML can say.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

/// Places don't make values different.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// A value at a place.
    pub fn new(value: Value, at: At) -> Self {
        Self { value, at, key: At::default(), tag: Tag::None }
    }

    /// A text at a place.
    pub fn text(text: impl Into<String>, at: At) -> Self {
        Self::new(Value::Text(text.into()), at)
    }

    /// A mapping at a place.
    pub fn map(map: Map, at: At) -> Self {
        Self::new(Value::Map(map), at)
    }

    /// The same place, another value.
    pub fn with(&self, value: Value) -> Self {
        Self { value, at: self.at, key: self.key, tag: self.tag }
    }

    /// The mapping, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping, to be changed.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, number or truth as it would be written.
    pub fn scalar(&self) -> Option<String> {
        Some(match &self.value {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => super::float_text(*number),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::List(_) | Value::Map(_) => return None,
        })
    }

    /// Whether nothing was said.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The value below a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// The text below a key of a mapping.
    pub fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// What kind of value this is, for a person.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
