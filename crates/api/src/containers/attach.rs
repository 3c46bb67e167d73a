//! `POST /containers/{id}/attach` and `/resize`.

use engine::containers::Streams;
use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::hijack::{self, Source};
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
    let keys = call.query.get("detachKeys");
    let escape = hijack::keys(keys)?;
    let escape = Some(escape).filter(|_| terminal && streams.stdin);
    // Before 1.42 both kinds of stream were called raw.
    let content_type = if terminal || call.before(42) { hijack::RAW } else { hijack::MULTIPLEXED };
    let shim = match call.query.flag("stream") {
        true => Some(handle.attach(streams).await?),
        false => None,
    };
    let source = async move {
        // The container may be started later; until then the client holds a silent connection.
        let stream = shim?.await.ok()?.ok()?;
        Some(Source::Streams(stream))
    };
    if !hijack::wants_upgrade(&call.request) {
        return Ok(hijack::output_only(source, content_type));
    }
    let (upgrading, closing, engine) = (hyper::upgrade::on(call.request), call.closing, call.engine);
    tokio::spawn(async move {
        let Some(source) = source.await else { return };
        if hijack::join(upgrading, source, escape, closing).await {
            engine.containers.detached(&handle);
        }
    });
    Ok(hijack::switching(content_type))
}

pub(crate) async fn resize(call: Call) -> Result<Reply, Error> {
    let size = |key| call.query.number::<u16>(key).map(Option::unwrap_or_default);
    let (rows, columns) = (size("h")?, size("w")?);
    call.engine.containers.get(call.name())?.resize(rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}
