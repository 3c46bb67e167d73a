//! `down`: a project's containers and networks go, and what else is asked for.

use std::collections::{BTreeMap, BTreeSet};

use client::{Engine, encode};
use compose::{Project, labels};
use futures_util::future::try_join_all;
use http::Method;
use serde_json::Value;

use super::observe::{self, OneOff};
use super::provider::{self, Verb};
use super::report::{Report, removes_orphans, tell_orphans};
use super::{order, project};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

struct Down {
    volumes: bool,
    orphans: bool,
    timeout: Option<i64>,
    images: Option<Images>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Images {
    /// Those without a name of the file's.
    Local,
    All,
}

/// `compose down`.
pub(crate) fn down(call: &Call) -> Outcome {
    let flags = call.flags();
    let images = match flags.text("rmi") {
        "" => None,
        "local" => Some(Images::Local),
        "all" => Some(Images::All),
        other => return Err(Error::Usage(format!("invalid value for --rmi: {other:?}"))),
    };
    let how = Down {
        volumes: flags.bool("volumes"),
        orphans: removes_orphans(call)?,
        timeout: flags.changed("timeout").then(|| flags.int("timeout")),
        images,
    };
    take_down(call, call.args(), &how)
}

/// The whole project, as `wait --down-project` asks for it.
pub(super) fn whole(call: &Call) -> Outcome {
    take_down(call, &[], &Down { volumes: false, orphans: false, timeout: None, images: None })
}

fn take_down(call: &Call, services: &[String], how: &Down) -> Outcome {
    let (name, project) = project::name(call)?;
    if let Some(project) = &project {
        project.known(services)?;
    }
    call.with_engine(|engine| async move {
        let there = observe::containers(&engine, &name, OneOff::With).await?;
        let nothing = there.is_empty();
        let orphaned = |one: &Value| project.as_ref().is_some_and(|project| is_orphan(project, one));
        let (orphans, own): (Vec<_>, Vec<_>) = there.into_iter().partition(|one| orphaned(one));
        let own = observe::of_services(own, services);
        let report = Report::new(call, false)?;
        remove_in_order(call, &engine, project.as_ref(), &own, services, how, report).await?;
        match (orphans.is_empty(), how.orphans) {
            (true, _) => {}
            (false, true) => remove_all(&engine, &orphans, how, report).await?,
            (false, false) => tell_orphans(&orphans.iter().map(observe::name).collect::<Vec<_>>()),
        }
        if !services.is_empty() {
            return Ok(0);
        }
        let gone = resources(&engine, &name, project.as_ref(), how, report).await?;
        if nothing && !gone {
            ui::err(&format!("WARN[0000] Warning: No resource found to remove for project {name:?}."));
        }
        Ok(0)
    })
}

pub(super) fn is_orphan(project: &Project, container: &Value) -> bool {
    project.is_orphan(observe::label(container, labels::SERVICE))
}

/// What depends on others goes before them.
async fn remove_in_order(
    call: &Call,
    engine: &Engine,
    project: Option<&Project>,
    own: &[Value],
    services: &[String],
    how: &Down,
    report: Report,
) -> Result<(), Error> {
    let Some(project) = project else { return remove_all(engine, own, how, report).await };
    let mut by_service: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for one in own {
        by_service.entry(observe::label(one, labels::SERVICE).to_owned()).or_default().push(one);
    }
    let mut names: Vec<_> = by_service.keys().cloned().collect();
    names.extend(provider::among(project, services));
    names.sort_unstable();
    names.dedup();
    let by_service = &by_service;
    order::backwards(project, &names, |name| async move {
        if project.provider(&name).is_some() {
            provider::end(call, project, &name, Verb::Down, report).await?;
        }
        let own = by_service.get(&name).into_iter().flatten();
        try_join_all(own.map(|one| async move {
            if one["State"] == "running" {
                super::run::pre_stop(engine, project, observe::label(one, labels::SERVICE), observe::id(one))
                    .await?;
            }
            remove(engine, one, how, report).await
        }))
        .await
        .map(drop)
    })
    .await
}

async fn remove_all(engine: &Engine, own: &[Value], how: &Down, report: Report) -> Result<(), Error> {
    try_join_all(own.iter().map(|one| remove(engine, one, how, report))).await.map(drop)
}

async fn remove(engine: &Engine, one: &Value, how: &Down, report: Report) -> Result<(), Error> {
    let (id, name) = (observe::id(one), observe::name(one));
    report.begins("Container", &name, "Stopping");
    if matches!(one["State"].as_str(), Some("running" | "paused" | "restarting")) {
        let seconds = how.timeout.map(|seconds| format!("?t={seconds}")).unwrap_or_default();
        let path = format!("/containers/{}/stop{seconds}", encode(id));
        unless_gone(engine.call(Method::POST, &path, None).await)?;
    }
    report.done("Container", &name, "Stopped");
    report.begins("Container", &name, "Removing");
    let volumes = if how.volumes { "&v=1" } else { "" };
    unless_gone(
        engine.call(Method::DELETE, &format!("/containers/{}?force=1{volumes}", encode(id)), None).await,
    )?;
    report.done("Container", &name, "Removed");
    Ok(())
}

/// What somebody else took away is away.
fn unless_gone<T>(result: Result<T, client::Error>) -> Result<(), Error> {
    match result {
        Err(error) if !error.is_status(404) => Err(error.into()),
        _ => Ok(()),
    }
}

/// Networks, volumes and images. Whether there were any.
async fn resources(
    engine: &Engine,
    name: &str,
    project: Option<&Project>,
    how: &Down,
    report: Report,
) -> Result<bool, Error> {
    let networks = observe::named(engine, "networks", name).await?;
    let mut gone = !networks.is_empty();
    let removed = networks.iter().map(|network| async move {
        let name = network["Name"].as_str().unwrap_or_default();
        report.begins("Network", name, "Removing");
        let id = network["Id"].as_str().unwrap_or(name);
        unless_used(engine, &format!("/networks/{}", encode(id)), "Network", name, report).await
    });
    try_join_all(removed).await?;
    if how.volumes {
        let volumes = observe::named(engine, "volumes", name).await?;
        gone |= !volumes.is_empty();
        try_join_all(volumes.iter().map(|volume| async move {
            let name = volume["Name"].as_str().unwrap_or_default();
            report.begins("Volume", name, "Removing");
            unless_used(engine, &format!("/volumes/{}", encode(name)), "Volume", name, report).await
        }))
        .await?;
    }
    if let (Some(which), Some(project)) = (how.images, project) {
        let is_meant = |service: &&str| {
            let named = project.service(service).is_some_and(|spec| spec["image"].is_string());
            project.provider(service).is_none() && (which == Images::All || !named)
        };
        let services = project.names("services").into_iter().filter(is_meant);
        let images: BTreeSet<String> = services.map(|service| project.image(service)).collect();
        for image in &images {
            report.begins("Image", image, "Removing");
            unless_used(engine, &format!("/images/{}", encode(image)), "Image", image, report).await?;
        }
    }
    Ok(gone)
}

/// Takes something away that others may use as well: then it stays, and that is told.
async fn unless_used(
    engine: &Engine,
    path: &str,
    kind: &str,
    name: &str,
    report: Report,
) -> Result<(), Error> {
    match engine.call(Method::DELETE, path, None).await {
        Err(error) if error.is_status(403) || error.is_status(409) => {
            report.done(kind, name, "Resource is still in use");
            Ok(())
        }
        other => unless_gone(other).map(|()| report.done(kind, name, "Removed")),
    }
}
