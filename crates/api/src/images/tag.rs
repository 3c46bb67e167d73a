//! `POST /images/{name}/tag`.

use http::StatusCode;
use oci::Reference;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let invalid = |error| Error::from(engine::Error::InvalidReference(error));
    let named = Reference::parse_as_typed(call.query.get("repo")).map_err(invalid)?;
    if named.digest().is_some() {
        return Err(Error::invalid("refusing to create a tag with a digest reference"));
    }
    let target = match call.query.get("tag") {
        "" => named.or_latest(),
        tag => named.with_tag(tag).map_err(invalid)?,
    };
    let (engine, name) = (call.engine.clone(), call.name().to_owned());
    let tagged = tasks::blocking(move || engine.images.tag(&name, &target)).await;
    tagged.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot tag an image: {error}"))
    })??;
    Ok(reply::empty(StatusCode::CREATED))
}
