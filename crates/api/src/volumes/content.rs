//! What is in volumes, over routes that are Ketch's own.
//!
//! | route | |
//! |---|---|
//! | `GET /volumes/{name}/export` | the whole of it as a tar |
//! | `POST /volumes/import?name=…&labels=…` | a volume of the tar in the body |
//! | `GET`, `HEAD`, `PUT /volumes/{name}/archive?path=…` | as with containers |
//! | `POST /volumes/{name}/copy` | `From`, `FromPath`, `Path`, `Name`: a part of another volume; progress as of a pull |
//! | `POST /volumes/{name}/clone` | `Name`, `Labels`, `Snapshot`, `Pause`: a volume with the same content; progress likewise |
//! | `POST /volumes/{name}/rename?name=…` | |

use engine::images::progress::Progress;
use engine::volumes::{CopyBetween, Overwrite, Twin};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{blocking, describe};
use crate::body::{self, BlockingReader};
use crate::call::{Call, understood};
use crate::containers::archive;
use crate::error::Error;
use crate::images::progress;
use crate::reply::{self, Reply};

const TAR: &str = "application/x-tar";

/// `GET /volumes/{name}/export`.
pub(crate) async fn export(call: Call) -> Result<Reply, Error> {
    let name = call.name().to_owned();
    let export = blocking(&call.engine, move |engine| engine.volumes.export(&name)).await?;
    let body = body::written(move |out| {
        export
            .write(out)
            .inspect_err(|error| tracing::warn!(error = diag::chain(error), "an export ended early"))
    });
    Ok(reply::with_type(StatusCode::OK, TAR, body))
}

/// `POST /volumes/import`.
pub(crate) async fn import(call: Call) -> Result<Reply, Error> {
    let engine = call.engine.clone();
    let name = call.query.get("name").to_owned();
    let labels = match call.query.get("labels") {
        "" => Ok(None),
        text => serde_json::from_str(text).map(Some),
    };
    let tar = BlockingReader::new(call.request.into_body());
    // Also where the request itself is wrong: its body is on the way already.
    let volume = blocking(&engine, move |engine| {
        tar.lend(|tar| {
            let wrong = |error| engine::Error::Invalid(format!("labels are no map of texts: {error}"));
            engine.volumes.import(&name, labels.map_err(wrong)?, tar)
        })
    })
    .await?;
    Ok(reply::json_with(StatusCode::CREATED, &describe(&engine, &volume)))
}

/// `HEAD /volumes/{name}/archive`.
pub(crate) async fn head(call: Call) -> Result<Reply, Error> {
    let (name, path) = (call.name().to_owned(), call.query.get("path").to_owned());
    let stat = blocking(&call.engine, move |engine| engine.volumes.stat(&name, &path)).await?;
    let mut reply = reply::empty(StatusCode::OK);
    archive::describe(&mut reply, &stat)?;
    Ok(reply)
}

/// `GET /volumes/{name}/archive`.
pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let (name, path) = (call.name().to_owned(), call.query.get("path").to_owned());
    let part = blocking(&call.engine, move |engine| engine.volumes.archive(&name, &path)).await?;
    let stat = part.archive.stat.clone();
    let body = body::written(move |out| {
        part.write(out)
            .inspect_err(|error| tracing::warn!(error = diag::chain(error), "an archive ended early"))
    });
    let mut reply = reply::with_type(StatusCode::OK, TAR, body);
    archive::describe(&mut reply, &stat)?;
    Ok(reply)
}

/// `PUT /volumes/{name}/archive`.
pub(crate) async fn put(call: Call) -> Result<Reply, Error> {
    let (name, path) = (call.name().to_owned(), call.query.get("path").to_owned());
    let overwrite = match call.query.flag("noOverwriteDirNonDir") {
        true => Overwrite::SameKind,
        false => Overwrite::Anything,
    };
    let engine = call.engine;
    let tar = BlockingReader::new(call.request.into_body());
    blocking(&engine, move |engine| tar.lend(|tar| engine.volumes.put(&name, &path, overwrite, tar))).await?;
    Ok(reply::empty(StatusCode::OK))
}

/// `POST /volumes/{name}/rename`.
pub(crate) async fn rename(call: Call) -> Result<Reply, Error> {
    let (old, new) = (call.name().to_owned(), call.query.get("name").to_owned());
    blocking(&call.engine, move |engine| engine.volumes.rename(&old, &new)).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /volumes/{name}/copy`.
pub(crate) async fn copy(call: Call) -> Result<Reply, Error> {
    let (name, engine) = (call.name().to_owned(), call.engine.clone());
    let copy: CopyBetween = read(call).await?;
    progress::stream(|progress| async move {
        let bar = bar(&progress, &copy.from, 0);
        worked(move || engine.volumes.copy(&name, &copy, &bar)).await
    })
    .await
}

/// What of `POST /volumes/{name}/clone` is not about the new volume.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cloning {
    /// Whether the containers that can write to it stand still meanwhile.
    #[serde(default = "yes")]
    pause: bool,
}

fn yes() -> bool {
    true
}

/// `POST /volumes/{name}/clone`.
pub(crate) async fn clone(call: Call) -> Result<Reply, Error> {
    let (source, engine) = (call.name().to_owned(), call.engine.clone());
    let mut body: Value = read(call).await?;
    let pause = body.as_object_mut().and_then(|body| body.remove("Pause"));
    let Cloning { pause } = understood(&pause.map_or_else(|| json!({}), |pause| json!({ "Pause": pause })))?;
    let wanted: Twin = understood(&body)?;
    let (name, known) = (wanted.name.clone(), source.clone());
    let total = blocking(&engine, move |engine| {
        if !name.is_empty() {
            engine.volumes.check_new(&name)?;
        }
        engine.volumes.size_of(&known)
    })
    .await?;
    progress::stream(|progress| async move {
        let bar = bar(&progress, &source, total);
        let made = worked(move || {
            let still = || pause.then(|| engine.containers.still(&source)).transpose();
            engine.volumes.twin(&source, wanted, &bar, still)
        })
        .await?;
        progress.say("", made.name).await;
        Ok(())
    })
    .await
}

fn bar(progress: &Progress, volume: &str, total: u64) -> engine::images::progress::Meter {
    progress.meter(volume, "Copying", total)
}

async fn read<T: serde::de::DeserializeOwned>(call: Call) -> Result<T, Error> {
    understood(&Call::json(call.request).await?)
}

async fn worked<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, engine::Error> + Send + 'static,
) -> Result<T, engine::Error> {
    let crashed = |error: tokio::task::JoinError| engine::Error::System {
        doing: "work on volumes",
        source: std::io::Error::other(error),
    };
    tasks::blocking(work).await.map_err(crashed)?
}
