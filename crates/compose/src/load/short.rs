//! Short forms: ports, volumes, command lines.

use std::net::IpAddr;

use yaml::{At, Map, Node, Value};

fn map(pairs: Vec<(&str, Value)>) -> Node {
    let at = At::default();
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), Node::new(value, at)));
    Node::map(pairs.collect(), at)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// `[IP:][PUBLISHED[-END]:]TARGET[-END][/PROTOCOL]`: one port, or those of a range.
pub(super) fn ports(spec: &str) -> Result<Vec<Node>, String> {
    let (addresses, protocol) = match spec.rsplit_once('/') {
        Some((rest, protocol)) => (rest, protocol.to_ascii_lowercase()),
        None => (spec, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("Invalid proto: {protocol}"));
    }
    let (host, published, target) = split_port(addresses)?;
    if target.is_empty() {
        return Err(format!("No port specified: {spec}<empty>"));
    }
    if !host.is_empty() && host.parse::<IpAddr>().is_err() {
        return Err(format!("Invalid ip address: {host}"));
    }
    let targets = range(target).ok_or_else(|| format!("Invalid containerPort: {target}"))?;
    let publisheds = match published {
        "" => None,
        text => Some(range(text).ok_or_else(|| format!("Invalid hostPort: {text}"))?),
    };
    let count = |(low, high): (u16, u16)| u32::from(high) - u32::from(low);
    let one = |target: u16, published: Option<String>| {
        let mut pairs = vec![("mode", text("ingress"))];
        pairs.extend((!host.is_empty()).then(|| ("host_ip", text(host))));
        pairs.push(("target", Value::Int(i64::from(target))));
        pairs.extend(published.map(|published| ("published", Value::Text(published))));
        pairs.push(("protocol", text(&protocol)));
        map(pairs)
    };
    if let Some(publisheds) = publisheds
        && count(publisheds) != count(targets)
    {
        if count(targets) > 0 {
            return Err(format!(
                "Invalid ranges specified for container and host Ports: {target} and {published}"
            ));
        }
        return Ok(vec![one(targets.0, Some(published.to_owned()))]);
    }
    let mut ports: Vec<_> = (targets.0..=targets.1)
        .map(|target| {
            let published = publisheds.map(|(low, _)| (low + (target - targets.0)).to_string());
            (target.to_string(), one(target, published))
        })
        .collect();
    // docker sorts them as texts.
    ports.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(ports.into_iter().map(|(_, port)| port).collect())
}

/// A short form in its parts: the container's port, the protocol, the host's address and port.
pub fn published(spec: &str) -> Result<Vec<(i64, String, String, String)>, String> {
    let part = |port: &Node, key: &str| port.get(key).and_then(Node::scalar).unwrap_or_default();
    let parts = |port: Node| {
        let target = part(&port, "target").parse().unwrap_or_default();
        (target, part(&port, "protocol"), part(&port, "host_ip"), part(&port, "published"))
    };
    Ok(ports(spec)?.into_iter().map(parts).collect())
}

fn split_port(spec: &str) -> Result<(&str, &str, &str), String> {
    if let Some(rest) = spec.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| format!("Invalid ip address: {spec}"))?;
        let rest = rest.strip_prefix(':').ok_or_else(|| format!("Invalid ip address: {spec}"))?;
        let (published, target) = rest.split_once(':').unwrap_or(("", rest));
        return Ok((host, published, target));
    }
    let parts: Vec<_> = spec.split(':').collect();
    Ok(match parts.as_slice() {
        [target] => ("", "", target),
        [published, target] => ("", published, target),
        [host, published, target] => (host, published, target),
        _ => {
            let at = spec.rmatch_indices(':').nth(1).map_or(0, |(at, _)| at);
            let (published, target) = spec[at + 1..].split_once(':').unwrap_or_default();
            (&spec[..at], published, target)
        }
    })
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some((low, high))
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
pub(super) fn volume(spec: &str) -> Result<Node, String> {
    if spec.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let parts = sections(spec);
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("invalid spec: {spec}: empty section between colons"));
    }
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(format!("invalid spec: {spec}: too many colons")),
    };
    let bind = source.starts_with(['.', '/', '~']);
    let mut pairs = vec![("type", text(if bind { "bind" } else { "volume" }))];
    pairs.extend((!source.is_empty()).then(|| ("source", text(source))));
    pairs.push(("target", text(target)));
    let mut detail = Map::default();
    let mut set = |key: &str, value| detail.insert(key.to_owned(), Node::new(value, At::default()));
    for option in options.split(',') {
        match option {
            "ro" => pairs.push(("read_only", Value::Bool(true))),
            // Ours, as `-v` has it; docker's client takes it for one of the old words.
            "idmap" => pairs.push(("x-idmap", Value::Bool(true))),
            "nocopy" if !bind => drop(set("nocopy", Value::Bool(true))),
            "z" | "Z" if bind => drop(set("selinux", text(option))),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" if bind => {
                drop(set("propagation", text(option)));
            }
            // Old words for other systems' file sharing mean nothing here, as with docker.
            _ => {}
        }
    }
    if bind {
        set("create_host_path", Value::Bool(true));
    }
    // Of one that is as short as a drive's letter, docker's client writes no details, and its hash has none.
    if spec.len() <= 2 {
        return Ok(map(pairs));
    }
    pairs.push((if bind { "bind" } else { "volume" }, Value::Map(detail)));
    Ok(map(pairs))
}

/// What stands between colons; those of a variable that wasn't filled in (`${A:-b}`) are its own.
fn sections(spec: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, letter) in spec.char_indices() {
        match letter {
            '{' if spec[..at].ends_with('$') => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                parts.push(&spec[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&spec[start..]);
    parts
}

/// A command line in words, as a shell splits it; none if a quote isn't closed.
pub(crate) fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            // No shell is there to understand these: docker reads no further, and neither do we.
            ';' | '&' | '|' | '<' | '>' => break,
            '\\' => {
                let next = letters.next()?;
                word.get_or_insert_default().push(next);
            }
            '\'' => {
                let open = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        letter => open.push(letter),
                    }
                }
            }
            '"' => {
                let open = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => match letters.next()? {
                            escaped @ ('"' | '\\' | '$' | '`') => open.push(escaped),
                            other => open.extend(['\\', other]),
                        },
                        letter => open.push(letter),
                    }
                }
            }
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let words = |line| split_words(line).unwrap();
        assert_eq!(words("echo \"a b\" 'c d' e\\ f $HOME"), ["echo", "a b", "c d", "e f", "$HOME"]);
        assert_eq!(words("a \"\" ''"), ["a", "", ""]);
        assert_eq!(words("  "), Vec::<String>::new());
        assert_eq!(words("echo a; echo b"), ["echo", "a"]);
        assert_eq!(split_words("echo 'open"), None);
    }

    #[test]
    fn wrong_ports_are_refused_in_dockers_words() {
        let wrong = |spec| ports(spec).unwrap_err();
        assert_eq!(wrong("99999"), "Invalid containerPort: 99999");
        assert_eq!(wrong("a:80"), "Invalid hostPort: a");
        assert_eq!(wrong("80/foo"), "Invalid proto: foo");
        assert_eq!(wrong("x:1:2"), "Invalid ip address: x");
        assert_eq!(wrong("1-3:1-2"), "Invalid ranges specified for container and host Ports: 1-2 and 1-3");
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[0-9a-z:/\\[\\].'\"\\\\ -]{0,30}") {
            let _ = (ports(&text), volume(&text), split_words(&text));
        }
    }
}
