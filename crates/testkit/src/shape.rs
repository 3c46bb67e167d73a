//! The shape of a JSON document: which keys, of which types, null or not, without the values.
//!
//! Written as JSON again, so that a recording can be read and compared by people:
//!
//! ```text
//! "string" "integer" "number" "bool" "null"     a scalar
//! {"Key": …, "Other?": …}                      an object; "?" marks a key that was not in every sample
//! {"*": …}                                     a map whose keys are the user's (labels, networks, …)
//! […]  []                                      an array of that shape; one that was always empty
//! "string|null"  {"|": […, …]}                 one of several
//! ```

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Keys below which the engine repeats names that a user or a driver chose.
const MAPS: &[&str] = &[
    "Annotations",
    "Attributes",
    "AuxiliaryAddresses",
    "Config",
    "Containers",
    "Data",
    "DriverOpts",
    "EndpointsConfig",
    "ExposedPorts",
    "IndexConfigs",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Runtimes",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
    "annotations",
    "labels",
    "status",
];
/// Maps in one place and structures in another: told apart by their parent.
const MAPS_BELOW: &[(&str, &str)] = &[("NetworkSettings", "Ports")];
/// Structures although their name is in [`MAPS`].
const NOT_MAPS_AT_TOP: &[&str] = &["Config", "Volumes"];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Null,
    Bool,
    Integer,
    Number,
    String,
    Array(Option<Box<Shape>>),
    Object(BTreeMap<String, Field>),
    Map(Option<Box<Shape>>),
    OneOf(Vec<Shape>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    pub shape: Shape,
    pub always: bool,
}

impl Shape {
    /// The shape of one document.
    pub fn of(value: &Value) -> Self {
        Self::below(value, &mut Vec::new())
    }

