//! Ports by the thousand: in what a container is asked to be, those that follow each other are one entry.
//!
//! A client names each of ten thousand ports in `ExposedPorts` and `PortBindings`, and hears of each in `inspect`. In between,
//! in memory and in records, they are `20000..29999/tcp` ([`Body`]). Whoever needs them one by one asks here. Ketch's own
//! client, which `_ping` tells so, says it in that form, too, if there are no other ports.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

const TO: &str = "..";

/// Ports in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) transport: &'a str,
}

impl<'a> Run<'a> {
    /// `20000..29999/tcp`; nothing if it is a single port, or none.
    pub(super) fn parse(key: &'a str) -> Option<Self> {
        let (ports, transport) = key.split_once('/')?;
        let (first, last) = span(ports)?;
        Some(Self { first, last, transport })
    }

    /// Each port with what is said of it.
    pub(super) fn each(self, value: &Value) -> impl Iterator<Item = (u16, Value)> + use<'_> {
        let host = value[0]["HostPort"].as_str().and_then(span).map(|(first, _)| first);
        (self.first..=self.last).zip(0..).map(move |(port, place)| {
            let mut value = value.clone();
            if let Some(first) = host {
                value[0]["HostPort"] = json!(first.saturating_add(place).to_string());
            }
            (port, value)
        })
    }

    /// Whether a client's entry is as this module would have written it.
    fn is_whole(self, key: &str, value: &Value) -> bool {
        let Self { first, last, transport } = self;
        let written = |first: u16, last: u16| format!("{first}{TO}{last}");
        let is_written = first > 0 && first < last && key == format!("{}/{transport}", written(first, last));
        let fits = match value {
            Value::Object(nothing) => nothing.is_empty(),
            Value::Array(places) if places.len() == 1 => {
                let text = places[0]["HostPort"].as_str().unwrap_or_default();
                span(text).is_some_and(|(from, to)| {
                    from > 0 && to - from == last - first && text == written(from, to)
                })
            }
            _ => false,
        };
        is_written && fits && TRANSPORTS.contains(&transport)
    }

    fn key(self, port: u16) -> String {
        format!("{port}/{}", self.transport)
    }
}

fn span(ports: &str) -> Option<(u16, u16)> {
    let (first, last) = ports.split_once(TO)?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    Some((first, last)).filter(|(first, last)| first <= last)
}

/// Each port by itself, as a client names it.
pub fn keys<T>(ports: &BTreeMap<String, T>) -> Vec<String> {
    let mut keys = Vec::with_capacity(ports.len());
    for key in ports.keys() {
        match Run::parse(key) {
            Some(run) => keys.extend((run.first..=run.last).map(|port| run.key(port))),
            None => keys.push(key.clone()),
        }
    }
    keys
}

/// Whether a port is among them.
pub fn contains<T>(ports: &BTreeMap<String, T>, port: &str) -> bool {
    let within = |(number, transport): (&str, &str)| {
        let number: u16 = number.parse().ok()?;
        let runs = ports.keys().filter_map(|key| Run::parse(key));
        Some(
            runs.filter(|run| run.transport == transport).any(|run| (run.first..=run.last).contains(&number)),
        )
    };
    ports.contains_key(port) || port.split_once('/').and_then(within).unwrap_or(false)
}

/// Whether one of a range is among them.
pub fn has_any<T>(ports: &BTreeMap<String, T>, transport: &str, first: u16, last: u16) -> bool {
    ports.keys().any(|key| {
        let Some((numbers, of)) = key.split_once('/') else { return false };
        let own = span(numbers).or_else(|| numbers.parse().ok().map(|port| (port, port)));
        of == transport && own.is_some_and(|(from, to)| from <= last && first <= to)
    })
}

/// What a client hears of `ExposedPorts` and `PortBindings`.
pub fn expand(of: &mut Value, name: &str) {
    let Some(Value::Object(ports)) = of.get_mut(name) else { return };
    if !ports.keys().any(|key| Run::parse(key).is_some()) {
        return;
    }
    let mut sorted = BTreeMap::new();
    for (key, value) in std::mem::take(ports) {
        match Run::parse(&key) {
            Some(run) => sorted.extend(run.each(&value).map(|(port, value)| (run.key(port), value))),
            None => drop(sorted.insert(key, value)),
        }
    }
    ports.extend(sorted);
}

