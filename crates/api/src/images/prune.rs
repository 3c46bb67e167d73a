//! `POST /images/prune`.

use engine::filters::Filters;
use engine::images::PRUNE_KEYS;
use http::StatusCode;
use serde_json::{Value, json};

use super::remove;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let filters = Filters::parse(call.query.get("filters"), PRUNE_KEYS).map_err(engine::Error::from)?;
    let engine = call.engine.clone();
    let pruned = tasks::blocking(move || engine.images.prune(&filters, &engine.containers)).await;
    let pruned = pruned.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot prune images: {error}"))
    })??;
    let deleted = match pruned.removed.is_empty() {
        // Go's nil slice.
        true => Value::Null,
        false => remove::entries(pruned.removed).into(),
    };
    Ok(reply::json(&json!({ "ImagesDeleted": deleted, "SpaceReclaimed": pruned.reclaimed })))
}
