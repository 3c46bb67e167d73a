//! `POST /images/load`: an archive in, a line for each image out.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::json;

use super::platform;
use crate::body::{self, BlockingReader};
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let wanted = platform::one(&call)?;
    let engine = call.engine.clone();
    let archive = BlockingReader::new(call.request.into_body());
    let since = SystemTime::now();
    let loaded =
        tasks::blocking(move || archive.lend(|archive| engine.images.load(archive, wanted.as_ref()))).await;
    let loaded = loaded.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot load images: {error}"))
    })??;
    call.engine.make_room(since).await;
    let lines: String =
        loaded.iter().map(|line| format!("{}\r\n", json!({ "stream": format!("{line}\n") }))).collect();
    Ok(reply::with_type(StatusCode::OK, "application/json", body::full(lines)))
}