/// A client's request as JSON, in which ports that follow each other are one entry. They are never all there at once.
#[derive(Debug)]
pub struct Body(pub Value);

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Fields).map(Self)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Value;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("any valid JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = match name.as_str() {
                "HostConfig" => fields.next_value::<Body>()?.0,
                "ExposedPorts" | "PortBindings" => fields.next_value::<Ports>()?.0,
                _ => fields.next_value()?,
            };
            read.insert(name, value);
        }
        Ok(Value::Object(read))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element()? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

struct Ports(Value);

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Value;

            fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
                text.write_str("a map of ports")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                let (mut runs, mut whole) = (Joining::default(), Map::new());
                while let Some((port, value)) = entries.next_entry::<String, Value>()? {
                    let run = Run::parse(&port);
                    let alone = whole.is_empty() && (run.is_none() || runs.is_empty());
                    if !alone || run.is_some_and(|run| !run.is_whole(&port, &value)) {
                        return Err(A::Error::custom(format!("invalid port specification: \"{port}\"")));
                    }
                    match run {
                        Some(_) => drop(whole.insert(port, value)),
                        None => runs.push(port, value),
                    }
                }
                Ok(Value::Object(if whole.is_empty() { runs.finish() } else { whole }))
            }

            fn visit_unit<E: Error>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
        }
        input.deserialize_any(Entries).map(Self)
    }
}

/// The last ports of each transport, which the next one may follow.
#[derive(Default)]
struct Joining {
    done: Map<String, Value>,
    open: [Option<Growing>; 3],
}

struct Growing {
    first: u16,
    last: u16,
    /// The first one's at the host.
    host: Option<u16>,
    value: Value,
}

const TRANSPORTS: [&str; 3] = ["tcp", "udp", "sctp"];

impl Joining {
    fn is_empty(&self) -> bool {
        self.done.is_empty() && self.open.iter().all(Option::is_none)
    }

    fn push(&mut self, port: String, value: Value) {
        let known = port.split_once('/').and_then(|(number, transport)| {
            Some((plain(number)?, TRANSPORTS.iter().position(|known| *known == transport)?, place(&value)?))
        });
        let Some((number, at, host)) = known else {
            self.done.insert(port, value);
            return;
        };
        match &mut self.open[at] {
            Some(run) if run.is_followed_by(number, host, &value) => run.last = number,
            _ => {
                self.close(at);
                self.open[at] = Some(Growing { first: number, last: number, host, value });
            }
        }
    }

    fn close(&mut self, at: usize) {
        let Some(mut run) = self.open[at].take() else { return };
        let transport = TRANSPORTS[at];
        let Growing { first, last, .. } = run;
        if first == last {
            self.done.insert(format!("{first}/{transport}"), run.value);
            return;
        }
        if let Some(host) = run.host {
            run.value[0]["HostPort"] = json!(format!("{host}{TO}{}", host.saturating_add(last - first)));
        }
        self.done.insert(format!("{first}{TO}{last}/{transport}"), run.value);
    }

    fn finish(mut self) -> Map<String, Value> {
        (0..TRANSPORTS.len()).for_each(|at| self.close(at));
        self.done
    }
}

impl Growing {
    fn is_followed_by(&self, port: u16, host: Option<u16>, value: &Value) -> bool {
        let like = |from: &Value| (from[0].as_object().map(Map::len), from[0].get("HostIp").cloned());
        self.last.checked_add(1) == Some(port)
            && self.host.is_some() == host.is_some()
            && self
                .host
                .zip(host)
                .is_none_or(|(first, own)| first.checked_add(port - self.first) == Some(own))
            && like(&self.value) == like(value)
    }
}

/// A number as it would be written again.
fn plain(text: &str) -> Option<u16> {
    text.parse().ok().filter(|number: &u16| *number > 0 && !text.starts_with(['0', '+']))
}

