//! `GET /distribution/{name}/json`: what a registry has under a name.

use oci::Reference;
use serde_json::json;

use super::create;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let typed = call.name();
    let invalid = |error| Error::from(engine::Error::InvalidReference(error));
    if typed.len() == 64 && typed.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Error::invalid("no manifest found for full image ID"));
    }
    let reference = Reference::parse(typed).map_err(invalid)?;
    let credentials = create::credentials(&call)?;
    let described = call.engine.registries().describe(&reference, credentials.as_ref()).await;
    let found = described.map_err(engine::Error::from)?;
    let descriptor = json!({ "mediaType": found.media_type, "digest": found.digest, "size": found.size });
    Ok(reply::json(&json!({ "Descriptor": descriptor, "Platforms": found.platforms })))
}
