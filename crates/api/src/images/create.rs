//! `POST /images/create`: pulling.

use engine::images::{Pull, Wanted};
use oci::Reference;

use super::progress;
use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;

/// The header that carries credentials.
pub(crate) const AUTH: &str = "x-registry-auth";

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    for name in ["fromSrc", "repo", "message", "changes"] {
        if !call.query.get(name).is_empty() {
            return Err(Error::refused(
                name,
                "this version of Ketch pulls images and does not import archives yet",
            ));
        }
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
    progress::stream(|progress| async move { engine.images.pull(&pull, &progress).await }).await
}

/// Who the client is to the registry.
pub(crate) fn credentials(call: &Call) -> Result<Option<engine::images::Credentials>, Error> {
    let header = call.headers().get(AUTH).map(|value| value.to_str().unwrap_or("?")).unwrap_or_default();
    Ok(engine::images::credentials(header)?)
}

/// The name with the tag or the digest that is in `tag`. Without either, every tag is meant.
fn reference(call: &Call) -> Result<Reference, Error> {
    let (image, tag) = (call.query.get("fromImage"), call.query.get("tag"));
    if image.is_empty() {
        return Err(Error::invalid("invalid reference format"));
    }
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
