//! From nodes to Rust's types: a value that isn't what is wanted is told with its place.

use std::fmt::{self, Display};

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{At, FileId, Node, Trouble, Value, parse};

/// The first document of a text; one that says nothing is `null`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    let document = parse(text, FileId(0))?.into_iter().next();
    let document = document.unwrap_or(Node::new(Value::Null, At::default()));
    T::deserialize(&document)
        .map_err(|failure| Trouble { at: failure.at.unwrap_or_default(), what: failure.what })
}

impl Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, column {}: {}", self.at.line, self.at.column, self.what)
    }
}

impl std::error::Error for Trouble {}

/// What went wrong, and where once somebody knows it.
#[derive(Debug)]
pub struct Failure {
    at: Option<At>,
    what: String,
}

impl Failure {
    /// The innermost value that is wrong is the one that is told.
    fn at(mut self, at: At) -> Self {
        self.at = self.at.or(Some(at));
        self
    }
}

impl Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

impl serde::de::Error for Failure {
    fn custom<T: Display>(what: T) -> Self {
        Self { at: None, what: what.to_string() }
    }
}

impl<'de> IntoDeserializer<'de, Failure> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let read = match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(SeqDeserializer::new(list.iter())),
            Value::Map(map) => {
                visitor.visit_map(MapDeserializer::new(map.iter().map(|(name, node)| (name.as_str(), node))))
            }
        };
        read.map_err(|failure| failure.at(self.at))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    /// A number or a truth is a text where one is wanted, as it was written.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match &self.value {
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                visitor.visit_string(self.scalar().unwrap_or_default())
            }
            _ => self.deserialize_any(visitor),
        }
        .map_err(|failure: Failure| failure.at(self.at))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_str(visitor)
    }

    /// One of several names; with something in it, a mapping of one.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let read = match &self.value {
            Value::Text(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            Value::Map(map) if map.len() == 1 => {
                let entries = map.iter().map(|(name, node)| (name.as_str(), node));
                visitor
                    .visit_enum(serde::de::value::MapAccessDeserializer::new(MapDeserializer::new(entries)))
            }
            _ => Err(Failure::custom("one of several names is expected here")),
        };
        read.map_err(|failure| failure.at(self.at))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, rename_all = "lowercase")]
    enum Kind {
        Plain,
        With { size: u16 },
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        name: String,
        port: u16,
        shares: Vec<f64>,
        kinds: Vec<Kind>,
        inner: Option<Box<Settings>>,
    }

    #[test]
    fn a_text_becomes_what_is_wanted() {
        let text =
            "name: 2.10\nport: 80\nshares: [1, 0.5]\nkinds: [plain, {with: {size: 3}}]\ninner: {name: x}\n";
        let read: Settings = from_str(text).unwrap();
        assert_eq!(
            (read.port, read.shares, read.kinds),
            (80, vec![1.0, 0.5], vec![Kind::Plain, Kind::With { size: 3 }])
        );
        assert_eq!(read.inner.unwrap().name, "x");
        assert_eq!(from_str::<Option<Settings>>("").unwrap(), None);
        assert_eq!(
            from_str::<serde_json::Value>("a: [1, b, null]").unwrap(),
            serde_json::json!({ "a": [1, "b", null] })
        );
    }

    #[test]
    fn a_mistake_has_its_place() {
        for (text, place, what) in [
            ("name: x\nport: many\n", (2, 7), "invalid type"),
            ("inner:\n  port: 70000\n", (2, 9), "invalid value"),
            ("inner: {nmae: x}\n", (1, 8), "unknown field `nmae`"),
            ("kinds: [plain, round]\n", (1, 16), "unknown variant `round`"),
            ("a: [\n", (1, 4), "unclosed"),
        ] {
            let trouble = from_str::<Settings>(text).unwrap_err();
            assert!(trouble.what.contains(what), "{trouble}");
            assert_eq!((trouble.at.line, trouble.at.column), place, "{text}: {trouble}");
        }
    }
}
