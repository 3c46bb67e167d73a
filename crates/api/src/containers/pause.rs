//! `POST /containers/{id}/pause` and `/unpause`.

use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    call.engine.containers.get(call.name())?.pause().await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn unpause(call: Call) -> Result<Reply, Error> {
    call.engine.containers.get(call.name())?.unpause().await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
