//! `GET /containers/{id}/changes` and `/export`.

use http::StatusCode;
use serde_json::{Value, json};

use super::blocking;
use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn changes(call: Call) -> Result<Reply, Error> {
    let handle = call.engine.containers.get(call.name())?;
    let engine = call.engine;
    let changes = blocking(move || engine.containers.changes(&handle)).await?;
    let change = |change: &engine::containers::Change| json!({ "Path": format!("/{}", String::from_utf8_lossy(&change.path)), "Kind": change.kind as u8 });
    let changes: Vec<Value> = changes.iter().map(change).collect();
    // Go's empty list.
    Ok(reply::json(&if changes.is_empty() { Value::Null } else { changes.into() }))
}

pub(crate) async fn export(call: Call) -> Result<Reply, Error> {
    let handle = call.engine.containers.get(call.name())?;
    let engine = call.engine;
    let export = blocking(move || engine.containers.export(&handle)).await?;
    let body = body::written(move |out| {
        export
            .write(out)
            .inspect_err(|error| tracing::warn!(error = diag::chain(error), "an export ended early"))
    });
    Ok(reply::with_type(StatusCode::OK, "application/x-tar", body))
}
