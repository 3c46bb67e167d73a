//! How a later file changes what earlier ones said: mappings go together, lists are appended, single values replace; and
//! for some keys other rules.

use crate::error::Mistake;
use yaml::{At, Map, Node, Tag, Value};

use super::canonical;

/// Puts `over` on top of `base`.
pub(super) fn merge(base: &mut Node, over: Node) -> Result<(), Mistake> {
    below(base, over, &mut Vec::new())
}

/// The same for one service, whose extended one is `base`.
pub(super) fn merge_service(base: &mut Node, over: Node) -> Result<(), Mistake> {
    below(base, over, &mut vec!["services".to_owned(), "*".to_owned()])
}

/// What is done at a path; see the match in [`rule`].
enum Rule {
    Usual,
    Replace,
    /// Both as lists of `key=value`, one after the other.
    Sequences,
    /// Both in their long form.
    Long(fn(&Node) -> Result<Node, Mistake>),
    /// Options of another driver don't count.
    Logging,
    Pools,
}

fn rule(path: &[String]) -> Rule {
    let mut parts = path.iter().map(String::as_str);
    let top = parts.next().unwrap_or_default();
    parts.next();
    let rest: Vec<_> = parts.collect();
    match (top, rest.as_slice()) {
        ("services", ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _]) => Rule::Replace,
        (
            "services",
            [
                "annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "environment" | "label_file"
                | "labels" | "sysctls" | "tmpfs" | "extra_hosts",
            ]
            | ["build", "args" | "additional_contexts" | "labels" | "extra_hosts"]
            | ["deploy", "labels"]
            | ["volumes", _, "volume", "labels"],
        )
        | ("networks" | "volumes", ["labels"]) => Rule::Sequences,
        ("services", ["build"]) => Rule::Long(canonical::build),
        ("services", ["depends_on"]) => Rule::Long(canonical::depends_on),
        ("services", ["networks"]) => Rule::Long(canonical::names_to_map),
        ("services", ["models"]) => Rule::Long(canonical::names_to_map),
        ("services", ["logging"]) => Rule::Logging,
        ("networks", ["ipam", "config"]) => Rule::Pools,
        _ => Rule::Usual,
    }
}

fn below(base: &mut Node, over: Node, path: &mut Vec<String>) -> Result<(), Mistake> {
    if over.tag == Tag::Override {
        *base = over;
        return Ok(());
    }
    // Nothing said is nothing changed.
    if over.is_null() {
        return Ok(());
    }
    if base.is_null() {
        *base = over;
        return Ok(());
    }
    match rule(path) {
        Rule::Replace => *base = over,
        Rule::Sequences => {
            let mut list = sequence(base);
            let gone = |item: &Node| {
                let text = item.scalar().unwrap_or_default();
                let name = text.split_once('=').map_or(text.as_str(), |(name, _)| name);
                over.get(name).is_some_and(|node| node.tag == Tag::Reset)
            };
            list.retain(|item| !gone(item));
            list.extend(sequence(&over));
            *base = over.with(Value::List(list));
        }
        Rule::Long(long) => {
            *base = long(base)?;
            together(base, long(&over)?, path)?;
        }
        Rule::Logging => {
            let driver = |node: &Node| node.text_at("driver").map(str::to_owned);
            match (driver(base), driver(&over)) {
                (Some(before), Some(now)) if before != now => *base = over,
                _ => together(base, over, path)?,
            }
        }
        Rule::Pools => pools(base, over, path)?,
        Rule::Usual => together(base, over, path)?,
    }
    Ok(())
}

