//! `DELETE /images/{name}`.

use engine::images::{Force, Removed};
use http::StatusCode;
use serde_json::{Value, json};

use super::platform;
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn delete(call: Call) -> Result<Reply, Error> {
    let wanted = platform::several(&call, "platforms")?;
    // `noprune` keeps untagged parents, which images made without the classic builder don't have.
    let force = if call.query.flag("force") { Force::Yes } else { Force::No };
    let (engine, name) = (call.engine.clone(), call.name().to_owned());
    let removed = tasks::blocking(move || match &wanted[..] {
        [] => engine.images.remove(&name, force, &engine.containers),
        wanted => engine.images.remove_platforms(&name, wanted, force, &engine.containers),
    })
    .await;
    let removed = removed.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot remove an image: {error}"))
    })??;
    Ok(reply::json(&entries(removed)))
}

/// What was removed, one entry for each name and each thing.
pub(crate) fn entries(removed: Vec<Removed>) -> Vec<Value> {
    let entry = |entry| match entry {
        Removed::Untagged(name) => json!({ "Untagged": name }),
        Removed::Deleted(id) => json!({ "Deleted": id }),
    };
    removed.into_iter().map(entry).collect()
}
