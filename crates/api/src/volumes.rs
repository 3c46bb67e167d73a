//! `/volumes`.

pub(crate) mod content;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use engine::Engine;
use engine::filters::Filters;
use engine::volumes::{CreateVolume, PRUNE_KEYS, Volume};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::{Call, understood};
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time;

const LIST_KEYS: &[&str] = &["dangling", "driver", "label", "name"];

async fn blocking<T: Send + 'static>(
    engine: &Arc<Engine>,
    work: impl FnOnce(&Engine) -> Result<T, engine::Error> + Send + 'static,
) -> Result<T, Error> {
    let engine = engine.clone();
    let done = tasks::blocking(move || work(&engine)).await;
    Ok(done.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot work on volumes: {error}"))
    })??)
}

/// `GET /volumes`.
pub(crate) async fn list(call: Call) -> Result<Reply, Error> {
    let filters = Filters::parse(call.query.get("filters"), LIST_KEYS).map_err(engine::Error::from)?;
    let dangling = filters.flag("dangling").map_err(engine::Error::from)?;
    let volumes = blocking(&call.engine, move |engine| {
        let mut shown = Vec::new();
        let held = dangling.map(|_| engine.volumes.held()).transpose()?.unwrap_or_default();
        for volume in engine.volumes.list()? {
            let label = |name: &str| volume.labels.as_ref()?.get(name).map(String::as_str);
            let admitted = filters.admits("driver", &[volume.driver()])
                && filters.admits_by("name", |wanted| volume.name.contains(wanted))
                && filters.admits_labels("label", label);
            let fits = match dangling.filter(|_| admitted) {
                Some(wanted) => held.contains(&volume.name) != wanted,
                None => admitted,
            };
            shown.extend(fits.then_some(volume));
        }
        Ok(shown)
    });
    let volumes = volumes.await?;
    let described: Vec<Entry<'_>> = volumes.iter().map(|volume| Entry::of(&call.engine, volume)).collect();
    Ok(reply::json(&Listing { volumes: described, warnings: None }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Listing<'a> {
    volumes: Vec<Entry<'a>>,
    warnings: Option<()>,
}

/// What is said of a volume everywhere. A shape of its own, since there may be thousands.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    created_at: String,
    driver: &'a str,
    labels: &'a Option<BTreeMap<String, String>>,
    mountpoint: PathBuf,
    name: &'a str,
    options: &'a Option<BTreeMap<String, String>>,
    scope: &'static str,
}

impl<'a> Entry<'a> {
    fn of(engine: &Engine, volume: &'a Volume) -> Self {
        Self {
            created_at: time::rfc3339_seconds(volume.created),
            driver: volume.driver(),
            labels: &volume.labels,
            mountpoint: engine.volumes.mountpoint(volume),
            name: &volume.name,
            options: &volume.options,
            scope: "local",
        }
    }
}

/// The same as JSON that others add to.
pub(crate) fn describe(engine: &Engine, volume: &Volume) -> Value {
    json!(Entry::of(engine, volume))
}

/// `GET /volumes/{name}`.
pub(crate) async fn inspect(call: Call) -> Result<Reply, Error> {
    let name = call.name().to_owned();
    let (volume, status, scope) = blocking(&call.engine, move |engine| {
        let volume = engine.volumes.get(&name)?;
        let (status, scope) = engine.volumes.told(&volume)?;
        Ok((volume, status, scope))
    })
    .await?;
    let mut described = describe(&call.engine, &volume);
    described["Scope"] = json!(scope);
    if let Some(status) = status {
        described["Status"] = json!(status);
    }
    Ok(reply::json(&described))
}

/// `POST /volumes/create`.
pub(crate) async fn create(call: Call) -> Result<Reply, Error> {
    let engine = call.engine.clone();
    let body = match Call::json(call.request).await? {
        Value::Null => json!({}),
        body => body,
    };
    let request: CreateVolume = understood(&body)?;
    let volume = blocking(&engine, move |engine| engine.volumes.create(request)).await?;
    Ok(reply::json_with(StatusCode::CREATED, &describe(&engine, &volume)))
}

/// `DELETE /volumes/{name}`.
pub(crate) async fn remove(call: Call) -> Result<Reply, Error> {
    let (name, force) = (call.name().to_owned(), call.query.flag("force"));
    let removed = blocking(&call.engine, move |engine| match engine.volumes.get(&name) {
        // It isn't there, and that is what was wanted.
        Err(_) if force => Ok(()),
        _ if force => engine.volumes.remove_by_force(&name),
        _ => engine.volumes.remove(&name),
    });
    removed.await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `PUT /volumes/{name}`: for volumes of a swarm.
pub(crate) async fn update(mut call: Call) -> Result<Reply, Error> {
    call.ignore_body().await?;
    let message = "volume update only valid for cluster volumes, but swarm is unavailable";
    Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, message))
}

/// `POST /volumes/prune`. Before 1.42 all went that nobody used.
pub(crate) async fn prune(call: Call) -> Result<Reply, Error> {
    let filters = Filters::parse(call.query.get("filters"), PRUNE_KEYS).map_err(engine::Error::from)?;
    let everything = call.before(42);
    let pruned = blocking(&call.engine, move |engine| engine.volumes.prune(&filters, everything)).await?;
    Ok(reply::json(&json!({ "VolumesDeleted": pruned.names, "SpaceReclaimed": pruned.reclaimed })))
}
