//! `tag`.

use client::encode;
use http::Method;

use super::pull;
use crate::call::Call;
use crate::error::{Error, Outcome};

/// `tag`, `image tag`.
pub(crate) fn tag(call: &Call) -> Outcome {
    let [source, target] = call.args() else { return Ok(1) };
    let wrong = |typed: &str, error: &Error| {
        Error::Usage(format!("Error parsing reference: {typed:?} is not a valid repository/tag: {error}"))
    };
    // An id is no reference, but may be a source.
    let id = source.len() == 64 && source.bytes().all(|b| b.is_ascii_hexdigit());
    if !id && !source.starts_with("sha256:") {
        pull::parse(source).map_err(|e| wrong(source, &e))?;
    }
    let reference = pull::parse(target).map_err(|e| wrong(target, &e))?;
    if reference.digest().is_some() {
        return Err(Error::Usage("refusing to create a tag with a digest reference".into()));
    }
    let (repository, tag) = (reference.familiar_name(), reference.tag().unwrap_or("latest"));
    let path = format!("/images/{}/tag?repo={}&tag={}", encode(source), encode(&repository), encode(tag));
    call.with_engine(|engine| async move {
        engine.call(Method::POST, &path, None).await?;
        Ok(0)
    })
}
