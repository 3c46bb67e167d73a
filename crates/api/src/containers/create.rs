//! `POST /containers/create`.

use engine::containers::config::Create;
use engine::networks::runs::Body;
use http::StatusCode;
use serde_json::json;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let body = Call::read::<Body>(call.request).await?.map_or(serde_json::Value::Null, |body| body.0);
    if body.is_null() {
        return Err(Error::invalid("invalid JSON: got EOF while reading request body"));
    }
    let mut request = Create::from_json(body)?;
    let given = |key| Some(call.query.get(key).to_owned()).filter(|text| !text.is_empty());
    request.name = given("name");
    request.platform = given("platform");
    let engine = call.engine.clone();
    let created = tokio::task::spawn_blocking(move || engine.containers.create(request)).await;
    let created = created.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot create a container: {error}"))
    })??;
    Ok(reply::json_with(StatusCode::CREATED, &json!({ "Id": created.id, "Warnings": created.warnings })))
}
