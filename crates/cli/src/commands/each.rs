//! The same request for each of several names: what succeeds is printed, what fails is reported, all are tried.

use client::{Engine, encode};
use http::Method;

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// Asks for every argument; prints the argument after each success.
pub(crate) fn each(call: &Call, request: impl Fn(&str) -> (Method, String)) -> Outcome {
    call.with_engine(|engine| async move {
        let mut failures = Vec::new();
        for name in call.args() {
            let (method, path) = request(&encode(name));
            match engine.call(method, &path, None).await {
                Ok(_) => ui::out(&format!("{name}\n"))?,
                Err(error) => failures.push(unless_fatal(error)?),
            }
        }
        finish(&failures)
    })
}

/// An engine that isn't there fails once, not once for each name.
pub(crate) fn unless_fatal(error: client::Error) -> Result<String, Error> {
    match error {
        client::Error::Response { .. } => Ok(error.to_string()),
        other => Err(other.into()),
    }
}

/// All failures together, one line each.
pub(crate) fn finish(failures: &[String]) -> Outcome {
    if failures.is_empty() { Ok(0) } else { Err(Error::Several(failures.join("\n"))) }
}

/// The exit code of a container, when it ends.
pub(crate) async fn exit_code(engine: &Engine, id: &str, condition: &str) -> Result<i32, Error> {
    let path = format!("/containers/{}/wait?condition={condition}", encode(id));
    let answer = engine.call(Method::POST, &path, None).await?.json()?;
    exit_code_of(&answer)
}

/// The exit code in a wait's answer.
pub(crate) fn exit_code_of(answer: &serde_json::Value) -> Result<i32, Error> {
    if let Some(message) = answer["Error"]["Message"].as_str().filter(|message| !message.is_empty()) {
        return Err(Error::Usage(message.to_owned()));
    }
    let code = answer["StatusCode"].as_i64().and_then(|code| i32::try_from(code).ok());
    code.ok_or_else(|| Error::Usage("the engine's answer to wait has no status code".into()))
}
