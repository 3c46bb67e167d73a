//! `POST /build/prune`.

use engine::builds::{PRUNE_KEYS, PruneWhat};
use engine::filters::Filters;
use http::StatusCode;
use serde_json::json;

use super::parameters::flag;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(mut call: Call) -> Result<Reply, Error> {
    call.ignore_body().await?;
    let filters = Filters::parse(call.query.get("filters"), PRUNE_KEYS).map_err(engine::Error::from)?;
    let number = |name: &str| match call.query.get(name) {
        "" => Ok(0),
        text => {
            text.parse::<u64>().map_err(|_| Error::invalid(format!("{name} is no number of bytes: {text:?}")))
        }
    };
    let keep = number("keep-storage")?.max(number("reserved-space")?);
    let (max_used, min_free) = (number("max-used-space")?, number("min-free-space")?);
    let what = PruneWhat { all: flag(&call, "all"), keep, max_used, min_free, filters: Some(filters) };
    let engine = call.engine.clone();
    let pruned = tasks::blocking(move || engine.builds.prune(&what)).await;
    let pruned = pruned.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot prune the build cache: {error}"))
    })??;
    let ids = (!pruned.ids.is_empty()).then_some(pruned.ids);
    Ok(reply::json(&json!({ "CachesDeleted": ids, "SpaceReclaimed": pruned.bytes })))
}
