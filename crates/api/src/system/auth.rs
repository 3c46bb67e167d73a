//! `POST /auth`: checks credentials against a registry.

use http::StatusCode;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let body = Call::json(call.request).await?;
    if body.is_null() {
        // dockerd's text and status for a missing body.
        return Err(Error::new(StatusCode::INTERNAL_SERVER_ERROR, "EOF"));
    }
    check_types(&body)?;
    let server = body.get("serveraddress").and_then(|value| value.as_str()).unwrap_or_default();
    let server = if server.is_empty() { "https://index.docker.io/v1/" } else { server };
    let domain = domain(server);
    let text = body.to_string();
    let Some(credentials) = engine::images::from_json(text.as_bytes())? else {
        return Err(Error::invalid("no username, password or token was given"));
    };
    let login = call.engine.registries().login(domain, &credentials).await.map_err(engine::Error::from)?;
    let identity = login.identity.as_ref().map(|secret| secret.reveal()).unwrap_or_default();
    Ok(reply::json(&json!({ "Status": "Login Succeeded", "IdentityToken": identity })))
}

/// `https://index.docker.io/v1/` and `https://r.example/v2/` are docker.io and r.example.
fn domain(server: &str) -> &str {
    let bare = server.trim_start_matches("https://").trim_start_matches("http://");
    match bare.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        domain => domain,
    }
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
