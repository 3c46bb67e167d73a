//! `GET|HEAD /_ping`: is somebody there, and what does it speak?

use http::{HeaderValue, Method, header};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let head = call.request.method() == Method::HEAD;
    let mut reply = reply::text(if head { "" } else { "OK" });
    if head {
        // Clients read it: there is no body, however long GET's is.
        reply.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    // The builder that clients are to use: BuildKit, unless the administrator switched it off.
    let buildkit = call.engine.live.load().features.get("buildkit").copied().unwrap_or(true);
    let headers = reply.headers_mut();
    for (name, value) in [
        ("builder-version", if buildkit { "2" } else { "1" }),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        // Ports in a row may come as one entry.
        ("ketch-port-runs", "1"),
        ("swarm", "inactive"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(reply)
}