    fn below<'a>(value: &'a Value, path: &mut Vec<&'a str>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::String,
            Value::Array(items) => Self::Array(Self::all(items.iter(), path)),
            Value::Object(map) if is_map(path, map) => Self::Map(Self::all(map.values(), path)),
            Value::Object(map) => {
                let fields = map.iter().map(|(key, value)| {
                    path.push(key);
                    let shape = Self::below(value, path);
                    path.pop();
                    (key.clone(), Field { shape, always: true })
                });
                Self::Object(fields.collect())
            }
        }
    }

    fn all<'a>(values: impl Iterator<Item = &'a Value>, path: &mut Vec<&'a str>) -> Option<Box<Self>> {
        path.push("[]");
        let shape = values.map(|value| Self::below(value, path)).reduce(Self::or).map(Box::new);
        path.pop();
        shape
    }

    /// What either of two samples may be.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Array(a), Self::Array(b)) => Self::Array(either(a, b)),
            (Self::Map(a), Self::Map(b)) => Self::Map(either(a, b)),
            // An empty object doesn't tell whether it is a map or a structure.
            (Self::Object(a), Self::Object(b)) => Self::Object(merge_fields(a, b)),
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            (Self::OneOf(shapes), other) | (other, Self::OneOf(shapes)) => match other {
                Self::OneOf(more) => more.into_iter().fold(Self::OneOf(shapes), Self::or),
                other => one_of(shapes, other),
            },
            (a, b) => one_of(vec![a], b),
        }
    }

    pub fn to_value(&self) -> Value {
        match self {
            Self::Array(None) => Value::Array(Vec::new()),
            Self::Array(Some(shape)) => Value::Array(vec![shape.to_value()]),
            Self::Map(shape) => {
                let inner = shape.as_ref().map_or(Value::from("unseen"), |shape| shape.to_value());
                Value::Object(Map::from_iter([("*".to_owned(), inner)]))
            }
            Self::Object(fields) => {
                let named = |(key, field): (&String, &Field)| {
                    let mark = if field.always { "" } else { "?" };
                    (format!("{key}{mark}"), field.shape.to_value())
                };
                Value::Object(fields.iter().map(named).collect())
            }
            Self::OneOf(shapes) if shapes.iter().all(|shape| shape.scalar().is_some()) => {
                Value::from(shapes.iter().filter_map(Self::scalar).collect::<Vec<_>>().join("|"))
            }
            Self::OneOf(shapes) => {
                let shapes = shapes.iter().map(Self::to_value).collect();
                Value::Object(Map::from_iter([("|".to_owned(), Value::Array(shapes))]))
            }
            scalar => Value::from(scalar.scalar().unwrap_or_default()),
        }
    }

    /// Reads what [`Shape::to_value`] wrote.
    pub fn from_value(value: &Value) -> anyhow::Result<Self> {
        Ok(match value {
            Value::String(text) => {
                let shapes = text.split('|').map(from_scalar).collect::<anyhow::Result<Vec<_>>>()?;
                shapes.into_iter().reduce(Self::or).ok_or_else(|| anyhow::anyhow!("an empty shape"))?
            }
            Value::Array(items) => match items.first() {
                None => Self::Array(None),
                Some(item) => Self::Array(Some(Box::new(Self::from_value(item)?))),
            },
            Value::Object(map) => match (map.get("*"), map.get("|")) {
                (Some(Value::String(word)), _) if word == "unseen" => Self::Map(None),
                (Some(inner), _) => Self::Map(Some(Box::new(Self::from_value(inner)?))),
                (None, Some(Value::Array(items))) => {
                    Self::OneOf(items.iter().map(Self::from_value).collect::<anyhow::Result<_>>()?)
                }
                (None, _) => Self::Object(map.iter().map(parse_field).collect::<anyhow::Result<_>>()?),
            },
            other => anyhow::bail!("not a shape: {other}"),
        })
    }

    fn scalar(&self) -> Option<&'static str> {
        Some(match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Array(_) | Self::Object(_) | Self::Map(_) | Self::OneOf(_) => return None,
        })
    }

    /// A word for messages.
    fn kind(&self) -> String {
        match self {
            Self::Array(_) => "array".into(),
            Self::Object(_) => "object".into(),
            Self::Map(_) => "map".into(),
            Self::OneOf(shapes) => shapes.iter().map(Self::kind).collect::<Vec<_>>().join(" or "),
            scalar => scalar.scalar().unwrap_or_default().into(),
        }
    }

    /// Where `found` is not what this recorded shape allows: one line for each place, `path: what`.
    pub fn deviations(&self, found: &Self) -> Vec<Deviation> {
        let mut list = Vec::new();
        self.compare(found, "", &mut list);
        list
    }

    fn compare(&self, found: &Self, path: &str, list: &mut Vec<Deviation>) {
        match (self, found) {
            (_, Self::OneOf(shapes)) => shapes.iter().for_each(|shape| self.compare(shape, path, list)),
            (Self::OneOf(shapes), found) => match shapes.iter().find(|shape| shape.like(found)) {
                Some(shape) => shape.compare(found, path, list),
                None => list.push(self.wrong_type(found, path)),
            },
            (Self::Array(Some(a)), Self::Array(Some(b))) => a.compare(b, &format!("{path}[]"), list),
            (Self::Map(Some(a)), Self::Map(Some(b))) => a.compare(b, &format!("{path}.*"), list),
            (Self::Object(a), Self::Object(b)) => compare_fields(a, b, path, list),
            (a, b) if a.like(b) => {}
            (a, b) => list.push(a.wrong_type(b, path)),
        }
    }

    fn wrong_type(&self, found: &Self, path: &str) -> Deviation {
        let (expected, found) = (self.kind(), found.kind());
        Deviation { path: path.to_owned(), what: format!("expected {expected}, found {found}") }
    }

    /// The same kind of value, whatever is inside. A whole number stands for a fraction too.
    fn like(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Number, Self::Integer))
            || matches!((self, other), (Self::Array(_), Self::Array(_)) | (Self::Map(_), Self::Map(_)))
            || matches!((self, other), (Self::Object(_), Self::Object(_)))
            || (self.scalar().is_some() && self == other)
    }
}

/// One place where an answer isn't what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deviation {
    pub path: String,
    pub what: String,
}

fn is_map(path: &[&str], map: &Map<String, Value>) -> bool {
    let Some(last) = path.last() else { return false };
    if path.len() == 1 && NOT_MAPS_AT_TOP.contains(last) {
        return false;
    }
    let below = path.len() > 1 && MAPS_BELOW.contains(&(path[path.len() - 2], last));
    below || (MAPS.contains(last) && !map.contains_key("Cmd"))
}

