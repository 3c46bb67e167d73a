//! `POST /images/create`: pulling and importing.

use std::time::SystemTime;

use engine::images::{Import, Pull, Wanted, changes};
use http::StatusCode;
use oci::Reference;
use oci::image::ContainerConfig;
use serde_json::json;

use super::progress;
use crate::body::{self, BlockingReader};
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

/// The header that carries credentials.
pub(crate) const AUTH: &str = "x-registry-auth";

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    if call.query.get("fromImage").is_empty() {
        return import(call).await;
    }
    let reference = reference(&call)?;
    let wanted = match call.query.get("platform") {
        "" => Wanted::host(),
        text => Wanted::parse(text).map_err(engine::Error::from)?,
    };
    let credentials = credentials(&call)?;
    let engine = call.engine.clone();
    let downloads = engine.live.load().max_concurrent_downloads;
    let pull = Pull { client: engine.registries(), reference, wanted, credentials, downloads };
    let since = SystemTime::now();
    progress::stream(|progress| async move {
        let pulled = engine.images.pull(&pull, &progress).await;
        engine.make_room(since).await;
        pulled
    })
    .await
}

/// A tar from the body or from an address as the only layer of an image.
async fn import(call: Call) -> Result<Reply, Error> {
    let source = call.query.get("fromSrc").to_owned();
    if source.is_empty() {
        return Err(Error::invalid("neither fromImage nor fromSrc says what to create an image from"));
    }
    let import = what_to_import(&call, &source);
    let (engine, since) = (call.engine.clone(), SystemTime::now());
    if source == "-" {
        let tar = BlockingReader::new(call.request.into_body());
        // Also where the request itself is wrong: its body is on the way already.
        let work = move |tar: &mut BlockingReader| Ok::<_, Error>(engine.images.import(tar, import?)?);
        let imported = tasks::blocking(move || tar.lend(work)).await;
        let id = imported.map_err(|error| {
            Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot import an image: {error}"))
        })??;
        call.engine.make_room(since).await;
        let line = format!("{}\r\n", json!({ "status": id }));
        return Ok(reply::with_type(StatusCode::OK, "application/json", body::full(line)));
    }
    let import = import?;
    let address = if source.contains("://") { source } else { format!("http://{source}") };
    progress::stream(|progress| async move {
        let imported = engine.images.import_from(&engine.web(), &address, import, &progress).await;
        engine.make_room(since).await;
        imported
    })
    .await
}

fn what_to_import(call: &Call, source: &str) -> Result<Import, Error> {
    let name = super::commit::name(call.query.get("repo"), call.query.get("tag"))?;
    let wanted = Some(call.query.get("platform")).filter(|text| !text.is_empty());
    let platform = Import::platform(wanted)?;
    let changes: Vec<String> = call.query.all("changes").map(str::to_owned).collect();
    let mut config = ContainerConfig::default();
    changes::apply(&mut config, &changes)?;
    let comment = match call.query.get("message") {
        "" => format!("Imported from {source}"),
        message => message.to_owned(),
    };
    Ok(Import { name, platform, config, comment })
}

/// Who the client is to the registry.
pub(crate) fn credentials(call: &Call) -> Result<Option<engine::images::Credentials>, Error> {
    let header = call.headers().get(AUTH).map(|value| value.to_str().unwrap_or("?")).unwrap_or_default();
    Ok(engine::images::credentials(header)?)
}

/// The name with the tag or the digest that is in `tag`. Without either, every tag is meant.
fn reference(call: &Call) -> Result<Reference, Error> {
    let (image, tag) = (call.query.get("fromImage"), call.query.get("tag"));
    let invalid = |error| Error::from(engine::Error::InvalidReference(error));
    let named = Reference::parse_as_typed(image.trim()).map_err(invalid)?;
    match tag.contains(':') {
        _ if tag.is_empty() => Ok(named),
        true => {
            let digest = tag.parse().map_err(|error| invalid(oci::ReferenceError::Digest(error)))?;
            Ok(named.with_digest(digest))
        }
        false => named.with_tag(tag).map_err(invalid),
    }
}
