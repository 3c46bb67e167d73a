//! `POST /containers/{id}/attach`, its websocket, and `/resize`.

use detach::Keys;
use engine::containers::{Handle, Streams};
use http::StatusCode;

use super::logs;
use crate::call::Call;
use crate::error::Error;
use crate::hijack::{self, Source};
use crate::reply::{self, Reply};
use crate::websocket;

/// What a client asks of a container's streams.
struct Asked {
    handle: Handle,
    streams: Streams,
    terminal: bool,
    escape: Option<Keys>,
}

impl Asked {
    fn of(call: &Call) -> Result<Self, Error> {
        let handle = call.engine.containers.get(call.name())?;
        let config = handle.view().container.config.clone();
        let streams = Streams {
            stdin: call.query.flag("stdin") && config.open_stdin,
            stdout: call.query.flag("stdout"),
            stderr: call.query.flag("stderr"),
        };
        let keys = hijack::keys(call.query.get("detachKeys"))?;
        let escape = Some(keys).filter(|_| config.tty && streams.stdin);
        Ok(Self { handle, streams, terminal: config.tty, escape })
    }

    /// Where the bytes come from: the log of before, if it is asked for, and the streams.
    async fn source(
        &self,
        call: &Call,
    ) -> Result<impl Future<Output = Option<Source>> + Send + 'static, Error> {
        let shim = match call.query.flag("stream") {
            true => Some(self.handle.attach(self.streams).await?),
            false => None,
        };
        // After the attachment: rather a line comes twice than not at all.
        let before = match call.query.flag("logs") {
            true => Some(logs::until_now(call, &self.handle.view(), self.streams, self.terminal)?),
            false => None,
        };
        Ok(async move {
            let before = before.unwrap_or_else(hijack::nothing);
            let Some(shim) = shim else { return Some(Source::Log(before)) };
            // The container may be started later; until then the client holds a silent connection.
            let stream = shim.await.ok()?.ok()?;
            Some(Source::Streams(before, stream))
        })
    }
}

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let asked = Asked::of(&call)?;
    // Before 1.42 both kinds of stream were called raw.
    let content_type = if asked.terminal || call.before(42) { hijack::RAW } else { hijack::MULTIPLEXED };
    let source = asked.source(&call).await?;
    if !hijack::wants_upgrade(&call.request) {
        return Ok(hijack::output_only(source, content_type));
    }
    let (upgrading, closing, engine) = (hyper::upgrade::on(call.request), call.closing, call.engine);
    tasks::spawn(async move {
        let Some(source) = source.await else { return };
        if hijack::join(upgrading, std::future::ready(source), asked.escape, closing).await {
            engine.containers.detached(&asked.handle);
        }
    });
    Ok(hijack::switching(content_type))
}

/// The same over a websocket, without frames of docker's.
pub(crate) async fn websocket(call: Call) -> Result<Reply, Error> {
    let asked = Asked::of(&call)?;
    let answer = websocket::accept(&call.request)?;
    let source = asked.source(&call).await?;
    let (upgrading, closing, engine) = (hyper::upgrade::on(call.request), call.closing, call.engine);
    tasks::spawn(async move {
        let Some(source) = source.await else { return };
        if websocket::join(upgrading, source, !asked.terminal, asked.escape, closing).await {
            engine.containers.detached(&asked.handle);
        }
    });
    Ok(answer)
}

pub(crate) async fn resize(call: Call) -> Result<Reply, Error> {
    let size = |key| call.query.number::<u16>(key).map(Option::unwrap_or_default);
    let (rows, columns) = (size("h")?, size("w")?);
    call.engine.containers.get(call.name())?.resize(rows, columns).await?;
    Ok(reply::empty(StatusCode::OK))
}
