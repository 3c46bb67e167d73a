//! `--publish [address:][host port or range:]container port or range[/protocol]`, and `--expose`.

use flags::go;
use serde_json::{Map, Value, json};

use super::wrong;
use crate::error::Error;

/// A JSON object.
type Table = Map<String, Value>;

/// As many ports in a row are worth an entry of their own.
const MANY: u16 = 64;

/// The same for one range of many ports, in one entry as Ketch's engine keeps it; nothing if more or less is asked for.
pub(crate) fn in_a_run(publish: &[String], expose: &[String]) -> Option<(Table, Table)> {
    let ([spec], []) = (publish, expose) else { return None };
    let spec = short(spec).ok()?;
    let asked = read(&spec).ok()?;
    let (from, to) = asked
        .host
        .filter(|(from, to)| to - from == asked.last - asked.first && to - from >= MANY && *from > 0)?;
    let key = format!("{}..{}/{}", asked.first, asked.last, asked.protocol);
    let place = json!([{ "HostIp": asked.ip, "HostPort": format!("{from}..{to}") }]);
    let table = |value: Value| Table::from_iter([(key.clone(), value)]);
    Some((table(json!({})), table(place))).filter(|_| asked.first > 0)
}

/// `ExposedPorts` and `PortBindings`.
pub(crate) fn published(publish: &[String], expose: &[String]) -> Result<(Table, Table), Error> {
    let (mut exposed, mut bindings) = (Map::new(), Map::new());
    for spec in publish {
        for (port, address, host) in mappings(&short(spec)?)? {
            exposed.insert(port.clone(), json!({}));
            let entry = bindings.entry(port).or_insert_with(|| json!([]));
            if let Value::Array(list) = entry {
                list.push(json!({ "HostIp": address, "HostPort": host }));
            }
        }
    }
    for spec in expose {
        if spec.contains(':') {
            return Err(wrong(format!("invalid port format for --expose: {spec}")));
        }
        let (ports, protocol) = protocol(spec);
        let (first, last) = range(ports)
            .map_err(|why| wrong(format!("invalid range format for --expose: {spec}, error: {why}")))?;
        for port in first..=last {
            exposed.insert(format!("{port}/{protocol}"), json!({}));
        }
    }
    Ok((exposed, bindings))
}

/// `published=80,target=8080` as `80:8080/tcp`.
fn short(spec: &str) -> Result<String, Error> {
    if !spec.contains('=') {
        return Ok(spec.to_owned());
    }
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in spec.split(',') {
        match field.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            Some((key, _)) if !key.is_empty() => {}
            _ => {
                return Err(wrong(format!(
                    "invalid publish opts format (should be name=value but got '{field}')"
                )));
            }
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn protocol(spec: &str) -> (&str, String) {
    match spec.split_once('/') {
        Some(("", _)) => ("", String::new()),
        Some((ports, "")) => (ports, "tcp".to_owned()),
        Some((ports, protocol)) => (ports, protocol.split('/').next().unwrap_or_default().to_lowercase()),
        None => (spec, "tcp".to_owned()),
    }
}

/// In the words of Go's `ParseUint`, to base ten.
fn number(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let why = if digits { "value out of range" } else { "invalid syntax" };
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("strconv.ParseUint: parsing {}: {why}", go::quote(text)))
}

/// In the words of docker's `ParsePortRange`.
fn range(text: &str) -> Result<(u16, u16), String> {
    if text.is_empty() {
        return Err("empty string specified for ports.".into());
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("Invalid range specified for the Port: {text}"));
    }
    Ok((first, last))
}

/// The host's address without its brackets, in the words of Go's `SplitHostPort` and of docker.
fn address(text: &str) -> Result<&str, Error> {
    let invalid = |why: &str| Err(wrong(format!("Invalid ip address {text}: address {text}:: {why}")));
    let bare = match text.strip_prefix('[') {
        Some(rest) => match rest.strip_suffix(']') {
            Some(bare) => bare,
            None => return invalid("missing ']' in address"),
        },
        None if text.contains(':') => return invalid("too many colons in address"),
        None => text,
    };
    if !bare.is_empty() && bare.parse::<std::net::IpAddr>().is_err() {
        return Err(wrong(format!("Invalid ip address: {bare}")));
    }
    Ok(bare)
}

