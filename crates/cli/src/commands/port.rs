//! `port`: where a container's ports are published.

use client::encode;
use flags::go;
use serde_json::Value;

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// All mappings, or those of one port.
pub(crate) fn port(call: &Call) -> Outcome {
    let name = call.args().first().map_or("", String::as_str);
    let wanted = call.args().get(1).map(String::as_str);
    let path = format!("/containers/{}/json", encode(name));
    let container = call.with_engine(|engine| async move { Ok(engine.get(&path).await?) })?;
    let ports = &container["NetworkSettings"]["Ports"];
    let lines = match wanted {
        Some(port) => one(name, port, ports)?,
        None => all(ports),
    };
    ui::out(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    Ok(0)
}

fn one(name: &str, port: &str, ports: &Value) -> Result<Vec<String>, Error> {
    let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    go::parse_uint(number, 16).map_err(|why| wrong(&format!("invalid port ({number}): {why}")))?;
    let mut lines: Vec<String> = places(&ports[format!("{number}/{protocol}")]).collect();
    lines.sort_unstable();
    match lines.is_empty() {
        true => Err(wrong(&format!("No public port '{port}' published for {name}"))),
        false => Ok(lines),
    }
}

fn wrong(why: &str) -> Error {
    Error::Several(format!("Error: {why}"))
}

fn all(ports: &Value) -> Vec<String> {
    let mut lines: Vec<(u64, String)> = ports
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(port, bindings)| {
            let number = port.split('/').next().and_then(|n| n.parse().ok()).unwrap_or_default();
            places(bindings).map(move |place| (number, format!("{port} -> {place}")))
        })
        .collect();
    lines.sort_unstable();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn places(bindings: &Value) -> impl Iterator<Item = String> {
    bindings.as_array().into_iter().flatten().map(|binding| {
        let text = |key: &str| binding[key].as_str().unwrap_or_default();
        match text("HostIp") {
            ip if ip.contains(':') => format!("[{ip}]:{}", text("HostPort")),
            ip => format!("{ip}:{}", text("HostPort")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn published_ports_are_listed_by_number() {
        let ports = json!({
            "8080/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "80" }, { "HostIp": "::", "HostPort": "80" }],
            "53/udp": [{ "HostIp": "127.0.0.1", "HostPort": "53" }], "9/tcp": null,
        });
        let lines = ["53/udp -> 127.0.0.1:53", "8080/tcp -> 0.0.0.0:80", "8080/tcp -> [::]:80"];
        assert_eq!(all(&ports), lines);
        assert_eq!(one("c", "53/udp", &ports).unwrap(), ["127.0.0.1:53"]);
        assert_eq!(
            one("c", "9", &ports).unwrap_err().to_string(),
            "Error: No public port '9' published for c"
        );
        let wrong = "Error: invalid port (x): strconv.ParseUint: parsing \"x\": invalid syntax";
        assert_eq!(one("c", "x", &ports).unwrap_err().to_string(), wrong);
    }
}
