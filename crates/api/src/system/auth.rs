//! `POST /auth`: checks credentials against a registry.

use engine::registries::{Credentials, Secret};
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
    let field = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let credentials = credentials(&field)?;
    let server = field("serveraddress");
    let identity = call.engine.registries.login(&server, &credentials).await?;
    Ok(reply::json(&json!({ "Status": "Login Succeeded", "IdentityToken": identity.unwrap_or_default() })))
}

/// A token, or a name with its password.
fn credentials(field: &dyn Fn(&str) -> String) -> Result<Credentials, Error> {
    let identity = field("identitytoken");
    if !identity.is_empty() {
        return Ok(Credentials::Identity(Secret::new(identity)));
    }
    let registry = field("registrytoken");
    if !registry.is_empty() {
        return Ok(Credentials::Bearer(Secret::new(registry)));
    }
    let (name, password) = (field("username"), field("password"));
    match name.is_empty() {
        true => Err(Error::invalid("a username is needed to log in")),
        false => Ok(Credentials::Password { name, password: Secret::new(password) }),
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
