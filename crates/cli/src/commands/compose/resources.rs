//! A project's networks and volumes: made before its containers, removed after them.

use client::{Engine, encode};
use compose::{Project, labels};
use futures_util::future::try_join_all;
use http::Method;
use serde_json::Value;

use super::report::Report;
use crate::error::Error;

/// Makes what isn't there yet.
pub(super) async fn make(engine: &Engine, project: &Project, report: Report) -> Result<(), Error> {
    let networks = project.names("networks").into_iter().map(|key| network(engine, project, key, report));
    let volumes = project.names("volumes").into_iter().map(|key| volume(engine, project, key, report));
    try_join_all(networks).await?;
    try_join_all(volumes).await.map(drop)
}

async fn find(engine: &Engine, path: &str) -> Result<Option<Value>, Error> {
    match engine.get(path).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_status(404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn network(engine: &Engine, project: &Project, key: &str, report: Report) -> Result<(), Error> {
    let name = project.resource_name("networks", key);
    let found = find(engine, &format!("/networks/{}", encode(&name))).await?;
    let external = project.resource("networks", key).is_some_and(|network| network["external"] == true);
    match found {
        Some(found) => foreign("network", &name, &found["Labels"], project, labels::NETWORK, key, external),
        None if external => {
            Err(Error::Usage(format!("network {name} declared as external, but could not be found")))
        }
        None => {
            report.begins("Network", &name, "Creating");
            engine.call(Method::POST, "/networks/create", Some(&project.network(key))).await?;
            report.done("Network", &name, "Created");
            Ok(())
        }
    }
}

async fn volume(engine: &Engine, project: &Project, key: &str, report: Report) -> Result<(), Error> {
    let name = project.resource_name("volumes", key);
    let found = find(engine, &format!("/volumes/{}", encode(&name))).await?;
    let external = project.resource("volumes", key).is_some_and(|volume| volume["external"] == true);
    match found {
        Some(found) => foreign("volume", &name, &found["Labels"], project, labels::VOLUME, key, external),
        None if external => Err(Error::Usage(format!("external volume {name:?} not found"))),
        None => {
            report.begins("Volume", &name, "Creating");
            engine.call(Method::POST, "/volumes/create", Some(&project.volume(key))).await?;
            report.done("Volume", &name, "Created");
            Ok(())
        }
    }
}

/// What has our name and isn't ours is used by nobody unasked.
fn foreign(
    kind: &str,
    name: &str,
    found: &Value,
    project: &Project,
    label: &str,
    key: &str,
    external: bool,
) -> Result<(), Error> {
    if external {
        return Ok(());
    }
    let owner = found[labels::PROJECT].as_str().unwrap_or_default();
    if owner == project.name && found[label] == key {
        return Ok(());
    }
    // docker's client warns and goes on with a volume; so data isn't out of reach.
    if kind == "volume" {
        let of = if owner.is_empty() {
            "was not created by Compose".to_owned()
        } else {
            format!("belongs to project {owner:?}")
        };
        crate::ui::err(&format!(
            "WARN[0000] volume {name:?} already exists but {of}. Use `external: true` to use an existing volume"
        ));
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{kind} {name} was found but has incorrect label {label} set to {:?} (expected: {key:?}); say external: true to use it as it is",
        found[label].as_str().unwrap_or_default()
    )))
}
