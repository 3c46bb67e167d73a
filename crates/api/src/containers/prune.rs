//! `POST /containers/prune`.

use engine::containers::PRUNE_KEYS;
use engine::filters::Filters;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let filters = Filters::parse(call.query.get("filters"), PRUNE_KEYS).map_err(engine::Error::from)?;
    let pruned = call.engine.containers.prune(&filters).await?;
    // Go's nil slice.
    let deleted = if pruned.ids.is_empty() { Value::Null } else { json!(pruned.ids) };
    Ok(reply::json(&json!({ "ContainersDeleted": deleted, "SpaceReclaimed": pruned.reclaimed })))
}
