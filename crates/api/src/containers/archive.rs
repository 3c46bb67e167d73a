//! `GET`, `HEAD` and `PUT /containers/{id}/archive`: what `cp` is made of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::containers::{PathStat, Put};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::blocking;
use crate::body::{self, BlockingReader};
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::time;

const STAT: &str = "x-docker-container-path-stat";

pub(crate) async fn head(call: Call) -> Result<Reply, Error> {
    let (name, path) = (call.name().to_owned(), call.query.get("path").to_owned());
    let handle = call.engine.containers.get(&name)?;
    let stat = blocking(move || call.engine.containers.stat(&handle, &name, &path)).await?;
    let mut reply = reply::empty(StatusCode::OK);
    describe(&mut reply, &stat)?;
    Ok(reply)
}

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let (name, path) = (call.name().to_owned(), call.query.get("path").to_owned());
    let handle = call.engine.containers.get(&name)?;
    let archive = blocking(move || call.engine.containers.archive(&handle, &name, &path)).await?;
    let stat = archive.stat.clone();
    let body = body::written(move |out| {
        archive
            .write(out)
            .inspect_err(|error| tracing::warn!(error = diag::chain(error), "an archive ended early"))
    });
    let mut reply = reply::with_type(StatusCode::OK, "application/x-tar", body);
    describe(&mut reply, &stat)?;
    Ok(reply)
}

pub(crate) fn describe(reply: &mut Reply, stat: &PathStat) -> Result<(), Error> {
    let text = json!({
        "name": stat.name,
        "size": stat.size,
        "mode": stat.mode,
        "mtime": time::rfc3339(stat.modified),
        "linkTarget": stat.target,
    });
    let value = HeaderValue::from_str(&STANDARD.encode(text.to_string()))
        .map_err(|_| Error::invalid("the path cannot be described in a header"))?;
    reply.headers_mut().insert(STAT, value);
    Ok(())
}

pub(crate) async fn put(call: Call) -> Result<Reply, Error> {
    let name = call.name().to_owned();
    let handle = call.engine.containers.get(&name)?;
    let put = Put {
        container: name,
        path: call.query.get("path").to_owned(),
        same_kind: call.query.flag("noOverwriteDirNonDir"),
        own: call.query.flag("copyUIDGID"),
    };
    let engine = call.engine;
    let writing = engine.containers.writing(&handle).await;
    let tar = BlockingReader::new(call.request.into_body());
    blocking(move || tar.lend(|tar| engine.containers.put(&handle, &put, writing, tar))).await?;
    Ok(reply::empty(StatusCode::OK))
}
