//! `POST /containers/{id}/start` and `/takeover`.

use std::time::Duration;

use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    if ["checkpoint", "checkpoint-dir"].iter().any(|key| !call.query.get(key).is_empty()) {
        return Err(Error::refused("checkpoint", "checkpoints need CRIU, which Ketch does not use"));
    }
    let container = call.engine.containers.get(call.name())?;
    match call.query.get("behind") {
        "" => container.start().await?,
        other => container.start_behind(&call.engine.containers.get(other)?).await?,
    }
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// What came to another container comes to this one. Answers when the other one has no connections left, or after so many seconds.
pub(crate) async fn takeover(call: Call) -> Result<Reply, Error> {
    let (new, old) =
        (call.engine.containers.get(call.name())?, call.engine.containers.get(call.query.get("from"))?);
    let patience = call.query.number("drain")?.unwrap_or(0);
    new.take_over(&old).await?;
    old.drain(Duration::from_secs(u64::try_from(patience).unwrap_or(0))).await;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