fn together(base: &mut Node, over: Node, path: &mut Vec<String>) -> Result<(), Mistake> {
    match (&mut base.value, over.value) {
        (Value::Map(map), Value::Map(over)) => {
            for (name, node) in over {
                if node.tag == Tag::Reset {
                    map.shift_remove(&name);
                    continue;
                }
                match map.get_mut(&name) {
                    Some(before) => {
                        path.push(name);
                        below(before, node, path)?;
                        path.pop();
                    }
                    None => {
                        map.insert(name, node);
                    }
                }
            }
        }
        (Value::List(list), Value::List(over)) => list.extend(over),
        (Value::Map(_), _) | (_, Value::Map(_)) | (Value::List(_), _) | (_, Value::List(_)) => {
            let (path, kind) = (path.join("."), base.kind());
            return Err(Mistake::new(over.at, format!("cannot override {path}: it was {kind} before"))
                .hint("!override replaces a value whatever it was"));
        }
        (_, value) => *base = Node { value, at: over.at, key: over.key, tag: Tag::None },
    }
    Ok(())
}

/// `{a: 1}` and `[a=1]` and `a=1` as a list of texts.
fn sequence(node: &Node) -> Vec<Node> {
    match &node.value {
        Value::List(list) => list.clone(),
        Value::Map(map) => {
            let mut items = Vec::new();
            for (name, value) in map.iter().filter(|(_, value)| value.tag != Tag::Reset) {
                match (&value.value, value.scalar()) {
                    (Value::List(values), _) => {
                        let texts = values.iter().filter_map(Node::scalar);
                        items.extend(texts.map(|text| Node::text(format!("{name}={text}"), value.at)));
                    }
                    (_, Some(text)) => items.push(Node::text(format!("{name}={text}"), value.at)),
                    _ => items.push(Node::text(name.clone(), value.at)),
                }
            }
            items
        }
        _ => vec![node.clone()],
    }
}

/// Pools of addresses are the same when their subnets are.
fn pools(base: &mut Node, over: Node, path: &mut Vec<String>) -> Result<(), Mistake> {
    let (Value::List(before), Value::List(now)) = (&mut base.value, over.value) else { return Ok(()) };
    for pool in now {
        let subnet = pool.text_at("subnet").map(str::to_owned);
        match before.iter_mut().find(|other| subnet.is_some() && other.text_at("subnet") == subnet.as_deref())
        {
            Some(other) => {
                path.push("[]".to_owned());
                together(other, pool, path)?;
                path.pop();
            }
            None => before.push(pool),
        }
    }
    Ok(())
}

/// A mapping with nothing in it.
pub(super) fn empty() -> Node {
    Node::map(Map::default(), At::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use yaml::{FileId, emit, parse};

    fn merged(base: &str, over: &str) -> String {
        let one = |text| parse(text, FileId(0)).unwrap().remove(0);
        let mut tree = one(base);
        merge(&mut tree, one(over)).unwrap();
        emit(&tree)
    }

    #[test]
    fn lists_grow_mappings_mix_and_single_values_change() {
        let base = "services: {a: {image: x, cap_add: [A], command: [one], environment: [A=1]}}\n";
        let over = "services: {a: {image: y, cap_add: [B], command: [two], environment: {B: 2}}}\n";
        let expected = "services:\n  a:\n    image: \"y\"\n    cap_add:\n      - A\n      - B\n    command:\n      - two\n    environment:\n      - A=1\n      - B=2\n";
        assert_eq!(merged(base, over), expected);
    }

    #[test]
    fn tags_take_away_and_replace() {
        let base = "services: {a: {image: x, ports: ['1:1'], labels: {a: b}}}\n";
        let over = "services: {a: {ports: !override ['2:2'], labels: !reset null}}\n";
        assert_eq!(merged(base, over), "services:\n  a:\n    image: x\n    ports:\n      - \"2:2\"\n");
    }

    #[test]
    fn the_options_of_another_log_driver_go() {
        let base = "services: {a: {logging: {driver: json-file, options: {max-size: 1m}}}}\n";
        let same = merged(base, "services: {a: {logging: {driver: json-file, options: {max-file: 2}}}}\n");
        assert!(same.contains("max-size") && same.contains("max-file"));
        assert!(!merged(base, "services: {a: {logging: {driver: none}}}\n").contains("max-size"));
    }
}
