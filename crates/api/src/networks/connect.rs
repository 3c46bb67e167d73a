//! `POST /networks/{id}/connect` and `/disconnect`.

use engine::networks::{EndpointConfig, check_endpoint};
use http::StatusCode;
use serde::Deserialize;

use crate::call::{Call, understood};
use crate::error::Error;
use crate::reply::{self, Reply};

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Connect {
    container: String,
    endpoint_config: Option<EndpointConfig>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Disconnect {
    container: String,
    force: bool,
}

async fn body<T: serde::de::DeserializeOwned>(call: Call) -> Result<T, Error> {
    understood(&Call::json(call.request).await?)
}

pub(crate) async fn connect(call: Call) -> Result<Reply, Error> {
    let (engine, name) = (call.engine.clone(), call.name().to_owned());
    let asked: Connect = body(call).await?;
    let handle = engine.containers.get(&asked.container)?;
    let network = engine.networks.get(&name)?;
    let config = asked.endpoint_config.unwrap_or_default();
    check_endpoint(&network, &config).map_err(engine::Error::from)?;
    handle.connect(&network.name, config).await?;
    Ok(reply::empty(StatusCode::OK))
}

pub(crate) async fn disconnect(call: Call) -> Result<Reply, Error> {
    let (engine, name) = (call.engine.clone(), call.name().to_owned());
    let asked: Disconnect = body(call).await?;
    let handle = match engine.containers.get(&asked.container) {
        // Nobody is connected by that name, and that is what was wanted.
        Err(_) if asked.force => return Ok(reply::empty(StatusCode::OK)),
        handle => handle?,
    };
    let network = engine.networks.get(&name)?;
    handle.disconnect(&network.name).await?;
    Ok(reply::empty(StatusCode::OK))
}
