//! `DELETE /images/{name}`.

use engine::images::{Force, Removed};
use http::StatusCode;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn delete(call: Call) -> Result<Reply, Error> {
    if !call.query.get("platforms").is_empty() {
        return Err(Error::refused("platforms", "images of this version of Ketch have one platform each"));
    }
    // `noprune` keeps untagged parents, which images made without the classic builder don't have.
    let force = if call.query.flag("force") { Force::Yes } else { Force::No };
    let (engine, name) = (call.engine.clone(), call.name().to_owned());
    let removed =
        tokio::task::spawn_blocking(move || engine.images.remove(&name, force, &engine.containers)).await;
    let removed = removed.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot remove an image: {error}"))
    })??;
    let entries: Vec<Value> = removed
        .into_iter()
        .map(|entry| match entry {
            Removed::Untagged(name) => json!({ "Untagged": name }),
            Removed::Deleted(id) => json!({ "Deleted": id }),
        })
        .collect();
    Ok(reply::json(&entries))
}
