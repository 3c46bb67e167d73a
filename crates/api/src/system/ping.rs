//! `GET|HEAD /_ping`: is somebody there, and what does it speak?

use http::HeaderValue;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn get(_: Call) -> Result<Reply, Error> {
    // For HEAD, hyper sends these headers and no body.
    let mut reply = reply::text("OK");
    let headers = reply.headers_mut();
    for (name, value) in [
        ("builder-version", "2"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("swarm", "inactive"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(reply)
}
