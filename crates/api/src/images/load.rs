//! `POST /images/load`: an archive in, a line for each image out.

use http::StatusCode;
use serde_json::json;

use crate::body::{self, BlockingReader};
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    if !call.query.get("platform").is_empty() {
        return Err(Error::refused(
            "platform",
            "this version of Ketch loads every image that an archive has",
        ));
    }
    let engine = call.engine.clone();
    let archive = BlockingReader::new(call.request.into_body());
    let loaded = tokio::task::spawn_blocking(move || engine.images.load(archive)).await;
    let loaded = loaded.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot load images: {error}"))
    })??;
    let lines: String =
        loaded.iter().map(|line| format!("{}\r\n", json!({ "stream": format!("{line}\n") }))).collect();
    Ok(reply::with_type(StatusCode::OK, "application/json", body::full(lines)))
}