/// The place of a port that has none or just one; nothing for all others, which stay by themselves.
fn place(value: &Value) -> Option<Option<u16>> {
    match value {
        Value::Object(nothing) if nothing.is_empty() => Some(None),
        Value::Array(places) if places.len() == 1 => plain(places[0].get("HostPort")?.as_str()?).map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Value {
        serde_json::from_str::<Body>(&body.to_string()).unwrap().0
    }

    #[test]
    fn ports_in_a_row_are_one_entry_and_come_back_one_by_one() {
        let at = |ip: &str, port: u16| json!([{ "HostIp": ip, "HostPort": port.to_string() }]);
        let mut bindings =
            json!({ "80/tcp": at("", 80), "9/tcp": [{"HostPort": ""}], "x": null, "7/tcp": null });
        let mut exposed = json!({ "81/tcp": {}, "080/tcp": {} });
        for port in 8990..9110 {
            bindings[format!("{port}/tcp")] = at("", port);
            bindings[format!("{port}/udp")] = at("127.0.0.1", port + 1);
            exposed[format!("{port}/tcp")] = json!({});
        }
        bindings["9110/tcp"] = at("127.0.0.1", 9110);
        bindings["9111/udp"] = at("127.0.0.1", 9112);
        let asked = json!({ "ExposedPorts": exposed, "Image": [1, {"a": -1.5}], "HostConfig": { "PortBindings": bindings } });
        let read = read(&asked);
        let bound = &read["HostConfig"]["PortBindings"];
        assert_eq!(bound["8990..9109/tcp"], json!([{ "HostIp": "", "HostPort": "8990..9109" }]));
        assert_eq!(bound["8990..9109/udp"], json!([{ "HostIp": "127.0.0.1", "HostPort": "8991..9110" }]));
        assert_eq!(bound.as_object().unwrap().len(), 8);
        let exposed: BTreeMap<String, Value> = serde_json::from_value(read["ExposedPorts"].clone()).unwrap();
        assert_eq!(exposed.keys().collect::<Vec<_>>(), ["080/tcp", "81/tcp", "8990..9109/tcp"]);
        assert_eq!(keys(&exposed).len(), 122);
        assert!(contains(&exposed, "9000/tcp") && contains(&exposed, "81/tcp"));
        assert!(!contains(&exposed, "9000/udp") && !contains(&exposed, "9110/tcp"));
        let mut whole = read;
        expand(&mut whole, "ExposedPorts");
        expand(&mut whole["HostConfig"], "PortBindings");
        assert_eq!(whole, asked);
    }

    #[test]
    fn a_clients_run_stands_alone_and_is_as_the_engine_writes_it() {
        let whole = json!({ "ExposedPorts": {"1..9/tcp": {}},
            "HostConfig": { "PortBindings": {"1..9/tcp": [{"HostIp": "", "HostPort": "11..19"}]} } });
        assert_eq!(read(&whole), whole);
        for (key, value) in [
            ("0..9/tcp", json!({})),
            ("9..9/tcp", json!({})),
            ("01..9/tcp", json!({})),
            ("1..9/x", json!({})),
            ("1..9/tcp", json!(null)),
            ("1..9/tcp", json!([{"HostPort": "80"}])),
            ("1..9/tcp", json!([{"HostPort": ""}])),
            ("1..9/tcp", json!([{"HostPort": "11..18"}])),
            ("1..9/tcp", json!([{"HostPort": "11..19"}, {"HostPort": "21..29"}])),
        ] {
            let body = json!({ "PortBindings": { key: value } }).to_string();
            let error = serde_json::from_str::<Body>(&body).unwrap_err();
            assert!(error.to_string().starts_with("invalid port specification"), "{body}: {error}");
        }
        for body in [
            r#"{"1..9/tcp": {}, "5/tcp": {}}"#,
            r#"{"5/tcp": {}, "1..9/tcp": {}}"#,
            r#"{"1..9/tcp": {}, "1..9/udp": {}}"#,
        ] {
            serde_json::from_str::<Body>(&format!(r#"{{"ExposedPorts": {body}}}"#)).unwrap_err();
        }
    }
}
