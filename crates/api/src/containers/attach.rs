//! `POST /containers/{id}/attach` and `/resize`.

use engine::containers::Streams;
use http::StatusCode;
use tokio::io::AsyncReadExt;

use crate::body;
use crate::call::Call;
use crate::error::Error;
use crate::hijack;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let handle = call.engine.containers.get(call.name())?;
    if call.query.flag("logs") {
        return Err(Error::refused("attach with logs", "read them from /logs first"));
    }
    let streams = Streams {
        stdin: call.query.flag("stdin") && handle.view().container.config.open_stdin,
        stdout: call.query.flag("stdout"),
        stderr: call.query.flag("stderr"),
    };
    let terminal = handle.view().container.config.tty;
    // Before 1.42 both kinds of stream were called raw.
    let content_type = if terminal || call.before(42) { hijack::RAW } else { hijack::MULTIPLEXED };
    let shim = match call.query.flag("stream") {
        true => Some(handle.attach(streams).await?),
        false => None,
    };
    if !hijack::wants_upgrade(&call.request) {
        return Ok(output_only(shim, content_type));
    }
    let (request, closing) = (call.request, call.closing);
    tokio::spawn(async move {
        // The container may be started later; until then the client holds a silent connection.
        if let Some(shim) = shim
            && let Ok(Ok(stream)) = shim.await
        {
            hijack::join(request, stream, closing).await;
        }
    });
    Ok(hijack::switching(content_type))
}

type Shim = tokio::sync::oneshot::Receiver<Result<tokio::net::UnixStream, engine::Error>>;

/// For clients that didn't ask to upgrade: the output as a body.
fn output_only(shim: Option<Shim>, content_type: &'static str) -> Reply {
    let (sender, body) = body::streamed();
    tokio::spawn(async move {
        let Some(shim) = shim else { return };
        let Ok(Ok(mut stream)) = shim.await else { return };
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            if sender.send(bytes::Bytes::copy_from_slice(&buffer[..count])).await.is_err() {
                return;
            }
        }
    });
    reply::with_type(StatusCode::OK, content_type, body)
}

pub(crate) async fn resize(call: Call) -> Result<Reply, Error> {
    let size = |key| call.query.number::<u16>(key).map(Option::unwrap_or_default);
    let (rows, columns) = (size("h")?, size("w")?);
    call.engine.containers.get(call.name())?.resize(rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}
