//! `POST /containers/{id}/stop`, `/restart` and `/kill`.

use std::time::Duration;

use engine::containers::{Handle, Purpose};
use engine::signal;
use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let handle = call.engine.containers.get(call.name())?;
    let (signal, patience) = asked(&call, &handle)?;
    handle.stop(signal, patience, Purpose::Stop).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn restart(call: Call) -> Result<Reply, Error> {
    let handle = call.engine.containers.get(call.name())?;
    let (signal, patience) = asked(&call, &handle)?;
    let restarted = handle.restart(signal, patience).await;
    let doing = format!("Cannot restart container {}", call.name());
    restarted.map_err(|error| Error::from(error).under(&doing))?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// With which signal, and how long to wait before the last one.
fn asked(call: &Call, handle: &Handle) -> Result<(i32, Option<Duration>), Error> {
    let view = handle.view();
    let config = &view.container.config;
    let signal = match (call.query.get("signal"), config.stop_signal.as_str()) {
        ("", "") => SIGTERM,
        ("", configured) => signal::parse(configured)?,
        (asked, _) => signal::parse(asked)?,
    };
    let seconds: i64 = match (call.query.number("t")?, config.stop_timeout) {
        (Some(asked), _) => asked,
        (None, Some(configured)) => configured.into(),
        (None, None) => call.engine.settings.default_stop_timeout.into(),
    };
    // A negative number waits for ever.
    Ok((signal, u64::try_from(seconds).ok().map(Duration::from_secs)))
}

pub(crate) async fn kill(call: Call) -> Result<Reply, Error> {
    let doing = format!("cannot kill container: {}", call.name());
    let under = |error: engine::Error| Error::from(error).under(&doing);
    let signal = match call.query.get("signal") {
        "" => SIGKILL,
        text => signal::parse(text).map_err(under)?,
    };
    let handle = call.engine.containers.get(call.name()).map_err(under)?;
    handle.kill(signal).await.map_err(under)?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
