//! `--network`, short and long, with the flags that say more of the first one.

use flags::{Matches, go};
use serde_json::{Map, Value, json};

use super::{Object, wrong};
use crate::error::Error;

/// A network and what the container has there.
#[derive(Debug, Default, PartialEq)]
struct Attachment {
    name: String,
    aliases: Vec<String>,
    links: Vec<String>,
    ipv4: String,
    ipv6: String,
    link_local: Vec<String>,
    mac: String,
    options: Map<String, Value>,
    priority: i64,
}

/// What is no value of `--network`.
pub(crate) fn check(value: &str) -> Result<(), String> {
    parse(value).map(drop)
}

/// What is no value of `--link`.
pub(crate) fn check_link(value: &str) -> Result<(), String> {
    match value {
        "" => Err("empty string specified for links".into()),
        _ if value.matches(':').count() > 1 => Err(format!("bad format for links: {value}")),
        _ => Ok(()),
    }
}

/// docker's own test for the long form: something, an equals sign, something.
fn is_long(value: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    value
        .match_indices('=')
        .any(|(at, _)| word(value[..at].chars().next_back()) && word(value[at + 1..].chars().next()))
}

fn parse(value: &str) -> Result<Attachment, String> {
    let mut network = Attachment::default();
    if !is_long(value) {
        value.clone_into(&mut network.name);
        return Ok(network);
    }
    for field in go::split_csv(value)? {
        // As docker does: everything in small letters, but for what a driver is told.
        let small = field.to_lowercase();
        let field = match small.strip_prefix("driver-opt=") {
            Some(rest) => format!("driver-opt={}", &field[field.len() - rest.len()..]),
            None => small,
        };
        let (key, value) = field.split_once('=').unwrap_or((&field, ""));
        if key.is_empty() || !field.contains('=') {
            return Err(format!("invalid field {field}"));
        }
        let (key, value) = (key.trim(), value.trim().to_owned());
        match key {
            "name" => network.name = value,
            "alias" => network.aliases.push(value),
            "ip" => network.ipv4 = value,
            "ip6" => network.ipv6 = value,
            "mac-address" => network.mac = value,
            "link-local-ip" => network.link_local.push(value),
            "driver-opt" => network.options.extend([driver_option(&value)?]),
            "gw-priority" => {
                let digits = |why: String| why.rsplit(": ").next().unwrap_or_default().to_owned();
                network.priority = go::parse_int(&value)
                    .map_err(|why| format!("invalid gw-priority ({value}): {}", digits(why)))?;
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    if network.name.is_empty() { Err("network name/id is not specified".into()) } else { Ok(network) }
}

fn driver_option(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').unwrap_or_default();
    if key.trim().is_empty() {
        return Err("invalid key value pair format in driver options".into());
    }
    Ok((key.trim().to_owned(), value.trim().into()))
}

/// Neither one of those that every engine has, nor another container's.
fn is_user_defined(name: &str) -> bool {
    !matches!(name, "" | "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

/// `HostConfig.NetworkMode`, `HostConfig.Links` and `NetworkingConfig`: the first network is the container's mode, and the
/// flags beside `--network` are about it.
pub(super) fn put(flags: &Matches, config: &mut Object, host: &mut Object) -> Result<Value, Error> {
    let given = [flags.list("network"), flags.list("net")].concat();
    let mut networks: Vec<Attachment> =
        given.iter().map(|value| parse(value).map_err(wrong)).collect::<Result<_, _>>()?;
    let mode = networks.first().map(|network| network.name.clone());
    if networks.is_empty() {
        networks.push(Attachment { name: "default".into(), ..Attachment::default() });
    }
    let alone = networks.len() == 1;
    let mut endpoints = Map::new();
    for (at, network) in networks.iter_mut().enumerate() {
        if at == 0 {
            network.take_flags(flags)?;
        }
        let endpoint = network.endpoint()?;
        if endpoints.contains_key(&network.name) {
            return Err(wrong(format!("network {:?} is specified multiple times", network.name)));
        }
        if !(alone && endpoint.is_empty()) {
            endpoints.insert(network.name.clone(), Value::Object(endpoint));
        }
    }
    let made = networks.iter().filter(|network| is_user_defined(&network.name)).count();
    if made > 0 && made < networks.len() {
        let why = "conflicting options: cannot attach both user-defined and non-user-defined network-modes";
        return Err(wrong(why));
    }
    let mac = networks.first().map_or("", |network| &network.mac);
    if !mac.is_empty() {
        config.put("MacAddress", mac);
    }
    if made == 0 {
        host.list(flags, "link", "Links");
    }
    if let Some(mode) = mode {
        host.put("NetworkMode", mode);
    }
    Ok(json!({ "EndpointsConfig": endpoints }))
}

impl Attachment {
    /// What is said by flags of their own; what is said twice is a mistake.
    fn take_flags(&mut self, flags: &Matches) -> Result<(), Error> {
        let aliases = [flags.list("network-alias"), flags.list("net-alias")].concat();
        let links = flags.list("link");
        let links = if is_user_defined(&self.name) { links } else { Vec::new() };
        for (list, more, what) in [
            (&mut self.aliases, aliases, "--network-alias and per-network alias"),
            (&mut self.links, links, "--link and per-network links"),
            (
                &mut self.link_local,
                flags.list("link-local-ip"),
                "--link-local-ip and per-network link-local IP addresses",
            ),
        ] {
            if !list.is_empty() && !more.is_empty() {
                return Err(wrong(format!("conflicting options: cannot specify both {what}")));
            }
            list.extend(more);
        }
        for (text, flag, what) in [
            (&mut self.ipv4, "ip", "--ip and per-network IPv4 address"),
            (&mut self.ipv6, "ip6", "--ip6 and per-network IPv6 address"),
            (&mut self.mac, "mac-address", "--mac-address and per-network MAC address"),
        ] {
            let Some(given) = flags.find(flag).filter(|given| !given.is_empty()) else { continue };
            if !text.is_empty() {
                return Err(wrong(format!("conflicting options: cannot specify both {what}")));
            }
            given.clone_into(text);
        }
        Ok(())
    }

    /// The API's `EndpointSettings`, without what was not said.
    fn endpoint(&self) -> Result<Map<String, Value>, Error> {
        if self.name.trim().is_empty() {
            return Err(wrong("no name set for network"));
        }
        if !is_user_defined(&self.name) {
            if !self.aliases.is_empty() {
                return Err(wrong("network-scoped aliases are only supported for user-defined networks"));
            }
            if !self.links.is_empty() {
                return Err(wrong("links are only supported for user-defined networks"));
            }
        }
        if !self.mac.is_empty() && !is_mac(&self.mac) {
            return Err(wrong(format!("{} is not a valid mac address", self.mac)));
        }
        let mut addresses = Object::new();
        addresses.put("IPv4Address", self.ipv4.as_str());
        addresses.put("IPv6Address", self.ipv6.as_str());
        addresses.put("LinkLocalIPs", self.link_local.clone());
        addresses.0.retain(|_, value| !is_nothing(value));
        let mut endpoint = Object::new();
        endpoint.put("IPAMConfig", addresses.0);
        endpoint.put("Aliases", self.aliases.clone());
        endpoint.put("Links", self.links.clone());
        endpoint.put("DriverOpts", self.options.clone());
        endpoint.put("MacAddress", self.mac.as_str());
        endpoint.put("GwPriority", self.priority);
        endpoint.0.retain(|_, value| !is_nothing(value));
        Ok(endpoint.0)
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        value => *value == 0,
    }
}

/// Six bytes, as Go reads them: `02-42-…`, `02:42:…` or `0242.ac11.0002`.
fn is_mac(text: &str) -> bool {
    let of = |separator: char, count: usize, width: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len() == count
            && parts.iter().all(|part| part.len() == width && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    of(':', 6, 2) || of('-', 6, 2) || of('.', 3, 4)
}

/// The body of `network connect`.
pub(crate) fn connection(flags: &Matches, container: &str) -> Result<Value, Error> {
    let mut options = Map::new();
    for option in flags.list("driver-opt") {
        let pair = option.split_once('=').filter(|(key, _)| !key.is_empty());
        let (key, value) =
            pair.ok_or_else(|| Error::Usage("invalid key/value pair format in driver options".into()))?;
        options.insert(key.to_owned(), value.into());
    }
    let mut addresses = Object::new();
    addresses.text(flags, "ip", "IPv4Address");
    addresses.text(flags, "ip6", "IPv6Address");
    addresses.list(flags, "link-local-ip", "LinkLocalIPs");
    let mut endpoint = Object::new();
    endpoint.put("IPAMConfig", addresses.0);
    endpoint.list(flags, "alias", "Aliases");
    endpoint.list(flags, "link", "Links");
    endpoint.int(flags, "gw-priority", "GwPriority");
    if !options.is_empty() {
        endpoint.put("DriverOpts", options);
    }
    Ok(json!({ "Container": container, "EndpointConfig": endpoint.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_form_is_read_as_docker_does() {
        let network = parse("name=Net,alias=A,alias=b,ip=10.0.0.5,ip6=fd00::5,mac-address=02:00:00:00:00:01,gw-priority=-3,driver-opt=a=b").unwrap();
        let expected = Attachment {
            name: "net".into(),
            aliases: vec!["a".into(), "b".into()],
            ipv4: "10.0.0.5".into(),
            ipv6: "fd00::5".into(),
            mac: "02:00:00:00:00:01".into(),
            options: Map::from_iter([("a".to_owned(), "b".into())]),
            priority: -3,
            ..Attachment::default()
        };
        assert_eq!(network, expected);
        assert_eq!(parse("a=").unwrap().name, "a=");
        assert_eq!(parse("container:Foo").unwrap().name, "container:Foo");
    }

    #[test]
    fn what_is_wrong_is_said_in_dockers_words() {
        for (value, expected) in [
            ("name=a,foo=1", "invalid field key foo"),
            ("a,alias=x", "invalid field a"),
            ("alias=x", "network name/id is not specified"),
            ("name=a,driver-opt=foo", "invalid key value pair format in driver options"),
            ("name=a,gw-priority=x", "invalid gw-priority (x): invalid syntax"),
        ] {
            assert_eq!(parse(value).unwrap_err(), expected, "{value}");
        }
        assert_eq!(check_link("a:b:c").unwrap_err(), "bad format for links: a:b:c");
    }

    #[test]
    fn hardware_addresses_have_six_bytes() {
        for good in ["02:42:ac:11:00:07", "02-42-AC-11-00-07", "0242.ac11.0007"] {
            assert!(is_mac(good), "{good}");
        }
        for bad in ["", "zz", "02:42:ac:11:00", "02:42:ac:11:00:0", "02:42-ac:11:00:07"] {
            assert!(!is_mac(bad), "{bad}");
        }
    }
}
