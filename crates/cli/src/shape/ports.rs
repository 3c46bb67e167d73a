//! `--publish [address:][host port or range:]container port or range[/protocol]`, and `--expose`.

use serde_json::{Map, Value, json};

use super::wrong;
use crate::error::Error;

/// A JSON object.
type Table = Map<String, Value>;

/// `ExposedPorts` and `PortBindings`.
pub(super) fn published(publish: &[String], expose: &[String]) -> Result<(Table, Table), Error> {
    let (mut exposed, mut bindings) = (Map::new(), Map::new());
    for spec in publish {
        for (port, address, host) in mappings(spec)? {
            exposed.insert(port.clone(), json!({}));
            let entry = bindings.entry(port).or_insert_with(|| json!([]));
            if let Value::Array(list) = entry {
                list.push(json!({ "HostIp": address, "HostPort": host }));
            }
        }
    }
    for spec in expose {
        let (ports, protocol) = protocol(spec)?;
        let (first, last) =
            range(ports).ok_or_else(|| wrong(format!("invalid range format for --expose: {spec}")))?;
        for port in first..=last {
            exposed.insert(format!("{port}/{protocol}"), json!({}));
        }
    }
    Ok((exposed, bindings))
}

fn protocol(spec: &str) -> Result<(&str, String), Error> {
    let (ports, protocol) = spec.rsplit_once('/').unwrap_or((spec, "tcp"));
    let protocol = protocol.to_lowercase();
    match protocol.as_str() {
        "tcp" | "udp" | "sctp" => Ok((ports, protocol)),
        _ => Err(wrong(format!("invalid proto: {protocol}"))),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && first > 0).then_some((first, last))
}

/// Container port with protocol, host address, host port.
fn mappings(spec: &str) -> Result<Vec<(String, String, String)>, Error> {
    if spec.contains('=') {
        return Err(wrong("--publish with options (published=,target=) is for services"));
    }
    let (rest, protocol) = protocol(spec)?;
    let (rest, container) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (address, host) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, host)) => (address, host.strip_prefix(':').unwrap_or(host)),
        None => rest.rsplit_once(':').unwrap_or(("", rest)),
    };
    if container.is_empty() {
        return Err(wrong(format!("no port specified: {spec}<empty>")));
    }
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(wrong(format!("invalid IP address: {address}")));
    }
    let (first, last) =
        range(container).ok_or_else(|| wrong(format!("Invalid containerPort: {container}")))?;
    let count = last - first;
    let host = match host {
        "" => None,
        _ => Some(range(host).ok_or_else(|| wrong(format!("Invalid hostPort: {host}")))?),
    };
    let row = |at: u16| {
        let host = match host {
            None => String::new(),
            // One container port and a range of the host: the engine picks from the range.
            Some((from, to)) if from != to && count == 0 => format!("{from}-{to}"),
            Some((from, _)) => (from + at).to_string(),
        };
        (format!("{}/{protocol}", first + at), address.to_owned(), host)
    };
    if host.is_some_and(|(from, to)| to - from != count && count != 0) {
        return Err(wrong(format!(
            "invalid ranges specified for container and host Ports: {container} and {rest}"
        )));
    }
    Ok((0..=count).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(spec: &str) -> (String, String, String) {
        mappings(spec).unwrap().remove(0)
    }

    #[test]
    fn specifications_are_dockers() {
        let triple = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(one("80"), triple("80/tcp", "", ""));
        assert_eq!(one("8080:80/udp"), triple("80/udp", "", "8080"));
        assert_eq!(one("127.0.0.1:8080:80"), triple("80/tcp", "127.0.0.1", "8080"));
        assert_eq!(one("127.0.0.1::80"), triple("80/tcp", "127.0.0.1", ""));
        assert_eq!(one("[::1]:8080:80"), triple("80/tcp", "::1", "8080"));
        assert_eq!(one("8000-8010:80"), triple("80/tcp", "", "8000-8010"));
        assert_eq!(mappings("8000-8002:80-82").unwrap()[2], triple("82/tcp", "", "8002"));
        for wrong in ["", "x", "80:", "70000", "1:2:3:4", "8000-8001:80-85", "0", "80/x", "5-3:5-3"] {
            assert!(mappings(wrong).is_err(), "{wrong}");
        }
    }
}
