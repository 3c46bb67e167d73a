//! `POST /containers/{id}/rename`.

use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    call.engine.containers.get(call.name())?.rename(call.query.get("name")).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
