//! What is there of a project.

use client::{Engine, encode};
use compose::plan::Seen;
use compose::{Project, labels};
use serde_json::{Value, json};

use crate::error::Error;

/// Whether containers that `run` made are meant too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OneOff {
    Without,
    With,
}

/// The project's containers as the engine lists them, by service and number; those of `run` come behind.
pub(super) async fn containers(engine: &Engine, project: &str, one_off: OneOff) -> Result<Vec<Value>, Error> {
    let mut wanted = vec![format!("{}={project}", labels::PROJECT)];
    if one_off == OneOff::Without {
        wanted.push(format!("{}=False", labels::ONE_OFF));
    }
    let filters = json!({ "label": wanted }).to_string();
    let answer = engine.get(&format!("/containers/json?all=1&filters={}", encode(&filters))).await?;
    let mut list = answer.as_array().cloned().unwrap_or_default();
    list.sort_unstable_by_key(|one| {
        let is_one_off = label(one, labels::ONE_OFF) == "True";
        (label(one, labels::SERVICE).to_owned(), is_one_off, number(one), name(one))
    });
    Ok(list)
}

/// The same in the planner's words.
pub(super) fn seen(container: &Value) -> Seen {
    let own = |key: &str| label(container, key).to_owned();
    let networks = container["NetworkSettings"]["Networks"].as_object();
    Seen {
        id: container["Id"].as_str().unwrap_or_default().to_owned(),
        name: name(container),
        service: own(labels::SERVICE),
        number: number(container),
        hash: own(labels::HASH),
        image: own(labels::IMAGE),
        contents: own(labels::CONTENTS),
        fields: own(labels::FIELDS),
        actual: None,
        state: container["State"].as_str().unwrap_or_default().to_owned(),
        networks: networks.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
    }
}

/// The same, with all that the engine knows of those whose hash is another one by now.
pub(super) async fn seen_by(engine: &Engine, project: &Project, there: &[Value]) -> Result<Vec<Seen>, Error> {
    let mut all: Vec<_> = there.iter().map(seen).collect();
    for one in all.iter_mut().filter(|one| !one.fields.is_empty()) {
        if one.hash != project.hash(&one.service) {
            let path = format!("/containers/{}/json", encode(&one.id));
            one.actual = engine.get(&path).await.ok();
        }
    }
    Ok(all)
}

pub(super) fn label<'v>(container: &'v Value, key: &str) -> &'v str {
    container["Labels"][key].as_str().unwrap_or_default()
}

pub(super) fn number(container: &Value) -> u32 {
    label(container, labels::NUMBER).parse().unwrap_or(0)
}

pub(super) fn name(container: &Value) -> String {
    let first = container["Names"].as_array().and_then(|names| names.first()).and_then(Value::as_str);
    first.unwrap_or_default().trim_start_matches('/').to_owned()
}

pub(super) fn id(container: &Value) -> &str {
    container["Id"].as_str().unwrap_or_default()
}

/// The networks or volumes that carry the project's label, by name.
pub(super) async fn named(engine: &Engine, kind: &str, project: &str) -> Result<Vec<Value>, Error> {
    let filters = json!({ "label": [format!("{}={project}", labels::PROJECT)] }).to_string();
    let answer = engine.get(&format!("/{kind}?filters={}", encode(&filters))).await?;
    let list = if kind == "volumes" { &answer["Volumes"] } else { &answer };
    Ok(list.as_array().cloned().unwrap_or_default())
}

/// The containers of services that were asked for; of all if none was.
pub(super) fn of_services(containers: Vec<Value>, services: &[String]) -> Vec<Value> {
    let wanted =
        |one: &Value| services.is_empty() || services.iter().any(|name| name == label(one, labels::SERVICE));
    containers.into_iter().filter(wanted).collect()
}
