//! `GET /containers/json`.

use std::time::SystemTime;

use engine::containers::state::State;
use engine::containers::{Container, LinkNames, View};
use engine::filters::Filters;
use engine::networks::runs;
use serde_json::{Value, json};

use super::inspect::mounts;
use super::network;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time;

const FILTER_KEYS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "isolation",
    "is-task",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

const STATES: &[&str] = &["created", "running", "paused", "restarting", "removing", "exited", "dead"];

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let filters = Filters::parse(call.query.get("filters"), FILTER_KEYS).map_err(engine::Error::from)?;
    if let Some(wrong) = filters.values("status").find(|status| !STATES.contains(status)) {
        let states = STATES.join(", ");
        return Err(Error::invalid(format!(
            "invalid filter 'status={wrong}': invalid value for state ({wrong}): must be one of {states}"
        )));
    }
    let limit = call.query.number::<i64>("limit")?.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0);
    // As dockerd: asking for a number of containers, or for a state, asks for those that don't run too.
    let all = call.query.flag("all") || limit.is_some() || filters.has("status") || filters.has("exited");
    let views = call.engine.containers.list();
    let window = window(&call, &filters)?;
    let admitted = views
        .iter()
        .filter(|view| all || view.shown().is_running())
        .filter(|view| window.admits(view) && admits(&call, &filters, view))
        .take(limit.unwrap_or(usize::MAX));
    let (sized, names) = (call.query.flag("size"), call.engine.containers.link_names());
    let list: Vec<Value> = match sized {
        false => admitted.map(|view| summary(&call, view, &names)).collect(),
        true => {
            let engine = call.engine.clone();
            let usage = tasks::blocking(move || engine::disk::measure(&engine)).await;
            let usage = usage.unwrap_or_default();
            admitted.map(|view| with_sizes(&call, view, &names, &usage)).collect()
        }
    };
    Ok(reply::json(&list))
}

/// One container's entry, as in the listing and in `system df`.
pub(crate) fn summary(call: &Call, view: &View, names: &LinkNames) -> Value {
    let container = &view.container;
    let mut entry = json!({
        "Id": container.id,
        "Names": names.of_container(container),
        "Image": container.config.image,
        "ImageID": container.image.as_str(),
        "Command": command_line(&container.command()),
        "Created": time::seconds(container.created),
        "Ports": network::port_list(container),
        "Labels": container.config.labels.clone().unwrap_or_default(),
        "State": view.shown().word(),
        "Status": status(view, SystemTime::now()),
        "HostConfig": host_config(call, container),
        "NetworkSettings": { "Networks": network::listed_endpoints(&call.engine, container) },
        "Mounts": mounts(&call.engine, container),
    });
    // 1.52 lists the state of health for each container.
    if call.since(52)
        && let Some(fields) = entry.as_object_mut()
    {
        let streak = view.health.as_ref().map_or(0, |health| health.streak);
        fields.insert("Health".into(), json!({ "Status": health(view), "FailingStreak": streak }));
    }
    entry
}

fn host_config(call: &Call, container: &Container) -> Value {
    let mut host = json!({ "NetworkMode": container.host.network_mode });
    if call.since(46)
        && let (Some(annotations), Some(fields)) = (&container.host.annotations, host.as_object_mut())
    {
        fields.insert("Annotations".into(), json!(annotations));
    }
    host
}

fn with_sizes(call: &Call, view: &View, names: &LinkNames, usage: &engine::disk::Usage) -> Value {
    let mut entry = summary(call, view, names);
    let written = usage.written_by(&view.container.id);
    let image =
        call.engine.images.catalogue().images.get(&view.container.image).map_or(0, |image| image.size());
    if let Some(fields) = entry.as_object_mut() {
        if written > 0 {
            fields.insert("SizeRw".into(), json!(written));
        }
        fields.insert("SizeRootFs".into(), json!(written + image));
    }
    entry
}

/// dockerd quotes an argument with spaces by single quotes, here only.
fn command_line(words: &[String]) -> String {
    let quote = |word: &String| match word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// `none` for one that nothing checks.
fn health(view: &View) -> &'static str {
    view.health.as_ref().map_or("none", |health| health.status.as_str())
}

fn status(view: &View, now: SystemTime) -> String {
    let state = view.shown();
    let since = |at: SystemTime| time::human_duration(now.duration_since(at).unwrap_or_default().as_secs());
    match &*state {
        State::Created | State::Starting | State::StartingAgain(_) | State::Exited { started: None, .. } => {
            "Created".into()
        }
        State::Running(live) => match health(view) {
            "none" => format!("Up {}", since(live.since)),
            "starting" => format!("Up {} (health: starting)", since(live.since)),
            health => format!("Up {} ({health})", since(live.since)),
        },
        State::Paused(live) => format!("Up {} (Paused)", since(live.since)),
        State::Restarting { exit, .. } => format!("Restarting ({}) {} ago", exit.code, since(exit.at)),
        State::Exited { exit, .. } => format!("Exited ({}) {} ago", exit.code, since(exit.at)),
        State::Removing => "Removal In Progress".into(),
    }
}