struct Asked<'a> {
    ip: &'a str,
    host: Option<(u16, u16)>,
    first: u16,
    last: u16,
    protocol: String,
}

fn read(spec: &str) -> Result<Asked<'_>, Error> {
    let (rest, container) = spec.rsplit_once(':').unwrap_or(("", spec));
    let (ip, host) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (container, protocol) = protocol(container);
    let ip = address(ip)?;
    if container.is_empty() {
        return Err(wrong(format!("No port specified: {spec}<empty>")));
    }
    let (first, last) = range(container).map_err(|_| wrong(format!("Invalid containerPort: {container}")))?;
    let count = last - first;
    let from = match host {
        "" => None,
        _ => Some(range(host).map_err(|_| wrong(format!("Invalid hostPort: {host}")))?),
    };
    if from.is_some_and(|(from, to)| to - from != count && count != 0) {
        return Err(wrong(format!(
            "Invalid ranges specified for container and host Ports: {container} and {host}"
        )));
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong(format!("Invalid proto: {protocol}")));
    }
    Ok(Asked { ip, host: from, first, last, protocol })
}

/// Container port with protocol, host address, host port.
fn mappings(spec: &str) -> Result<Vec<(String, String, String)>, Error> {
    let Asked { ip, host: from, first, last, protocol } = read(spec)?;
    let count = last - first;
    let row = |at: u16| {
        let host = match from {
            None => String::new(),
            // One container port and a range of the host: the engine picks from the range.
            Some((from, to)) if from != to && count == 0 => format!("{from}-{to}"),
            Some((from, _)) => (from + at).to_string(),
        };
        (format!("{}/{protocol}", first + at), ip.to_owned(), host)
    };
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
        assert_eq!(one("80:80/"), triple("80/tcp", "", "80"));
        assert_eq!(one(&short("published=80,target=81,protocol=udp").unwrap()), triple("81/udp", "", "80"));
    }

    /// What docker 28 says.
    #[test]
    fn what_is_no_port_is_said_in_dockers_words() {
        for (spec, expected) in [
            ("", "No port specified: <empty>"),
            ("x", "Invalid containerPort: x"),
            ("80:", "No port specified: 80:<empty>"),
            ("70000", "Invalid containerPort: 70000"),
            ("1:2:3:4", "Invalid ip address 1:2: address 1:2:: too many colons in address"),
            ("::1:80:80", "Invalid ip address ::1: address ::1:: too many colons in address"),
            ("[::1:80:80", "Invalid ip address [::1: address [::1:: missing ']' in address"),
            ("host:80:80", "Invalid ip address: host"),
            ("8000-8001:80-85", "Invalid ranges specified for container and host Ports: 80-85 and 8000-8001"),
            ("80/x", "Invalid proto: x"),
            ("5-3:5-3", "Invalid containerPort: 5-3"),
            ("x:80", "Invalid hostPort: x"),
            ("published=80", "No port specified: 80:/tcp<empty>"),
            ("=80", "invalid publish opts format (should be name=value but got '=80')"),
        ] {
            let error = published(&[spec.to_owned()], &[]).unwrap_err();
            assert_eq!(error.to_string(), expected, "{spec}");
        }
        for (spec, expected) in [
            (
                "x",
                "invalid range format for --expose: x, error: strconv.ParseUint: parsing \"x\": invalid syntax",
            ),
            (
                "80-70",
                "invalid range format for --expose: 80-70, error: Invalid range specified for the Port: 80-70",
            ),
            ("1.1.1.1:80", "invalid port format for --expose: 1.1.1.1:80"),
        ] {
            assert_eq!(published(&[], &[spec.to_owned()]).unwrap_err().to_string(), expected);
        }
    }
}
