//! A project's networks and volumes: made before its containers, removed after them; a network that is another
//! one by now is made anew, a volume stays.

use client::{Engine, encode};
use compose::container::{Facts, container};
use compose::plan::{self, Fate, Kind, Resource};
use compose::{Project, labels};
use futures_util::future::try_join_all;
use http::Method;
use serde_json::{Value, json};

use super::act::Act;
use super::observe;
use crate::error::Error;

/// What is to be done with each: nothing is done yet.
pub(super) async fn look(engine: &Engine, project: &Project) -> Result<Vec<Resource>, Error> {
    let of = |kind: Kind| project.names(kind.top()).into_iter().map(move |key| (kind, key));
    let all = of(Kind::Network).chain(of(Kind::Volume));
    try_join_all(all.map(|(kind, key)| one(engine, project, kind, key))).await
}

async fn one(engine: &Engine, project: &Project, kind: Kind, key: &str) -> Result<Resource, Error> {
    let name = project.resource_name(kind.top(), key);
    let external = project.resource(kind.top(), key).is_some_and(|one| one["external"] == true);
    let found = match engine.get(&format!("/{}/{}", kind.top(), encode(&name))).await {
        Ok(found) => Some(found),
        Err(error) if error.is_status(404) => None,
        Err(error) => return Err(error.into()),
    };
    match &found {
        Some(found) if !external => foreign(kind, &name, &found["Labels"], project, key)?,
        None if external && kind == Kind::Network => {
            return Err(Error::Usage(format!("network {name} declared as external, but could not be found")));
        }
        None if external => return Err(Error::Usage(format!("external volume {name:?} not found"))),
        _ => {}
    }
    Ok(plan::resource(project, kind, key, found.as_ref()))
}

/// Makes what isn't there yet, and anew what can be made anew; what is in it ends for that.
pub(super) async fn make(act: &Act<'_>, resources: &[Resource], there: &[Value]) -> Result<(), Error> {
    let of = |kind: Kind| resources.iter().filter(move |one| one.kind == kind);
    try_join_all(of(Kind::Network).map(|one| network(act, one, there))).await?;
    try_join_all(of(Kind::Volume).map(|one| volume(act, one))).await.map(drop)
}

async fn network(act: &Act<'_>, resource: &Resource, there: &[Value]) -> Result<(), Error> {
    let Resource { name, key, fate, .. } = resource;
    let left = match fate {
        Fate::Keep | Fate::Differs => return Ok(()),
        Fate::Create => Vec::new(),
        Fate::Renew => leave(act, name, there).await?,
    };
    act.report.begins("Network", name, "Creating");
    let made = act.engine.call(Method::POST, "/networks/create", Some(&act.project.network(key))).await;
    if let Err(error) = made {
        // The engine may just have made what a command that was interrupted asked it for.
        let ours = |found: Value| found["Labels"][labels::PROJECT] == act.project.name.as_str();
        let found = act.engine.get(&format!("/networks/{}", encode(name))).await;
        let is_there = matches!(error, client::Error::Response { status: 409, .. });
        if !(is_there && found.is_ok_and(ours)) {
            return Err(error.into());
        }
    }
    act.report.done("Network", name, "Created");
    // What isn't made anew goes on in the new one.
    let stays = |one: &&&Value| !act.meant.contains(observe::label(one, labels::SERVICE));
    try_join_all(left.iter().filter(stays).map(|one| rejoin(act, name, one))).await.map(drop)
}

/// Takes a network away, its containers out of it first: they are told. Until they are made anew or in it again they are
/// stopped, as none of them should run without it.
async fn leave<'v>(act: &Act<'_>, name: &str, there: &'v [Value]) -> Result<Vec<&'v Value>, Error> {
    let in_it: Vec<_> =
        there.iter().filter(|one| !one["NetworkSettings"]["Networks"][name].is_null()).collect();
    let path = format!("/networks/{}", encode(name));
    try_join_all(in_it.iter().map(|one| async {
        if one["State"] == "running" {
            act.end(observe::label(one, labels::SERVICE), observe::id(one), &observe::name(one)).await?;
        }
        let body = json!({ "Container": observe::id(one), "Force": true });
        let left = act.engine.call(Method::POST, &format!("{path}/disconnect"), Some(&body)).await;
        left.map(drop).map_err(Error::from)
    }))
    .await?;
    act.report.begins("Network", name, "Removing");
    act.engine.call(Method::DELETE, &path, None).await?;
    act.report.done("Network", name, "Removed");
    Ok(in_it)
}

async fn rejoin(act: &Act<'_>, network: &str, one: &Value) -> Result<(), Error> {
    let (id, service) = (observe::id(one), observe::label(one, labels::SERVICE));
    let wanted = container(act.project, service, observe::number(one), &Facts::default());
    let endpoint = wanted.map(|wanted| wanted.body["NetworkingConfig"]["EndpointsConfig"][network].clone());
    act.join(id, network, &endpoint.unwrap_or_default()).await?;
    match one["State"] == "running" {
        true => act.start(id, &observe::name(one)).await,
        false => Ok(()),
    }
}

async fn volume(act: &Act<'_>, resource: &Resource) -> Result<(), Error> {
    let Resource { name, key, fate, .. } = resource;
    match fate {
        Fate::Keep | Fate::Renew => {}
        Fate::Differs => crate::ui::err(&format!(
            "WARN[0000] Volume {name:?} exists but doesn't match configuration in compose file; it stays for the data in it. Remove it with \"volume rm\" to have it made anew"
        )),
        Fate::Create => {
            act.report.begins("Volume", name, "Creating");
            act.engine.call(Method::POST, "/volumes/create", Some(&act.project.volume(key))).await?;
            act.report.done("Volume", name, "Created");
        }
    }
    Ok(())
}

/// What has our name and isn't ours is used by nobody unasked.
fn foreign(kind: Kind, name: &str, found: &Value, project: &Project, key: &str) -> Result<(), Error> {
    let label = kind.label();
    let owner = found[labels::PROJECT].as_str().unwrap_or_default();
    if owner == project.name && found[label] == key {
        return Ok(());
    }
    // docker's client warns and goes on with a volume; so data isn't out of reach.
    if kind == Kind::Volume {
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
        "network {name} was found but has incorrect label {label} set to {:?} (expected: {key:?}); say external: true to use it as it is",
        found[label].as_str().unwrap_or_default()
    )))
}
