//! `GET|HEAD /_ping`: is somebody there, and what does it speak?

use http::{HeaderValue, Method};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    // HEAD says that there is no body, not how long it would be.
    let mut reply = reply::text(if call.request.method() == Method::HEAD { "" } else { "OK" });
    // The builder that clients are to use: BuildKit, unless the administrator switched it off.
    let buildkit = call.engine.live.load().features.get("buildkit").copied().unwrap_or(true);
    let headers = reply.headers_mut();
    for (name, value) in [
        ("builder-version", if buildkit { "2" } else { "1" }),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("swarm", "inactive"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(reply)
}
