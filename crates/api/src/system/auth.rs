//! `POST /auth`: checks credentials against a registry.

use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let body = Call::json(call.request).await?;
    if body.is_null() {
        // dockerd's text and status for a missing body.
        return Err(Error::new(StatusCode::INTERNAL_SERVER_ERROR, "EOF"));
    }
    let server = body.get("serveraddress").and_then(|value| value.as_str()).unwrap_or_default();
    let server = if server.is_empty() { "https://index.docker.io/v1/" } else { server };
    // Saying "Login Succeeded" without having asked would store wrong credentials.
    Err(Error::refused(
        "/auth",
        &format!("this version of Ketch does not reach registries, so not {server} either"),
    ))
}
