//! `POST /auth`: checks credentials against a registry.

use http::StatusCode;
use serde_json::Value;

use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let body = Call::json(call.request).await?;
    if body.is_null() {
        // dockerd's text and status for a missing body.
        return Err(Error::new(StatusCode::INTERNAL_SERVER_ERROR, "EOF"));
    }
    check_types(&body)?;
    let server = body.get("serveraddress").and_then(|value| value.as_str()).unwrap_or_default();
    let server = if server.is_empty() { "https://index.docker.io/v1/" } else { server };
    // Saying "Login Succeeded" without having asked would store wrong credentials.
    Err(Error::refused(
        "/auth",
        &format!("this version of Ketch does not reach registries, so not {server} either"),
    ))
}

/// dockerd decodes into texts and answers 500 with Go's sentence for anything else.
fn check_types(body: &Value) -> Result<(), Error> {
    let wrong = |found: &Value, place: &str| {
        let kind = match found {
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) | Value::Null => "string",
        };
        let message = format!("json: cannot unmarshal {kind} into Go {place}");
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    };
    let Some(fields) = body.as_object() else { return Err(wrong(body, "value of type registry.AuthConfig")) };
    let known = ["username", "password", "auth", "email", "serveraddress", "identitytoken", "registrytoken"];
    for (key, value) in fields.iter().filter(|(key, _)| known.contains(&key.as_str())) {
        if !value.is_string() && !value.is_null() {
            return Err(wrong(value, &format!("struct field .{key} of type string")));
        }
    }
    Ok(())
}