/// `before` and `since` another container.
struct Window {
    before: Option<SystemTime>,
    since: Option<SystemTime>,
}

impl Window {
    fn admits(&self, view: &View) -> bool {
        let created = view.container.created;
        self.before.is_none_or(|before| created < before) && self.since.is_none_or(|since| created > since)
    }
}

fn window(call: &Call, filters: &Filters) -> Result<Window, Error> {
    let created = |key| -> Result<Option<SystemTime>, Error> {
        let Some(name) = filters.values(key).next() else { return Ok(None) };
        Ok(Some(call.engine.containers.get(name)?.view().container.created))
    };
    for key in ["expose", "publish"] {
        for wanted in filters.values(key) {
            let wrong = |why| Error::invalid(format!("error while looking up for {key} {wanted}: {why}"));
            PortRange::read(wanted).map_err(wrong)?;
        }
    }
    Ok(Window { before: created("before")?, since: created("since")? })
}

fn admits(call: &Call, filters: &Filters, view: &View) -> bool {
    let container = &view.container;
    let label = |name: &str| container.config.labels.as_ref()?.get(name).map(String::as_str);
    let exit_code = container.state.exit().map(|exit| exit.code.to_string());
    let exposed = |wanted: &str| {
        let ports = container.config.exposed_ports.as_ref();
        let range = PortRange::read(wanted).ok().zip(ports);
        range.is_some_and(|(range, ports)| runs::has_any(ports, range.transport, range.first, range.last))
    };
    let published = |wanted: &str| {
        PortRange::read(wanted).is_ok_and(|range| {
            let mut ports = container.ports.iter();
            ports.any(|port| range.meets(port.transport.name(), port.first, port.last()))
        })
    };
    let in_network = |wanted: &str| {
        let own = container.endpoints.iter();
        own.into_iter().any(|(name, endpoint)| name == wanted || endpoint.network_id == wanted)
            || container.host.network_mode == wanted
    };
    filters.admits_by("id", |id| container.id.starts_with(id))
        && filters.admits_by("name", |name| is_named(&container.name, name))
        && filters.admits("status", &[view.shown().word()])
        && filters.admits_by("exited", |code| exit_code.as_deref() == Some(code))
        && filters.admits_by("ancestor", |image| descends(call, view, image))
        && filters.admits_by("network", in_network)
        && filters.admits("health", &[health(view)])
        && filters.admits("is-task", &["false", "0"])
        && filters.admits_by("expose", exposed)
        && filters.admits_by("publish", published)
        && filters.admits_by("volume", |volume| mounts_at(view, volume))
        && filters.admits_labels("label", label)
}

/// `80`, `80/udp` or `80-90/tcp`.
struct PortRange<'a> {
    first: u16,
    last: u16,
    transport: &'a str,
}

impl<'a> PortRange<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        let (ports, transport) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let number = |text: &str| match text.parse::<u64>().map(u16::try_from) {
            Ok(Ok(number)) => Ok(number),
            Ok(Err(_)) => Err(format!("strconv.ParseUint: parsing {text:?}: value out of range")),
            Err(_) => Err(format!("strconv.ParseUint: parsing {text:?}: invalid syntax")),
        };
        Ok(Self { first: number(first)?, last: number(last)?, transport })
    }

    /// Whether one of these ports is one of those.
    fn meets(&self, transport: &str, first: u16, last: u16) -> bool {
        transport == self.transport && first <= self.last && self.first <= last
    }
}

/// dockerd takes a regular expression; what people write is a part of the name, perhaps anchored.
fn is_named(name: &str, wanted: &str) -> bool {
    let slashed = format!("/{name}");
    let (start, rest) = wanted.strip_prefix('^').map_or((false, wanted), |rest| (true, rest));
    let (end, text) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
    let fits = |name: &str| match (start, end) {
        (true, true) => name == text,
        (true, false) => name.starts_with(text),
        (false, true) => name.ends_with(text),
        (false, false) => name.contains(text),
    };
    fits(name) || fits(&slashed)
}

fn mounts_at(view: &View, wanted: &str) -> bool {
    let listed = view.container.mounts.iter().filter(|point| point.listed);
    listed
        .into_iter()
        .any(|point| [&point.name, &point.source, &point.destination].iter().any(|text| *text == wanted))
}

fn descends(call: &Call, view: &View, image: &str) -> bool {
    view.container.config.image == image
        || matches!(call.engine.images.catalogue().find(image), Ok(Some(found)) if found.id == view.container.image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_part_or_anchored() {
        for wanted in ["web", "we", "^web", "^/web", "eb$", "^web$", "^/web$"] {
            assert!(is_named("web", wanted), "{wanted}");
        }
        for wanted in ["x", "^eb", "we$", "^we$"] {
            assert!(!is_named("web", wanted), "{wanted}");
        }
    }

    #[test]
    fn a_command_is_one_line() {
        let words: Vec<String> = ["sh", "-c", "echo hi"].map(str::to_owned).into();
        assert_eq!(command_line(&words), "sh -c 'echo hi'");
    }
}