fn either(a: Option<Box<Shape>>, b: Option<Box<Shape>>) -> Option<Box<Shape>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Box::new(a.or(*b))),
        (a, b) => a.or(b),
    }
}

fn one_of(mut shapes: Vec<Shape>, other: Shape) -> Shape {
    match shapes.iter().position(|shape| shape.like(&other) || other.like(shape)) {
        Some(index) => {
            let merged = shapes.swap_remove(index).or(other);
            shapes.push(merged);
        }
        None => shapes.push(other),
    }
    shapes.sort();
    if shapes.len() == 1 { shapes.remove(0) } else { Shape::OneOf(shapes) }
}

fn merge_fields(mut a: BTreeMap<String, Field>, b: BTreeMap<String, Field>) -> BTreeMap<String, Field> {
    for (key, field) in &mut a {
        field.always &= b.contains_key(key);
    }
    for (key, field) in b {
        let merged = match a.remove(&key) {
            Some(known) => Field { shape: known.shape.or(field.shape), always: known.always && field.always },
            None => Field { always: false, ..field },
        };
        a.insert(key, merged);
    }
    a
}

fn compare_fields(
    a: &BTreeMap<String, Field>,
    b: &BTreeMap<String, Field>,
    path: &str,
    list: &mut Vec<Deviation>,
) {
    for (key, field) in a {
        let path = format!("{path}.{key}");
        match b.get(key) {
            Some(found) => {
                field.shape.compare(&found.shape, &path, list);
                if field.always && !found.always {
                    list.push(Deviation { path, what: "missing in some elements".into() });
                }
            }
            None if field.always => {
                list.push(Deviation { path, what: format!("missing, expected {}", field.shape.kind()) });
            }
            None => {}
        }
    }
    for (key, field) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
        list.push(Deviation {
            path: format!("{path}.{key}"),
            what: format!("unexpected key, {}", field.shape.kind()),
        });
    }
}

fn parse_field((key, value): (&String, &Value)) -> anyhow::Result<(String, Field)> {
    let shape = Shape::from_value(value)?;
    Ok(match key.strip_suffix('?') {
        Some(key) => (key.to_owned(), Field { shape, always: false }),
        None => (key.clone(), Field { shape, always: true }),
    })
}

fn from_scalar(word: &str) -> anyhow::Result<Shape> {
    Ok(match word {
        "null" => Shape::Null,
        "bool" => Shape::Bool,
        "integer" => Shape::Integer,
        "number" => Shape::Number,
        "string" => Shape::String,
        other => anyhow::bail!("no such shape: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(recorded: &Value, answer: &Value) -> Vec<String> {
        let recorded = Shape::from_value(recorded).unwrap();
        recorded.deviations(&Shape::of(answer)).iter().map(|d| format!("{}: {}", d.path, d.what)).collect()
    }

    #[test]
    fn keys_types_and_nullness_are_compared() {
        let recorded =
            json!({"Id": "string", "Names": ["string"], "Labels": {"*": "string"}, "Old?": "integer"});
        assert_eq!(found(&recorded, &json!({"Id": "x", "Names": [], "Labels": {"a": "b"}})), [""; 0]);
        assert_eq!(
            found(&recorded, &json!({"Id": 3, "Names": null, "Labels": {"a": 1}, "New": true})),
            [
                ".Id: expected string, found integer",
                ".Labels.*: expected string, found integer",
                ".Names: expected array, found null",
                ".New: unexpected key, bool",
            ]
        );
        assert_eq!(found(&recorded, &json!({"Id": "", "Names": []})), [".Labels: missing, expected map"]);
    }

    #[test]
    fn samples_merge_into_what_either_may_be() {
        let both = Shape::of(&json!({"a": 1, "b": null})).or(Shape::of(&json!({"b": [1]})));
        assert_eq!(both.to_value(), json!({"a?": "integer", "b": {"|": ["null", ["integer"]]}}));
        assert_eq!(Shape::from_value(&both.to_value()).unwrap(), both);
    }

    #[test]
    fn a_key_that_only_some_elements_have_is_a_deviation() {
        assert_eq!(
            found(&json!([{"a": "bool"}]), &json!([{"a": true}, {}])),
            ["[].a: missing in some elements"]
        );
    }
}
