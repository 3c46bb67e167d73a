//! `GET /images/{name}/get` and `GET /images/get`: an archive of images.

use http::StatusCode;

use super::platform;
use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn one(call: Call) -> Result<Reply, Error> {
    let names = vec![call.name().to_owned()];
    save(call, names).await
}

pub(crate) async fn several(call: Call) -> Result<Reply, Error> {
    // Once with several values, or several times.
    let names = call.query.all("names").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    save(call, names).await
}

async fn save(call: Call, names: Vec<String>) -> Result<Reply, Error> {
    let wanted = platform::several(&call, "platform")?;
    let engine = call.engine.clone();
    let looked = tasks::blocking(move || {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        engine.images.archive(&names, &wanted)
    });
    let archive = looked.await.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot save images: {error}"))
    })??;
    let engine = call.engine.clone();
    let body = body::written(move |out| {
        engine.images.save(&archive, out).inspect_err(|error| {
            tracing::warn!(error = diag::chain(error), "an image archive ended early");
        })
    });
    Ok(reply::with_type(StatusCode::OK, "application/x-tar", body))
}
