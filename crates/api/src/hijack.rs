//! Taking a connection over for raw bytes, as attach, exec and BuildKit's sessions do.

use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::body;
use crate::reply::{self, Reply};

/// Docker's frames of standard output and error.
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";
/// A terminal's bytes.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";

/// Whether the client asked to upgrade; the old clients that don't get the output as an ordinary body.
pub(crate) fn wants_upgrade(request: &Request<Incoming>) -> bool {
    request.headers().contains_key(header::UPGRADE)
}

/// dockerd's answer to `Upgrade: tcp`.
pub(crate) fn switching(content_type: &'static str) -> Reply {
    let mut reply = reply::with_type(StatusCode::SWITCHING_PROTOCOLS, content_type, body::full(""));
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    reply
}

/// Joins the client's connection, once it is ours, with the container's streams.
pub(crate) async fn join(request: Request<Incoming>, shim: UnixStream, mut closing: watch::Receiver<bool>) {
    let client = match hyper::upgrade::on(request).await {
        Ok(upgraded) => TokioIo::new(upgraded),
        Err(error) => return tracing::debug!(%error, "a client left before its stream began"),
    };
    tokio::select! {
        () = pump(client, shim) => {}
        // An engine that ends leaves the container's streams to the next one.
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// Both ways until the container's side ends. The client may close its half (end of input) and still read on.
async fn pump(client: impl AsyncRead + AsyncWrite, shim: UnixStream) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_shim, mut to_shim) = shim.into_split();
    let input = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_shim).await;
        let _ = to_shim.shutdown().await;
        // Input has ended; the output decides when all is over.
        std::future::pending::<()>().await;
    };
    let output = async {
        let _ = tokio::io::copy(&mut from_shim, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}
