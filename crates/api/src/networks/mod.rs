//! `/networks`.

mod connect;
mod describe;

use engine::filters::Filters;
use engine::networks::{CreateNetwork, Network, PRUNE_KEYS};
use http::StatusCode;
use serde_json::{Value, json};

pub(crate) use connect::{connect, disconnect};

use crate::call::{Call, understood};
use crate::error::Error;
use crate::reply::{self, Reply};

const LIST_KEYS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];

/// `GET /networks`.
pub(crate) async fn list(call: Call) -> Result<Reply, Error> {
    let filters = Filters::parse(call.query.get("filters"), LIST_KEYS).map_err(engine::Error::from)?;
    check_list_filters(&filters)?;
    let used = |network: &Network| {
        call.engine.containers.list().iter().any(|view| view.container.endpoints.contains_key(&network.name))
    };
    let admitted = |network: &&Network| {
        let label = |name: &str| network.labels.get(name).map(String::as_str);
        let kind = if network.is_predefined() { "builtin" } else { "custom" };
        filters.admits("driver", &[network.driver.name()])
            && filters.admits("scope", &["local"])
            && filters.admits("type", &[kind])
            && filters.admits_by("id", |value| network.id.starts_with(value))
            && filters.admits_by("name", |value| network.name.contains(value))
            && filters.admits_labels("label", label)
            && filters.admits_by("dangling", |value| {
                matches!(value, "1" | "true") == (!used(network) && !network.is_predefined())
            })
    };
    let networks = call.engine.networks.list();
    let shown: Vec<Value> = networks.iter().filter(admitted).map(describe::summary).collect();
    Ok(reply::json(&shown))
}

fn check_list_filters(filters: &Filters) -> Result<(), Error> {
    if let Some(value) = filters.values("type").find(|value| !matches!(*value, "builtin" | "custom")) {
        return Err(Error::invalid(format!("invalid filter: 'type'='{value}'")));
    }
    if filters.values("dangling").any(|value| !matches!(value, "0" | "1" | "true" | "false")) {
        let why = "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")";
        return Err(Error::invalid(why.to_owned()));
    }
    Ok(())
}

/// `GET /networks/{id}`.
pub(crate) async fn inspect(call: Call) -> Result<Reply, Error> {
    let network = call.engine.networks.get(call.name())?;
    let scope = call.query.get("scope");
    if !matches!(scope, "" | "local") {
        return Err(Error::new(StatusCode::NOT_FOUND, format!("network {} not found", call.name())));
    }
    Ok(reply::json(&describe::whole(&call, &network)))
}

/// `POST /networks/create`.
pub(crate) async fn create(call: Call) -> Result<Reply, Error> {
    let engine = call.engine.clone();
    let body = match Call::json(call.request).await? {
        Value::Null => json!({}),
        body => body,
    };
    let request: CreateNetwork = understood(&body)?;
    let made = tasks::blocking(move || engine.networks.create(request)).await;
    let network = made.map_err(|error| crashed("create a network", &error))??;
    Ok(reply::json_with(StatusCode::CREATED, &json!({ "Id": network.id, "Warning": "" })))
}

/// `DELETE /networks/{id}`.
pub(crate) async fn remove(call: Call) -> Result<Reply, Error> {
    let (engine, name) = (call.engine.clone(), call.name().to_owned());
    let removed = tasks::blocking(move || engine.networks.remove(&name, &engine.containers)).await;
    removed.map_err(|error| crashed("remove a network", &error))??;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /networks/prune`.
pub(crate) async fn prune(call: Call) -> Result<Reply, Error> {
    let filters = Filters::parse(call.query.get("filters"), PRUNE_KEYS).map_err(engine::Error::from)?;
    let engine = call.engine.clone();
    let pruned = tasks::blocking(move || engine.networks.prune(&filters, &engine.containers)).await;
    let pruned = pruned.map_err(|error| crashed("prune networks", &error))??;
    // Go's nil slice.
    let names = if pruned.names.is_empty() { Value::Null } else { json!(pruned.names) };
    Ok(reply::json(&json!({ "NetworksDeleted": names })))
}

fn crashed(doing: &str, error: &tokio::task::JoinError) -> Error {
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot {doing}: {error}"))
}
