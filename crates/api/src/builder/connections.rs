//! `POST /grpc` and `POST /session`: 101, and HTTP/2 with prior knowledge from there on. On the first the client asks, on
//! the second it answers.

use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;

use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn grpc(mut call: Call) -> Result<Reply, Error> {
    let builder = call.builder.clone();
    taken(&mut call, move |upgrading, _| async move {
        if let Ok(upgraded) = upgrading.await {
            let (io, _) = serving::take(upgraded);
            // How a client leaves is no concern of ours.
            let _ = builder.serve(io).await;
        }
    })
}

pub(crate) async fn session(mut call: Call) -> Result<Reply, Error> {
    let builder = call.builder.clone();
    taken(&mut call, move |upgrading, headers| async move {
        let Ok(upgraded) = upgrading.await else { return };
        let (io, _) = serving::take(upgraded);
        if let Err(error) = builder.hold(&headers, io).await {
            tracing::debug!(%error, "a client's session ended");
        }
    })
}

/// Answers 101 and goes on with `serve`, until the engine wants streams to end.
fn taken<F>(call: &mut Call, serve: impl FnOnce(OnUpgrade, http::HeaderMap) -> F) -> Result<Reply, Error>
where
    F: Future<Output = ()> + Send + 'static,
{
    let wanted =
        call.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if wanted != "h2c" {
        return Err(Error::invalid(format!("protocol {wanted} not supported")));
    }
    let headers = call.headers().clone();
    let serving = serve(hyper::upgrade::on(&mut call.request), headers);
    let mut closing = call.closing.clone();
    tasks::spawn(async move {
        tokio::select! {
            () = serving => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    });
    let mut reply = reply::with_type(StatusCode::SWITCHING_PROTOCOLS, "text/plain", body::full(""));
    reply.headers_mut().remove(header::CONTENT_TYPE);
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("h2c"));
    Ok(reply)
}
