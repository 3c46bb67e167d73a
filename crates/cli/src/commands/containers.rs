//! `ps`, `rm`, `stop`, `kill`, `wait`: listings and the simple verbs.

use client::encode;
use http::Method;
use serde_json::{Value, json};

use super::each::{each, exit_code, finish, unless_fatal};
use super::{filters, units};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::listing::{Listing, Row};
use crate::ui;

const CONTAINERS: Listing = Listing {
    fields: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("HealthStatus", "HEALTH STATUS"),
        ("Size", "SIZE"),
        ("Names", "NAMES"),
        ("Labels", "LABELS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Mounts", "MOUNTS"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
    ],
    table: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    quiet: "{{.ID}}",
};

const WITH_SIZE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

/// `ps`, `container ls`.
pub(crate) fn list(call: &Call) -> Outcome {
    let flags = call.flags();
    let configured = call.config().text("psFormat").unwrap_or_default();
    let format = if flags.changed("format") { flags.text("format") } else { configured };
    let last = if flags.bool("latest") { 1 } else { flags.int("last") };
    let size = flags.bool("size") || format.contains(".Size");
    let path = filters::with_query(
        "/containers/json",
        &[
            flags.bool("all").then(|| "all=1".to_owned()),
            (last > 0).then(|| format!("limit={last}")),
            size.then(|| "size=1".to_owned()),
            filters::parameter(&flags.list("filter")),
        ],
    );
    let answer = call.with_engine(|engine| async move { Ok(engine.get(&path).await?) })?;
    let full = flags.bool("no-trunc");
    let rows: Vec<Row> =
        answer.as_array().into_iter().flatten().map(|container| row(container, full)).collect();
    let format = if flags.bool("size") && matches!(format, "" | "table") { WITH_SIZE } else { format };
    ui::out(&CONTAINERS.render(
        if flags.bool("quiet") { "" } else { format },
        flags.bool("quiet"),
        &rows,
    )?)?;
    Ok(0)
}

