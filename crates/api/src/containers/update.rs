//! `POST /containers/{id}/update`.

use engine::containers::Update;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let Call { engine, params, request, .. } = call;
    let update = Update::from_json(Call::json(request).await?)?;
    engine.containers.get(params.first().map_or("", String::as_str))?.update(update).await?;
    Ok(reply::json(&json!({ "Warnings": Value::Null })))
}
