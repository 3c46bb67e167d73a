//! `GET /containers/{id}/top`.

use serde_json::json;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let options = match call.query.get("ps_args") {
        "" => "-ef",
        given => given,
    };
    let top = call.engine.containers.top(call.name(), options).await?;
    Ok(reply::json(&json!({ "Processes": top.processes, "Titles": top.titles })))
}
