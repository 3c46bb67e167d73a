//! The `platform` parameter of the routes that take it as the JSON of an OCI platform.

use engine::images::Wanted;
use oci::image::Platform;

use crate::call::Call;
use crate::error::Error;

/// The one platform that is asked for.
pub(crate) fn one(call: &Call) -> Result<Option<Wanted>, Error> {
    match call.query.get("platform") {
        "" => Ok(None),
        text => parse(text).map(Some),
    }
}

/// All that are asked for, under `key`.
pub(crate) fn several(call: &Call, key: &str) -> Result<Vec<Wanted>, Error> {
    call.query.all(key).filter(|text| !text.is_empty()).map(parse).collect()
}

fn parse(text: &str) -> Result<Wanted, Error> {
    let wrong = |why: &dyn std::fmt::Display| Error::invalid(format!("failed to parse platform: {why}"));
    let platform: Platform = serde_json::from_slice(text.as_bytes()).map_err(|error| wrong(&error))?;
    if platform.os.is_empty() || platform.architecture.is_empty() {
        return Err(wrong(&"both OS and Architecture must be provided"));
    }
    Ok(Wanted::of(&platform))
}