/// One container as listings show it.
pub(crate) fn row(container: &Value, full: bool) -> Row {
    let text = |key: &str| container[key].as_str().unwrap_or_default();
    let cut = |text: &str, limit: usize| if full { text.to_owned() } else { ellipsis(text, limit) };
    let id = if full { text("Id") } else { short_id(text("Id")) };
    let created = container["Created"].as_i64().unwrap_or_default();
    let mounts = container["Mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let local = mounts.iter().filter(|mount| mount["Driver"] == "local").count();
    let mounts: Vec<String> = mounts.iter().map(|mount| cut(mount_name(mount), 15)).collect();
    let networks = container["NetworkSettings"]["Networks"].as_object();
    let networks: Vec<&str> = networks.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let row = json!({
        "ID": id,
        "Image": image_name(container, full),
        "Command": format!("\"{}\"", cut(text("Command"), 20).replace('"', "\\\"")),
        "CreatedAt": units::local(created),
        "RunningFor": units::ago(created),
        "Ports": ports(&container["Ports"]),
        "State": text("State"),
        "Status": text("Status"),
        "HealthStatus": health(container),
        "Size": size(container),
        "Names": names(container, full),
        "Labels": labels(&container["Labels"]),
        "LocalVolumes": local.to_string(),
        "Mounts": mounts.join(","),
        "Networks": networks.join(","),
        "Platform": platform(&container["ImageManifestDescriptor"]["platform"]),
    });
    row.as_object().cloned().unwrap_or_default()
}

/// As the engine says it, or as the status of an older one has it in brackets.
fn health(container: &Value) -> &str {
    let status = container["Status"].as_str().unwrap_or_default();
    container["Health"]["Status"].as_str().unwrap_or(match status.rsplit_once('(') {
        Some((_, "healthy)")) => "healthy",
        Some((_, "unhealthy)")) => "unhealthy",
        Some((_, "health: starting)")) => "starting",
        _ => "none",
    })
}

fn platform(platform: &Value) -> Value {
    match (platform["os"].as_str(), platform["architecture"].as_str()) {
        (Some(os), Some(arch)) => format!("{os}/{arch}").into(),
        _ => Value::Null,
    }
}

fn mount_name(mount: &Value) -> &str {
    let name = mount["Name"].as_str().filter(|name| !name.is_empty());
    name.or_else(|| mount["Source"].as_str()).unwrap_or_default()
}

/// An image that lost its name is shown by its id.
fn image_name(container: &Value, full: bool) -> String {
    let (image, id) = (container["Image"].as_str().unwrap_or_default(), container["ImageID"].as_str());
    if image.is_empty() {
        return "<no image>".into();
    }
    let is_id =
        id.is_some_and(|id| id == image || id.strip_prefix("sha256:").is_some_and(|hex| hex == image));
    if is_id && !full {
        short_id(image).to_owned()
    } else {
        image.split('@').next().unwrap_or(image).to_owned()
    }
}

/// Without links to the container from others, unless everything is to be shown.
fn names(container: &Value, full: bool) -> String {
    let names = container["Names"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = names.iter().filter_map(Value::as_str).map(|name| name.strip_prefix('/').unwrap_or(name));
    let own: Vec<&str> = names.filter(|name| full || !name.contains('/')).collect();
    own.join(",")
}

fn size(container: &Value) -> String {
    let bytes = |key: &str| container[key].as_f64().unwrap_or_default();
    let own = units::size(bytes("SizeRw"), 3);
    let whole = bytes("SizeRootFs");
    if whole > 0.0 { format!("{own} (virtual {})", units::size(whole, 3)) } else { own }
}

/// `a=1,b=2`, sorted.
pub(crate) fn labels(labels: &Value) -> String {
    let table = labels.as_object();
    let mut pairs: Vec<String> = table
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort_unstable();
    pairs.join(",")
}

/// Twelve letters.
pub(crate) fn short_id(id: &str) -> &str {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex)
}

/// A text of at most so many columns, the last one an ellipsis where it was cut.
pub(crate) fn ellipsis(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

/// docker's short form: neighbouring ports as a range, mappings to other ports one by one.
fn ports(ports: &Value) -> String {
    let number = |port: &Value, key: &str| port[key].as_u64().unwrap_or_default();
    let text = |port: &Value, key: &str| port[key].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<(u64, String, u64, String)> = ports
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| (number(p, "PrivatePort"), text(p, "IP"), number(p, "PublicPort"), text(p, "Type")))
        .collect();
    all.sort_unstable();
    let (mut done, mut mapped) = (Vec::new(), Vec::new());
    let mut open: Vec<((String, String), (u64, u64))> = Vec::new();
    for (port, ip, public, protocol) in all {
        if !ip.is_empty() && public != port {
            mapped.push(format!("{}->{port}/{protocol}", join_host(&ip, &public.to_string())));
            continue;
        }
        let key = (ip, protocol);
        match open.iter_mut().find(|(known, _)| *known == key) {
            Some((_, (_, last))) if port == *last + 1 => *last = port,
            Some((_, range)) => {
                done.push(port_group(&key, *range));
                *range = (port, port);
            }
            None => open.push((key, (port, port))),
        }
    }
    done.extend(open.iter().map(|(key, range)| port_group(key, *range)));
    done.append(&mut mapped);
    done.join(", ")
}

fn port_group((ip, protocol): &(String, String), (first, last): (u64, u64)) -> String {
    let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ip.is_empty() {
        format!("{range}/{protocol}")
    } else {
        format!("{}->{range}/{protocol}", join_host(ip, &range))
    }
}

fn join_host(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// `rm`.
pub(crate) fn remove(call: &Call) -> Outcome {
    let flags = call.flags();
    let query = filters::with_query(
        "",
        &[
            flags.bool("force").then(|| "force=1".to_owned()),
            flags.bool("link").then(|| "link=1".to_owned()),
            flags.bool("volumes").then(|| "v=1".to_owned()),
        ],
    );
    let force = flags.bool("force");
    call.with_engine(|engine| async move {
        let mut failures = Vec::new();
        for name in call.args() {
            let name = name.trim_matches('/');
            if name.is_empty() {
                return Err(Error::Usage("container name cannot be empty".into()));
            }
            match engine.call(Method::DELETE, &format!("/containers/{}{query}", encode(name)), None).await {
                Ok(_) => ui::out(&format!("{name}\n"))?,
                // `rm -f` of what isn't there says so and is content.
                Err(error) if force && error.is_status(404) => ui::err(&error.to_string()),
                Err(error) => failures.push(unless_fatal(error)?),
            }
        }
        finish(&failures)
    })
}

/// `stop`, and `restart` with another verb.
pub(crate) fn stop(call: &Call) -> Outcome {
    stop_with(call, "stop")
}

/// `restart`.
pub(crate) fn restart(call: &Call) -> Outcome {
    stop_with(call, "restart")
}

fn stop_with(call: &Call, verb: &str) -> Outcome {
    let flags = call.flags();
    if flags.changed("time") && flags.changed("timeout") {
        return Err(Error::Usage("conflicting options: cannot specify both --timeout and --time".into()));
    }
    let given = ["timeout", "time"].into_iter().find(|name| flags.changed(name));
    let query = filters::with_query(
        "",
        &[
            given.map(|name| format!("t={}", flags.int(name))),
            flags.find("signal").map(|signal| format!("signal={}", encode(signal))),
        ],
    );
    each(call, |name| (Method::POST, format!("/containers/{name}/{verb}{query}")))
}

/// `kill`.
pub(crate) fn kill(call: &Call) -> Outcome {
    let query = call.flags().find("signal").map(|signal| format!("signal={}", encode(signal)));
    let query = filters::with_query("", &[query]);
    each(call, |name| (Method::POST, format!("/containers/{name}/kill{query}")))
}

/// `pause`.
pub(crate) fn pause(call: &Call) -> Outcome {
    each(call, |name| (Method::POST, format!("/containers/{name}/pause")))
}

/// `unpause`.
pub(crate) fn unpause(call: &Call) -> Outcome {
    each(call, |name| (Method::POST, format!("/containers/{name}/unpause")))
}

/// `wait`.
pub(crate) fn wait(call: &Call) -> Outcome {
    call.with_engine(|engine| async move {
        let mut failures = Vec::new();
        for name in call.args() {
            match exit_code(&engine, name, "").await {
                Ok(code) => ui::out(&format!("{code}\n"))?,
                Err(Error::Engine(error)) => failures.push(unless_fatal(error)?),
                Err(other) => failures.push(other.to_string()),
            }
        }
        finish(&failures)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ports_are_a_range() {
        let list = json!([
            { "PrivatePort": 81, "PublicPort": 81, "IP": "0.0.0.0", "Type": "tcp" },
            { "PrivatePort": 80, "PublicPort": 80, "IP": "0.0.0.0", "Type": "tcp" },
            { "PrivatePort": 90, "PublicPort": 8090, "IP": "::", "Type": "tcp" },
            { "PrivatePort": 53, "Type": "udp" },
        ]);
        assert_eq!(ports(&list), "53/udp, 0.0.0.0:80-81->80-81/tcp, [::]:8090->90/tcp");
    }

    #[test]
    fn long_commands_are_cut() {
        assert_eq!(ellipsis("/docker-entrypoint.sh run", 20), "/docker-entrypoint.…");
    }
}
