//! `POST /containers/{id}/start`.

use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    if ["checkpoint", "checkpoint-dir"].iter().any(|key| !call.query.get(key).is_empty()) {
        return Err(Error::refused("checkpoint", "checkpoints need CRIU, which Ketch does not use"));
    }
    call.engine.containers.get(call.name())?.start().await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
