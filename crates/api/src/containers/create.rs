//! `POST /containers/create`.

use engine::containers::config::Create;
use engine::networks::runs::Body;
use http::StatusCode;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let (shares, query, engine) = (call.before(40), call.query, call.engine);
    let mut body = Call::read::<Body>(call.request).await?.map_or(Value::Null, |body| body.0);
    if body.is_null() {
        return Err(Error::invalid("invalid JSON: got EOF while reading request body"));
    }
    if let Some(host) = body.get_mut("HostConfig").and_then(Value::as_object_mut).filter(|_| shares) {
        // Before 1.40 who said nothing had memory that others may join; since then it's the engine's own setting.
        let mode = host.entry("IpcMode").or_insert_with(|| "".into());
        if mode == "" {
            *mode = "shareable".into();
        }
    }
    let mut request = Create::from_json(body)?;
    let given = |key| Some(query.get(key).to_owned()).filter(|text| !text.is_empty());
    request.name = given("name");
    request.platform = given("platform");
    let created = tasks::blocking(move || engine.containers.create(request)).await;
    let created = created.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot create a container: {error}"))
    })??;
    Ok(reply::json_with(StatusCode::CREATED, &json!({ "Id": created.id, "Warnings": created.warnings })))
}
