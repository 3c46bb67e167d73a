//! From values as people write them to values of their kind.

use crate::error::Mistake;
use crate::load::split_words;
use yaml::{At, Map, Node, Value, float_text};

use super::fields::EXTENSION;
use super::{Kind, Struct, natural};

/// Brings a value into its shape; none if it says nothing.
pub(crate) fn shape(node: &Node, kind: &Kind, path: &str) -> Result<Option<Node>, Mistake> {
    let wrong = |what: String| Mistake::new(node.at, format!("{path}: {what}"));
    let scalar =
        || node.scalar().ok_or_else(|| wrong(format!("a single value is expected, not {}", node.kind())));
    let keep = |value: Value| Ok(Some(node.with(value)));
    // A key without a value is as if it weren't there, but where nothing is something.
    if node.is_null() && !matches!(kind, Kind::Any) {
        return Ok(None);
    }
    match kind {
        Kind::Text => {
            let text = scalar()?;
            if text.is_empty() { Ok(None) } else { keep(Value::Text(text)) }
        }
        Kind::Flag => match truth(node) {
            Some(true) => keep(Value::Bool(true)),
            Some(false) => Ok(None),
            None => Err(wrong(format!("{:?} is neither true nor false", scalar()?))),
        },
        Kind::Maybe => match truth(node) {
            Some(truth) => keep(Value::Bool(truth)),
            None => Err(wrong(format!("{:?} is neither true nor false", scalar()?))),
        },
        Kind::Whole => match whole(node).ok_or_else(|| wrong("an integer is expected".to_owned()))? {
            0 => Ok(None),
            number => keep(Value::Int(number)),
        },
        Kind::MaybeWhole => {
            keep(Value::Int(whole(node).ok_or_else(|| wrong("an integer is expected".to_owned()))?))
        }
        Kind::Number => {
            let number: f32 = scalar()?.parse().map_err(|_| wrong("a number is expected".to_owned()))?;
            match number {
                0.0 => Ok(None),
                number if number.fract() == 0.0 && number.abs() < 1e15 => keep(Value::Int(number as i64)),
                // By way of its text: the shortest that means the same small number.
                number => keep(Value::Float(number.to_string().parse().unwrap_or(0.0))),
            }
        }
        Kind::Bytes => match bytes(&scalar()?).map_err(wrong)? {
            0 => Ok(None),
            number => keep(Value::Text(number.to_string())),
        },
        Kind::Span | Kind::MaybeSpan => {
            let nanoseconds = duration(&scalar()?).map_err(wrong)?;
            match (kind, nanoseconds) {
                (Kind::Span, 0) => Ok(None),
                _ => keep(Value::Text(span_text(nanoseconds))),
            }
        }
        Kind::Mode => {
            let mode = match &node.value {
                Value::Int(mode) => *mode,
                _ => i64::from_str_radix(&scalar()?, 8)
                    .map_err(|_| wrong("a mode is written in octal digits".to_owned()))?,
            };
            keep(Value::Text(format!("0{mode:o}")))
        }
        Kind::Texts => {
            let list = texts(node).ok_or_else(|| wrong("a list of texts is expected".to_owned()))?;
            if list.is_empty() { Ok(None) } else { keep(Value::List(list)) }
        }
        Kind::Labels | Kind::Variables => {
            let map = named(node, matches!(kind, Kind::Variables));
            if map.is_empty() { Ok(None) } else { keep(Value::Map(map)) }
        }
        Kind::Lists => {
            let mut map = Map::default();
            for (name, node) in node.as_map().into_iter().flatten() {
                map.insert(name.clone(), node.with(Value::List(texts(node).unwrap_or_default())));
            }
            sort(&mut map);
            if map.is_empty() { Ok(None) } else { keep(Value::Map(map)) }
        }
        Kind::Command => match &node.value {
            Value::Text(line) => {
                let words = split_words(line).ok_or_else(|| {
                    wrong("invalid command line string".to_owned())
                        .hint("a quote isn't closed, or a backslash is the last character")
                })?;
                keep(Value::List(words.into_iter().map(|word| Node::text(word, node.at)).collect()))
            }
            _ => {
                keep(Value::List(texts(node).ok_or_else(|| wrong("a list of words is expected".to_owned()))?))
            }
        },
        Kind::Test => {
            let list = match &node.value {
                Value::Text(line) => {
                    vec![Node::text("CMD-SHELL", node.at), Node::text(line.clone(), node.at)]
                }
                _ => texts(node).unwrap_or_default(),
            };
            match list.first().and_then(Node::as_text) {
                Some("CMD" | "CMD-SHELL" | "NONE") => keep(Value::List(list)),
                None => Ok(None),
                Some(_) => Err(wrong("must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"".to_owned())),
            }
        }
        Kind::Hosts => hosts(node).map_err(wrong).map(|list| Some(node.with(Value::List(list)))),
        Kind::Ulimit => {
            ulimit(node).map(Some).ok_or_else(|| wrong("a number, or soft and hard, are expected".to_owned()))
        }
        Kind::Ssh => {
            let mut list = Vec::new();
            for (name, node) in node.as_map().into_iter().flatten() {
                let text = node.scalar().filter(|text| !text.is_empty());
                list.push(Node::text(text.map_or(name.clone(), |text| format!("{name}: {text}")), node.at));
            }
            keep(Value::List(list))
        }
        Kind::Struct(fields) | Kind::Always(fields) => {
            let map = structure(node, fields, path)?;
            match (kind, map.is_empty()) {
                (Kind::Always(_), true) => Ok(None),
                _ => keep(Value::Map(map)),
            }
        }
        Kind::List(kind) => {
            let mut list = Vec::new();
            for (index, item) in node.as_list().unwrap_or_default().iter().enumerate() {
                list.extend(shape(item, kind, &format!("{path}.{index}"))?);
            }
            if list.is_empty() { Ok(None) } else { keep(Value::List(list)) }
        }
        Kind::Map(kind) => {
            let mut map = Map::default();
            for (name, item) in node.as_map().into_iter().flatten() {
                let shaped = shape(item, kind, &format!("{path}.{name}"))?;
                map.insert(name.clone(), shaped.unwrap_or_else(|| item.with(Value::Null)));
            }
            sort(&mut map);
            if map.is_empty() { Ok(None) } else { keep(Value::Map(map)) }
        }
        Kind::Any => Ok(Some(sorted(node))),
    }
}

fn structure(node: &Node, fields: &Struct, path: &str) -> Result<Map, Mistake> {
    let nothing = Map::default();
    let given = node.as_map().unwrap_or(&nothing);
    let mut map = Map::default();
    for (name, kind) in fields.fields {
        if let Some(node) = given.get(*name) {
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
            if let Some(shaped) = shape(node, kind, &path)? {
                map.insert((*name).to_owned(), shaped);
            }
        }
    }
    let mut extensions: Vec<_> = given.iter().filter(|(name, _)| name.starts_with("x-")).collect();
    extensions.sort_by(|(a, _), (b, _)| natural(a, b));
    for (name, node) in extensions {
        if let Some(node) = shape(node, &EXTENSION, path)? {
            map.insert(name.clone(), node);
        }
    }
    Ok(map)
}

/// The same value, its names in order.
pub(crate) fn sorted(node: &Node) -> Node {
    match &node.value {
        Value::Map(map) => {
            let mut map: Map = map.iter().map(|(name, node)| (name.clone(), sorted(node))).collect();
            sort(&mut map);
            node.with(Value::Map(map))
        }
        Value::List(list) => node.with(Value::List(list.iter().map(sorted).collect())),
        _ => node.clone(),
    }
}

fn sort(map: &mut Map) {
    map.sort_by(|a, _, b, _| natural(a, b));
}

fn truth(node: &Node) -> Option<bool> {
    match &node.value {
        Value::Bool(truth) => Some(*truth),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn whole(node: &Node) -> Option<i64> {
    match &node.value {
        Value::Int(number) => Some(*number),
        Value::Float(number) if number.fract() == 0.0 => Some(*number as i64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn texts(node: &Node) -> Option<Vec<Node>> {
    let one = |node: &Node| match &node.value {
        Value::Float(number) => Some(Node::text(float_text(*number), node.at)),
        _ => Some(Node::text(node.scalar()?, node.at)),
    };
    match &node.value {
        Value::List(list) => list.iter().map(one).collect(),
        Value::Map(_) => None,
        _ => one(node).map(|node| vec![node]),
    }
}

/// Texts by name, from a mapping or from a list of `name=value`.
fn named(node: &Node, nothing_stays: bool) -> Map {
    let mut map = Map::default();
    let text = |node: &Node| match node.scalar() {
        Some(text) => Value::Text(text),
        None if nothing_stays => Value::Null,
        None => Value::Text(String::new()),
    };
    match &node.value {
        Value::Map(given) => {
            map.extend(given.iter().map(|(name, node)| (name.clone(), node.with(text(node)))));
        }
        Value::List(list) => {
            for item in list {
                let line = item.scalar().unwrap_or_default();
                let (name, value) = match line.split_once('=') {
                    Some((name, value)) => (name, Value::Text(value.to_owned())),
                    None if nothing_stays => (line.as_str(), Value::Null),
                    None => (line.as_str(), Value::Text(String::new())),
                };
                map.insert(name.to_owned(), item.with(value));
            }
        }
        _ => {}
    }
    sort(&mut map);
    map
}

fn hosts(node: &Node) -> Result<Vec<Node>, String> {
    let mut pairs: Vec<(String, String, At)> = Vec::new();
    match &node.value {
        Value::Map(map) => {
            for (name, node) in map {
                for address in texts(node).unwrap_or_default() {
                    pairs.push((name.clone(), address.scalar().unwrap_or_default(), address.at));
                }
            }
        }
        Value::List(list) => {
            for item in list {
                let line = item.scalar().unwrap_or_default();
                let split = line.split_once('=').or_else(|| line.split_once(':'));
                let (name, address) = split.ok_or_else(|| format!("bad host entry: {line:?}"))?;
                pairs.push((name.to_owned(), address.to_owned(), item.at));
            }
        }
        _ => {}
    }
    let line = |(name, address, at): (String, String, At)| {
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&address);
        Node::text(format!("{name}={bare}"), at)
    };
    let mut lines: Vec<Node> = pairs.into_iter().map(line).collect();
    lines.sort_unstable_by(|a, b| a.as_text().cmp(&b.as_text()));
    Ok(lines)
}

fn ulimit(node: &Node) -> Option<Node> {
    let Some(map) = node.as_map() else { return Some(node.with(Value::Int(whole(node)?))) };
    let mut limits = Map::default();
    for key in ["soft", "hard"] {
        let value = whole(map.get(key)?)?;
        limits.insert(key.to_owned(), node.with(Value::Int(value)));
    }
    Some(node.with(Value::Map(limits)))
}

/// `50M`, `1.5gb`, `-1`: the letters mean powers of 1024.
pub fn bytes(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| format!("invalid size: '{text}'"))?;
    let suffix = suffix.trim().to_ascii_lowercase();
    let letter = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix);
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == letter);
    let power = power.ok_or_else(|| format!("invalid suffix: '{suffix}'"))?;
    Ok((number * 1024_f64.powi(power as i32)) as i64)
}

/// Go's durations, with days and weeks, in nanoseconds.
pub fn duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("time: invalid duration {text:?}");
    let mut rest = text.trim();
    let negative = rest.starts_with('-');
    rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => 86_400e9,
            "w" => 604_800e9,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * unit;
        rest = behind;
    }
    let nanoseconds = total as i64;
    Ok(if negative { -nanoseconds } else { nanoseconds })
}

/// A duration as Go writes it: `1m30s`, `500ms`, `1h0m0s`.
fn span_text(nanoseconds: i64) -> String {
    let (sign, n) =
        if nanoseconds < 0 { ("-", nanoseconds.unsigned_abs()) } else { ("", nanoseconds.unsigned_abs()) };
    let fraction = |whole: u64, rest: u64, digits: usize| {
        let text = format!("{whole}.{rest:0digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let text = match n {
        0 => return "0s".to_owned(),
        n if n < 1_000 => format!("{n}ns"),
        n if n < 1_000_000 => format!("{}µs", fraction(n / 1_000, n % 1_000, 3)),
        n if n < 1_000_000_000 => format!("{}ms", fraction(n / 1_000_000, n % 1_000_000, 6)),
        n => {
            let (seconds, rest) = (n / 1_000_000_000, n % 1_000_000_000);
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let seconds = fraction(seconds % 60, rest, 9);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_read_and_written() {
        assert_eq!(bytes("50M"), Ok(52_428_800));
        assert_eq!(bytes("1.5gb"), Ok(1_610_612_736));
        assert_eq!(bytes("-1"), Ok(-1));
        assert_eq!(bytes("1x"), Err("invalid suffix: 'x'".into()));
        let again = |text: &str| span_text(duration(text).unwrap());
        let table = [
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("500ms", "500ms"),
            ("1d", "24h0m0s"),
            ("1.5s", "1.5s"),
            ("0", "0s"),
            ("10us", "10µs"),
        ];
        for (text, written) in table {
            assert_eq!(again(text), written);
        }
        assert!(duration("foo").is_err() && duration("10").is_err() && duration("").is_err());
    }
}
